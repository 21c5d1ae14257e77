"""The input of a matching run, and its canonical form that is hashed and handed to the solver."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import date, datetime
from functools import cached_property, lru_cache
from io import BytesIO
from typing import Any, TypeAlias
from uuid import UUID

from services.matching.domain.people import Person, Programme, Weights

Pairs: TypeAlias = tuple[tuple[UUID, UUID], ...]
"""Mentor and mentee by participant id, ascending."""

_NO_MOMENT = b'"0001-01-01T00:00:00+00:00"'


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

    @property
    def input_hash(self) -> str:
        """SHA-256 of the canonical form."""
        return self._hashes[0]

    @property
    def state_hash(self) -> str:
        """SHA-256 of the canonical form but for the moment: equal when nothing has changed."""
        return self._hashes[1]

    @cached_property
    def _hashes(self) -> tuple[str, str]:
        # Both at once: to write the text takes many times as long as to hash it.
        of_all, of_state = hashlib.sha256(), hashlib.sha256()
        for name, part in _parts(self):
            of_all.update(part)
            of_state.update(_NO_MOMENT if name == "now" else part)
        return of_all.hexdigest(), of_state.hexdigest()


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
    text = BytesIO()
    text.writelines(part for _, part in _parts(given))
    return text.getvalue()


def from_canonical(text: bytes) -> Instance:
    """The instance of a canonical text. Raises ValueError where people are not as they should be.

    Each person is made before the next is read: the plain values of all of them would take several
    times the memory of the people.
    """
    document = json.loads(text, object_hook=_Reader().read)
    return Instance(
        _programme(document["programme"]),
        _all_people(document["mentors"]),
        _all_people(document["mentees"]),
        datetime.fromisoformat(document["now"]),
        *(
            tuple((UUID(mentor), UUID(mentee)) for mentor, mentee in document[pairs])
            for pairs in ("locked", "previous")
        ),
    )


def _parts(given: Instance) -> Iterator[tuple[str, bytes]]:
    """The canonical text bit by bit, so that nobody's plain values outlive their own bit.

    With each bit of a field's value comes its name.
    """
    before = "{"
    for name in sorted(_NAMES[Instance]):
        yield "", f'{before}"{name}":'.encode()
        before = ","
        value = getattr(given, name)
        if name in ("mentors", "mentees"):
            yield from ((name, part) for part in _listed(value))
        else:
            yield name, _ENCODER.encode(value).encode()
    yield "", b"}"


def _listed(people: Iterable[Person]) -> Iterator[bytes]:
    before = b"["
    for person in people:
        yield before + _ENCODER.encode(person).encode()
        before = b","
    yield b"[]" if before == b"[" else b"]"


def _written(value: Any) -> Any:
    """What JSON has no kind of its own for."""
    if isinstance(value, UUID):  # the database driver has a class of ids of its own
        return str(value)
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, date):  # or a moment
        return value.isoformat()
    plain = {name: getattr(value, name) for name in _NAMES[type(value)]}
    if plain.get(_LATER) == 0:
        del plain[_LATER]
    return plain


_LATER = "midnight"
"""A field that came after runs had been kept: their texts, which are hashed, are without it."""
_NAMES = {
    kind: [field.name for field in fields(kind)] for kind in (Instance, Programme, Person, Weights)
}
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=_written)


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


class _Reader:
    """Makes people of plain values; what many of them share takes memory once."""

    def __init__(self) -> None:
        self._words: dict[str, str] = {}
        self._numbers: dict[int, int] = {}
        self._sets: dict[tuple[str, ...], frozenset[str]] = {}

    def read(self, plain: dict[str, Any]) -> Any:
        """The person of an object that is one, any other object as it is."""
        # In a canonical text nothing but a person has an object of this name in it.
        return self._person(plain) if isinstance(plain.get("near"), dict) else plain

    def _person(self, plain: dict[str, Any]) -> Person:
        if plain.keys() | {_LATER} != _OF_PERSON:
            raise ValueError(_NO_PERSON)
        for name, value in plain.items():
            if type(value) is str:
                plain[name] = self._word(value)
            elif type(value) is int:
                plain[name] = self._numbers.setdefault(value, value)
        for name in _SETS:
            plain[name] = self._set(tuple(plain[name]))
        for topic, word in plain["offered_as"].items():
            plain["offered_as"][topic] = self._word(word)
        for topic, (word, share) in plain["near"].items():
            plain["near"][topic] = (self._word(word), share)
        leaves_on, since = plain["leaves_on"], plain["waiting_since"]
        plain["participant_id"] = UUID(plain["participant_id"])
        plain["leaves_on"] = _day(leaves_on) if leaves_on else None
        plain["waiting_since"] = _moment(since) if since else None
        return Person(**plain)

    def _word(self, word: str) -> str:
        return self._words.setdefault(word, word)

    def _set(self, words: tuple[str, ...]) -> frozenset[str]:
        found = self._sets.get(words)
        if found is None:
            found = self._sets[words] = frozenset(map(self._word, words))
        return found


_SETS = ("direct_managers", "managers", "languages", "interests", "blocks", "met")
_OF_PERSON = set(_NAMES[Person])
_NO_PERSON = "a person has other fields than the canonical form"
_day = lru_cache(maxsize=10_000)(date.fromisoformat)
_moment = lru_cache(maxsize=10_000)(datetime.fromisoformat)


def _all_people(read: Iterable[Any]) -> tuple[Person, ...]:
    people = tuple(read)
    if not all(isinstance(each, Person) for each in people):
        raise ValueError(_NO_PERSON)
    return people
