"""Scoring in blocks with numpy: one block of mentees against all mentors, each one's 32 best.

Written as well as numpy allows: whatever adds up is one product of matrices in single precision,
whatever depends on few kinds of people is looked up by kind, and nothing is allocated twice. What
is prepared once for all blocks is not timed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.matching.domain.instance import Instance, from_canonical
from services.matching.domain.matrix import ADMISSIBLE, matrix
from services.matching.domain.people import Person
from services.matching.domain.rules import broken_rule, common_minutes
from services.matching.domain.scoring import (
    DISTANCE_TENTHS,
    ENOUGH_INTERESTS,
    FULL_OVERLAP_MINUTES,
    LONGEST_WAIT_DAYS,
    UNITS_PER_POINT,
    covered_eighths,
    urgency,
    waited_hours,
)
from tests.bench.peers.stopwatch import Stopwatch, contend

_ROWS = 1024
_BEST = 32
_CHECKED = 48
_CHECKED_MENTORS = 2000

Real = NDArray[np.float32]
Named = Callable[[Person], Iterable[tuple[Hashable, float]]]


@dataclass(frozen=True, slots=True)
class _Block:
    """The numbers of a block's mentees and of all mentors."""

    wants: Real
    offered: Real
    likes: Real
    liked: Real
    adds_up: tuple[Real, Real]
    """Factors of all that adds up: topics, distance, waiting, level, hours."""
    kind: NDArray[np.intp]
    admits: NDArray[np.bool_]
    """(kinds of mentees, mentors): level, language and hours allow it, and so do the mentors."""
    department: tuple[NDArray[np.int16], NDArray[np.int16]]
    apart: tuple[NDArray[np.intp], NDArray[np.intp]]


def measure(task: dict[str, Any]) -> dict[str, Any]:
    """Score one block, as often as the task says; the middle time counts."""
    given = from_canonical(Path(task["instance"]).read_bytes())
    open_ = [person for person in given.mentees if _open(person, given)]
    rows = tuple(open_[:_ROWS])
    block = _prepared(replace(given, mentees=rows))
    shape = (len(rows), len(given.mentors))
    rooms = [np.empty(shape, np.float32) for _ in range(2)]
    masks = [np.empty(shape, np.bool_) for _ in range(2)]
    spent = []
    for _ in range(task["times"]):
        watch = Stopwatch()
        best = _best(block, given, rooms, masks)
        spent.append(watch.read())
    _check(replace(given, mentees=rows), best, rooms[0])
    blocks = len(given.mentees) / len(rows)
    return {
        of: blocks * sorted(each[of] for each in spent)[len(spent) // 2]
        for of in ("seconds", "cpu_seconds")
    }


def _best(
    b: _Block, given: Instance, rooms: Sequence[Real], masks: Sequence[NDArray[np.bool_]]
) -> NDArray[np.intp]:
    """The columns of the 32 best of each row; leaves all scores in the first room."""
    weights = given.programme.weights
    scores, room = rooms
    allowed, mask = masks
    np.take(b.admits, b.kind, axis=0, out=allowed)
    np.matmul(b.wants, b.offered, out=room)
    np.greater(room, 0, out=mask)
    np.logical_and(allowed, mask, out=allowed)
    np.matmul(*b.adds_up, out=scores)
    np.multiply(room, np.float32(weights.wants_covered), out=room)
    np.add(scores, room, out=scores)
    np.matmul(b.likes, b.liked, out=room)
    np.minimum(room, np.float32(ENOUGH_INTERESTS), out=room)
    np.multiply(room, np.float32(weights.shared_interests / ENOUGH_INTERESTS), out=room)
    np.add(scores, room, out=scores)
    if given.programme.different_department:
        mentees, mentors = b.department
        np.not_equal(mentees[:, None], mentors[None, :], out=mask)
        np.logical_and(allowed, mask, out=allowed)
    allowed[b.apart] = False
    np.logical_not(allowed, out=mask)
    np.putmask(scores, mask, np.float32(-1))
    return np.argpartition(scores, scores.shape[1] - _BEST, axis=1)[:, -_BEST:]


def _prepared(given: Instance) -> _Block:
    mentees, mentors, programme = given.mentees, given.mentors, given.programme
    weights = programme.weights
    kinds = [(p.level, p.works_from, p.works_until, p.languages) for p in mentees]
    firsts = dict(zip(kinds, mentees, strict=True))
    number = {kind: n for n, kind in enumerate(firsts)}
    hours = sorted({(p.works_from, p.works_until) for p in mentees})
    levels = sorted({p.level for p in mentees if p.level is not None})
    of_hours = {
        each: next(p for p in mentees if (p.works_from, p.works_until) == each) for each in hours
    }
    minutes = _by_hours(mentors, lambda m: [common_minutes(m, of_hours[h]) for h in hours])
    gaps = np.array([[level - (m.level or 0) for m in mentors] for level in levels])
    longest = 2 * LONGEST_WAIT_DAYS * 24
    waits = weights.waiting_time / longest
    parts = [
        _factors(mentees, mentors, _taught(weights.mentor_wants_covered), _asked),
        *(_apart_by(mentees, mentors, name, weights.distance) for name in DISTANCE_TENTHS),
        (
            _one_hot([hours.index((p.works_from, p.works_until)) for p in mentees], len(hours)),
            weights.time_overlap
            * np.minimum(minutes, FULL_OVERLAP_MINUTES).T
            / FULL_OVERLAP_MINUTES,
        ),
        (
            _one_hot([levels.index(p.level or 0) for p in mentees], len(levels)),
            weights.level_gap / (1 + np.abs(gaps - programme.target_level_gap)),
        ),
        (
            np.array([[waits * waited_hours(p, given.now), 1] for p in mentees]),
            np.array([[1, waits * waited_hours(p, given.now)] for p in mentors]).T,
        ),
    ]
    wants, offered = _factors(mentees, mentors, _asked, _covered)
    likes, liked = _factors(mentees, mentors, _liked, _liked)
    departments: dict[str | None, int] = {None: -1}
    return _Block(
        wants,
        offered,
        likes,
        liked,
        (
            np.hstack([part[0] for part in parts]).astype(np.float32),
            np.vstack([part[1] for part in parts]).astype(np.float32),
        ),
        np.array([number[kind] for kind in kinds], np.intp),
        _admits(given, list(firsts.values()), np.array(levels), gaps, hours, minutes),
        tuple(  # type: ignore[arg-type]
            np.array(
                [departments.setdefault(p.department, len(departments)) for p in some], np.int16
            )
            for some in (mentees, mentors)
        ),
        _apart(given),
    )


def _open(person: Person, given: Instance) -> bool:
    return (
        person.waits(given.programme)
        and person.employed
        and person.chain_known
        and person.level is not None
        and (person.leaves_on is None or person.leaves_on >= given.programme.ends_on)
        and person.free_seats > 0
    )


def _admits(
    given: Instance,
    kinds: Sequence[Person],
    levels: NDArray[Any],
    gaps: NDArray[Any],
    hours: Sequence[tuple[int, int]],
    minutes: NDArray[Any],
) -> NDArray[np.bool_]:
    programme = given.programme
    open_ = np.array([_open(mentor, given) for mentor in given.mentors])
    speaks: dict[frozenset[str], NDArray[np.bool_]] = {}
    rows = []
    for kind in kinds:
        if kind.languages not in speaks:
            speaks[kind.languages] = np.array(
                [bool(kind.languages & mentor.languages) for mentor in given.mentors]
            )
        rows.append(
            open_
            & speaks[kind.languages]
            & (gaps[np.searchsorted(levels, kind.level or 0)] >= programme.min_level_gap)
            & (
                minutes[:, hours.index((kind.works_from, kind.works_until))]
                >= programme.min_overlap_minutes
            )
        )
    return np.array(rows)


def _by_hours(people: Sequence[Person], row: Callable[[Person], list[int]]) -> NDArray[np.int64]:
    """A row for each person, worked out once for all who work at the same hours."""
    known: dict[tuple[int, int], list[int]] = {}
    for person in people:
        if (person.works_from, person.works_until) not in known:
            known[person.works_from, person.works_until] = row(person)
    return np.array([known[p.works_from, p.works_until] for p in people])


def _apart(given: Instance) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs that only the people themselves exclude: one is above, names, or met the other."""
    place = {mentor.employee_id: n for n, mentor in enumerate(given.mentors)}
    row_of = {mentee.employee_id: n for n, mentee in enumerate(given.mentees)}
    teams: dict[str, list[int]] = {}
    found: set[tuple[int, int]] = set()
    for column, mentor in enumerate(given.mentors):
        for boss in mentor.direct_managers:
            teams.setdefault(boss, []).append(column)
        for name in mentor.met | mentor.blocks | mentor.managers:
            if name in row_of:
                found.add((row_of[name], column))
    for row, mentee in enumerate(given.mentees):
        named = mentee.met | mentee.blocks | mentee.managers
        found.update((row, place[name]) for name in named if name in place)
        found.update((row, n) for boss in mentee.direct_managers for n in teams.get(boss, ()))
    ends = np.array(sorted(found), np.intp).reshape(-1, 2)
    return ends[:, 0], ends[:, 1]


def _covered(person: Person) -> list[tuple[Hashable, float]]:
    return list(covered_eighths(person).items())


def _asked(person: Person) -> list[tuple[Hashable, float]]:
    """So that the sum over what is covered is the share of all that is wanted."""
    asked = 8 * sum(urgency(priority) for priority in person.wants.values())
    return [(topic, urgency(priority) / asked) for topic, priority in person.wants.items()]


def _taught(weight: float) -> Named:
    return lambda person: [(t, weight * eighths) for t, eighths in covered_eighths(person).items()]


def _liked(person: Person) -> list[tuple[Hashable, float]]:
    return [(word, 1.0) for word in person.interests]


def _apart_by(
    mentees: Sequence[Person], mentors: Sequence[Person], name: str, weight: float
) -> tuple[Real, Real]:
    """What it adds that two people are not alike in this: all of it, less if they are."""
    added = weight * DISTANCE_TENTHS[name] / 10

    def one(person: Person) -> list[tuple[Hashable, float]]:
        value = getattr(person, name)
        return [] if value is None else [(value, -added), ("known", added)]

    def other(person: Person) -> list[tuple[Hashable, float]]:
        value = getattr(person, name)
        return [] if value is None else [(value, 1.0), ("known", 1.0)]

    return _factors(mentees, mentors, one, other)


def _factors(
    mentees: Sequence[Person], mentors: Sequence[Person], one: Named, other: Named
) -> tuple[Real, Real]:
    """Two matrices whose product sums, for each pair, over the words that both name."""
    words: dict[Hashable, int] = {}
    for person in mentees:
        for word, _ in one(person):
            words.setdefault(word, len(words))
    left = np.zeros((len(mentees), len(words)), np.float32)
    right = np.zeros((len(words), len(mentors)), np.float32)
    for row, person in enumerate(mentees):
        for word, value in one(person):
            left[row, words[word]] = value
    for column, person in enumerate(mentors):
        for word, value in other(person):
            if word in words:
                right[words[word], column] = value
    return left, right


def _one_hot(numbers: Sequence[int], count: int) -> Real:
    found = np.zeros((len(numbers), count), np.float32)
    found[np.arange(len(numbers)), numbers] = 1
    return found


def _check(given: Instance, best: NDArray[np.intp], scores: Real) -> None:
    """It must do the same work as the engine: the same pairs, the same scores, the best of them."""
    for row, columns in zip(scores, best, strict=False):
        assert np.array_equal(np.sort(row)[-_BEST:], np.sort(row[columns]))
    judged = matrix(
        replace(given, mentees=given.mentees[:_CHECKED], mentors=given.mentors[:_CHECKED_MENTORS])
    )
    worth = np.where(judged.excluded_by == ADMISSIBLE, judged.units / UNITS_PER_POINT, -1)
    off = np.abs(worth - scores[: worth.shape[0], : worth.shape[1]])
    if off.max() > 1e-2:
        row, column = np.unravel_index(off.argmax(), off.shape)
        rule = broken_rule(given.mentors[column], given.mentees[row], given.programme)
        raise AssertionError(f"{scores[row, column]} is not {worth[row, column]} ({rule})")


if __name__ == "__main__":
    contend(measure)
