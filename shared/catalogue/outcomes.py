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
    """The message."""
    employee_id: EmployeeId
    """The person whom the message is owed to."""
    programme_id: UUID | None = None
    """The programme that the message is about, where there is one."""
    pair_id: UUID | None = None
    """The pair that the message is about, where there is one."""
    kind: Text
    """What the message is about, e.g. `proposal` or `session_reminder`."""
    channel: Literal["email"] = "email"
    """How it goes out."""
    idempotency_key: str
    """The same for every attempt at one message, also its Message-ID."""
    owed_at: Moment
    """When the message became due."""
    attempts: int = 0
    """How often it was tried."""


class NotificationSent(NotificationFact):
    """The mail server took the message."""

    TYPE = "updraft.notification.sent.v1"

    sent_at: Moment
    """When the mail server took it."""


class NotificationFailed(NotificationFact):
    """The message was given up."""

    TYPE = "updraft.notification.failed.v1"

    reason: Text
    """Why it was given up."""


class NotificationSuppressed(NotificationFact):
    """The message was not sent on purpose: unsubscribed, over the cap, or overtaken by events.

    Where it was tried before (`attempts`), it may have arrived all the same.
    """

    TYPE = "updraft.notification.suppressed.v1"

    reason: Text
    """Why it was not sent."""


class Period(Model):
    """The days measured: `start` included, `end` excluded."""

    kind: Literal["month", "programme"]
    """A calendar month, or the whole programme so far."""
    start: date
    """First day measured."""
    end: date
    """First day after those measured."""

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
    """The programme measured."""
    kpi: Text
    """Name of the KPI, such as `match_rate`."""
    definition_version: int
    """Rises when the KPI's definition changes; compare only equal ones."""
    period: Period
    """The days measured."""
    dimension: Literal["all", "department", "role", "reason"]
    """By what the programme is split; `all` is not split."""
    group: Text
    """The value of the dimension; `all` for the whole programme."""
    numerator: float | None
    """What was counted or summed; null when suppressed."""
    denominator: float | None
    """Out of how many, or how many were averaged; null when suppressed."""
    value: float | None
    """The KPI: numerator ÷ denominator unless its definition says otherwise; null when suppressed
    or when the denominator is 0."""
    unit: Literal["ratio", "days", "count", "score", "points", "seconds"]
    """What `value` counts; a ratio is in [0, 1]."""
    suppressed: bool = False
    """True: the group is too small to be shown, and all figures are null."""
    interval_low: float | None = None
    """Lower end of the 95 % interval where one is defined."""
    interval_high: float | None = None
    """Upper end of that interval."""
    measured_at: Moment
    """When it was measured; of one key, the newest counts."""

    @property
    def measure_key(self) -> str:
        """Programme, KPI, period, dimension and group, separated by `|`."""
        parts = (self.programme_id, self.kpi, self.period, self.dimension, self.group)
        return "|".join(str(part) for part in parts)
