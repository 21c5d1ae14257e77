"""The facts of one programme, as plain values.

People, participations and pairs keep every version they went through, so that a KPI can be told
as of any moment: the moment of a fact decides its period, the newest knowledge its value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from itertools import groupby
from operator import attrgetter
from typing import Literal, Protocol, TypeAlias, TypeVar
from uuid import UUID

Role = Literal["mentor", "mentee"]
ROLES: tuple[Role, Role] = ("mentor", "mentee")


@dataclass(frozen=True, slots=True)
class ProgrammeRow:
    """The rules of a programme that KPIs depend on."""

    programme_id: UUID
    status: str
    starts_on: date
    length_days: int
    cadence_days: int
    min_level_gap: int
    min_group_size: int
    departments: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    mentor_max_level: int = 100
    mentee_min_level: int = 0
    min_tenure_days: int = 0
    kpi_targets: dict[str, float] = field(default_factory=dict)
    closed_at: datetime | None = None

    @property
    def starts_at(self) -> datetime:
        """The first instant of the programme."""
        return midnight(self.starts_on)

    @property
    def ends_at(self) -> datetime:
        """The first instant after the programme, be it over by plan or closed early."""
        planned = midnight(self.starts_on + timedelta(days=self.length_days))
        return min(planned, self.closed_at) if self.closed_at else planned


@dataclass(frozen=True, slots=True)
class EmployeeRow:
    """A person's work attributes from `effective_from` on."""

    employee_id: str
    version: int
    status: str
    job_level: int
    department: str
    start_date: date
    effective_from: datetime
    country: str | None = None
    manager_id: str | None = None
    dotted_line_manager_ids: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The person."""
        return self.employee_id

    @property
    def since(self) -> datetime:
        """When this state began."""
        return self.effective_from


@dataclass(frozen=True, slots=True)
class Crowd:
    """People in the audience at one moment who take no part, so that their number is enough.

    Two crowds of one moment have nobody in common.
    """

    job_level: int
    department: str | None
    """None where only all departments together are told."""
    count: int
    tenure_band: int | None = None
    """See `periods.TENURE_EDGES_DAYS`; only where a comparison needs it."""
    stayed: int = 0
    """How many of them were still employed at the end of the comparison."""

    @property
    def id(self) -> Crowd:
        """Itself: it stands for all of them."""
        return self


Person: TypeAlias = str | Crowd
"""Somebody by their id, or all of a crowd."""


def headcount(person: Person) -> int:
    """How many people that is."""
    return person.count if isinstance(person, Crowd) else 1


@dataclass(frozen=True, slots=True)
class Lags:
    """How long HR's changes took to arrive."""

    changes: int
    seconds: float
    """Of all changes together."""
    p95: float
    """Of the seconds, each taken to three digits."""


@dataclass(frozen=True, slots=True)
class ParticipantRow:
    """A participation from `changed_at` on."""

    participant_id: UUID
    employee_id: str
    role: Role
    version: int
    status: str
    changed_at: datetime
    capacity: int = 1
    languages: tuple[str, ...] = ()
    blocks: tuple[str, ...] = ()
    ready_at: datetime | None = None

    @property
    def id(self) -> UUID:
        """The participation."""
        return self.participant_id

    @property
    def since(self) -> datetime:
        """When this state began."""
        return self.changed_at


@dataclass(frozen=True, slots=True)
class PairRow:
    """A pair from `changed_at` on."""

    pair_id: UUID
    mentor_id: UUID
    mentee_id: UUID
    mentor_employee_id: str
    mentee_employee_id: str
    version: int
    status: str
    changed_at: datetime
    cross_department: bool = True
    created_at: datetime | None = None
    closed_at: datetime | None = None
    reason: str | None = None
    left_by: Role | None = None

    @property
    def id(self) -> UUID:
        """The pair."""
        return self.pair_id

    @property
    def since(self) -> datetime:
        """When this state began."""
        return self.changed_at

    def employee(self, role: Role) -> str:
        """The person on that side."""
        return self.mentor_employee_id if role == "mentor" else self.mentee_employee_id


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session as it is known now."""

    session_id: UUID
    pair_id: UUID
    mentor_employee_id: str
    mentee_employee_id: str
    status: str
    starts_at: datetime
    booked: bool = True
    held: bool | None = None
    cancelled_by: str | None = None
    cancelled_at: datetime | None = None

    @property
    def took_place(self) -> bool:
        """One side says that it was held, and the other does not disagree."""
        return self.status in ("logged", "confirmed") and self.held is True

    @property
    def missed(self) -> bool:
        """One side says that somebody did not come, and the other does not disagree."""
        return self.status in ("logged", "confirmed") and self.held is False


@dataclass(frozen=True, slots=True)
class FeedbackRow:
    """A number that one side gave."""

    pair_id: UUID
    by: Role
    by_employee_id: str
    kind: str
    score: int
    given_at: datetime
    session_id: UUID | None = None
    topic: str | None = None


@dataclass(frozen=True, slots=True)
class GoalRow:
    """A goal of a pair."""

    pair_id: UUID
    set_at: datetime
    reached_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NotificationRow:
    """What became of a message."""

    employee_id: str
    outcome: Literal["sent", "failed", "suppressed"]
    owed_at: datetime


class _Versioned(Protocol):
    @property
    def since(self) -> datetime: ...


V = TypeVar("V", bound=_Versioned)


@dataclass(frozen=True)
class Facts:
    """All that is known about one programme; versions of one thing are in ascending order.

    `employees` are the people whom it concerns; all others in its audience are in a crowd.
    """

    programme: ProgrammeRow
    employees: Sequence[Sequence[EmployeeRow]] = ()
    participants: Sequence[Sequence[ParticipantRow]] = ()
    pairs: Sequence[Sequence[PairRow]] = ()
    sessions: Sequence[SessionRow] = ()
    feedback: Sequence[FeedbackRow] = ()
    goals: Sequence[GoalRow] = ()
    notifications: Sequence[NotificationRow] = ()
    later_mentees: frozenset[str] = frozenset()
    """Who enrolled as a mentee in a programme that started after this one."""
    crowds: Mapping[datetime, Sequence[Crowd]] = field(default_factory=dict)
    """Per moment that the measures look at."""
    lags: Mapping[date | None, Lags] = field(default_factory=dict)
    """Of all employees, per month that begins on a day, and (None) ever."""

    @cached_property
    def employee_versions(self) -> dict[str, Sequence[EmployeeRow]]:
        """The versions of each person."""
        return {versions[0].employee_id: versions for versions in self.employees}

    @cached_property
    def participant_versions(self) -> dict[UUID, Sequence[ParticipantRow]]:
        """The versions of each participation."""
        return {versions[0].participant_id: versions for versions in self.participants}

    @cached_property
    def newest_pairs(self) -> dict[UUID, PairRow]:
        """Each pair as it is known now."""
        return {versions[-1].pair_id: versions[-1] for versions in self.pairs}

    def employee_at(self, employee_id: str, moment: datetime) -> EmployeeRow | None:
        """A person's state at a moment."""
        return state_at(self.employee_versions.get(employee_id, ()), moment)

    def people(self) -> frozenset[str]:
        """Everyone who appears in it."""
        return frozenset(
            [
                *(versions[-1].employee_id for versions in self.participants),
                *(one.employee(role) for one in self.newest_pairs.values() for role in ROLES),
                *(one.mentor_employee_id for one in self.sessions),
                *(one.mentee_employee_id for one in self.sessions),
                *(one.by_employee_id for one in self.feedback),
            ]
        )

    def moments(self) -> Iterable[datetime]:
        """When things of this programme happened."""
        yield from (one.changed_at for versions in self.participants for one in versions)
        yield from (one.changed_at for versions in self.pairs for one in versions)
        yield from (one.cancelled_at or one.starts_at for one in self.sessions)
        yield from (one.given_at for one in self.feedback)
        for goal in self.goals:
            yield goal.set_at
            if goal.reached_at:
                yield goal.reached_at
        yield from (one.owed_at for one in self.notifications)


R = TypeVar("R", EmployeeRow, ParticipantRow, PairRow)


def histories(rows: Iterable[R]) -> list[list[R]]:
    """Rows by the thing that they are about, each in ascending versions."""
    ordered = sorted(rows, key=attrgetter("id", "version"))
    return [list(versions) for _, versions in groupby(ordered, key=attrgetter("id"))]


def state_at(versions: Sequence[V], moment: datetime) -> V | None:
    """The newest version that had begun at a moment, None if none had."""
    for version in reversed(versions):
        if version.since <= moment:
            return version
    return None


def midnight(day: date) -> datetime:
    """The first instant of a day, in UTC."""
    return datetime.combine(day, time(), UTC)
