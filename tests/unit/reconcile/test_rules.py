from datetime import timedelta
from random import Random

import pytest

from deploy.reconcile.rules import broken_rules
from tests.unit.reconcile.history import History, day, uuid

GRACE = timedelta(days=2)


def found(history):
    return [one.detail for one in broken_rules(history.topics, GRACE)]


def paired():
    history = History()
    history.couple("ann", "bob")
    history.pair("ann", "bob", 5)
    return history


def later(history):
    """Something else happens, so that time goes on."""
    history.employee("zoe", 30)
    return history


def test_a_good_pair_breaks_nothing():
    assert found(later(paired())) == []


@pytest.mark.parametrize(
    ("person", "change", "rule"),
    [
        ("ann", {"manager_id": "bob"}, "one reporting line"),
        ("ann", {"dotted_line_manager_ids": ("bob",)}, "one reporting line"),
        ("bob", {"manager_id": "ann"}, "one reporting line"),
        ("ann", {"job_level": 5}, "mentor not junior"),
    ],
)
def test_a_change_of_the_records_must_end_the_pair_soon(person, change, rule):
    history = paired()
    history.employee(person, 10, **change)
    assert found(later(history)) == [f"{rule} from 2026-01-15 to 2026-02-04"]


def test_a_chain_is_followed_to_any_depth_and_through_circles():
    history = paired()
    history.employee("middle", 9, manager_id="top")
    history.employee("top", 9, manager_id="middle")
    history.employee("ann", 10, manager_id="middle")
    assert found(later(history)) == []
    history = paired()
    history.employee("middle", 9, manager_id="bob")
    history.employee("ann", 10, manager_id="middle")
    assert found(later(history)) == ["one reporting line from 2026-01-15 to 2026-02-04"]


def test_a_common_manager_is_one_line():
    history = paired()
    history.employee("ann", 10, manager_id="boss")
    history.employee("bob", 10, manager_id="boss")
    assert len(found(later(history))) == 1


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"blocks": ("bob",)}, "blocked"),
        ({"languages": ("fr",)}, "no common language"),
    ],
)
def test_a_change_of_a_profile_must_end_the_pair_soon(change, rule):
    history = paired()
    history.participant("ann", 10, **change)
    assert found(later(history)) == [f"{rule} from 2026-01-15 to 2026-02-04"]


def test_the_guard_has_the_time_that_news_take():
    history = paired()
    history.employee("ann", 10, manager_id="bob")
    history.pair("ann", "bob", 11, status="ended", reason="reporting_line")
    assert found(later(history)) == []


def test_a_pair_formed_in_one_line_long_known_is_found():
    history = History()
    history.couple("ann", "bob")
    history.employee("ann", 1, manager_id="bob")
    history.pair("ann", "bob", 20)
    assert found(later(history)) == ["one reporting line from 2026-01-25 to 2026-02-04"]


def test_more_pairs_than_seats_are_found_at_once():
    history = paired()
    history.couple("cid", "dee")
    history.pair("cid", "bob", 20)
    history.pair("cid", "bob", 20.5, status="ended")
    assert set(found(later(history))) == {"more than 1 pairs at once"}


def test_a_lower_capacity_may_take_the_time_that_news_take():
    history = History()
    for mentor in ("ann", "cid"):
        history.couple(mentor, "bob")
    history.participant("bob", 2, capacity=2)
    for mentor in ("ann", "cid"):
        history.pair(mentor, "bob", 5)
    history.participant("bob", 10, capacity=1)
    history.pair("cid", "bob", 11, status="ended", reason="over_capacity")
    assert found(later(history)) == []


def test_two_people_are_brought_together_once():
    history = paired()
    history.pair("ann", "bob", 6, status="ended")
    history.pair("bob", "ann", 20, name="again", status="declined")
    assert any(detail.startswith("repeated as") for detail in found(later(history)))


def test_old_and_repeated_news_change_nothing():
    history = paired()
    history.employee("ann", 10, manager_id="bob")
    history.employee("ann", 11, manager_id=None)
    again = list(history.topics.told)
    Random(1).shuffle(again)
    for told in again:
        history.topics.told.append(type(told)(day(25), told.event))
    assert found(later(history)) == []
    assert uuid("ann-bob") in history.newest
