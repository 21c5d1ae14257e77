"""Soft factors: how well two people fit, from 0 to 100, and what each factor adds.

Values are ratios of whole numbers and points are rounded to 1/10,000, so that any machine, and
the matrix form of the same rules, comes to the very same score.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.matching.domain.people import Person, Programme
from services.matching.domain.rules import common_minutes

UNITS_PER_POINT = 10_000
ENOUGH_INTERESTS = 3
"""So many shared interests are as good as more."""
FULL_OVERLAP_MINUTES = 480
LONGEST_WAIT_DAYS = 30
"""Whoever waits this long is served as if they had waited longer."""
DISTANCE_TENTHS = {"department": 4, "division": 2, "location": 2, "country": 2}
"""What each barrier that a pair crosses is worth."""
MOST_NEAR_EIGHTHS = 4
"""What is only taken as near covers a want by half at most."""

_URGENCY = {1: 3, 2: 2, 3: 1}


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one soft factor adds: `points` = weight × `value`, `value` in [0, 1]."""

    factor: str
    weight: float
    value: float
    points: float
    detail: str


@dataclass(frozen=True, slots=True)
class Fit:
    """How well two people fit: `score` in [0, 100] is the sum of the contributions' points."""

    score: float
    breakdown: tuple[Contribution, ...]
    topics: tuple[str, ...]
    """What the mentor offers and the mentee wants, most wanted first."""


def urgency(priority: int) -> int:
    """How much a wanted topic counts: 3 for priority 1, down to 1."""
    return _URGENCY.get(priority, 1)


def credit_eighths(proficiency: int) -> int:
    """How far an offered topic covers a want, in eighths: half for basic, all for expert."""
    return 3 + min(5, max(1, proficiency))


def near_eighths(proficiency: int, percent: int) -> int:
    """The part of the credit that is due to what is only near, in eighths from 1 to 4."""
    return min(MOST_NEAR_EIGHTHS, max(1, credit_eighths(proficiency) * percent // 100))


def covered_eighths(person: Person) -> dict[str, int]:
    """Topic → how far a want of it is covered by this person's offers, in eighths, at least 1."""
    return {topic: _eighths(topic, person) for topic in (*person.near, *person.offers)}


def _eighths(topic: str, teacher: Person) -> int:
    if topic in teacher.offers:
        return credit_eighths(teacher.offers[topic])
    offered, percent = teacher.near[topic]
    return near_eighths(teacher.offers[offered], percent)


def waited_hours(person: Person, now: datetime) -> int:
    """Whole hours of waiting that count; somebody who lost a partner counts as long waiting."""
    longest = LONGEST_WAIT_DAYS * 24
    if person.orphaned:
        return longest
    if person.waiting_since is None:
        return 0
    return min(longest, max(0, int((now - person.waiting_since).total_seconds()) // 3600))


def units(weight: float, value: float) -> int:
    """Points as whole ten-thousandths."""
    return round(weight * value * UNITS_PER_POINT)


def fit(mentor: Person, mentee: Person, programme: Programme, now: datetime) -> Fit:
    """Score two people who may be paired, and say why in plain words."""
    values = {
        "wants_covered": _covered(mentee, mentor, "the mentee"),
        "shared_interests": _interests(mentor, mentee),
        "distance": _distance(mentor, mentee),
        "mentor_wants_covered": _covered(mentor, mentee, "the mentor"),
        "time_overlap": _overlap(mentor, mentee),
        "waiting_time": _waiting(mentor, mentee, now),
        "level_gap": _gap(mentor, mentee, programme),
    }
    total = 0
    breakdown = []
    for factor, (value, detail) in values.items():
        weight = getattr(programme.weights, factor)
        added = units(weight, value)
        total += added
        breakdown.append(Contribution(factor, weight, value, added / UNITS_PER_POINT, detail))
    return Fit(total / UNITS_PER_POINT, tuple(breakdown), common_topics(mentor, mentee))


def common_topics(mentor: Person, mentee: Person) -> tuple[str, ...]:
    """What the mentor offers, if only nearly, and the mentee wants, most wanted first."""
    both = [topic for topic in mentee.wants if topic in mentor.offers or topic in mentor.near]
    return tuple(sorted(both, key=lambda topic: (mentee.wants[topic], topic)))


def _covered(learner: Person, teacher: Person, who: str) -> tuple[float, str]:
    wants = learner.wants
    if not wants:
        return 0.0, f"{who} named nothing to learn"
    asked = 8 * sum(urgency(priority) for priority in wants.values())
    covered = common_topics(teacher, learner)
    given = sum(urgency(wants[topic]) * _eighths(topic, teacher) for topic in covered)
    words = ", ".join(_told(topic, teacher) for topic in covered) if covered else "none"
    return given / asked, f"{len(covered)} of {len(wants)} topics that {who} wants: {words}"


def _told(topic: str, teacher: Person) -> str:
    """The topic, with the word that it was offered by where that is another one."""
    if topic in teacher.offers:
        word = teacher.offered_as.get(topic)
        return f"{topic} (offered as {word})" if word else topic
    offered, percent = teacher.near[topic]
    word = teacher.offered_as.get(offered, offered)
    return f"{topic} ({word} is taken as near to it, {percent} %)"


def _interests(mentor: Person, mentee: Person) -> tuple[float, str]:
    shared = sorted(mentor.interests & mentee.interests)
    value = min(ENOUGH_INTERESTS, len(shared)) / ENOUGH_INTERESTS
    return value, f"both like {', '.join(shared)}" if shared else "no shared interest is known"


def _distance(mentor: Person, mentee: Person) -> tuple[float, str]:
    crossed = [
        name
        for name in DISTANCE_TENTHS
        if getattr(mentor, name) is not None
        and getattr(mentee, name) is not None
        and getattr(mentor, name) != getattr(mentee, name)
    ]
    value = sum(DISTANCE_TENTHS[name] for name in crossed) / 10
    return value, f"different {', '.join(crossed)}" if crossed else "no barrier is crossed"


def _overlap(mentor: Person, mentee: Person) -> tuple[float, str]:
    minutes = common_minutes(mentor, mentee)
    value = min(FULL_OVERLAP_MINUTES, minutes) / FULL_OVERLAP_MINUTES
    return value, f"{minutes // 60} h {minutes % 60:02d} min of common working time a day"


def _waiting(mentor: Person, mentee: Person, now: datetime) -> tuple[float, str]:
    waited = (waited_hours(mentor, now), waited_hours(mentee, now))
    value = sum(waited) / (2 * LONGEST_WAIT_DAYS * 24)
    mentor_days, mentee_days = (hours // 24 for hours in waited)
    return value, f"waiting counts as {mentor_days} days (mentor) and {mentee_days} days (mentee)"


def _gap(mentor: Person, mentee: Person, programme: Programme) -> tuple[float, str]:
    gap = (mentee.level or 0) - (mentor.level or 0)
    off = abs(gap - programme.target_level_gap)
    return 1 / (1 + off), f"{gap} levels apart; {programme.target_level_gap} are aimed at"
