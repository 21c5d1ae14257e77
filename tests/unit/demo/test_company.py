"""The invented company is believable, valid and the same for the same seed."""

from __future__ import annotations

from collections import Counter
from datetime import date
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.demo.company import company
from deploy.demo.workforce import invalid, on_wire

TODAY = date(2026, 1, 5)


def test_every_record_of_the_company_is_a_valid_hr_record() -> None:
    for person in company(1000, seed=3, today=TODAY).people:
        assert invalid(on_wire(person.record, sequence=1, effective=TODAY)) is None


def test_the_same_seed_makes_the_same_company_and_another_seed_another_one() -> None:
    assert company(200, seed=1, today=TODAY) == company(200, seed=1, today=TODAY)
    assert company(200, seed=1, today=TODAY) != company(200, seed=2, today=TODAY)


@settings(max_examples=25, deadline=None)
@given(people=st.integers(1, 1500), seed=st.integers(0, 10**6))
def test_everyone_but_one_has_a_manager_who_is_more_senior_and_comes_before_them(
    people: int, seed: int
) -> None:
    levels: dict[str, int] = {}
    for person in company(people, seed=seed, today=TODAY).people:
        if person.manager_id is None:
            assert not levels
        else:
            assert person.level < levels[person.manager_id] or person.level == 1
        levels[person.employee_id] = person.level
    assert len(levels) == people


def test_managers_have_five_to_nine_reports_but_for_the_last_one_served() -> None:
    people = company(1000, seed=1, today=TODAY).people
    spans = sorted(Counter(p.manager_id for p in people if p.manager_id).values())
    assert spans[-1] <= 9
    assert spans[1] >= 5


def test_seniors_are_fewer_than_juniors() -> None:
    levels = Counter(p.level for p in company(1000, seed=1, today=TODAY).people)
    top_down = [levels[level] for level in range(8, 2, -1)]
    assert levels[8] == 1
    assert all(above < below for above, below in pairwise(top_down))


def test_every_address_is_unique_and_in_a_reserved_domain() -> None:
    people = company(1000, seed=1, today=TODAY).people
    addresses = {p.email for p in people}
    assert len(addresses) == len(people)
    assert all(address and address.endswith(".example") for address in addresses)


def test_juniors_and_seniors_can_teach_different_things() -> None:
    workforce = company(1000, seed=1, today=TODAY)
    for person in workforce.people:
        own = workforce.topics if person.level <= 3 else workforce.senior_topics
        assert set(person.teaches) <= set(own)


def test_a_company_of_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one person"):
        company(0, today=TODAY)
