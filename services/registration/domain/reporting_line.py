"""The reporting line: who is above whom."""

from __future__ import annotations

from collections.abc import Mapping


def circle(
    managers: Mapping[str, str | None], employee_id: str, manager_id: str | None
) -> tuple[str, ...]:
    """The circle that `manager_id` as manager of `employee_id` would close; empty if none.

    Walks up as far as managers are known; each person is visited once, so it always ends.
    Example: ("A", "B", "A").
    """
    chain = {employee_id: None}  # in the order of the walk
    above = manager_id
    while above is not None and above not in chain:
        chain[above] = None
        above = managers.get(above)
    return (*chain, above) if above == employee_id else ()


def told(chain: tuple[str, ...], *, longest: int = 8) -> str:
    """A chain in one line; the middle of a long one is left out."""
    if len(chain) <= longest:
        return " → ".join(chain)
    half = longest // 2
    return " → ".join((*chain[:half], "…", *chain[-half:]))
