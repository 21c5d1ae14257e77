"""People as flat arrays, so that compiled kernels can judge and score any number of pairs.

Rows are mentees in the order of the instance. Columns are mentors in an order of their own: by
class, which is everything that decides alike about all who share it, so that a whole class is
passed over at once. Words become numbers; lists are laid out one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.matching.domain.instance import Instance
from services.matching.domain.people import Person, Programme
from services.matching.domain.rules import RULES
from services.matching.domain.scoring import (
    DISTANCE_TENTHS,
    covered_eighths,
    urgency,
    waited_hours,
)

Ints = NDArray[np.int32]
_NUMBER_OF = {name: number for number, name in enumerate(RULES, start=1)}
_PLACE = tuple(DISTANCE_TENTHS)


class Lists(NamedTuple):
    """Lists of numbers: the i-th is `item[start[i]:start[i + 1]]`, and so is its `value`."""

    start: NDArray[np.int64]
    item: Ints
    value: Ints


class Features(NamedTuple):
    """All that rules and scores ask of the people of an instance."""

    column_of: NDArray[np.int64]
    """Place among the instance's mentors of each column."""

    # Of each row and each column by themselves
    row_alone: NDArray[np.uint8]
    """The rule that keeps this mentee from everybody, 0 if none."""
    column_alone: NDArray[np.uint8]
    row_full: NDArray[np.bool_]
    column_full: NDArray[np.bool_]
    row_waited: Ints
    """Hours."""
    column_waited: Ints
    row_asked: Ints
    """Eighths that would cover all that the person wants; at least 1."""
    column_asked: Ints
    row_place: Ints
    """(rows, 4): department, division, location, country; 0 is not known."""
    row_level: Ints
    row_level_known: NDArray[np.bool_]
    row_hours: Ints
    """(rows, 2): from, until."""
    row_languages: NDArray[np.uint64]
    """(rows, words): one bit each."""

    # Classes of columns: the j-th is the columns `class_start[j]` to `class_start[j + 1]`
    class_start: Ints
    class_shut: NDArray[np.bool_]
    """Nobody of the class may be paired with anybody."""
    class_level: Ints
    class_level_known: NDArray[np.bool_]
    class_hours: Ints
    class_languages: NDArray[np.uint64]
    column_class: Ints

    place_of_column: Ints
    places: Ints
    """(places, 4): those that mentors work in."""

    # Topics and interests: what a row names, and which columns answer to it
    wants: Lists
    """Row → topics, with urgency."""
    offered: Lists
    """Topic → columns that cover it, with eighths."""
    offers: Lists
    """Row → topics, with eighths."""
    wanted: Lists
    """Topic → columns that want it, with urgency."""
    likes: Lists
    """Row → interests."""
    liked: Lists
    """Interest → columns."""

    # Who must not meet
    apart: Lists
    """Row → columns, with the rule."""
    bosses: Lists
    """Row → direct managers."""
    teams: Lists
    """Direct manager → columns."""


def features(given: Instance) -> Features:
    """The arrays of an instance; everybody is in, also who may be paired with nobody."""
    programme, mentees = given.programme, given.mentees
    languages, words = _Numbers(), _Numbers()
    spoken = _bits(given, languages)
    kinds = _Numbers()
    alone = _alone(given.mentors, programme)
    shut = [bool(rule) or p.free_seats == 0 for rule, p in zip(alone, given.mentors, strict=True)]
    kind_of = [
        kinds[(out, *_kind(person))] for out, person in zip(shut, given.mentors, strict=True)
    ]
    column_of, class_start, column_class = _by_kind(kind_of, list(kinds))
    mentors = [given.mentors[place] for place in column_of]
    firsts = [mentors[start] for start in class_start[:-1]]
    values = {name: _Numbers([None]) for name in _PLACE}
    kinds_of_place = _Numbers()
    place_of_column = _ints(kinds_of_place[_place(person, values)] for person in mentors)

    def both(
        one: Callable[[Person], Iterable[tuple[Hashable, int]]],
        other: Callable[[Person], Iterable[tuple[Hashable, int]]],
    ) -> tuple[Lists, Lists]:
        words.clear()
        rows = _lists([[(words[w], v) for w, v in one(person)] for person in mentees])
        columns = [[(words.get(w), v) for w, v in other(person)] for person in mentors]
        return rows, _turned(columns, len(words))

    wants, offered = both(_wanted, _covered)
    offers, wanted = both(_covered, _wanted)
    likes, liked = both(_liked, _liked)
    bosses, teams = both(_bosses, _bosses)
    return Features(
        column_of=column_of,
        row_alone=_alone(mentees, programme),
        column_alone=alone[column_of],
        row_full=_flags(person.free_seats == 0 for person in mentees),
        column_full=_flags(person.free_seats == 0 for person in mentors),
        row_waited=_ints(waited_hours(person, given.now) for person in mentees),
        column_waited=_ints(waited_hours(person, given.now) for person in mentors),
        row_asked=_asked(mentees),
        column_asked=_asked(mentors),
        row_place=_table([_place(person, values) for person in mentees], len(_PLACE)),
        row_level=_ints(person.level or 0 for person in mentees),
        row_level_known=_flags(person.level is not None for person in mentees),
        row_hours=_table([(person.works_from, person.works_until) for person in mentees], 2),
        row_languages=_stacked([spoken[person.languages] for person in mentees], spoken),
        class_start=class_start,
        class_shut=_flags(shut[column_of[start]] for start in class_start[:-1]),
        class_level=_ints(person.level or 0 for person in firsts),
        class_level_known=_flags(person.level is not None for person in firsts),
        class_hours=_table([(person.works_from, person.works_until) for person in firsts], 2),
        class_languages=_stacked([spoken[person.languages] for person in firsts], spoken),
        column_class=column_class,
        place_of_column=place_of_column,
        places=_table(list(kinds_of_place), len(_PLACE)),
        wants=wants,
        offered=offered,
        offers=offers,
        wanted=wanted,
        likes=likes,
        liked=liked,
        apart=_apart(mentees, mentors),
        bosses=bosses,
        teams=teams,
    )


class _Numbers(dict[Any, int]):
    """Numbers things from 0 in the order in which they are first asked for."""

    def __init__(self, first: Iterable[Hashable] = ()) -> None:
        super().__init__((thing, number) for number, thing in enumerate(first))

    def __missing__(self, thing: Hashable) -> int:
        self[thing] = number = len(self)
        return number


def _kind(person: Person) -> tuple[Any, ...]:
    return (
        (person.works_from, person.works_until),
        -1 if person.level is None else person.level,
        tuple(sorted(person.languages)),
    )


def _by_kind(
    kind_of: Sequence[int], kinds: Sequence[tuple[Any, ...]]
) -> tuple[NDArray[np.int64], Ints, Ints]:
    """Order of the columns, where each class starts, and the class of each column."""
    rank = np.empty(len(kinds), np.int64)
    rank[sorted(range(len(kinds)), key=kinds.__getitem__)] = np.arange(len(kinds))
    ranks = rank[np.array(kind_of, np.int64)]
    order = np.argsort(ranks, kind="stable")
    start = np.searchsorted(ranks[order], np.arange(len(kinds) + 1))
    return order, start.astype(np.int32), ranks[order].astype(np.int32)


def _bits(given: Instance, languages: _Numbers) -> dict[frozenset[str], NDArray[np.uint64]]:
    """The languages of each set of them that somebody speaks, as bits in words of 64."""
    sets = {person.languages for person in chain(given.mentees, given.mentors)}
    for each in sorted(sets, key=sorted):
        for language in sorted(each):
            languages[language]
    count = len(languages) // 64 + 1
    bits = {}
    for each in sets:
        bits[each] = np.zeros(count, np.uint64)
        for language in each:
            word, bit = divmod(languages[language], 64)
            bits[each][word] |= np.uint64(1 << bit)
    return bits


def _stacked(
    some: Sequence[NDArray[np.uint64]], spoken: dict[frozenset[str], NDArray[np.uint64]]
) -> NDArray[np.uint64]:
    count = len(next(iter(spoken.values()), np.zeros(1)))
    return np.array(some, np.uint64).reshape(-1, count)


def _place(person: Person, values: dict[str, _Numbers]) -> tuple[int, ...]:
    return tuple(values[name][getattr(person, name)] for name in _PLACE)


def _wanted(person: Person) -> list[tuple[str, int]]:
    return [(topic, urgency(priority)) for topic, priority in person.wants.items()]


def _covered(person: Person) -> Iterable[tuple[str, int]]:
    return covered_eighths(person).items()


def _liked(person: Person) -> list[tuple[str, int]]:
    return [(word, 1) for word in person.interests]


def _bosses(person: Person) -> list[tuple[str, int]]:
    return [(boss, 1) for boss in person.direct_managers]


def _asked(people: Sequence[Person]) -> Ints:
    return _ints(
        max(1, 8 * sum(urgency(priority) for priority in person.wants.values()))
        for person in people
    )


def _alone(people: Sequence[Person], programme: Programme) -> NDArray[np.uint8]:
    """The first rule that one person breaks with everybody; level and seats are told apart."""

    def rule(person: Person) -> int:
        if not person.ready(programme):
            return _NUMBER_OF["not_ready"]
        if not person.employed:
            return _NUMBER_OF["not_active"]
        if person.leaves_on is not None and person.leaves_on < programme.ends_on:
            return _NUMBER_OF["leaving"]
        return 0 if person.chain_known else _NUMBER_OF["chain_unknown"]

    return np.fromiter(map(rule, people), np.uint8, len(people))


def _apart(mentees: Sequence[Person], mentors: Sequence[Person]) -> Lists:
    """Pairs in which one names the other, or is the other, with the first rule that they break."""
    rows_of, columns_of = _places(mentees), _places(mentors)
    found: list[dict[int, int]] = [{} for _ in mentees]

    def note(row: int, column: int, rule: int) -> None:
        found[row][column] = min(rule, found[row].get(column, rule))

    for row, mentee in enumerate(mentees):
        for name, rule in _named(mentee):
            for column in columns_of.get(name, ()):
                note(row, column, rule)
    for column, mentor in enumerate(mentors):
        for name, rule in _named(mentor):
            for row in rows_of.get(name, ()):
                note(row, column, rule)
    return _lists([sorted(each.items()) for each in found])


def _named(person: Person) -> Iterable[tuple[str, int]]:
    yield person.employee_id, _NUMBER_OF["reporting_line"]
    for names, rule in (
        (person.met, "repeated"),
        (person.blocks, "blocked"),
        (person.managers, "reporting_line"),
    ):
        for name in names:
            yield name, _NUMBER_OF[rule]


def _places(people: Sequence[Person]) -> dict[str, list[int]]:
    places: dict[str, list[int]] = {}
    for place, person in enumerate(people):
        places.setdefault(person.employee_id, []).append(place)
    return places


def _lists(some: Sequence[Sequence[tuple[int, int]]]) -> Lists:
    start = np.zeros(len(some) + 1, np.int64)
    np.cumsum([len(each) for each in some], out=start[1:])
    flat = np.array(list(chain.from_iterable(some)), np.int32).reshape(-1, 2)
    return Lists(start, np.ascontiguousarray(flat[:, 0]), np.ascontiguousarray(flat[:, 1]))


def _turned(some: Sequence[Sequence[tuple[int | None, int]]], count: int) -> Lists:
    """From item → lists of (number, value) to number → items; numbers that are None are left."""
    flat = np.array(
        [(n, item, value) for item, each in enumerate(some) for n, value in each if n is not None],
        np.int32,
    ).reshape(-1, 3)
    flat = flat[np.argsort(flat[:, 0], kind="stable")]
    start = np.searchsorted(flat[:, 0], np.arange(count + 1))
    return Lists(start, np.ascontiguousarray(flat[:, 1]), np.ascontiguousarray(flat[:, 2]))


def _ints(some: Iterable[int]) -> Ints:
    return np.array(list(some), np.int32)


def _flags(some: Iterable[bool]) -> NDArray[np.bool_]:
    return np.array(list(some), np.bool_)


def _table(some: Sequence[Sequence[int]], width: int) -> Ints:
    return np.array(some, np.int32).reshape(-1, width)
