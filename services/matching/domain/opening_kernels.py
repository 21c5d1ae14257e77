"""The same as `openings` for many people: compiled loops, shared by as many threads as cores.

The tests hold them to `openings` person by person.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from services.matching.domain.changes import MOST_MINUTES, STEP_MINUTES
from services.matching.domain.features import Features, Ints, Lists, features
from services.matching.domain.instance import Instance
from services.matching.domain.kernels import share_a_language
from services.matching.domain.openings import MOST_STEPS, Openings, Side, answering_topics

Flags = NDArray[np.bool_]

_ROWS_AT_ONCE = 128
_DAY = 1440
_NO_MOMENT = datetime(1, 1, 1, tzinfo=UTC)
_STEP, _MOST = STEP_MINUTES, MOST_MINUTES


class Case(NamedTuple):
    """What the loops go over and by: rows are people, columns their counterparts."""

    features: Features
    sense: int
    """1 where rows are mentees, who must be above; -1 where they are mentors."""
    min_gap: int
    min_overlap: int
    different_department: bool
    languages: Lists
    """Class of columns → languages."""
    topics: Lists
    """Column → what a row may name to have a topic in common."""


class Found(NamedTuple):
    """What `Openings` holds, by row."""

    possible: Ints
    later: Ints
    earlier: Ints
    language: Ints
    """(rows, 2): which one, and how many; none where 0."""
    topic: Ints
    department: Ints
    level: Ints


def openings(side: Side, left: Collection[int], held: Sequence[Collection[int]]) -> list[Openings]:
    """Of each person who holds no seat, among the counterparts who can be reached."""
    case, languages, topics = _case(side)
    holds = _holds(case, held)
    reached = _reached(case, left, holds)
    rows = len(side.people)
    found = Found(
        *(
            np.zeros((rows, *shape), np.int32)
            for shape in ((), (MOST_STEPS + 1,), (MOST_STEPS + 1,), (2,), (2,), (), ())
        )
    )
    _over_all(
        rows,
        partial(find_openings, case, holds, reached, len(languages), len(topics), found),
    )

    def word(words: Sequence[str], best: Ints) -> tuple[str, int] | None:
        return (words[best[0]], int(best[1])) if best[1] else None

    return [
        Openings(
            int(found.possible[row]),
            tuple(found.later[row].tolist()),
            tuple(found.earlier[row].tolist()),
            word(languages, found.language[row]),
            word(topics, found.topic[row]),
            int(found.department[row]),
            int(found.level[row]),
        )
        for row in np.flatnonzero(np.diff(holds.start) == 0).tolist()
    ]


def reachable(side: Side, left: Collection[int], held: Sequence[Collection[int]]) -> list[int]:
    """Places of counterparts with a seat left, or whose seat's holder can move to one that is."""
    case, _, _ = _case(side)
    reached = _reached(case, left, _holds(case, held))
    return sorted(case.features.column_of[reached].tolist())


def _holds(case: Case, held: Sequence[Collection[int]]) -> Lists:
    """Row → columns."""
    column_at = np.argsort(case.features.column_of)
    return _lists([column_at[list(each)].tolist() if each else () for each in held])


def _reached(case: Case, left: Collection[int], holds: Lists) -> Flags:
    rows, columns = len(holds.start) - 1, len(case.features.column_of)
    reached, fresh = np.zeros(columns, np.bool_), np.zeros(columns, np.bool_)
    fresh[np.argsort(case.features.column_of)[list(left)]] = True
    while fresh.any():
        reached |= fresh
        moves = np.zeros(rows, np.bool_)
        _over_all(rows, partial(find_moves, case, holds, reached, fresh, moves))
        fresh = np.zeros(columns, np.bool_)
        fresh[holds.item[np.repeat(moves, np.diff(holds.start))]] = True
        fresh &= ~reached
    return reached


def _case(side: Side) -> tuple[Case, Sequence[str], Sequence[str]]:
    programme = side.programme
    f = features(
        Instance(programme, tuple(side.counterparts), tuple(side.people), _NO_MOMENT), scored=False
    )
    counterparts = [side.counterparts[place] for place in f.column_of]
    languages, spoken = _words([counterparts[first].languages for first in f.class_start[:-1]])
    topics, answering = _words([answering_topics(each) for each in counterparts])
    case = Case(
        f,
        1 if side.role == "mentee" else -1,
        programme.min_level_gap,
        programme.min_overlap_minutes,
        programme.different_department,
        spoken,
        answering,
    )
    return case, languages, topics


def _words(some: Sequence[Iterable[str]]) -> tuple[Sequence[str], Lists]:
    words = sorted({word for each in some for word in each})
    number = {word: place for place, word in enumerate(words)}
    return words, _lists([[number[word] for word in each] for each in some])


def _lists(some: Sequence[Sequence[int]]) -> Lists:
    start = np.zeros(len(some) + 1, np.int64)
    np.cumsum([len(each) for each in some], out=start[1:])
    items = np.array([item for each in some for item in each], np.int32)
    return Lists(start, items, np.ones_like(items))


def _over_all(rows: int, look: Callable[[int, int], None]) -> None:
    starts = range(0, rows, _ROWS_AT_ONCE)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    with ThreadPoolExecutor(cores) as threads:
        list(threads.map(lambda start: look(start, min(start + _ROWS_AT_ONCE, rows)), starts))


@njit(cache=True, nogil=True)
def _minutes_lacking(f: Features, row: int, kind: int, least: int) -> tuple[int, int, int]:
    """Common minutes; how much longer the row would have to work, in the evening or morning."""
    starts, ends = f.row_hours[row, 0], f.row_hours[row, 1]
    common, later, earlier = 0, _DAY, _DAY
    for days in (-_DAY, 0, _DAY):
        first, last = f.class_hours[kind, 0] + days, f.class_hours[kind, 1] + days
        common = max(common, min(ends, last) - max(starts, first))
        if last - max(starts, first) >= least:
            later = min(later, max(starts, first) + least - ends)
        if min(ends, last) - first >= least:
            earlier = min(earlier, starts + least - min(ends, last))
    return common, later, earlier


@njit(cache=True, nogil=True)
def _steps(minutes: int, most: int) -> int:
    steps = -(-minutes // _STEP)
    return steps if 0 < steps * _STEP <= most else 0


@njit(cache=True, nogil=True)
def _mark(case: Case, row: int, answered: Flags, barred: Flags) -> None:
    """Which columns have a topic in common with a row, and which must never meet it."""
    f = case.features
    answered[:] = False
    barred[:] = False
    for n in range(f.wants.start[row], f.wants.start[row + 1]):
        topic = f.wants.item[n]
        for a in range(f.offered.start[topic], f.offered.start[topic + 1]):
            answered[f.offered.item[a]] = True
    for n in range(f.apart.start[row], f.apart.start[row + 1]):
        barred[f.apart.item[n]] = True
    for n in range(f.bosses.start[row], f.bosses.start[row + 1]):
        boss = f.bosses.item[n]
        for a in range(f.teams.start[boss], f.teams.start[boss + 1]):
            barred[f.teams.item[a]] = True


@njit(cache=True, nogil=True)
def _shared_department(case: Case, row: int) -> int:
    """The department of columns that a row must not meet for it; -1 if that is no rule."""
    return case.features.row_place[row, 0] if case.different_department else -1


@njit(cache=True, nogil=True)
def _keep_most(counts: Ints, best: Ints) -> None:
    """The place of the highest count, the first of equals, and the count."""
    for place in range(len(counts)):
        if counts[place] > best[1]:
            best[0] = place
            best[1] = counts[place]


@njit(cache=True, nogil=True)
def _some_of_class(f: Features, columns: Flags) -> Flags:
    """Classes of which any column is flagged."""
    some = np.zeros(len(f.class_start) - 1, np.bool_)
    for column in range(len(columns)):
        if columns[column]:
            some[f.column_class[column]] = True
    return some


@njit(cache=True, nogil=True)
def find_openings(
    case: Case,
    holds: Lists,
    reached: Flags,
    languages: int,
    topics: int,
    found: Found,
    start: int,
    stop: int,
) -> None:
    """Count, for those of these rows that hold nothing, the columns that lack one thing only."""
    f = case.features
    columns = len(f.column_of)
    answered, barred = np.zeros(columns, np.bool_), np.zeros(columns, np.bool_)
    by_language, by_topic = np.zeros(languages, np.int32), np.zeros(topics, np.int32)
    some = _some_of_class(f, reached)
    for row in range(start, stop):
        if holds.start[row] < holds.start[row + 1]:
            continue
        _mark(case, row, answered, barred)
        by_language[:] = 0
        by_topic[:] = 0
        most = min(_MOST, _DAY - (f.row_hours[row, 1] - f.row_hours[row, 0]))
        own_department = _shared_department(case, row)
        for kind in range(len(f.class_start) - 1):
            if not some[kind]:
                continue
            lacking = case.min_gap - case.sense * (f.row_level[row] - f.class_level[kind])
            common, later, earlier = _minutes_lacking(f, row, kind, case.min_overlap)
            level = lacking > 0
            time = common < case.min_overlap
            language = not share_a_language(f, row, kind)
            if level + time + language > 1 or lacking > 1:
                continue
            alone = 0
            for column in range(f.class_start[kind], f.class_start[kind + 1]):
                if barred[column] or not reached[column]:
                    continue
                # Called for each pair, a function takes ten times as long as this.
                department = f.places[f.place_of_column[column], 0] == own_department
                if department and not answered[column]:
                    continue
                if not department and answered[column]:
                    alone += 1
                elif level or time or language:
                    continue
                elif department:
                    found.department[row] += 1
                else:
                    for n in range(case.topics.start[column], case.topics.start[column + 1]):
                        by_topic[case.topics.item[n]] += 1
            if level:
                found.level[row] += alone
            elif time:
                found.later[row, _steps(later, most)] += alone
                found.earlier[row, _steps(earlier, most)] += alone
            elif language:
                for n in range(case.languages.start[kind], case.languages.start[kind + 1]):
                    by_language[case.languages.item[n]] += alone
            else:
                found.possible[row] += alone
        found.later[row, 0] = 0
        found.earlier[row, 0] = 0
        _keep_most(by_language, found.language[row])
        _keep_most(by_topic, found.topic[row])


@njit(cache=True, nogil=True)
def find_moves(
    case: Case, holds: Lists, reached: Flags, fresh: Flags, moves: Flags, start: int, stop: int
) -> None:
    """Mark rows that could move from a column not reached to one reached just now."""
    f = case.features
    columns = len(f.column_of)
    answered, barred = np.zeros(columns, np.bool_), np.zeros(columns, np.bool_)
    some = _some_of_class(f, fresh)
    for row in range(start, stop):
        settled = True
        for n in range(holds.start[row], holds.start[row + 1]):
            settled = settled and reached[holds.item[n]]
        if settled:
            continue
        _mark(case, row, answered, barred)
        for n in range(holds.start[row], holds.start[row + 1]):
            barred[holds.item[n]] = True
        moves[row] = _reaches(case, row, some, fresh, answered, barred)


@njit(cache=True, nogil=True)
def _reaches(
    case: Case, row: int, some: Flags, fresh: Flags, answered: Flags, barred: Flags
) -> bool:
    f = case.features
    own_department = _shared_department(case, row)
    for kind in range(len(f.class_start) - 1):
        gap = case.sense * (f.row_level[row] - f.class_level[kind])
        if gap < case.min_gap or not some[kind]:
            continue
        common, _, _ = _minutes_lacking(f, row, kind, case.min_overlap)
        if common < case.min_overlap or not share_a_language(f, row, kind):
            continue
        for column in range(f.class_start[kind], f.class_start[kind + 1]):
            if (
                fresh[column]
                and answered[column]
                and not barred[column]
                and f.places[f.place_of_column[column], 0] != own_department
            ):
                return True
    return False
