"""The periods that a programme is measured over, and the view that each gives of the facts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Literal

from services.metrics.domain.facts import (
    ROLES,
    Crowd,
    EmployeeRow,
    Facts,
    Lags,
    PairRow,
    ParticipantRow,
    Person,
    ProgrammeRow,
    Role,
    midnight,
    state_at,
)

_EVER = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
_TICK = timedelta(microseconds=1)
# A wrong date in one fact must not make a thousand months to measure.
_REACH = timedelta(days=400)


YEAR = timedelta(days=365)
TENURE_EDGES_DAYS = tuple(365 * years for years in (1, 3, 5, 10))
"""Where a tenure band ends and the next one begins."""
_LANDMARK_AFTER = timedelta(days=90)


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """The days measured: `start` included, `end` excluded."""

    kind: Literal["month", "programme"]
    start: date
    end: date


def windows(facts: Facts, now: datetime) -> list[Window]:
    """The programme, then each calendar month that it touched so far, oldest first.

    Together the months hold every fact, so that they add up to the programme.
    """
    programme = facts.programme
    whole = Window(
        "programme",
        programme.starts_on,
        programme.starts_on + timedelta(days=programme.length_days),
    )
    happened = [moment for moment in facts.moments() if moment <= now]
    first = max(min([programme.starts_at, *happened]), programme.starts_at - _REACH)
    last = min(now, max([programme.ends_at - _TICK, *happened]), programme.ends_at + _REACH)
    months = []
    month = first.date().replace(day=1)
    while midnight(month) <= last:
        following = (month + timedelta(days=32)).replace(day=1)
        months.append(Window("month", month, following))
        month = following
    return [whole, *months]


def landmark(programme: ProgrammeRow) -> datetime:
    """When those who joined are told from those who did not, to see who stays for a year more."""
    return min(programme.starts_at + _LANDMARK_AFTER, programme.ends_at)


@dataclass(frozen=True)
class View:
    """The facts of a programme as one period shows them.

    What happens is counted where its moment lies (`covers`); the programme covers all that ever
    happened in it. How things stand is told as of `instant`: now, or the last instant of the
    period or of the programme when that is over.
    """

    facts: Facts
    window: Window
    now: datetime

    @cached_property
    def instant(self) -> datetime:
        """The moment as of which the state of things is told."""
        over = self.facts.programme.ends_at
        if self.window.kind == "month":
            over = min(over, midnight(self.window.end))
        return min(self.now, over - _TICK)

    def covers(self, moment: datetime | None) -> bool:
        """Whether something that happened at `moment` belongs to the period."""
        if moment is None or moment > self.now:
            return False
        begins, ends = self._bounds
        return begins <= moment < ends

    @cached_property
    def _bounds(self) -> tuple[datetime, datetime]:
        if self.window.kind == "programme":
            return _EVER
        return midnight(self.window.start), midnight(self.window.end)

    @cached_property
    def employees(self) -> dict[str, EmployeeRow]:
        """Each person's state at the instant."""
        found = (state_at(versions, self.instant) for versions in self.facts.employees)
        return {one.employee_id: one for one in found if one}

    @cached_property
    def participants(self) -> list[ParticipantRow]:
        """Each participation's state at the instant."""
        found = (state_at(versions, self.instant) for versions in self.facts.participants)
        return [one for one in found if one]

    @cached_property
    def pairs(self) -> list[PairRow]:
        """Each pair's state at the instant."""
        found = (state_at(versions, self.instant) for versions in self.facts.pairs)
        return [one for one in found if one]

    @cached_property
    def in_active_pair(self) -> frozenset[str]:
        """The people who are in an active pair at the instant."""
        active = (pair for pair in self.pairs if pair.status == "active")
        return frozenset(pair.employee(role) for pair in active for role in ROLES)

    @property
    def lags(self) -> Lags | None:
        """How long HR's changes of the period took to arrive; None when there were none."""
        return self.facts.lags.get(self.window.start if self.window.kind == "month" else None)

    def department(self, person: Person) -> str:
        """Where a person works at the instant."""
        known = person if isinstance(person, Crowd) else self.employees.get(person)
        return known.department or "unknown" if known else "unknown"

    @cached_property
    def eligible(self) -> dict[Role, frozenset[Person]]:
        """Who may take part in each role: in service, in the audience, with a counterpart."""
        programme = self.facts.programme
        admitted: list[EmployeeRow | Crowd] = list(self.facts.crowds.get(self.instant, ()))
        admitted += [one for one in self.employees.values() if self._admits(one)]
        mentors = [one for one in admitted if one.job_level <= programme.mentor_max_level]
        mentees = [one for one in admitted if one.job_level >= programme.mentee_min_level]
        lowest = min((one.job_level for one in mentors), default=0) + programme.min_level_gap
        highest = max((one.job_level for one in mentees), default=0) - programme.min_level_gap
        return {
            "mentor": frozenset(one.id for one in mentors if one.job_level <= highest),
            "mentee": frozenset(one.id for one in mentees if one.job_level >= lowest),
        }

    def _admits(self, employee: EmployeeRow) -> bool:
        programme = self.facts.programme
        return (
            employee.status == "active"
            and (not programme.departments or employee.department in programme.departments)
            and (not programme.countries or employee.country in programme.countries)
            and (self.instant.date() - employee.start_date).days >= programme.min_tenure_days
        )

    def ready_moments(self, role: Role | None = None) -> dict[str, list[datetime]]:
        """When each person became ready, oldest first, up to the instant."""
        moments: dict[str, set[datetime]] = {}
        for versions in self.facts.participants:
            for one in versions:
                if one.ready_at and one.ready_at <= self.instant and role in (None, one.role):
                    moments.setdefault(one.employee_id, set()).add(one.ready_at)
        return {employee_id: sorted(found) for employee_id, found in moments.items()}
