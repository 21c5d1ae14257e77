"""Compiled loops over all pairs: which may be formed, what they score, which of them gain.

`rules` and `scoring` define what is meant; the tests hold these loops to them pair by pair. The
loops run without the interpreter's lock, so that threads share the rows among them.

Numbers that are places in an array are made unsigned where it counts: a signed one could count from
the array's end, and to ask whether it does takes a third of the innermost loops' time.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from services.matching.domain.features import Features, Ints, Lists
from services.matching.domain.people import Programme
from services.matching.domain.rules import RULES
from services.matching.domain.scoring import (
    DISTANCE_TENTHS,
    ENOUGH_INTERESTS,
    FULL_OVERLAP_MINUTES,
    LONGEST_WAIT_DAYS,
    UNITS_PER_POINT,
)

Longs = NDArray[np.int64]
Tiny = NDArray[np.int8]
Narrow = NDArray[np.int16] | Ints
"""Half as wide wherever that is wide enough: the loops wait for memory."""

_DAY = 1440
_TENTHS = np.array(list(DISTANCE_TENTHS.values()), np.int64)
_LONGEST_WAITS = 2 * LONGEST_WAIT_DAYS * 24
_NUMBERS = {name: number for number, name in enumerate(RULES, start=1)}
_LEVEL_GAP = _NUMBERS["level_gap"]
_REPORTING_LINE = _NUMBERS["reporting_line"]
_SAME_DEPARTMENT = _NUMBERS["same_department"]
_LANGUAGE = _NUMBERS["no_common_language"]
_OVERLAP = _NUMBERS["time_overlap"]
_TOPIC = _NUMBERS["no_wanted_topic"]
_CAPACITY = _NUMBERS["capacity"]
_MANY = 16
"""A thing that one column in so many answers to is added up over all columns, many at once."""
NO_RULE = 16
"""More than any rule's number, and a power of two."""


class Rules(NamedTuple):
    """What a programme's rules say to the loops."""

    min_gap: int
    target_gap: int
    min_overlap: int
    different_department: bool
    wants_covered: float
    shared_interests: float
    distance: float
    mentor_wants_covered: float
    time_overlap: float
    waiting_time: float
    level_gap: float


class Favour(NamedTuple):
    """What a pair is worth beyond its score: kept to, or good enough for the programme's floor."""

    kept: Lists
    """Row → columns, with the units that keeping to the pair is worth."""
    floor: int
    """Pairs that score at least so many units ..."""
    floor_bonus: int
    """... are worth so many more."""


class Answers(NamedTuple):
    """Which columns answer to a thing, and how much: listed, and in full if they are many."""

    few: Lists
    many: NDArray[np.int8]
    """(things that many answer to, columns)."""
    many_at: Ints
    """Where each thing is among those that many answer to; -1 where it is not."""


class Tables(NamedTuple):
    """What is looked up rather than worked out: points of factors whose values are few, columns."""

    interests: Ints
    """By shared interests, up to enough of them."""
    waiting: Ints
    """By the hours that both have waited."""
    taught: Ints
    """By the eighths that the mentee covers of what a mentor wants, from `taught_start` on."""
    taught_start: Narrow
    """Where the points of each column's mentor start."""
    column_waited: Narrow
    column_place: Narrow
    offered: Answers
    wanted: Answers
    liked: Answers


class Case(NamedTuple):
    """What the loops go over and by."""

    features: Features
    rules: Rules
    tables: Tables
    favour: Favour


class Scratch(NamedTuple):
    """Room for one row at a time; a thread has its own."""

    given: Narrow
    taught: Narrow
    shared: Narrow
    places: Ints
    covering: Ints
    columns: Ints
    units: Ints


def rules_of(programme: Programme) -> Rules:
    """The rules of a programme."""
    weights = programme.weights
    return Rules(
        programme.min_level_gap,
        programme.target_level_gap,
        programme.min_overlap_minutes,
        programme.different_department,
        float(weights.wants_covered),
        float(weights.shared_interests),
        float(weights.distance),
        float(weights.mentor_wants_covered),
        float(weights.time_overlap),
        float(weights.waiting_time),
        float(weights.level_gap),
    )


def tables(f: Features, rules: Rules) -> Tables:
    """The points to look up."""
    starts = {}
    taught: list[int] = []
    for asked in sorted(set(f.column_asked.tolist())):
        starts[asked] = len(taught)
        taught += [_points(rules.mentor_wants_covered, n / asked) for n in range(asked + 1)]
    shared = np.arange(ENOUGH_INTERESTS + 1)
    return Tables(
        np.array([_points(rules.shared_interests, n / ENOUGH_INTERESTS) for n in shared], np.int32),
        np.array(
            [_points(rules.waiting_time, n / _LONGEST_WAITS) for n in range(_LONGEST_WAITS + 1)],
            np.int32,
        ),
        np.array(taught, np.int32),
        _narrow(np.array([starts[asked] for asked in f.column_asked.tolist()], np.int32)),
        _narrow(f.column_waited),
        _narrow(f.place_of_column),
        *(_answers(each, len(f.column_of)) for each in (f.offered, f.wanted, f.liked)),
    )


def _narrow(numbers: Ints, most: int = 0) -> Narrow:
    wide = max(most, int(numbers.max(initial=0))) >= 2**15
    return numbers if wide else numbers.astype(np.int16)


def _answers(few: Lists, columns: int) -> Answers:
    things = np.flatnonzero(np.diff(few.start) * _MANY > columns)
    many = np.zeros((len(things), columns), np.int8)
    many_at = np.full(len(few.start) - 1, -1, np.int32)
    for place, thing in enumerate(things.tolist()):
        listed = slice(few.start[thing], few.start[thing + 1])
        many[place, few.item[listed]] = few.value[listed]
        many_at[thing] = place
    return Answers(few, many, many_at)


def scratch(f: Features, tables: Tables) -> Scratch:
    """Room for the rows of these features."""
    columns = len(f.column_of)
    most_asked = int(f.row_asked.max(initial=1))
    most = max(most_asked, len(tables.taught), int(np.diff(f.likes.start).max(initial=0)))

    def room(size: int) -> Ints:
        return np.zeros(size, np.int32)

    def sums() -> Narrow:
        return _narrow(np.zeros(columns, np.int32), most)

    return Scratch(
        given=sums(),
        taught=sums(),
        shared=sums(),
        places=room(len(f.places)),
        covering=room(most_asked + 1),
        columns=room(columns + 1),
        units=room(columns + 1),
    )


@njit(cache=True, nogil=True)
def _points(weight: float, value: float) -> int:
    return int(np.rint(weight * value * UNITS_PER_POINT))


@njit(cache=True, nogil=True)
def _add(names: Lists, answers: Answers, row: int, sums: Narrow) -> None:
    """Add up, for each column, what it answers to the things that a row names."""
    few, many = answers.few, answers.many
    for n in range(names.start[row], names.start[row + 1]):
        thing, weight = names.item[n], names.value[n]
        place = answers.many_at[thing]
        if place >= 0:
            for column in range(len(sums)):
                sums[column] += weight * many[place, column]
        else:
            for a in range(few.start[thing], few.start[thing + 1]):
                sums[np.uint64(few.item[a])] += weight * few.value[a]


@njit(cache=True, nogil=True)
def _overlap_minutes(f: Features, row: int, kind: int) -> int:
    longest = 0
    for days in (-_DAY, 0, _DAY):
        common = min(f.row_hours[row, 1], f.class_hours[kind, 1] + days) - max(
            f.row_hours[row, 0], f.class_hours[kind, 0] + days
        )
        longest = max(longest, common)
    return longest


@njit(cache=True, nogil=True)
def share_a_language(f: Features, row: int, kind: int) -> bool:
    """Whether a row and a class of columns have a language in common."""
    for word in range(f.row_languages.shape[1]):
        if f.row_languages[row, word] & f.class_languages[kind, word]:
            return True
    return False


@njit(cache=True, nogil=True)
def _score_places(f: Features, rules: Rules, row: int, points: Ints) -> None:
    """What each place of mentors scores with this row's; -1 where they must not be paired."""
    for place in range(len(points)):
        if rules.different_department and f.places[place, 0] == f.row_place[row, 0]:
            points[place] = -1
            continue
        tenths = 0
        for part in range(len(_TENTHS)):
            here, there = f.row_place[row, part], f.places[place, part]
            if here != there and here > 0 and there > 0:
                tenths += _TENTHS[part]
        points[place] = _points(rules.distance, tenths / 10)


@njit(cache=True, nogil=True)
def score_row(case: Case, row: int, s: Scratch) -> int:
    """Write a row's admissible columns and their units; returns how many there are."""
    f, rules, tables = case.features, case.rules, case.tables
    if f.row_alone[row] or f.row_full[row] or not f.row_level_known[row]:
        return 0
    s.given[:] = 0
    _add(f.wants, tables.offered, row, s.given)
    for n in range(f.apart.start[row], f.apart.start[row + 1]):
        s.given[f.apart.item[n]] = 0
    for n in range(f.bosses.start[row], f.bosses.start[row + 1]):
        boss = f.bosses.item[n]
        for a in range(f.teams.start[boss], f.teams.start[boss + 1]):
            s.given[f.teams.item[a]] = 0
    s.taught[:] = tables.taught_start
    _add(f.offers, tables.wanted, row, s.taught)
    s.shared[:] = 0
    _add(f.likes, tables.liked, row, s.shared)
    _score_places(f, rules, row, s.places)
    asked = f.row_asked[row]
    for eighths in range(asked + 1):
        s.covering[eighths] = _points(rules.wants_covered, eighths / asked)
    waited = f.row_waited[row]
    count = 0
    for kind in range(len(f.class_start) - 1):
        gap = f.row_level[row] - f.class_level[kind]
        if f.class_shut[kind] or not f.class_level_known[kind] or gap < rules.min_gap:
            continue
        minutes = _overlap_minutes(f, row, kind)
        if minutes < rules.min_overlap or not share_a_language(f, row, kind):
            continue
        of_kind = _points(
            rules.time_overlap, min(minutes, FULL_OVERLAP_MINUTES) / FULL_OVERLAP_MINUTES
        ) + _points(rules.level_gap, 1 / (1 + abs(gap - rules.target_gap)))
        for column in range(np.uint64(f.class_start[kind]), np.uint64(f.class_start[kind + 1])):
            of_place = s.places[np.uint64(tables.column_place[column])]
            # Written in any case, and kept by counting on: quicker than a guess which way it goes.
            s.columns[np.uint64(count)] = column
            s.units[np.uint64(count)] = of_kind + of_place
            count += (s.given[column] > 0) & (of_place >= 0)
    # The rest is worked out only for those who are left: where little fits, they are few.
    for n in range(count):
        place = np.uint64(s.columns[n])
        s.units[n] += (
            s.covering[np.uint64(s.given[place])]
            + tables.interests[np.uint64(min(s.shared[place], ENOUGH_INTERESTS))]
            + tables.taught[np.uint64(s.taught[place])]
            + tables.waiting[np.uint64(waited + tables.column_waited[place])]
        )
    return count


@njit(cache=True, nogil=True)
def value_row(case: Case, row: int, s: Scratch) -> int:
    """The same with what each pair is worth, which is what assignments are chosen by."""
    favour = case.favour
    count = score_row(case, row, s)
    if favour.floor_bonus:
        for n in range(count):
            if s.units[n] >= favour.floor:
                s.units[n] += favour.floor_bonus
    kept = favour.kept
    for k in range(kept.start[row], kept.start[row + 1]):
        for n in range(count):
            if s.columns[n] == kept.item[k]:
                s.units[n] += kept.value[k]
    return count


class Best(NamedTuple):
    """The few best of many: (places, K) each, in no order, `held` of them."""

    value: Longs
    other: Ints
    held: Ints
    worst: Ints
    """Where the one is that a better one replaces."""
    bar: Longs
    """What a value must exceed to be kept, if its `other` is higher than all seen."""


def best(places: int, most: int) -> Best:
    """Room for the best of each place."""
    return Best(
        np.zeros((places, most), np.int64),
        np.zeros((places, most), np.int32),
        np.zeros(places, np.int32),
        np.zeros(places, np.int32),
        np.full(places, np.iinfo(np.int64).min),
    )


@njit(cache=True, nogil=True)
def _offer(b: Best, place: int, value: int, other: int) -> None:
    """Keep the value if it is among the best: the higher one, then the lower `other`."""
    count = b.held[place]
    most = b.value.shape[1]
    if count == most:
        w = b.worst[place]
        if value < b.value[place, w] or (value == b.value[place, w] and other > b.other[place, w]):
            return
        b.value[place, w] = value
        b.other[place, w] = other
    else:
        b.value[place, count] = value
        b.other[place, count] = other
        count += 1
        b.held[place] = count
    if count == most:
        worst = 0
        for n in range(1, most):
            if b.value[place, n] < b.value[place, worst] or (
                b.value[place, n] == b.value[place, worst]
                and b.other[place, n] > b.other[place, worst]
            ):
                worst = n
        b.worst[place] = worst
        b.bar[place] = b.value[place, worst]


@njit(cache=True, nogil=True)
def find_candidates(
    case: Case,
    start: int,
    stop: int,
    s: Scratch,
    of_rows: Best,
    of_columns: Best,
) -> None:
    """Offer each admissible pair of these rows to the best of its row and of its column."""
    for row in range(start, stop):
        count = value_row(case, row, s)
        # The bars are looked up as seldom as can be: hardly any pair passes one.
        bar = of_rows.bar[row]
        for n in range(count):
            units = s.units[n]
            if units > bar:
                _offer(of_rows, row, units, s.columns[n])
                bar = of_rows.bar[row]
            if units > of_columns.bar[np.uint64(s.columns[n])]:
                _offer(of_columns, s.columns[n], units, row)


@njit(cache=True, nogil=True)
def merge_best(into: Best, more: Best) -> None:
    """Offer all that one holds to the other."""
    for place in range(len(more.held)):
        for n in range(more.held[place]):
            _offer(into, place, more.value[place, n], more.other[place, n])


@njit(cache=True, nogil=True)
def _is_among(columns: Ints, start: int, stop: int, column: int) -> bool:
    for n in range(start, stop):  # noqa: SIM110 - compiled code knows no generators
        if columns[n] == column:
            return True
    return False


@njit(cache=True, nogil=True)
def price_rows(
    case: Case,
    start: int,
    stop: int,
    s: Scratch,
    row_price: Longs,
    column_price: Longs,
    chosen: Lists,
    gains: Best,
    of_rows: Best,
    of_columns: Best,
) -> None:
    """Look at every pair of these rows that is not chosen, by what it would gain at the prices.

    The best of those that gain go to `gains`; the nearest to gaining, be it by a loss, of each row
    and each column go to `of_rows` and `of_columns`.
    """
    for row in range(start, stop):
        count = value_row(case, row, s)
        first, last = chosen.start[row], chosen.start[row + 1]
        price, bar = row_price[row], of_rows.bar[row]
        for n in range(count):
            column = s.columns[n]
            gain = s.units[n] - price - column_price[np.uint64(column)]
            near_row = gain > bar
            near_column = gain > of_columns.bar[np.uint64(column)]
            if not (gain > 0 or near_row or near_column):
                continue
            if _is_among(chosen.item, first, last, column):
                continue
            if gain > 0:
                _offer(gains, row, gain, column)
            if near_row:
                _offer(of_rows, row, gain, column)
                bar = of_rows.bar[row]
            if near_column:
                _offer(of_columns, column, gain, row)


@njit(cache=True, nogil=True)
def _bar(f: Features, row: int, barred: Tiny) -> None:
    """Write the rule by which each column must not meet a row for who they are."""
    barred[:] = NO_RULE
    for n in range(f.apart.start[row], f.apart.start[row + 1]):
        barred[f.apart.item[n]] = f.apart.value[n]
    for n in range(f.bosses.start[row], f.bosses.start[row + 1]):
        boss = f.bosses.item[n]
        for a in range(f.teams.start[boss], f.teams.start[boss + 1]):
            barred[f.teams.item[a]] = min(barred[f.teams.item[a]], _REPORTING_LINE)


@njit(cache=True, nogil=True)
def _rule_of_kind(f: Features, rules: Rules, sense: int, row: int, kind: int) -> int:
    gap = sense * (f.row_level[row] - f.class_level[kind])
    if not f.row_level_known[row] or not f.class_level_known[kind] or gap < rules.min_gap:
        return _LEVEL_GAP
    if not share_a_language(f, row, kind):
        return _LANGUAGE
    if _overlap_minutes(f, row, kind) < rules.min_overlap:
        return _OVERLAP
    return NO_RULE


def own_rules(f: Features) -> Tiny:
    """The first rule that each column breaks by itself."""
    alone = np.where(f.column_alone > 0, f.column_alone, NO_RULE)
    return np.where(f.column_full, np.minimum(alone, _CAPACITY), alone).astype(np.int8)


def counts(people: int) -> Longs:
    """Room for (people, rules) counts, the one of no rule at 0."""
    return np.zeros((people, NO_RULE), np.int64)


@njit(cache=True, nogil=True)
def count_reasons(
    f: Features,
    rules: Rules,
    sense: int,
    own_rule: Tiny,
    department: Ints,
    counted: Longs,
    start: int,
    stop: int,
) -> None:
    """Count the columns that each rule excludes first, of each row.

    `sense` is 1 where rows are mentees, who must be above, and -1 where they are mentors.
    `own_rule` and `department` are those of each column.
    """
    columns = len(f.column_of)
    barred, topic = np.zeros(columns, np.int8), np.zeros(columns, np.int8)
    tally = np.zeros(NO_RULE + 1, np.int64)
    for row in range(start, stop):
        _bar(f, row, barred)
        topic[:] = _TOPIC
        for n in range(f.wants.start[row], f.wants.start[row + 1]):
            wanted = f.wants.item[n]
            for a in range(f.offered.start[wanted], f.offered.start[wanted + 1]):
                topic[f.offered.item[a]] = NO_RULE
        own_department = f.row_place[row, 0] if rules.different_department else -1
        # All columns first by what is their own, several at once; then class by class.
        for column in range(columns):
            rule = min(own_rule[column], barred[column], topic[column])
            if department[column] == own_department:
                rule = min(rule, np.int8(_SAME_DEPARTMENT))
            topic[column] = rule
        of_row = f.row_alone[row] if f.row_alone[row] else NO_RULE
        if f.row_full[row]:
            of_row = min(of_row, _CAPACITY)
        tally[:] = 0
        for kind in range(len(f.class_start) - 1):
            of_kind = np.int8(min(of_row, _rule_of_kind(f, rules, sense, row, kind)))
            for column in range(f.class_start[kind], f.class_start[kind + 1]):
                tally[np.uint8(min(of_kind, topic[column]))] += 1
        counted[row, 1:] = tally[1:NO_RULE]
        counted[row, 0] = tally[NO_RULE]
