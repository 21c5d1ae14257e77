"""Pairs that are scored whenever they are looked at, and searches among who is free."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.matching.domain import problem
from services.matching.domain.engine import solve
from services.matching.domain.explanation import unmatched
from services.matching.domain.instance import Instance, instance
from services.matching.domain.people import Role
from services.matching.domain.rules import broken_rule
from services.matching.domain.scoring import fit
from services.matching.domain.verification import StatedPair, verify
from tests.unit.matching.company import NOW, instances, person, programme

# One worker compiles the loops, so that not each of them does.
pytestmark = pytest.mark.xdist_group("compiled")


@given(instances(), st.sampled_from((0, 40)), st.sampled_from((0, 3)))
@settings(max_examples=80, deadline=None)
def test_pairs_that_are_never_stored_come_to_the_same_as_a_table(
    case: Instance, score_floor: float, stickiness: float
) -> None:
    ids = [(a.participant_id, b.participant_id) for a in case.mentors for b in case.mentees]
    case = replace(
        case,
        programme=replace(case.programme, score_floor=score_floor, stickiness=stickiness),
        previous=tuple(sorted(ids[::3])),
    )
    tabled = solve(case)
    people = {p.participant_id: p for p in (*case.mentors, *case.mentees)}
    for match in tabled.matches:
        for mine, other in (
            (match.mentee_id, match.instead_for_mentee),
            (match.mentor_id, match.instead_for_mentor),
        ):
            if other is not None:
                both = sorted((people[mine], people[other.participant_id]), key=lambda p: p.role)
                assert other.score == fit(both[1], both[0], case.programme, case.now).score
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(problem, "MOST_IN_A_TABLE", -1)
        streamed = solve(case)
    # Among equals another pair may be chosen, since other candidates were looked at.
    tied = {"passes": 0, "pairs": 0, "total_score": 0, "worst_score": 0}
    assert replace(streamed.certificate, **tied) == replace(tabled.certificate, **tied)
    by_id = {p.participant_id: p for p in (*case.mentors, *case.mentees)}
    for match in streamed.matches:
        mentor, mentee = by_id[match.mentor_id], by_id[match.mentee_id]
        assert broken_rule(mentor, mentee, case.programme) is None
    for each in streamed.unmatched:
        person = by_id[each.participant_id]
        others = case.mentees if person.role == "mentor" else case.mentors
        assert each.reasons == unmatched(person, others, case.programme).reasons


@given(instances(), st.booleans())
@settings(max_examples=80, deadline=None)
def test_where_few_have_a_free_seat_only_they_are_searched_and_it_comes_to_the_same(
    case: Instance, streamed: bool
) -> None:
    full = lambda people: tuple(  # noqa: E731
        replace(each, taken=each.seats) if place % 3 else each for place, each in enumerate(people)
    )
    case = replace(case, mentors=full(case.mentors), mentees=full(case.mentees))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(problem, "MOST_IN_A_TABLE", -1 if streamed else 10_000)
        free = solve(case)
        patch.setattr(problem, "_free", lambda people: np.arange(len(people)))
        whole = solve(case)
    tied = {"passes": 0, "pairs": 0, "total_score": 0, "worst_score": 0}
    assert replace(free.certificate, **tied) == replace(whole.certificate, **tied)
    assert free.unmatched == whole.unmatched
    assert (
        verify(
            case,
            [StatedPair(m.mentor_id, m.mentee_id, m.fit.score) for m in free.matches],
            free.certificate,
            free.prices,
        )
        == []
    )


@pytest.mark.parametrize("more", ["mentor", "mentee"])
def test_whoever_takes_part_on_both_sides_is_kept_from_themselves(
    more: Role, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(problem, "MOST_IN_A_TABLE", -1)
    both = [person("mentor", employee_id="E1"), person("mentee", employee_id="E1")]
    full = [person(more, number, seats=1, taken=1) for number in (2, 3)]
    result = solve(instance(programme(), [*both, *full], NOW))
    assert result.matches == ()
    assert [each.reasons.get("reporting_line") for each in result.unmatched] == [1, 1]
