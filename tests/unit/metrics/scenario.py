"""A small company and programme to measure, built up fact by fact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from services.metrics.domain.facts import (
    EmployeeRow,
    Facts,
    FeedbackRow,
    GoalRow,
    NotificationRow,
    PairRow,
    ParticipantRow,
    ProgrammeRow,
    Role,
    SessionRow,
    histories,
)
from services.metrics.domain.measuring import Measure, measure

NAMESPACE = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
START = datetime(2026, 1, 5, tzinfo=UTC)


def day(n: float) -> datetime:
    """A moment n days after the programme's start."""
    return START + timedelta(days=n)


def uuid(name: str) -> UUID:
    """An id made of a name."""
    return uuid5(NAMESPACE, name)


@dataclass
class Scenario:
    """Facts in the making; each method adds one and returns what identifies it."""

    programme: ProgrammeRow = field(
        default_factory=lambda: ProgrammeRow(
            uuid("programme"), "open", START.date(), 180, 30, 2, min_group_size=2
        )
    )
    employees: list[EmployeeRow] = field(default_factory=list)
    participants: list[ParticipantRow] = field(default_factory=list)
    pairs: list[PairRow] = field(default_factory=list)
    sessions: list[SessionRow] = field(default_factory=list)
    feedback: list[FeedbackRow] = field(default_factory=list)
    goals: list[GoalRow] = field(default_factory=list)
    notifications: list[NotificationRow] = field(default_factory=list)

    def employee(self, name: str, level: int = 1, department: str = "IT", **more: Any) -> str:
        """A person in service since long ago."""
        known = [one for one in self.employees if one.employee_id == name]
        base = EmployeeRow(name, 1, "active", level, department, date(2020, 1, 1), day(-1000))
        if known:
            base = replace(known[-1], version=known[-1].version + 1)
            more = {"job_level": level, "department": department} | more
        self.employees.append(replace(base, **more))
        return name

    def participant(
        self, name: str, role: Role, ready: float | None = 0, status: str = "ready", **more: Any
    ) -> UUID:
        """A participation; each further call is a further version."""
        known = [one for one in self.participants if one.employee_id == name]
        moment = more.pop("at", day(ready or 0))
        self.participants.append(
            ParticipantRow(
                uuid(name),
                name,
                role,
                len(known) + 1,
                status,
                moment,
                ready_at=None if ready is None else day(ready),
                **{"languages": ("en",), **more},
            )
        )
        return uuid(name)

    def pair(self, mentor: str, mentee: str, created: float | None = 0, **more: Any) -> UUID:
        """A pair's version; active unless told otherwise."""
        pair_id = uuid(f"{mentor}-{mentee}")
        known = [one for one in self.pairs if one.pair_id == pair_id]
        self.pairs.append(
            PairRow(
                pair_id,
                uuid(mentor),
                uuid(mentee),
                mentor,
                mentee,
                len(known) + 1,
                more.pop("status", "active"),
                more.pop("at", day(created or 0)),
                created_at=None if created is None else day(created),
                **more,
            )
        )
        return pair_id

    def session(self, pair: UUID, at: float, **more: Any) -> UUID:
        """A session; held and confirmed unless told otherwise."""
        one = next(one for one in self.pairs if one.pair_id == pair)
        session_id = uuid(f"{pair}-{at}")
        self.sessions.append(
            SessionRow(
                session_id,
                pair,
                one.mentor_employee_id,
                one.mentee_employee_id,
                **{"status": "confirmed", "starts_at": day(at), "held": True, **more},
            )
        )
        return session_id

    def pulse(self, pair: UUID, by: Role, score: int, at: float, **more: Any) -> None:
        """A number given by one side."""
        one = next(one for one in self.pairs if one.pair_id == pair)
        kind = more.pop("kind", "pulse")
        self.feedback.append(FeedbackRow(pair, by, one.employee(by), kind, score, day(at), **more))

    def facts(self) -> Facts:
        """All facts."""
        return Facts(
            self.programme,
            histories(self.employees),
            histories(self.participants),
            histories(self.pairs),
            self.sessions,
            self.feedback,
            self.goals,
            self.notifications,
        )

    def measures(self, now: datetime) -> Callable[..., Measure]:
        """Measure now; the answer looks a measure up by KPI, dimension, group and period."""
        found = measure(self.facts(), now)

        def look_up(
            kpi: str, dimension: str = "all", group: str = "all", month: date | None = None
        ) -> Measure:
            return next(
                one
                for key, one in found.items()
                if (key.kpi, key.dimension, key.group) == (kpi, dimension, group)
                and (key.window.start == month if month else key.window.kind == "programme")
            )

        return look_up


def pairs_of(count: int, *, created: float = 0, department: str = "HR") -> Scenario:
    """A programme with `count` pairs of juniors in IT and seniors in `department`."""
    scenario = Scenario()
    for n in range(count):
        junior = scenario.employee(f"junior{n}", 1, "IT")
        senior = scenario.employee(f"senior{n}", 5, department)
        scenario.participant(junior, "mentor")
        scenario.participant(senior, "mentee")
        scenario.pair(junior, senior, created)
    return scenario
