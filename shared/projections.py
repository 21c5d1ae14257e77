"""What of a service's tables follows from topics alone, so that it can be rebuilt from them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from shared.database import Transaction


@dataclass(frozen=True)
class Projection:
    """A table that holds nothing but what the records of one topic say."""

    table: str
    topic: str
    own: tuple[str, ...] = ()
    """Columns that the service keeps itself: those of a row that is there stay as they are."""
    outlives_records: bool = False
    """Whether it rightly holds more than a compacted topic, such as every version of a key."""


@dataclass(frozen=True)
class Projections:
    """All of a service; its other tables are its own decisions and doings."""

    tables: tuple[Projection, ...]
    after: Callable[[Transaction], Awaitable[None]] | None = None
    """What follows for the service's own tables when projections have changed."""
