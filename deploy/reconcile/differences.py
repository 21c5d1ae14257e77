"""What a comparison finds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, order=True)
class Difference:
    """One disagreement; never says more about a person than their id."""

    what: str
    """What was compared, e.g. `pairs`."""
    where: str
    """Which two sources disagree, e.g. `matching → notifications`."""
    key: str
    detail: str = field(compare=False)

    def __str__(self) -> str:
        return f"{self.what} {self.key}: {self.detail} ({self.where})"


@dataclass
class Compared:
    """How much was compared, and what differs."""

    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)

    def note(
        self, what: str, where: str, count: int, differences: Iterable[Difference] = ()
    ) -> None:
        """Add the outcome of one comparison."""
        self.counts[what, where] = self.counts.get((what, where), 0) + count
        self.differences.extend(differences)
