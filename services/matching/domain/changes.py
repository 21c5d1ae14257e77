"""Single changes of the input that would serve somebody who was left out, and how small they are.

A change is data, so that it can be shown, applied and tried: `changed` is the input with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias
from uuid import UUID

from services.matching.domain.instance import Instance
from services.matching.domain.people import Person, Role

Kind: TypeAlias = Literal[
    "consent", "training", "break", "time", "topic", "seat", "department", "level", "language"
]
Value: TypeAlias = str | int | bool | None

MOST_MINUTES = 240
"""Working longer than this is no small change."""
STEP_MINUTES = 15
LAST_MINUTE = 1439
"""Of a day: until then people can say that they work."""
MOST_CHANGES = 3
"""So many are stated for one person."""
ADDED_PRIORITY = 3
"""Priority of a topic that is wanted as well."""
ADDED_PROFICIENCY = 1
"""Proficiency of a topic that is offered as well."""

_SIZES: dict[Kind, int] = {
    "consent": 0,
    "training": 0,
    "break": 0,
    "time": 0,
    "topic": 30,
    "seat": 60,
    "department": 300,
    "level": 300,
    "language": 480,
}


@dataclass(frozen=True, slots=True)
class Change:
    """One change with which a new run over the same input serves a person."""

    kind: Kind
    field: str
    """Of `Person`, or of `Programme` for the kinds `department` and `level`."""
    before: Value
    """None for what is added to a set: a topic or a language."""
    after: Value
    via: int
    """Counterparts who become possible by it and have a seat left, at once or once others move."""
    participant_id: UUID | None
    """Whose field it is: the person's own or, for `seat`, a counterpart's; None: the programme's,
    and so everybody's."""

    @property
    def minutes(self) -> int:
        """By how much the working day gets longer; 0 for other kinds."""
        if self.kind != "time":
            return 0
        return abs(int(self.after or 0) - int(self.before or 0))

    @property
    def size(self) -> int:
        """How small it is, to rank by, in something like minutes of additional work a day.

        Nothing for what everybody is asked for anyway (consent, training, the end of a break);
        time as it is; 30 for one more topic, which only has to be said; 60 for a counterpart's
        seat, which is somebody else's time; 300 for a rule of the programme, which is everybody's
        and weighs more than any time that one person may be asked for; 480 for a language, which
        is learned over months.
        """
        return _SIZES[self.kind] + self.minutes


@dataclass(frozen=True, slots=True)
class Remedy:
    """What would serve one person who was left out or is not ready."""

    participant_id: UUID
    role: Role
    changes: tuple[Change, ...]
    """Each alone serves the person; smallest first, each kind once. Empty: no single one that was
    looked for does."""
    bottleneck: str | None
    """The rule at which the nearest counterparts fail: those who pass all that are looked at before
    it; `capacity`: taken by others; None: there are no counterparts."""
    nearest: int
    """So many counterparts fail at it."""


def smallest_first(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Smallest first; among equals the one with more counterparts; the few that are stated."""
    ranked = sorted(changes, key=lambda each: (each.size, -each.via, each.kind, each.field))
    return tuple({each.kind: each for each in reversed(ranked)}.values())[::-1][:MOST_CHANGES]


def changed(given: Instance, change: Change) -> Instance:
    """The input with a change."""
    if change.participant_id is None:
        programme: Any = given.programme
        return replace(given, programme=replace(programme, **{change.field: change.after}))
    return replace(
        given,
        mentors=tuple(_with(change, person) for person in given.mentors),
        mentees=tuple(_with(change, person) for person in given.mentees),
    )


def _with(change: Change, person: Person) -> Person:
    return (
        changed_person(person, change) if person.participant_id == change.participant_id else person
    )


def changed_person(person: Person, change: Change) -> Person:
    """The person with a change of theirs."""
    after: Any = change.after
    match change.field:
        case "languages":
            return replace(person, languages=person.languages | {after})
        case "wants":
            return replace(person, wants={**person.wants, after: ADDED_PRIORITY})
        case "offers":
            return replace(person, offers={**person.offers, after: ADDED_PROFICIENCY})
        case "consented" | "trained" if person.status == "enrolled":
            # Enrolled is who lacks one of the two: with both one is ready.
            fulfilled: Any = {change.field: after, "status": "ready"}
            return replace(person, **fulfilled)
        case _:
            own: Any = {change.field: after}
            return replace(person, **own)
