"""Small programmes lived from their opening to their close, each by people of its own.

Who does what by which way, and how often, follows from the seed alone.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from deploy.demo.hr_platform import raw
from shared.catalogue import (
    ConcernRaised,
    FeedbackGiven,
    GoalReached,
    GoalSet,
    ParticipantEnrolled,
    ProgrammeOpened,
    ProposalAccepted,
    SessionConfirmed,
    SessionDisputed,
    SessionLogged,
    SessionScheduled,
    TrainingCompleted,
)
from tests.chaos.door import Door, OutOfTime, Visitor
from tests.chaos.ground import START
from tests.chaos.hr_lane import HrLane
from tests.chaos.hr_stream import Sent
from tests.e2e.company import Cast, Person, cast

CAUSED_BY_PEOPLE = frozenset(
    event.TYPE
    for event in (
        ProgrammeOpened,
        ParticipantEnrolled,
        TrainingCompleted,
        ProposalAccepted,
        SessionScheduled,
        SessionLogged,
        SessionConfirmed,
        SessionDisputed,
        FeedbackGiven,
        GoalSet,
        GoalReached,
        ConcernRaised,
    )
)
"""Events that only somebody's request brings about."""


@dataclass
class Journeys:
    """All journeys of a run."""

    door: Door
    lane: HrLane
    seed: int
    begun: int = 0
    finished: int = 0
    unfinished: list[str] = field(default_factory=list)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def begin(self) -> None:
        """Start the next one."""
        self.begun += 1
        self._tasks.append(asyncio.create_task(self._live(self.begun), name=f"J{self.begun}"))

    async def end(self) -> None:
        """Wait for all of them; none lasts longer than the door is open."""
        for done in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(done, OutOfTime):
                self.unfinished.append(str(done))
            elif isinstance(done, BaseException):
                raise done

    async def _live(self, number: int) -> None:
        await Journey(self.door, self.lane, self.seed, number).live()
        self.finished += 1


class Journey:
    """One programme and its people."""

    def __init__(self, door: Door, lane: HrLane, seed: int, number: int) -> None:
        self._door = door
        self._lane = lane
        self._name = f"J{seed}x{number}"
        self._dice = random.Random(f"{seed}/journey/{number}")
        self._people: Cast = cast(self._name, seniors=2, juniors=self._dice.choice((2, 3)))
        self._programme = ""

    async def live(self) -> None:
        """From HR's records to the programme's close."""
        self._hire()
        manager = self._visitor("manager")
        opened = await manager.ask(
            "POST",
            "/programmes",
            role="programme_manager",
            body=self._rules,
            effects=lambda found: [f"{ProgrammeOpened.TYPE}:{found['programme_id']}"],
        )
        self._programme = opened["programme_id"]
        await asyncio.gather(
            *(self._join(one, "mentor") for one in self._people.juniors),
            *(self._join(one, "mentee") for one in self._people.seniors),
        )
        await asyncio.gather(*(self._mentored(one) for one in self._people.seniors))
        await manager.ask("POST", f"/programmes/{self._programme}/close", role="programme_manager")

    def _visitor(self, name: str) -> Visitor:
        return self._door.visitor(f"{self._name}/{name}")

    def _hire(self) -> None:
        for one in self._people.everybody:
            record = raw(
                one.record(effectiveDate=(START - timedelta(days=3)).date().isoformat()),
                key=one.employee_id,
                event_id=f"{one.employee_id}/1",
                now=START,
                what="hired for a programme",
            )
            facts = {"status": "active", "job_level": one.level, "department": one.department}
            self._lane.tell(Sent(record, "applies", facts))

    def _rules(self) -> dict[str, Any]:
        clock = self._door.ground.stack.clock
        return {
            "name": f"Programme {self._name}",
            "starts_on": clock.now().date().isoformat(),
            "length_days": 1000,
            "focus_topics": ["ai"],
            "audience": {"departments": self._people.departments},
            "min_group_size": 2,
            "proposal_expiry_days": 60,
            "nudges": {"quiet_from": 0, "quiet_until": 0, "mails_per_person_per_day": 50},
        }

    async def _join(self, one: Person, role: str) -> None:
        visitor = self._visitor(one.employee_id)
        topics = {"topics_offered": [{"topic": "ai"}]} if role == "mentor" else {}
        joined = await visitor.ask(
            "POST",
            f"/programmes/{self._programme}/participants",
            employee_id=one.employee_id,
            body=lambda: {
                "role": role,
                "agreement_version": "1",
                "languages": ["en"],
                "working_hours": {"start": "06:00", "end": "20:00"},
                **topics,
            },
            effects=lambda found: [f"{ParticipantEnrolled.TYPE}:{found['participant_id']}"],
        )
        participant_id = joined["participant_id"]
        trained = [f"{TrainingCompleted.TYPE}:{participant_id}"]
        if self._dice.random() < 0.5:
            welcome = await visitor.mail(one.email, "welcome")
            await visitor.click(welcome, "complete_training", effects=trained)
        else:
            path = f"/participants/{participant_id}/training-completion"
            await visitor.ask("POST", path, employee_id=one.employee_id, effects=lambda _: trained)

    async def _mentored(self, senior: Person) -> None:
        """A senior is proposed a junior; both say yes, meet, and say what it was worth."""
        mentee = self._visitor(f"{senior.employee_id}/pair")
        plan = random.Random(f"{self._name}/{senior.employee_id}")
        pair = await self._proposal(mentee, senior)
        pair_id = pair["pair_id"]
        junior = self._people.person(pair["mentor_employee_id"])
        mentor = self._visitor(f"{junior.employee_id}/pair/{senior.employee_id}")
        await self._accept(mentee, senior, pair_id, by="mentee", by_link=plan.random() < 0.5)
        await self._accept(mentor, junior, pair_id, by="mentor", by_link=plan.random() < 0.5)
        await self._formed(mentor, junior, pair_id)
        for _ in range(plan.choice((1, 1, 2))):
            await self._meet(plan, mentor, junior, mentee, senior, pair_id)
        await self._judge(plan, mentor, junior, mentee, senior, pair_id)

    async def _proposal(self, visitor: Visitor, senior: Person) -> Any:
        async def look() -> Any:
            seen = await visitor.ask("GET", "/me", employee_id=senior.employee_id)
            pairs = [p for p in seen["pairs"] if p["programme_id"] == self._programme]
            return next((p for p in pairs if p["status"] in ("proposed", "active")), None)

        return await visitor.until(look, f"a proposal to {senior.employee_id}")

    async def _accept(
        self, visitor: Visitor, one: Person, pair_id: str, *, by: str, by_link: bool
    ) -> None:
        effects = [f"{ProposalAccepted.TYPE}:{pair_id}/{by}"]
        if by_link:
            mail = await visitor.mail(one.email, "proposal", about=pair_id)
            await visitor.click(mail, "accept", effects=effects)
            return
        await visitor.ask(
            "POST",
            f"/pairs/{pair_id}/answers",
            employee_id=one.employee_id,
            body=lambda: {"answer": "accept"},
            effects=lambda _: effects,
        )

    async def _formed(self, visitor: Visitor, one: Person, pair_id: str) -> None:
        async def look() -> Any:
            seen = await visitor.ask("GET", f"/pairs/{pair_id}", employee_id=one.employee_id)
            return seen if seen["status"] == "active" else None

        await visitor.until(look, f"pair {pair_id} to be active")

    async def _meet(
        self,
        plan: random.Random,
        mentor: Visitor,
        junior: Person,
        mentee: Visitor,
        senior: Person,
        pair_id: str,
    ) -> None:
        """Booked and logged, or only logged; then confirmed or disputed by the other side."""
        clock = self._door.ground.stack.clock
        minutes = plan.choice((15, 20, 30))
        if plan.random() < 0.6:
            booked = await mentor.ask(
                "POST",
                f"/pairs/{pair_id}/sessions",
                employee_id=junior.employee_id,
                # A session that has just begun may be booked; nobody needs to wait for it.
                body=lambda: {"starts_at": clock.now().isoformat(), "minutes": minutes},
                effects=lambda found: [f"{SessionScheduled.TYPE}:{found['session_id']}"],
            )
            session_id = booked["session_id"]
            await mentor.ask(
                "POST",
                f"/sessions/{session_id}/log",
                employee_id=junior.employee_id,
                body=lambda: {"held": True},
                effects=lambda _: [f"{SessionLogged.TYPE}:{session_id}"],
            )
        else:
            logged = await mentor.ask(
                "POST",
                f"/pairs/{pair_id}/session-logs",
                employee_id=junior.employee_id,
                body=lambda: {
                    "started_at": (clock.now() - timedelta(minutes=40)).isoformat(),
                    "minutes": minutes,
                },
                effects=lambda found: [f"{SessionLogged.TYPE}:{found['session_id']}"],
            )
            session_id = logged["session_id"]
        if plan.random() < 0.4:
            mail = await mentee.mail(senior.email, "session_confirm_request", about=session_id)
            effects = [f"{SessionConfirmed.TYPE}:{session_id}"]
            await mentee.click(mail, "confirm_session", effects=effects)
            return
        fact, word = plan.choice(
            ((SessionConfirmed, "confirmation"),) * 4 + ((SessionDisputed, "dispute"),)
        )
        await mentee.ask(
            "POST",
            f"/sessions/{session_id}/{word}",
            employee_id=senior.employee_id,
            effects=lambda _: [f"{fact.TYPE}:{session_id}"],
        )

    async def _judge(
        self,
        plan: random.Random,
        mentor: Visitor,
        junior: Person,
        mentee: Visitor,
        senior: Person,
        pair_id: str,
    ) -> None:
        goal = await mentee.ask(
            "POST",
            f"/pairs/{pair_id}/goals",
            employee_id=senior.employee_id,
            body=lambda: {"title": "Use it", "topic": "ai"},
            effects=lambda found: [f"{GoalSet.TYPE}:{found['goal_id']}"],
        )
        if plan.random() < 0.7:
            await mentor.ask(
                "POST",
                f"/goals/{goal['goal_id']}/reached",
                employee_id=junior.employee_id,
                effects=lambda found: [f"{GoalReached.TYPE}:{found['goal_id']}"],
            )
        sides: Sequence[tuple[Visitor, Person]] = ((mentor, junior), (mentee, senior))
        for visitor, one in sides:
            for kind, most in (("nps", 10), ("fit", 5)):
                said = {"kind": kind, "score": plan.randint(1, most)}
                await visitor.ask(
                    "POST",
                    f"/pairs/{pair_id}/feedback",
                    employee_id=one.employee_id,
                    body=said.copy,
                    effects=lambda found: [f"{FeedbackGiven.TYPE}:{found['feedback_id']}"],
                )
        if plan.random() < 0.3:
            await mentor.ask(
                "POST",
                f"/pairs/{pair_id}/concerns",
                employee_id=junior.employee_id,
                body=lambda: {"category": "other", "exit_requested": False},
                effects=lambda found: [f"{ConcernRaised.TYPE}:{found['concern_id']}"],
            )
