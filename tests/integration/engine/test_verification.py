from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.matching.domain import problem
from services.matching.domain.engine import solve
from services.matching.domain.instance import Instance
from services.matching.domain.result import Certificate, Prices, Result
from services.matching.domain.verification import StatedPair, verify
from tests.unit.matching.company import crowd, instances

# One worker compiles the loops, so that not each of them does.
pytestmark = pytest.mark.xdist_group("compiled")


def stated(result: Result) -> list[StatedPair]:
    return [StatedPair(m.mentor_id, m.mentee_id, m.fit.score) for m in result.matches]


def findings(case: Instance, result: Result, **changes: object) -> list[str]:
    said = {"pairs": stated(result), "stated": result.certificate, "prices": result.prices}
    return verify(case, **said | changes)  # type: ignore[arg-type]


@given(instances(), st.sampled_from((0, 45)), st.sampled_from((0, 4)), st.booleans())
@settings(max_examples=80, deadline=None)
def test_every_result_stands_the_check(
    case: Instance, score_floor: float, stickiness: float, streamed: bool
) -> None:
    ids = [(a.participant_id, b.participant_id) for a in case.mentors for b in case.mentees]
    case = replace(
        case,
        programme=replace(case.programme, score_floor=score_floor, stickiness=stickiness),
        locked=tuple(sorted(ids[::7])),
        previous=tuple(sorted(ids[::3])),
    )
    with pytest.MonkeyPatch.context() as patch:
        if streamed:
            patch.setattr(problem, "MOST_IN_A_TABLE", -1)
        assert findings(case, solve(case)) == []


@pytest.fixture(scope="module")
def case() -> Instance:
    return crowd(5, 40, 40)


@pytest.fixture(scope="module")
def result(case: Instance) -> Result:
    found = solve(case)
    assert len(found.matches) > 5
    return found


def test_a_pair_less_or_twice_is_seen(case: Instance, result: Result) -> None:
    pairs = stated(result)
    assert any("objective" in each for each in findings(case, result, pairs=pairs[1:]))
    assert any("twice" in each for each in findings(case, result, pairs=[*pairs, pairs[0]]))


def test_another_partner_is_seen(case: Instance, result: Result) -> None:
    first, second, *rest = stated(result)
    swapped = [
        replace(first, mentor_id=second.mentor_id),
        replace(second, mentor_id=first.mentor_id),
        *rest,
    ]
    assert findings(case, result, pairs=swapped)
    stranger = replace(first, mentor_id=UUID(int=5_000))
    assert any("not a mentor" in each for each in findings(case, result, pairs=[stranger]))


def test_another_score_is_seen(case: Instance, result: Result) -> None:
    first, *rest = stated(result)
    raised = replace(first, score=first.score + 0.0001)
    found = findings(case, result, pairs=[raised, *rest])
    assert found == [
        f"pair {first.mentor_id} – {first.mentee_id}: scores {first.score}, not {raised.score}"
    ]


@pytest.mark.parametrize(
    "change",
    [
        lambda c: replace(c, bound=c.bound - 1),
        lambda c: replace(c, bound=c.bound + 1),
        lambda c: replace(c, objective=c.objective + 1),
        lambda c: replace(c, gap=0.1),
        lambda c: replace(c, covered=c.covered + 1),
        lambda c: replace(c, coverable=c.coverable - 1),
        lambda c: replace(c, worst_score=99.0),
        lambda c: replace(c, rules_version=99),
        lambda c: replace(c, input_hash="0" * 64),
        lambda c: replace(c, stopped="gap", asked_gap=-0.1),
    ],
)
def test_another_claim_is_seen(
    change: Callable[[Certificate], Certificate], case: Instance, result: Result
) -> None:
    assert findings(case, result, stated=change(result.certificate))


def test_other_prices_prove_another_bound(case: Instance, result: Result) -> None:
    mentees = dict(result.prices.mentees)
    raised = {each: price + 10_000 for each, price in mentees.items()}
    found = findings(case, result, prices=Prices(raised, result.prices.mentors))
    assert any(each.startswith("certificate bound") for each in found)
    mentees.popitem()
    assert findings(case, result, prices=Prices(mentees, result.prices.mentors))


@pytest.mark.parametrize("price", [2**60, -(2**60), 2**70])
def test_prices_whose_sums_would_run_over_prove_nothing(
    price: int, case: Instance, result: Result
) -> None:
    mentees = dict.fromkeys(result.prices.mentees, price)
    (found,) = findings(case, result, prices=Prices(mentees, result.prices.mentors))
    assert found.startswith("prices: are larger than any that prove something")
    assert found.endswith("hand over those that the run found")


def test_another_input_is_seen(case: Instance, result: Result) -> None:
    other = replace(case, mentors=(replace(case.mentors[0], level=1), *case.mentors[1:]))
    assert any(each.startswith("input") for each in findings(other, result))


def test_too_many_pairs_for_somebodys_seats_are_seen(case: Instance, result: Result) -> None:
    pairs = stated(result)
    mentor = next(m for m in case.mentors if m.participant_id == pairs[0].mentor_id)
    used = [pair for pair in pairs if pair.mentor_id == mentor.participant_id]
    others = [m for m in case.mentees if m.participant_id not in {p.mentee_id for p in used}]
    more = [StatedPair(mentor.participant_id, each.participant_id, 1.0) for each in others]
    found = findings(case, result, pairs=[*used, *more])
    assert any("free seats" in each for each in found)
