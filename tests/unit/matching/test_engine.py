from __future__ import annotations

import random
from dataclasses import replace
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, linear_sum_assignment, milp

from services.matching.domain.assignment import assign
from services.matching.domain.engine import solve
from services.matching.domain.explanation import unmatched
from services.matching.domain.instance import Instance, canonical, from_canonical, instance
from services.matching.domain.market import Edges, Market, Prices, Seats, seats
from services.matching.domain.matrix import ADMISSIBLE, matrix
from services.matching.domain.result import from_json, to_json
from services.matching.domain.rules import RULES, broken_rule
from services.matching.domain.scoring import UNITS_PER_POINT, fit
from tests.unit.matching.company import NOW, crowd, instances, person, programme


@given(instances())
@settings(max_examples=150, deadline=None)
def test_the_matrix_judges_and_scores_every_pair_as_the_rules_do(case: Instance) -> None:
    judged = matrix(case)
    names = [None, *RULES]
    for row, mentee in enumerate(case.mentees):
        for column, mentor in enumerate(case.mentors):
            rule = broken_rule(mentor, mentee, case.programme)
            assert names[judged.excluded_by[row, column]] == rule
            scored = fit(mentor, mentee, case.programme, case.now)
            assert judged.units[row, column] == round(scored.score * UNITS_PER_POINT)


@given(instances())
@settings(max_examples=100, deadline=None)
def test_a_score_lies_in_0_to_100_and_is_the_sum_of_its_contributions(case: Instance) -> None:
    for mentee in case.mentees:
        for mentor in case.mentors:
            scored = fit(mentor, mentee, case.programme, case.now)
            assert 0 <= scored.score <= 100
            assert scored.score == pytest.approx(sum(c.points for c in scored.breakdown))
            for part in scored.breakdown:
                assert 0 <= part.value <= 1
                assert part.points == pytest.approx(part.weight * part.value, abs=1e-4)
                assert part.detail


@given(instances())
@settings(max_examples=150, deadline=None)
def test_a_result_breaks_no_rule_and_no_capacity(case: Instance) -> None:
    result = solve(case)
    by_id = {p.participant_id: p for p in (*case.mentors, *case.mentees)}
    used: dict[object, int] = {}
    for match in result.matches:
        mentor, mentee = by_id[match.mentor_id], by_id[match.mentee_id]
        assert broken_rule(mentor, mentee, case.programme) is None
        for each in (mentor, mentee):
            used[each.participant_id] = used.get(each.participant_id, 0) + 1
            assert used[each.participant_id] <= each.free_seats
    assert len({(m.mentor_id, m.mentee_id) for m in result.matches}) == len(result.matches)


def _bonus(side: Seats) -> np.ndarray:
    return np.where(side.served, 0, np.where(side.first, 2, 1))


def _oracle(edges: Edges, mentees: Seats, mentors: Seats) -> tuple[int, int, int]:
    """Best (mentees, mentors, score) in this order by three integer programmes in turn."""
    n, rows, columns = len(edges.units), len(mentees.free), len(mentors.free)
    if n == 0:
        return 0, 0, 0
    size = n + rows + columns
    constraints = []
    for count, ends, side, offset in (
        (rows, edges.mentee, mentees, n),
        (columns, edges.mentor, mentors, n + rows),
    ):
        for index in range(count):
            line = np.zeros(size)
            line[:n][ends == index] = 1
            constraints.append(LinearConstraint(line, 0, side.free[index]))
            served = -line
            served[offset + index] = 1
            constraints.append(LinearConstraint(served, -np.inf, 0))
    best = []
    aims = []
    for start, values in (
        (n, _bonus(mentees)),
        (n + rows, _bonus(mentors)),
        (0, edges.units),
    ):
        aim = np.zeros(size)
        aim[start : start + len(values)] = values
        aims.append(aim)
    for aim in aims:
        found = milp(-aim, constraints=constraints, integrality=np.ones(size), bounds=Bounds(0, 1))
        assert found.success
        value = round(-found.fun)
        best.append(value)
        constraints.append(LinearConstraint(aim, value - 0.5, np.inf))
    return best[0], best[1], best[2]


def _value(chosen: Edges, mentees: Seats, mentors: Seats) -> tuple[int, int, int]:
    rows, columns = set(chosen.mentee.tolist()), set(chosen.mentor.tolist())
    return (
        int(sum(_bonus(mentees)[list(rows)])),
        int(sum(_bonus(mentors)[list(columns)])),
        int(chosen.units.sum()),
    )


@st.composite
def markets(draw: st.DrawFn) -> tuple[Edges, Seats, Seats]:
    rng = random.Random(draw(st.integers(0, 10**9)))
    rows, columns = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    share = draw(st.sampled_from((0.15, 0.4, 1.0)))
    worth = draw(st.sampled_from(((5,), (0, 1), (0, 10, 20, 30), tuple(range(1_000_000)))))
    pairs = [(r, c) for r in range(rows) for c in range(columns) if rng.random() < share]
    rng.shuffle(pairs)
    side = lambda count: seats(  # noqa: E731
        [rng.choice((0, 1, 1, 2, 3)) for _ in range(count)],
        [rng.random() < 0.2 for _ in range(count)],
        [rng.random() < 0.2 for _ in range(count)],
    )
    units = [rng.choice(worth) for _ in pairs]
    ends = np.array(pairs, np.int64).reshape(-1, 2)
    return Edges(ends[:, 0], ends[:, 1], np.array(units, np.int64)), side(rows), side(columns)


@given(markets())
@settings(max_examples=60, deadline=None)
def test_no_assignment_serves_more_or_scores_more(market: tuple[Edges, Seats, Seats]) -> None:
    edges, mentees, mentors = market
    both = Market(mentees, mentors, 1_000_000)
    chosen, prices = assign(edges, both)
    for ends, side in ((chosen.mentee, mentees), (chosen.mentor, mentors)):
        assert (np.bincount(ends, minlength=len(side.free)) <= side.free).all()
    assert _value(chosen, mentees, mentors) == _oracle(*market)
    assert both.bound(prices, chosen, _excess(edges, chosen, prices, both)) == both.worth(chosen)


def _excess(edges: Edges, chosen: Edges, prices: Prices, market: Market) -> np.ndarray:
    """By how much each mentee's best pair outside of the chosen ones gains at the prices."""
    excess = np.zeros(len(market.mentees.free), np.int64)
    taken = set(zip(chosen.mentee.tolist(), chosen.mentor.tolist(), strict=True))
    for row, column, units in zip(edges.mentee, edges.mentor, edges.units, strict=True):
        if (row, column) in taken or not market.mentees.free[row] * market.mentors.free[column]:
            continue
        excess[row] = max(excess[row], units - prices.mentee[row] - prices.mentor[column])
    return excess


@given(markets(), st.integers(0, 10**9))
@settings(max_examples=60, deadline=None)
def test_no_prices_whatever_give_a_bound_below_the_best(
    market: tuple[Edges, Seats, Seats], seed: int
) -> None:
    edges, mentees, mentors = market
    both = Market(mentees, mentors, 1_000_000)
    chosen, _ = assign(edges, both)
    rng = np.random.default_rng(seed)
    reach = int(rng.choice((10, 1_000_000, 3 * both.alone)))
    prices = Prices(
        rng.integers(-reach, reach, len(mentees.free)),
        rng.integers(-reach, reach, len(mentors.free)),
    )
    fewer = chosen.at(rng.random(len(chosen)) < 0.5)
    for claimed in (chosen, fewer):
        bound = both.bound(prices, claimed, _excess(edges, claimed, prices, both))
        assert bound >= both.worth(chosen)


@pytest.mark.parametrize("size", [60, 300])
def test_one_seat_each_it_equals_the_dense_assignment_of_scipy(size: int) -> None:
    rng = np.random.default_rng(size)
    units = rng.integers(0, 1_000_000, (size, size + 7))
    rows, columns = np.nonzero(np.ones_like(units, dtype=bool))
    ones = lambda count: seats([1] * count, [False] * count, [False] * count)  # noqa: E731
    market = Market(ones(size), ones(size + 7), 1_000_000)
    chosen, _ = assign(Edges(rows, columns, units[rows, columns]), market)
    best = units[linear_sum_assignment(units, maximize=True)].sum()
    assert len(chosen) == size
    assert chosen.units.sum() == best


@given(st.integers(0, 10**9), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_order_of_people_changes_nothing(seed: int, rng: random.Random) -> None:
    case = crowd(seed, 10, 10)
    people = [*case.mentors, *case.mentees]
    rng.shuffle(people)
    again = instance(case.programme, people, case.now)
    assert again.input_hash == case.input_hash
    assert to_json(solve(again)) == to_json(solve(case))


@given(instances())
@settings(max_examples=60, deadline=None)
def test_input_and_result_survive_the_way_to_the_worker_and_back(case: Instance) -> None:
    assert from_canonical(canonical(case)) == case
    result = solve(case)
    assert from_json(to_json(result)) == result


@given(instances())
@settings(max_examples=100, deadline=None)
def test_each_unmatched_person_is_told_of_every_counterpart_once_and_truly(case: Instance) -> None:
    result = solve(case)
    matched = {i for match in result.matches for i in (match.mentor_id, match.mentee_id)}
    told = {each.participant_id: each for each in result.unmatched}
    for people, others in ((case.mentors, case.mentees), (case.mentees, case.mentors)):
        for each in people:
            if each.waits(case.programme) and each.participant_id not in matched:
                reasons = told.pop(each.participant_id).reasons
                assert reasons == unmatched(each, others, case.programme).reasons
                assert sum(reasons.values()) == len(others)
    assert not told


def test_who_lost_a_partner_comes_first() -> None:
    mentees = [
        person("mentee", 1, wants={"ai": 1}),
        person("mentee", 2, wants={"ai": 1, "tiktok": 2}, orphaned=True),
        person("mentee", 3, wants={"ai": 1}),
    ]
    result = solve(instance(programme(), [person("mentor"), *mentees], NOW))
    assert [match.mentee_id for match in result.matches] == [mentees[1].participant_id]


def test_a_mentee_without_a_partner_comes_before_a_second_partner_for_another() -> None:
    happy = person("mentee", 1, seats=2, taken=1, offers={"golf": 5})
    alone = person("mentee", 2, wants={"ai": 3, "x": 1, "y": 1})
    mentor = person("mentor", wants={"golf": 1})
    result = solve(instance(programme(), [mentor, happy, alone], NOW))
    assert [match.mentee_id for match in result.matches] == [alone.participant_id]


def test_nobody_on_one_side_leaves_everybody_unmatched_without_reasons() -> None:
    result = solve(instance(programme(), [person("mentee")], NOW))
    assert result.matches == ()
    assert (result.certificate.stopped, result.certificate.objective) == ("proven", 0.0)
    assert [each.reasons for each in result.unmatched] == [{}]


def test_the_state_hash_forgets_the_moment_and_nothing_else() -> None:
    case = crowd(1, 3, 3)
    later = replace(case, now=NOW.replace(year=2027))
    assert later.state_hash == case.state_hash
    assert later.input_hash != case.input_hash
    more = replace(case, mentors=(replace(case.mentors[0], seats=9), *case.mentors[1:]))
    assert more.state_hash != case.state_hash


def test_admissible_is_the_number_before_the_first_rule() -> None:
    judged = matrix(instance(programme(), [person("mentor"), person("mentee")], NOW))
    assert judged.excluded_by.tolist() == [[ADMISSIBLE]]


@given(instances(), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_locked_pairs_are_formed_unless_a_rule_forbids_it(
    case: Instance, rng: random.Random
) -> None:
    ids = [(a.participant_id, b.participant_id) for a in case.mentors for b in case.mentees]
    case = replace(case, locked=tuple(sorted(rng.sample(ids, min(3, len(ids))))))
    result = solve(case)
    formed = {(match.mentor_id, match.mentee_id) for match in result.matches}
    refused = {(lock.mentor_id, lock.mentee_id): lock.rule for lock in result.refused_locks}
    assert formed.isdisjoint(refused)
    assert set(case.locked) <= formed | set(refused)
    by_id = {p.participant_id: p for p in (*case.mentors, *case.mentees)}
    for (mentor_id, mentee_id), rule in refused.items():
        found = broken_rule(by_id[mentor_id], by_id[mentee_id], case.programme)
        assert rule == found or (found is None and rule == "capacity")
    used: dict[object, int] = {}
    for match in result.matches:
        for each in (match.mentor_id, match.mentee_id):
            used[each] = used.get(each, 0) + 1
    assert all(used[i] <= by_id[i].free_seats for i in used)
    assert len(formed) == len(result.matches)


def test_a_floor_raises_the_worst_pair_where_there_is_a_choice() -> None:
    mentors = [
        person("mentor", 1, offers={"ai": 5, "sql": 5}),
        person("mentor", 2, offers={"ai": 5}),
    ]
    mentees = [person("mentee", 1, wants={"ai": 1, "sql": 1}), person("mentee", 2)]
    case = instance(programme(), [*mentors, *mentees], NOW)
    plain = solve(case)
    assert plain.certificate.worst_score is not None
    raised = solve(
        replace(case, programme=replace(case.programme, score_floor=plain.certificate.worst_score))
    )
    assert raised.certificate.total_score == plain.certificate.total_score
    assert raised.certificate.covered == plain.certificate.covered == 2


def test_earlier_pairs_are_kept_unless_a_change_is_worth_it() -> None:
    mentors = [person("mentor", 1), person("mentor", 2, interests=frozenset({"chess"}))]
    mentees = [person("mentee", 1), person("mentee", 2, interests=frozenset({"chess"}))]
    crossed = [
        (mentors[0].participant_id, mentees[1].participant_id),
        (mentors[1].participant_id, mentees[0].participant_id),
    ]

    def pairs(stickiness: float) -> list[tuple[UUID, UUID]]:
        case = instance(
            programme(stickiness=stickiness), [*mentors, *mentees], NOW, previous=crossed
        )
        return sorted((match.mentor_id, match.mentee_id) for match in solve(case).matches)

    assert pairs(0) != crossed
    assert pairs(10) == crossed
