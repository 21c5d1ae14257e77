"""Programme time: the real clock, or a fast one for the demo and for tests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True)
class Clock:
    """Maps real time to programme time: `start` at the real `origin`, then `speed` times as fast.

    The default is the real clock. All services given the same three values agree on the time.
    """

    start: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    origin: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    speed: float = 1.0

    def now(self) -> datetime:
        """The programme's current instant, in UTC."""
        return self.at(datetime.now(UTC))

    def at(self, real: datetime) -> datetime:
        """The programme's instant at a real one."""
        return self.start + (real - self.origin) * self.speed

    def real_seconds(self, span: timedelta) -> float:
        """How many real seconds a span of programme time lasts."""
        return span.total_seconds() / self.speed
