"""People as flat arrays, so that compiled kernels can judge and score any number of pairs.

Rows are mentees in the order of the instance. Columns are mentors in an order of their own: by
class, which is everything that decides alike about all who share it, so that a whole class is
passed over at once. Words become numbers; lists are laid out one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, repeat
from operator import attrgetter
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from services.matching.domain.instance import Instance
from services.matching.domain.openings import answering_topics
from services.matching.domain.people import Person, Programme
from services.matching.domain.rules import RULES
from services.matching.domain.scoring import (
    DISTANCE_TENTHS,
    covered_eighths,
    credit_eighths,
    urgency,
    waited_hours,
)

Ints = NDArray[np.int32]
_NUMBER_OF = {name: number for number, name in enumerate(RULES, start=1)}
_PLACE = tuple(DISTANCE_TENTHS)
_NAMED = {"met": "repeated", "blocks": "blocked", "managers": "reporting_line"}
"""Whom a person names, and the rule by which."""


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


def features(given: Instance, *, scored: bool = True) -> Features:
    """The arrays of an instance; everybody is in, also who may be paired with nobody.

    Not `scored`: what the rules ask for, in a third of the time. Nothing else is filled, every
    topic counts 1, and as rules know no sides, `mentees` of the instance may be mentors.
    """
    programme, mentees = given.programme, given.mentees
    languages = _Numbers()
    spoken = _bits(given, languages)
    kinds = _Numbers()
    alone = _alone(given.mentors, programme)
    full = free_seats(given.mentors) == 0
    shut = (alone > 0) | full
    kind_of = list(map(kinds.__getitem__, zip(shut.tolist(), *_kinds(given.mentors), strict=True)))
    column_of, class_start, column_class = _by_kind(kind_of, list(kinds))
    mentors = [given.mentors[place] for place in column_of.tolist()]
    firsts = [mentors[start] for start in class_start[:-1]]
    values = {name: _Numbers([None]) for name in (_PLACE if scored else _PLACE[:1])}
    kinds_of_place = _Numbers()
    place_of_column = _ints(map(kinds_of_place.__getitem__, _places_of_work(mentors, values)))
    rated_rows, rated_columns = (mentees, mentors) if scored else ((), ())

    def both(one: _Ask, other: _Ask) -> tuple[Lists, Lists]:
        words = _Numbers()
        rows = _lists(one(mentees), words)
        return rows, _turned(other(mentors), words)

    nothing = _lists(_once(()), _Numbers())
    wants, offered = both(_wanted, _covered) if scored else both(_answering, _answering)
    offers, wanted = both(_covered, _wanted) if scored else (nothing, nothing)
    likes, liked = both(_liked, _liked) if scored else (nothing, nothing)
    bosses, teams = both(_bosses, _bosses)
    return Features(
        column_of=column_of,
        row_alone=_alone(mentees, programme),
        column_alone=alone[column_of],
        row_full=free_seats(mentees) == 0,
        column_full=full[column_of],
        row_waited=_ints(waited_hours(person, given.now) for person in rated_rows),
        column_waited=_ints(waited_hours(person, given.now) for person in rated_columns),
        row_asked=_asked(mentees)
        if scored
        else np.maximum(1, np.diff(wants.start)).astype(np.int32),
        column_asked=_asked(rated_columns),
        row_place=_table(list(_places_of_work(mentees, values)), len(values)),
        row_level=_ints(person.level or 0 for person in mentees),
        row_level_known=_flags(person.level is not None for person in mentees),
        row_hours=_table([(person.works_from, person.works_until) for person in mentees], 2),
        row_languages=_stacked([spoken[person.languages] for person in mentees], spoken),
        class_start=class_start,
        class_shut=shut[column_of[class_start[:-1]]],
        class_level=_ints(person.level or 0 for person in firsts),
        class_level_known=_flags(person.level is not None for person in firsts),
        class_hours=_table([(person.works_from, person.works_until) for person in firsts], 2),
        class_languages=_stacked([spoken[person.languages] for person in firsts], spoken),
        column_class=column_class,
        place_of_column=place_of_column,
        places=_table(list(kinds_of_place), len(values)),
        wants=wants,
        offered=offered,
        offers=offers,
        wanted=wanted,
        likes=likes,
        liked=liked,
        apart=_apart(mentees, given.mentors, np.argsort(column_of)),
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


def _kinds(people: Sequence[Person]) -> Iterator[Sequence[Any]]:
    """Of each person working hours, level, and languages."""
    # Sets of languages are few, and to sort one takes longer than to look it up.
    spoken = {languages: tuple(sorted(languages)) for languages in {p.languages for p in people}}
    yield [(person.works_from, person.works_until) for person in people]
    yield [-1 if person.level is None else person.level for person in people]
    yield [spoken[person.languages] for person in people]


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


def _places_of_work(
    people: Sequence[Person], values: dict[str, _Numbers]
) -> Iterator[tuple[int, ...]]:
    columns = (map(attrgetter(name), people) for name in values)
    numbers = (numbers.__getitem__ for numbers in values.values())
    return zip(*map(map, numbers, columns), strict=True)


class _Said(NamedTuple):
    """What each of some people names, and values for all of it, one person's after the other's."""

    names: Sequence[Collection[Hashable]]
    values: Ints

    @property
    def start(self) -> NDArray[np.int64]:
        """Where what each person says begins."""
        start = np.zeros(len(self.names) + 1, np.int64)
        np.cumsum(np.fromiter(map(len, self.names), np.int64, len(self.names)), out=start[1:])
        return start


_Ask: TypeAlias = Callable[[Sequence[Person]], _Said]


def _wanted(people: Sequence[Person]) -> _Said:
    wants = [person.wants for person in people]
    return _Said(wants, _each(urgency, _values(wants)))


def _covered(people: Sequence[Person]) -> _Said:
    near = [bool(person.near) for person in people]
    offers = [
        covered_eighths(p) if some else p.offers for some, p in zip(near, people, strict=True)
    ]
    values = _values(offers)
    by_near = np.repeat(near, [len(each) for each in offers])
    return _Said(offers, np.where(by_near, values, _each(credit_eighths, values)))


def _answering(people: Sequence[Person]) -> _Said:
    return _once([answering_topics(person) for person in people])


def _liked(people: Sequence[Person]) -> _Said:
    return _once([person.interests for person in people])


def _bosses(people: Sequence[Person]) -> _Said:
    return _once([person.direct_managers for person in people])


def _once(names: Sequence[Collection[str]]) -> _Said:
    return _Said(names, np.ones(sum(map(len, names)), np.int32))


def _values(maps: Sequence[Mapping[str, int]]) -> Ints:
    return _ints(chain.from_iterable(each.values() for each in maps))


def _each(rule: Callable[[int], int], values: Ints) -> Ints:
    """What a rule makes of each value; different ones are few."""
    different, places = np.unique(values, return_inverse=True)
    return _ints(map(rule, different.tolist()))[places]


def _asked(people: Sequence[Person]) -> Ints:
    said = _wanted(people)
    sums = np.concatenate(([0], np.cumsum(said.values, dtype=np.int64)))
    asked: Ints = np.maximum(1, 8 * np.diff(sums[said.start])).astype(np.int32)
    return asked


def free_seats(people: Sequence[Person]) -> NDArray[np.int64]:
    """How many more pairs each may have."""
    seats, taken = (
        np.fromiter(map(attrgetter(name), people), np.int64, len(people))
        for name in ("seats", "taken")
    )
    free: NDArray[np.int64] = np.maximum(0, seats - taken)
    return free


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


def _apart(
    mentees: Sequence[Person], mentors: Sequence[Person], column_at: NDArray[np.int64]
) -> Lists:
    """Pairs in which one names the other, or is the other, with the first rule that they break."""
    fewer = len(mentees) <= len(mentors)
    row, column, rule = _naming(mentees, mentors, themselves=fewer)
    other_column, other_row, other_rule = _naming(mentors, mentees, themselves=not fewer)
    rows = np.concatenate((row, other_row))
    columns = column_at[np.concatenate((column, other_column))]
    rules = np.concatenate((rule, other_rule))
    order = np.lexsort((rules, columns, rows))
    pairs = rows[order] * len(mentors) + columns[order]
    order = order[np.diff(pairs, prepend=-1) > 0]
    start = np.searchsorted(rows[order], np.arange(len(mentees) + 1))
    return Lists(start, columns[order].astype(np.int32), rules[order].astype(np.int32))


def _naming(
    people: Sequence[Person], others: Sequence[Person], *, themselves: bool
) -> Iterator[NDArray[np.int64]]:
    """Places of people, places of others whom they name, or are, and the rules."""
    rules = [_NUMBER_OF[rule] for rule in _NAMED.values()]
    named: list[Collection[str]] = []
    for name in _NAMED:
        named += map(attrgetter(name), people)
    if themselves:
        named += _ids(people)
        rules.append(_NUMBER_OF["reporting_line"])
    naming, other = _meeting(named, _ids(others))
    yield from (
        np.tile(np.arange(len(people)), len(rules))[naming],
        other,
        np.repeat(rules, len(people))[naming],
    )


def _ids(people: Sequence[Person]) -> list[tuple[str]]:
    return [(person.employee_id,) for person in people]


def _meeting(
    some: Sequence[Collection[str]], others: Sequence[Collection[str]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places of all pairs who name the same."""
    if len(some) > len(others):  # it is the words of the first that get numbers
        theirs, ours = _meeting(others, some)
        return ours, theirs
    words = _Numbers()
    named = _lists(_once(some), words)
    # Sets are compared without a look at the words, which lie all over the memory.
    known = set(words)
    found = [
        (words[word], place)
        for place, each in enumerate(others)
        if each
        for word in known.intersection(each)
    ]
    numbers, places = np.fromiter(chain.from_iterable(found), np.int64).reshape(-1, 2).T
    order = np.argsort(numbers, kind="stable")
    start = np.searchsorted(numbers[order], np.arange(len(words) + 1))
    first = start[named.item]
    count = start[named.item + 1] - first
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    naming = np.repeat(np.arange(len(some)), np.diff(named.start))
    return np.repeat(naming, count), places[order[np.repeat(first, count) + within]]


def _lists(said: _Said, words: _Numbers) -> Lists:
    """Person → numbers of what they name, with values; words get their numbers here."""
    numbers = map(words.__getitem__, chain.from_iterable(said.names))
    return Lists(said.start, np.fromiter(numbers, np.int32, len(said.values)), said.values)


def _turned(said: _Said, words: _Numbers) -> Lists:
    """Number of a word → who names it, with values; other words are left out."""
    numbers = _numbers(said, words)
    people = np.repeat(np.arange(len(said.names), dtype=np.int32), np.diff(said.start))
    known = np.flatnonzero(numbers >= 0)
    # Numbers this narrow are sorted without comparing them.
    order = known[np.argsort(numbers[known].astype(_narrowest(len(words))), kind="stable")]
    start = np.searchsorted(numbers[order], np.arange(len(words) + 1))
    return Lists(start, people[order], said.values[order])


def _narrowest(most: int) -> type[np.signedinteger[Any]]:
    return np.int16 if most < 2**15 else np.int32


def _numbers(said: _Said, words: _Numbers) -> Ints:
    """Of all that is named, -1 for what has no number."""
    numbers = map(words.get, chain.from_iterable(said.names), repeat(-1))
    return np.fromiter(numbers, np.int32, len(said.values))


def _ints(some: Iterable[int]) -> Ints:
    return np.array(list(some), np.int32)


def _flags(some: Iterable[bool]) -> NDArray[np.bool_]:
    return np.array(list(some), np.bool_)


def _table(some: Sequence[Sequence[int]], width: int) -> Ints:
    return np.array(some, np.int32).reshape(-1, width)
