"""The engine against other people's algorithms: dense assignment, integer programme, maximum flow.

Each instance is solved twice: with all pairs in a table, and with none of them stored.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment, linprog
from scipy.sparse import csr_array, vstack
from scipy.sparse.csgraph import maximum_bipartite_matching, maximum_flow

from deploy.matching.company import instance_of
from services.matching.domain import problem
from services.matching.domain.engine import solve
from services.matching.domain.instance import Instance, instance
from services.matching.domain.matrix import ADMISSIBLE, matrix
from services.matching.domain.people import Person
from services.matching.domain.result import Result, to_json
from services.matching.domain.scoring import UNITS_PER_POINT
from tests.unit.matching.company import crowd

Whole = NDArray[np.int64]

_NEVER, _ALWAYS = -1, 10**9


# One worker compiles the loops, so that not each of them does.
pytestmark = pytest.mark.xdist_group("compiled")


@pytest.fixture(params=[_NEVER, _ALWAYS], ids=["streamed", "tabled"], autouse=True)
def pairs_in_a_table(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(problem, "MOST_IN_A_TABLE", request.param)


def _one_seat(people: Sequence[Person]) -> tuple[Person, ...]:
    """The same people with one seat at most, so that no pair could be formed twice by copies."""
    return tuple(replace(each, seats=min(each.seats, each.taken + 1)) for each in people)


def _tied(case: Instance) -> Instance:
    """The same with scores that are all multiples of 35 points, so that very many are equal."""
    weights = replace(
        case.programme.weights,
        **dict.fromkeys(("wants_covered", "waiting_time", "mentor_wants_covered"), 0.0),
        distance=65.0,
        shared_interests=35.0,
        time_overlap=0.0,
        level_gap=0.0,
    )
    return replace(case, programme=replace(case.programme, weights=weights))


_COMPANIES: dict[str, Callable[[], Instance]] = {
    "few and hard": lambda: instance_of(mentors=120, mentees=150, seed=2, hardened=True),
    "more mentors": lambda: instance_of(mentors=330, mentees=140, seed=3),
    "more mentees": lambda: instance_of(mentors=150, mentees=400, seed=4, hardened=True),
    "tied": lambda: _tied(instance_of(mentors=200, mentees=200, seed=5)),
    "one seat each": lambda: instance_of(
        mentors=1000, mentees=1000, seed=6, hardened=True, single_seats=True
    ),
    "many": lambda: instance_of(mentors=1200, mentees=700, seed=7),
}


@cache
def _company(name: str) -> Instance:
    return _COMPANIES[name]()


@cache
def _company_with_one_seat_for_mentees(name: str) -> tuple[Instance, int]:
    """With what the best pairs are worth."""
    case = _company(name)
    case = replace(case, mentees=_one_seat(case.mentees))
    return case, _dense_best(case)


@cache
def _crowds() -> list[Instance]:
    """Random people of whom every rule excludes some, who name and tie with one another."""
    return [crowd(seed, 20 + 13 * seed, 100 - 9 * seed) for seed in range(8)]


def _bonus(people: Sequence[Person], alone: int) -> Whole:
    """What it is worth to serve each, more than all pairs together for whoever needs it."""
    each = [0 if p.taken else 2 if p.orphaned else 1 for p in people]
    return np.array(each, np.int64) * alone


def _alone(case: Instance) -> int:
    return 100 * UNITS_PER_POINT * (1 + sum(p.free_seats for p in case.mentees))


def _worth(case: Instance, result: Result) -> int:
    """Everybody served, and the scores."""
    total = sum(round(match.fit.score * UNITS_PER_POINT) for match in result.matches)
    for people, ids in (
        (case.mentees, {match.mentee_id for match in result.matches}),
        (case.mentors, {match.mentor_id for match in result.matches}),
    ):
        bonus = _bonus(people, _alone(case))
        total += sum(
            int(worth)
            for person, worth in zip(people, bonus, strict=True)
            if person.participant_id in ids
        )
    return total


def _dense_best(case: Instance) -> int:
    """The best by scipy's dense assignment, each seat a row or a column of its own."""
    judged = matrix(case)

    def copies(people: Sequence[Person]) -> tuple[Whole, Whole]:
        """Whose seat each is, and what filling it is worth: the first one counts as service."""
        owner = np.repeat(np.arange(len(people)), [p.free_seats for p in people])
        first = np.diff(owner, prepend=-1) > 0
        return owner, np.where(first, _bonus(people, _alone(case))[owner], 0)

    rows, of_rows = copies(case.mentees)
    columns, of_columns = copies(case.mentors)
    worth = judged.units[np.ix_(rows, columns)] + of_rows[:, None] + of_columns[None, :]
    # Left alone, which is worth less than any pair: no pair is a seat that is filled with nobody.
    worth[judged.excluded_by[np.ix_(rows, columns)] != ADMISSIBLE] = 0
    assert worth.max(initial=0) * min(worth.shape) < 2**53  # it counts in floating point
    return int(worth[linear_sum_assignment(worth, maximize=True)].sum())


def _integer_best(case: Instance) -> int:
    """The best by a linear programme, whose corners are whole on two sides of a market."""
    judged = matrix(case)
    rows, columns = np.nonzero(judged.excluded_by == ADMISSIBLE)
    count, mentees, mentors = len(rows), len(case.mentees), len(case.mentors)
    size = count + mentees + mentors
    at_most, used = [], []
    for start, ends, people in (
        (count, rows, case.mentees),
        (count + mentees, columns, case.mentors),
    ):
        taking = csr_array((np.ones(count), (ends, np.arange(count))), (len(people), size))
        served = csr_array(
            (np.ones(len(people)), (np.arange(len(people)), start + np.arange(len(people)))),
            (len(people), size),
        )
        at_most += [taking, served - taking]
        used += [[p.free_seats for p in people], [0] * len(people)]
    worth: Whole = np.concatenate(
        (
            judged.units[rows, columns],
            _bonus(case.mentees, _alone(case)),
            _bonus(case.mentors, _alone(case)),
        )
    )
    found = linprog(
        worth / -UNITS_PER_POINT, vstack(at_most, format="csr"), np.concatenate(used), bounds=(0, 1)
    )
    assert found.success
    chosen = np.rint(found.x)
    assert np.abs(found.x - chosen).max(initial=0) < 1e-6
    return int(worth @ chosen.astype(np.int64))


def _most_served(case: Instance) -> tuple[int, int]:
    """How many mentees, and how many mentors, any pairs at all could newly serve."""
    admissible = matrix(case).excluded_by == ADMISSIBLE
    return (
        _flow(admissible, case.mentees, case.mentors),
        _flow(admissible.T, case.mentors, case.mentees),
    )


def _flow(admissible: NDArray[np.bool_], people: Sequence[Person], others: Sequence[Person]) -> int:
    rows, columns = np.nonzero(admissible)
    source, sink = len(people) + len(others), len(people) + len(others) + 1
    one, other = np.arange(len(people)), len(people) + np.arange(len(others))
    parts = (
        (np.full(len(people), source), one, [p.taken == 0 < p.free_seats for p in people]),
        (rows, len(people) + columns, np.ones(len(rows))),
        (other, np.full(len(others), sink), [p.free_seats for p in others]),
    )
    start, end, capacity = (
        np.concatenate([np.asarray(part[place]) for part in parts]).astype(np.int32)
        for place in range(3)
    )
    network = csr_array((capacity, (start, end)), (sink + 1, sink + 1))
    return int(maximum_flow(network, source, sink).flow_value)


def _assert_proven(case: Instance, result: Result) -> None:
    stated = result.certificate
    assert stated.stopped == "proven"
    assert stated.bound == stated.objective == stated.total_score
    most = _most_served(case)
    assert (stated.covered, stated.covered_mentors) == most
    assert (stated.coverable, stated.coverable_mentors) == most


@pytest.mark.parametrize("name", _COMPANIES)
def test_no_assignment_of_a_company_is_better_by_scipys_dense_one(name: str) -> None:
    case, best = _company_with_one_seat_for_mentees(name)
    result = solve(case, gap=0.0)
    _assert_proven(case, result)
    assert _worth(case, result) == best


def test_no_assignment_of_a_crowd_is_better_by_scipys_dense_one() -> None:
    for case in _crowds():
        for one in (
            replace(case, mentees=_one_seat(case.mentees)),
            replace(case, mentors=_one_seat(case.mentors)),
        ):
            result = solve(one, gap=0.0)
            _assert_proven(one, result)
            assert _worth(one, result) == _dense_best(one)


@pytest.mark.parametrize("name", ["few and hard", "more mentors", "tied"])
def test_no_assignment_with_seats_on_both_sides_is_better_by_a_linear_programme(name: str) -> None:
    case = _company(name)
    result = solve(case, gap=0.0)
    _assert_proven(case, result)
    assert _worth(case, result) == _integer_best(case)


def test_no_assignment_of_a_crowd_with_seats_on_both_sides_is_better() -> None:
    for case in _crowds():
        result = solve(case, gap=0.0)
        _assert_proven(case, result)
        assert _worth(case, result) == _integer_best(case)


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_nobody_is_left_out_who_could_be_served_however_hard_it_is(seed: int) -> None:
    case = instance_of(mentors=400, mentees=500, seed=seed, hardened=True, single_seats=True)
    admissible = csr_array(matrix(case).excluded_by == ADMISSIBLE)
    most = np.count_nonzero(maximum_bipartite_matching(admissible) >= 0)
    stated = solve(case, gap=0.0).certificate
    assert stated.covered == stated.coverable == stated.covered_mentors == stated.pairs == most


def test_the_order_of_people_changes_nothing() -> None:
    case = instance_of(mentors=260, mentees=240, seed=21, hardened=True)
    people = [*case.mentors, *case.mentees]
    random.Random(21).shuffle(people)
    again = instance(case.programme, people, case.now)
    assert to_json(solve(again)) == to_json(solve(case))


@pytest.mark.parametrize("pairs_in_a_table", [_NEVER], indirect=True)
def test_the_number_of_threads_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    case = _tied(instance_of(mentors=600, mentees=700, seed=22))
    found = []
    for cores in (1, 2):
        monkeypatch.setattr(
            os, "sched_getaffinity", lambda _, cores=cores: set(range(cores)), raising=False
        )
        found.append(to_json(solve(case)))
    assert found[0] == found[1]
