"""How a pair lives: books, meets, cancels, forgets, rates and sets itself goals."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from deploy.demo.agenda import Agenda
from deploy.demo.cast import Actor, meeting_time
from deploy.demo.office import Office, Refused
from shared.clock import Clock

Fate = Literal[
    "held", "forgotten", "no_show", "moved", "cancelled_by_mentee", "cancelled_by_mentor"
]
_FATES: dict[Fate, float] = {
    "held": 79,
    "moved": 4,
    "forgotten": 4,
    "no_show": 3,
    "cancelled_by_mentee": 7,
    "cancelled_by_mentor": 3,
}
_BUSY_SENIORS = 0.05
"""Share of seniors who call off their first two sessions in a row."""


@dataclass
class Couple:
    """A pair as its two people know it."""

    pair_id: str
    mentor: Actor
    mentee: Actor
    topics: tuple[str, ...]
    dice: random.Random
    fates: list[Fate] = field(default_factory=list)
    """What is decided about the next bookings; thrown when empty."""
    alive: bool = True
    skills: dict[str, int] = field(default_factory=dict)
    """Topic → the mentee's own rating at the start."""
    goal_id: str | None = None
    booked_until: datetime | None = None

    def side(self, employee_id: str) -> Actor:
        """The person of this couple with the given id."""
        return self.mentor if employee_id == self.mentor.employee_id else self.mentee


class CoupleLife:
    """Keeps every couple going until the programme's last days."""

    def __init__(
        self, agenda: Agenda, office: Office, clock: Clock, *, seed: int, cadence_days: int
    ) -> None:
        self._agenda = agenda
        self._office = office
        self._clock = clock
        self._seed = seed
        self._cadence = cadence_days
        self.couples: dict[str, Couple] = {}
        self.fates: dict[str, tuple[Fate, Couple]] = {}
        self.counts: Counter[str] = Counter()
        self.last_session = datetime.max.replace(tzinfo=clock.start.tzinfo)

    def meet(self, pair_id: str, mentor: Actor, mentee: Actor, topics: tuple[str, ...]) -> None:
        """A pair was formed; its people start to act."""
        if pair_id in self.couples:
            return
        dice = random.Random(f"{self._seed}/{mentor.employee_id}/{mentee.employee_id}")
        couple = Couple(pair_id, mentor, mentee, topics, dice)
        if mentee.chance(_BUSY_SENIORS):
            couple.fates = ["cancelled_by_mentee", "cancelled_by_mentee"]
        self.couples[pair_id] = couple
        self._agenda.after(dice.uniform(0.5, 3), lambda: self._begin(couple))
        self._agenda.after(dice.uniform(0.5, 5), lambda: self.book(couple))

    @property
    def living(self) -> list[Couple]:
        """Couples that are not known to have ended, in the order of their forming."""
        return [couple for couple in self.couples.values() if couple.alive]

    async def book(self, couple: Couple, *, not_before: datetime | None = None) -> None:
        """Agree on the next session, unless the pair is over or the programme nearly so."""
        now = self._clock.now()
        if not couple.alive:
            return
        if couple.booked_until is not None and couple.booked_until > now:
            return
        earliest = now + timedelta(days=couple.dice.uniform(3, 7))
        if not_before is not None:
            earliest = max(earliest, not_before)
        if earliest >= self.last_session:
            return
        people = (couple.mentor.person, couple.mentee.person)
        starts = meeting_time(earliest, people, couple.dice)
        booker = couple.mentor if couple.dice.random() < 0.75 else couple.mentee
        try:
            session = await self._office.as_employee(
                booker.employee_id,
                "POST",
                f"/pairs/{couple.pair_id}/sessions",
                {"starts_at": starts.isoformat()},
            )
        except Refused:
            await self._look_after_refusal(couple)
            return
        couple.booked_until = starts
        self.counts["booked"] += 1
        self._plan(couple, str(session["session_id"]), starts)

    def _plan(self, couple: Couple, session_id: str, starts: datetime) -> None:
        fate = couple.fates.pop(0) if couple.fates else self._throw(couple)
        self.fates[session_id] = (fate, couple)
        before = starts - timedelta(days=couple.dice.uniform(0.6, 2))
        # Most agree on the next one soon after the last, some only when it is nearly due.
        next_session = starts + timedelta(days=self._cadence + couple.dice.uniform(-4, 5))
        next_after = couple.dice.uniform(1, 12) if couple.dice.random() < 0.7 else 21.0
        if fate in ("cancelled_by_mentee", "cancelled_by_mentor"):
            by = couple.mentee if fate == "cancelled_by_mentee" else couple.mentor
            self._agenda.at(before, lambda: self._cancel(couple, session_id, by))
            return
        if fate == "moved":
            self._agenda.at(before, lambda: self._move(couple, session_id, starts))
        elif fate == "no_show":
            self._agenda.at(
                starts + timedelta(hours=2), lambda: self._log_no_show(couple, session_id)
            )
            next_after, next_session = couple.dice.uniform(2, 6), starts
        self._agenda.at(
            starts + timedelta(days=next_after),
            lambda: self.book(couple, not_before=next_session),
        )

    def _throw(self, couple: Couple) -> Fate:
        return couple.dice.choices(list(_FATES), weights=list(_FATES.values()))[0]

    async def _cancel(self, couple: Couple, session_id: str, by: Actor) -> None:
        await self._try(by, "POST", f"/sessions/{session_id}/cancellation")
        self.counts["cancelled"] += 1
        couple.booked_until = None
        self._agenda.after(couple.dice.uniform(1, 4), lambda: self.book(couple))

    async def _move(self, couple: Couple, session_id: str, starts: datetime) -> None:
        people = (couple.mentor.person, couple.mentee.person)
        later = meeting_time(starts + timedelta(days=2), people, couple.dice)
        await self._try(
            couple.mentee, "PATCH", f"/sessions/{session_id}", {"starts_at": later.isoformat()}
        )
        couple.booked_until = later
        self.counts["moved"] += 1

    async def _log_no_show(self, couple: Couple, session_id: str) -> None:
        body = {"held": False, "no_show_by": "mentee"}
        await self._try(couple.mentor, "POST", f"/sessions/{session_id}/log", body)
        self.counts["no-show"] += 1

    async def log_unbooked(self, couple: Couple) -> None:
        """They met by chance and say so afterwards."""
        started = self._clock.now() - timedelta(hours=3)
        body = {"started_at": started.isoformat(), "minutes": 45}
        path = f"/pairs/{couple.pair_id}/session-logs"
        await self._try(couple.mentor, "POST", path, body)
        self.counts["logged unbooked"] += 1

    async def _begin(self, couple: Couple) -> None:
        """The first evening: the senior rates what they know, and the pair sets a goal."""
        for topic in couple.topics[:2]:
            before = couple.dice.choice((1, 2, 2, 3))
            if await self._rate(couple, couple.mentee, "skill_before", before, topic):
                couple.skills[topic] = before
        if couple.dice.random() < 0.7:
            about = couple.topics[0] if couple.topics else None
            body: dict[str, Any] = {"title": f"Use {about or 'what we learn'} in daily work"}
            if about:
                body["topic"] = about
            path = f"/pairs/{couple.pair_id}/goals"
            goal = await self._try(couple.mentee, "POST", path, body)
            couple.goal_id = str(goal["goal_id"]) if goal else None

    async def conclude(self, couple: Couple) -> None:
        """The last days: both say what it was worth."""
        if not couple.alive:
            return
        for topic, before in couple.skills.items():
            if couple.dice.random() < 0.85:
                after = min(5, before + couple.dice.choice((0, 1, 1, 2)))
                await self._rate(couple, couple.mentee, "skill_after", after, topic)
        for one in (couple.mentor, couple.mentee):
            if one.chance(one.traits.gives_feedback):
                await self._rate(
                    couple,
                    one,
                    "nps",
                    one.dice.choices(range(11), weights=(1, 0, 0, 1, 1, 2, 4, 8, 14, 16, 12))[0],
                )
        if couple.goal_id and couple.dice.random() < 0.7:
            await self._try(couple.mentee, "POST", f"/goals/{couple.goal_id}/reached")

    async def _rate(
        self, couple: Couple, by: Actor, kind: str, score: int, topic: str | None = None
    ) -> bool:
        body: dict[str, Any] = {"kind": kind, "score": score}
        if topic is not None:
            body["topic"] = topic
        path = f"/pairs/{couple.pair_id}/feedback"
        return await self._try(by, "POST", path, body) is not None

    async def _try(self, by: Actor, method: str, path: str, body: Any = None) -> Any:
        """A request that life may have overtaken; None when it was refused."""
        try:
            return await self._office.as_employee(by.employee_id, method, path, body)
        except Refused:
            return None

    async def _look_after_refusal(self, couple: Couple) -> None:
        """Why no session could be booked: a paused pair tries again, an ended one stops."""
        try:
            path = f"/pairs/{couple.pair_id}"
            pair = await self._office.as_employee(couple.mentor.employee_id, "GET", path)
            status = pair["status"]
        except Refused:
            status = "ended"
        couple.alive = status in ("active", "paused")
        if couple.alive:
            self._agenda.after(6, lambda: self.book(couple))
