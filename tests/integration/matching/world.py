"""Events of a small company, and matching driven by them on a real database."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from services.matching import jobs, runs
from services.matching.handlers import handlers
from services.matching.solver import Told, work
from services.matching.store.runs import Run
from shared.catalogue import (
    EmployeeUpdated,
    Event,
    PairFact,
    ParticipantFact,
    ParticipantWithdrawn,
    ProfileChanged,
    ProgrammeChanged,
    ProgrammeClosed,
    ProgrammeFact,
    ProposalAccepted,
    ProposalDeclined,
    TopicOffered,
    TopicWanted,
)
from shared.database import Database
from shared.testing import deliver, published

PROGRAMME = UUID(int=1)
NAMESPACE = UUID(int=99)


def participant_id(employee_id: str, programme_id: UUID = PROGRAMME) -> UUID:
    return uuid.uuid5(NAMESPACE, f"{employee_id}/{programme_id}")


@dataclass
class World:
    """Says what happens and remembers versions; `database` belongs to matching."""

    database: Database
    employees: dict[str, EmployeeUpdated] = field(default_factory=dict)
    participants: dict[UUID, ParticipantFact] = field(default_factory=dict)
    programmes: dict[UUID, ProgrammeFact] = field(default_factory=dict)

    @property
    def now(self) -> datetime:
        return self.database.clock.now()

    def later(self, **span: float) -> None:
        self.database.clock.set(self.now + timedelta(**span))  # type: ignore[attr-defined]

    def employee(self, employee_id: str, **changes: Any) -> EmployeeUpdated:
        known = self.employees.get(employee_id)
        values: dict[str, Any] = (
            known.model_dump()
            if known
            else {
                "employee_id": employee_id,
                "version": 0,
                "status": "active",
                "job_level": 2,
                "department": f"dep-{employee_id}",
                "start_date": "2020-01-01",
            }
        )
        values |= {"effective_from": self.now} | changes | {"version": values["version"] + 1}
        event = EmployeeUpdated.model_validate(values)
        self.employees[employee_id] = event
        return event

    def participant(
        self, employee_id: str, role: Literal["mentor", "mentee"] = "mentor", **changes: Any
    ) -> ParticipantFact:
        programme_id = changes.pop("programme_id", PROGRAMME)
        key = participant_id(employee_id, programme_id)
        known = self.participants.get(key)
        values: dict[str, Any] = (
            known.model_dump()
            if known
            else {
                "participant_id": key,
                "programme_id": programme_id,
                "employee_id": employee_id,
                "role": role,
                "status": "ready",
                "version": 0,
                "languages": ("en",),
                "topics_offered": (TopicOffered(topic="AI"),) if role == "mentor" else (),
                "topics_wanted": (TopicWanted(topic="ai "),) if role == "mentee" else (),
                "agreement_version": "1",
                "trained_at": self.now,
                "ready_at": self.now,
            }
        )
        values |= {"changed_at": self.now} | changes | {"version": values["version"] + 1}
        kind = ParticipantWithdrawn if values["status"] == "withdrawn" else ProfileChanged
        event = kind.model_validate(values)
        self.participants[key] = event
        return event

    def programme(self, programme_id: UUID = PROGRAMME, **changes: Any) -> ProgrammeFact:
        known = self.programmes.get(programme_id)
        values: dict[str, Any] = (
            known.model_dump()
            if known
            else {
                "programme_id": programme_id,
                "version": 0,
                "status": "open",
                "name": "Digital",
                "starts_on": self.now.date(),
            }
        )
        values |= {"changed_at": self.now} | changes | {"version": values["version"] + 1}
        kind = ProgrammeClosed if values["status"] == "closed" else ProgrammeChanged
        event = kind.model_validate(values)
        self.programmes[programme_id] = event
        return event

    def mentor(self, employee_id: str, *, level: int = 2, **profile: Any) -> list[Event]:
        return [
            self.employee(employee_id, job_level=level),
            self.participant(employee_id, "mentor", **profile),
        ]

    def mentee(self, employee_id: str, *, level: int = 7, **profile: Any) -> list[Event]:
        return [
            self.employee(employee_id, job_level=level),
            self.participant(employee_id, "mentee", **profile),
        ]

    async def tell(self, *events: Event | Sequence[Event]) -> list[str]:
        flat = [e for each in events for e in ([each] if isinstance(each, Event) else each)]
        return await deliver(handlers, self.database, *flat)

    async def solve(self, run: Run, now: datetime, told: Told) -> None:
        """The work without the worker: tests of the protocol need not pay for a process."""
        await work(self.database, run.run_id, run.attempts, told=told)

    async def run(self, solve: runs.Solve | None = None) -> None:
        await runs.carry_out_due_runs(self.database, solve or self.solve, debounce_seconds=0)

    async def tick(self) -> None:
        """What the jobs do."""
        await jobs.expire_proposals(self.database)
        await jobs.complete_programmes(self.database)
        await jobs.end_silent_pairs(self.database)

    async def answer(
        self, pair: PairFact, by: str, yes: bool = True, at: datetime | None = None
    ) -> None:
        kind = ProposalAccepted if yes else ProposalDeclined
        await self.tell(
            kind(
                pair_id=pair.pair_id,
                programme_id=pair.programme_id,
                by=by,  # type: ignore[arg-type]
                answered_at=at or self.now,
            )
        )

    async def pairs(self) -> list[PairFact]:
        """The newest state of each pair by its events, in the order of first appearance."""
        newest: dict[UUID, PairFact] = {}
        for event in await published(self.database):
            if isinstance(event, PairFact):
                known = newest.get(event.pair_id)
                assert event.version == (known.version + 1 if known else 1)
                newest[event.pair_id] = event
        return list(newest.values())

    async def pair(self) -> PairFact:
        """The pair made last."""
        return (await self.pairs())[-1]

    async def paired(self) -> PairFact:
        """Run, and have all proposals accepted by both sides."""
        await self.run()
        for by in ("mentee", "mentor"):
            for pair in await self.pairs():
                if pair.status == "proposed":
                    await self.answer(pair, by)
        return await self.pair()

    async def two(self) -> PairFact:
        """A programme with one mentor and one mentee who are an active pair."""
        await self.tell(self.programme(), self.mentor("junior"), self.mentee("senior"))
        pair = await self.paired()
        assert pair.status == "active"
        return pair
