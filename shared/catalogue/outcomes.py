"""Effects: what was mailed, and what was measured."""

from __future__ import annotations

from datetime import date
from typing import Literal
from uuid import UUID

from shared.catalogue.types import EmployeeId, Event, Model, Moment, Text


class NotificationFact(Event):
    """Base of notification events: what became of one message owed to one person."""

    TOPIC = "updraft.notifications"
    KEY = "employee_id"

    notification_id: UUID
    employee_id: EmployeeId
    programme_id: UUID | None = None
    pair_id: UUID | None = None
    kind: Text
    """What the message is about, e.g. `proposal` or `session_reminder`."""
    channel: Literal["email"] = "email"
    idempotency_key: str
    owed_at: Moment
    attempts: int = 0


class NotificationSent(NotificationFact):
    """The mail server took the message."""

    TYPE = "updraft.notification.sent.v1"

    sent_at: Moment


class NotificationFailed(NotificationFact):
    """The message was given up."""

    TYPE = "updraft.notification.failed.v1"

    reason: Text


class NotificationSuppressed(NotificationFact):
    """The message was not sent on purpose: unsubscribed, over the cap, or overtaken by events."""

    TYPE = "updraft.notification.suppressed.v1"

    reason: Text


class Period(Model):
    """The days measured: `start` included, `end` excluded."""

    kind: Literal["month", "programme"]
    start: date
    end: date

    def __str__(self) -> str:
        return f"{self.kind}:{self.start}"


class KpiMeasured(Event):
    """One KPI of one programme, period and group: BI's contract.

    The key names what is measured, so the compacted topic keeps the newest value of each. A late
    event publishes the same key again (a restatement). Where a group is smaller than the
    programme's minimum, `suppressed` is true and all figures are null.
    """

    TYPE = "updraft.kpi.measured.v1"
    TOPIC = "updraft.metrics"
    KEY = "measure_key"

    programme_id: UUID
    kpi: Text
    definition_version: int
    period: Period
    dimension: Literal["all", "department", "role", "reason"]
    group: Text
    """The value of the dimension; `all` for the whole programme."""
    numerator: float | None
    denominator: float | None
    value: float | None
    """Null when suppressed or when the denominator is 0."""
    unit: Literal["ratio", "days", "count", "score", "points", "seconds"]
    suppressed: bool = False
    interval_low: float | None = None
    interval_high: float | None = None
    """95 % interval where one is defined."""
    measured_at: Moment

    @property
    def measure_key(self) -> str:
        """Programme, KPI, period, dimension and group, separated by `|`."""
        parts = (self.programme_id, self.kpi, self.period, self.dimension, self.group)
        return "|".join(str(part) for part in parts)
