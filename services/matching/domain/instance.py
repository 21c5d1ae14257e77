"""The input of a matching run, and its canonical form that is hashed and handed to the solver."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Any, TypeAlias
from uuid import UUID

from services.matching.domain.people import Person, Programme, Weights

Pairs: TypeAlias = tuple[tuple[UUID, UUID], ...]
"""Mentor and mentee by participant id, ascending."""

_NO_MOMENT = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Instance:
    """Everything that a run decides by; people are sorted by participant id."""

    programme: Programme
    mentors: tuple[Person, ...]
    mentees: tuple[Person, ...]
    now: datetime
    locked: Pairs = ()
    """These are to be formed, whatever else is."""
    previous: Pairs = ()
    """These were formed or proposed before and may be again; the programme's stickiness says how
    much it is worth to keep to them."""

    @cached_property
    def input_hash(self) -> str:
        """SHA-256 of the canonical form."""
        return hashlib.sha256(canonical(self)).hexdigest()

    @property
    def state_hash(self) -> str:
        """SHA-256 of the canonical form but for the moment: equal when nothing has changed."""
        return hashlib.sha256(canonical(replace(self, now=_NO_MOMENT))).hexdigest()


def instance(
    programme: Programme,
    people: Iterable[Person],
    now: datetime,
    *,
    locked: Iterable[tuple[UUID, UUID]] = (),
    previous: Iterable[tuple[UUID, UUID]] = (),
) -> Instance:
    """An instance in canonical order, whatever the order of what is given."""
    ordered = sorted(people, key=lambda person: str(person.participant_id))
    return Instance(
        programme,
        tuple(person for person in ordered if person.role == "mentor"),
        tuple(person for person in ordered if person.role == "mentee"),
        now,
        tuple(sorted(set(locked))),
        tuple(sorted(set(previous))),
    )


def canonical(given: Instance) -> bytes:
    """The one JSON text of an instance: sorted keys and sets, no spaces."""
    document = {
        "now": given.now.isoformat(),
        "programme": _plain(given.programme),
        "mentors": [_plain(person) for person in given.mentors],
        "mentees": [_plain(person) for person in given.mentees],
        "locked": [[str(mentor), str(mentee)] for mentor, mentee in given.locked],
        "previous": [[str(mentor), str(mentee)] for mentor, mentee in given.previous],
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def from_canonical(text: bytes) -> Instance:
    """The instance of a canonical text."""
    document = json.loads(text)
    return Instance(
        _programme(document["programme"]),
        tuple(_person(each) for each in document["mentors"]),
        tuple(_person(each) for each in document["mentees"]),
        datetime.fromisoformat(document["now"]),
        *(
            tuple((UUID(mentor), UUID(mentee)) for mentor, mentee in document[pairs])
            for pairs in ("locked", "previous")
        ),
    )


def _plain(given: Programme | Person | Weights) -> dict[str, Any]:
    values = ((name, getattr(given, name)) for name in _NAMES[type(given)])
    return {name: _WRITTEN.get(type(value), _by_kind)(value) for name, value in values}


def _by_kind(value: Any) -> Any:
    # The database driver has a class of ids of its own.
    return str(value) if isinstance(value, UUID) else value


# Looked up by type: there are dozens of values for each of 100,000 people.
_WRITTEN: dict[type, Callable[[Any], Any]] = {
    Weights: _plain,
    frozenset: sorted,
    UUID: str,
    date: date.isoformat,
    datetime: datetime.isoformat,
}
_NAMES = {kind: [field.name for field in fields(kind)] for kind in (Programme, Person, Weights)}


def _programme(plain: dict[str, Any]) -> Programme:
    return Programme(
        **plain
        | {
            "programme_id": UUID(plain["programme_id"]),
            "starts_on": date.fromisoformat(plain["starts_on"]),
            "ends_on": date.fromisoformat(plain["ends_on"]),
            "weights": Weights(**plain["weights"]),
        }
    )


_SETS = ("direct_managers", "managers", "languages", "interests", "blocks", "met")


def _person(plain: dict[str, Any]) -> Person:
    leaves_on, since = plain["leaves_on"], plain["waiting_since"]
    return Person(
        **plain
        | {name: frozenset(plain[name]) for name in _SETS}
        | {
            "participant_id": UUID(plain["participant_id"]),
            "near": {topic: (word, share) for topic, (word, share) in plain["near"].items()},
            "leaves_on": date.fromisoformat(leaves_on) if leaves_on else None,
            "waiting_since": datetime.fromisoformat(since) if since else None,
        }
    )
