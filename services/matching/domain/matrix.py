"""The same rules and scores for all pairs at once, as arrays; needs numpy, so workers only.

`rules` and `scoring` define what is meant; the tests hold this module to them pair by pair.
Rows are mentees, columns are mentors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from services.matching.domain.instance import Instance
from services.matching.domain.people import Person
from services.matching.domain.rules import RULES
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

Flags = NDArray[np.bool_]
Whole = NDArray[np.int64]
Real = NDArray[np.float64]

ADMISSIBLE = 0
_DAY = 1440


@dataclass(frozen=True, slots=True)
class Matrix:
    """All pairs of an instance: which rule excludes each, and what the others score."""

    excluded_by: NDArray[np.uint8]
    """0 where the pair may be formed, else the number of the rule (1 for the first)."""
    units: NDArray[np.int32]
    """Score in ten-thousandths; meaningless where a rule excludes the pair."""


def matrix(given: Instance) -> Matrix:
    """Judge and score every pair of an instance."""
    overlap = _overlap(given)
    wanted = _covered(given.mentees, given.mentors)
    return Matrix(
        _excluded_by(given, overlap, wanted > 0),
        _units(given, overlap, wanted).astype(np.int32),
    )


def _excluded_by(given: Instance, overlap: Whole, covers: Flags) -> NDArray[np.uint8]:
    mentors, mentees, programme = given.mentors, given.mentees, given.programme
    gap = _levels(mentees)[:, None] - _levels(mentors)[None, :]
    unknown_level = _either(given, lambda person: person.level is None)
    broken: dict[str, Flags] = {
        "not_ready": _either(given, lambda person: not person.ready(programme)),
        "not_active": _either(given, lambda person: not person.employed),
        "leaving": _either(given, lambda person: _leaves_before(person, programme.ends_on)),
        "repeated": _named(given, lambda person: person.met),
        "blocked": _named(given, lambda person: person.blocks),
        "level_gap": unknown_level | (gap < programme.min_level_gap),
        "chain_unknown": _either(given, lambda person: not person.chain_known),
        "reporting_line": _reporting_line(given),
        "same_department": _same(mentees, mentors, "department") & programme.different_department,
        "no_common_language": _shared(mentees, mentors, lambda person: person.languages) == 0,
        "time_overlap": overlap < programme.min_overlap_minutes,
        "no_wanted_topic": ~covers,
        "capacity": _either(given, lambda person: person.free_seats == 0),
    }
    result = np.zeros((len(mentees), len(mentors)), np.uint8)
    for number, name in reversed(list(enumerate(RULES, start=1))):
        result[broken[name]] = number
    return result


def _units(given: Instance, overlap: Whole, wanted: Whole) -> Whole:
    mentors, mentees, programme = given.mentors, given.mentees, given.programme
    weights = programme.weights
    interests = _shared(mentees, mentors, lambda person: person.interests)
    gap = _levels(mentees)[:, None] - _levels(mentors)[None, :]
    waited = _numbers(mentees, lambda p: waited_hours(p, given.now))[:, None] + _numbers(
        mentors, lambda p: waited_hours(p, given.now)
    )
    asked_by_mentee = _asked(mentees)[:, None]
    asked_by_mentor = _asked(mentors)[None, :]
    factors: Iterable[tuple[float, Real]] = (
        (weights.wants_covered, wanted / asked_by_mentee),
        (weights.shared_interests, np.minimum(interests, ENOUGH_INTERESTS) / ENOUGH_INTERESTS),
        (weights.distance, _distance(mentees, mentors) / 10),
        (weights.mentor_wants_covered, _covered(mentors, mentees).T / asked_by_mentor),
        (
            weights.time_overlap,
            np.minimum(overlap, FULL_OVERLAP_MINUTES) / FULL_OVERLAP_MINUTES,
        ),
        (weights.waiting_time, waited / (2 * LONGEST_WAIT_DAYS * 24)),
        (weights.level_gap, 1 / (1 + np.abs(gap - programme.target_level_gap))),
    )
    total = np.zeros((len(mentees), len(mentors)), np.int64)
    for weight, value in factors:
        total += np.rint(weight * value * UNITS_PER_POINT).astype(np.int64)
    return total


def _numbers(people: Sequence[Person], number: Callable[[Person], int]) -> Whole:
    return np.array([number(person) for person in people], np.int64)


def _levels(people: Sequence[Person]) -> Whole:
    return _numbers(people, lambda person: person.level or 0)


def _either(given: Instance, test: Callable[[Person], bool]) -> Flags:
    rows = np.array([test(person) for person in given.mentees], np.bool_)
    columns = np.array([test(person) for person in given.mentors], np.bool_)
    return rows[:, None] | columns[None, :]


def _leaves_before(person: Person, day: date) -> bool:
    return person.leaves_on is not None and person.leaves_on < day


def _named(given: Instance, names: Callable[[Person], Iterable[str]]) -> Flags:
    """Pairs in which one names the other by employee id."""
    flags = np.zeros((len(given.mentees), len(given.mentors)), np.bool_)
    row_of = _places(given.mentees)
    column_of = _places(given.mentors)
    for row, mentee in enumerate(given.mentees):
        for name in names(mentee):
            flags[row, column_of.get(name, [])] = True
    for column, mentor in enumerate(given.mentors):
        for name in names(mentor):
            flags[row_of.get(name, []), column] = True
    return flags


def _places(people: Sequence[Person]) -> dict[str, list[int]]:
    places: dict[str, list[int]] = {}
    for place, person in enumerate(people):
        places.setdefault(person.employee_id, []).append(place)
    return places


def _reporting_line(given: Instance) -> Flags:
    oneself_and_above = _named(given, lambda person: person.managers | {person.employee_id})
    direct = _shared(given.mentees, given.mentors, lambda person: person.direct_managers)
    result: Flags = oneself_and_above | (direct > 0)
    return result


def _codes(
    rows: Sequence[Person], columns: Sequence[Person], name: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each distinct value as a number; -1 for an unknown one."""
    known: dict[str, int] = {}
    codes = [
        np.array(
            [
                -1
                if (value := getattr(person, name)) is None
                else known.setdefault(value, len(known))
                for person in people
            ],
            np.int64,
        )
        for people in (rows, columns)
    ]
    return codes[0], codes[1]


def _same(rows: Sequence[Person], columns: Sequence[Person], name: str) -> Flags:
    left, right = _codes(rows, columns, name)
    result: Flags = left[:, None] == right[None, :]
    return result


def _distance(rows: Sequence[Person], columns: Sequence[Person]) -> Whole:
    tenths = np.zeros((len(rows), len(columns)), np.int64)
    for name, worth in DISTANCE_TENTHS.items():
        left, right = _codes(rows, columns, name)
        differ = (left[:, None] != right[None, :]) & (left >= 0)[:, None] & (right >= 0)[None, :]
        tenths += worth * differ
    return tenths


def _shared(
    rows: Sequence[Person],
    columns: Sequence[Person],
    words: Callable[[Person], Iterable[str]],
) -> Whole:
    """How many words each two people share."""
    one = {word: 1 for people in (rows, columns) for person in people for word in words(person)}
    return _product(
        [dict.fromkeys(words(person), 1) for person in rows],
        [dict.fromkeys(words(person), 1) for person in columns],
        list(one),
    )


def _covered(learners: Sequence[Person], teachers: Sequence[Person]) -> Whole:
    """Σ urgency × credit over the topics that one wants and the other offers."""
    wants = [{t: urgency(p) for t, p in person.wants.items()} for person in learners]
    offers = [covered_eighths(person) for person in teachers]
    topics = {topic: 0 for person in wants for topic in person}
    return _product(wants, offers, list(topics))


def _product(
    rows: Sequence[dict[str, int]], columns: Sequence[dict[str, int]], words: Sequence[str]
) -> Whole:
    """Product of two sparse tables; exact, since float64 holds these whole numbers exactly."""
    place = {word: index for index, word in enumerate(words)}
    tables = []
    for people in (rows, columns):
        table = np.zeros((len(people), len(words)), np.float64)
        for index, person in enumerate(people):
            for word, number in person.items():
                if word in place:
                    table[index, place[word]] = number
        tables.append(table)
    return np.rint(tables[0] @ tables[1].T).astype(np.int64)


def _asked(people: Sequence[Person]) -> Whole:
    """The most that anybody could cover of what each wants; 1 where nothing is wanted."""
    return _numbers(
        people, lambda person: max(1, 8 * sum(urgency(p) for p in person.wants.values()))
    )


def _overlap(given: Instance) -> Whole:
    rows_from = _numbers(given.mentees, lambda p: p.works_from)[:, None]
    rows_until = _numbers(given.mentees, lambda p: p.works_until)[:, None]
    columns_from = _numbers(given.mentors, lambda p: p.works_from)[None, :]
    columns_until = _numbers(given.mentors, lambda p: p.works_until)[None, :]
    longest = np.zeros((len(given.mentees), len(given.mentors)), np.int64)
    for days in (-_DAY, 0, _DAY):
        common = np.minimum(rows_until, columns_until + days) - np.maximum(
            rows_from, columns_from + days
        )
        np.maximum(longest, common, out=longest)
    return longest
