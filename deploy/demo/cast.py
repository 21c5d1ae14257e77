"""Who plays: the people asked to take part, how they tend to behave, and what they enrol with."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from deploy.demo.workforce import Person, Workforce
from shared.catalogue import Role

_MENTEES_ASKED = 150
_MENTORS_ASKED = 112
_MENTEES_UNASKED = 8
_MENTORS_UNASKED = 20


@dataclass(frozen=True)
class Traits:
    """How a person tends to behave; each is a probability, `reaction_days` a typical delay."""

    joins: float
    declines: float
    forgets: float
    reaction_days: float
    clicks: float
    """How likely the person joins by the mail's link rather than by the web form."""
    gives_feedback: float


@dataclass
class Actor:
    """A person in the play, with dice of their own so that others' choices do not matter."""

    person: Person
    role: Role
    traits: Traits
    dice: random.Random
    asked_in_wave: int | None = None
    """None: joins without having been asked, or not at all."""
    participant_id: str | None = None

    @property
    def employee_id(self) -> str:
        """HR's key of the person."""
        return self.person.employee_id

    def chance(self, probability: float) -> bool:
        """Throw this person's dice."""
        return self.dice.random() < probability

    def delay(self) -> float:
        """Days until the person reacts to something: mostly soon, sometimes late."""
        return min(0.2 + self.dice.expovariate(1 / self.traits.reaction_days), 9.0)


def cast(workforce: Workforce, *, seed: int) -> list[Actor]:
    """Everyone who is asked to take part or joins unasked, seniors and juniors."""
    dice = random.Random(f"{seed}/cast")
    staying = [p for p in workforce.people if p.record.get("status") == "active"]
    seniors = [p for p in staying if p.level >= workforce.mentee_min_level]
    juniors = [p for p in staying if p.level <= workforce.mentor_max_level]
    actors = _pick(seniors, "mentee", _MENTEES_ASKED, _MENTEES_UNASKED, dice, seed)
    taken = {actor.employee_id for actor in actors}
    juniors = [p for p in juniors if p.employee_id not in taken]
    return actors + _pick(juniors, "mentor", _MENTORS_ASKED, _MENTORS_UNASKED, dice, seed)


def _pick(
    people: Sequence[Person], role: Role, asked: int, unasked: int, dice: random.Random, seed: int
) -> list[Actor]:
    """At most seven of ten are asked, so that a small company keeps non-participants."""
    asked = min(asked, len(people) * 7 // 10)
    unasked = min(unasked, (len(people) - asked) // 4)
    chosen = dice.sample(list(people), asked + unasked)
    actors = [actor(person, role, seed=seed) for person in chosen]
    for number, one in enumerate(actors[:asked]):
        share = number / max(asked, 1)
        one.asked_in_wave = 0 if share < 0.55 else 1 if share < 0.85 else 2
    return actors


def actor(person: Person, role: Role, *, seed: int) -> Actor:
    """A person with traits drawn from the seed and their own id."""
    dice = random.Random(f"{seed}/{person.employee_id}")
    busy = role == "mentee"
    traits = Traits(
        joins=0.78 if busy else 0.84,
        declines=min(0.5, dice.expovariate(1 / (0.07 if busy else 0.04))),
        forgets=min(0.6, dice.expovariate(1 / (0.12 if busy else 0.06))),
        reaction_days=0.3 + dice.expovariate(1 / (1.6 if busy else 0.9)),
        clicks=0.5,
        gives_feedback=dice.betavariate(5, 3),
    )
    return Actor(person, role, traits, dice)


def profile(
    actor: Actor, workforce: Workforce, acquaintances: Sequence[str] = ()
) -> dict[str, Any]:
    """What the person fills in on the web form; few name an acquaintance whom they rule out."""
    dice, person = actor.dice, actor.person
    if actor.role == "mentor":
        offers, wishes = person.teaches or workforce.topics[:2], workforce.senior_topics
    else:
        offers = tuple(t for t in person.teaches if t in workforce.senior_topics)
        wishes = workforce.topics
    # Everyone knows what they would like; the list's order makes the fashionable topics likelier.
    wanted = _skewed(wishes, 3 if actor.role == "mentee" else 2, dice)
    known = person.record.get("interests") or workforce.interests
    return {
        "topics_offered": [{"topic": t, "proficiency": dice.randint(3, 5)} for t in offers],
        "topics_wanted": [
            {"topic": topic, "priority": min(rank, 3)} for rank, topic in enumerate(wanted, 1)
        ],
        "interests": list(known)[:5],
        "languages": list(person.languages),
        "timezone": person.timezone,
        "working_hours": {
            "start": person.works_from.isoformat(),
            "end": person.works_until.isoformat(),
        },
        "capacity": 2 if actor.role == "mentor" and dice.random() < 0.5 else 1,
        "blocks": [dice.choice(acquaintances)] if acquaintances and dice.random() < 0.05 else [],
    }


def _skewed(words: Sequence[str], count: int, dice: random.Random) -> list[str]:
    left = list(words)
    picked: list[str] = []
    while left and len(picked) < count:
        picked.append(left.pop(min(int(dice.expovariate(0.25)), len(left) - 1)))
    return picked


def meeting_time(day: datetime, people: Iterable[Person], dice: random.Random) -> datetime:
    """A full hour on or after `day`, on a weekday, that lies in everyone's working time."""
    both = list(people)
    for offset in range(7):
        morning = (day + timedelta(days=offset)).replace(minute=0, second=0, microsecond=0)
        if morning.weekday() >= 5:
            continue
        hours = [morning.replace(hour=hour) for hour in range(24)]
        fitting = [at for at in hours if at >= day and all(_works(p, at) for p in both)]
        if fitting:
            return dice.choice(fitting)
    return day.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)


def _works(person: Person, at: datetime) -> bool:
    local = at.replace(tzinfo=UTC).astimezone(ZoneInfo(person.timezone))
    last = time(max(person.works_until.hour - 1, 0), person.works_until.minute)
    return person.works_from <= local.time() <= last
