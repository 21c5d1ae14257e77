from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any, get_args
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.matching.domain import pairs as life
from services.matching.domain.guard import beyond_seats, guarded
from services.matching.domain.pairs import Pair
from services.matching.domain.people import Approval
from services.matching.wire import pair_event
from shared.catalogue import PairFact
from tests.unit.matching.company import NOW, person, programme

EXPIRY = timedelta(days=14)


def pair(**changes: Any) -> Pair:
    values: dict[str, Any] = {
        "pair_id": UUID(int=1),
        "programme_id": UUID(int=7),
        "mentor_id": UUID(int=2),
        "mentee_id": UUID(int=3),
        "mentor_employee_id": "mentor-1",
        "mentee_employee_id": "mentee-1",
        "status": "proposed",
        "version": 1,
        "proposed_at": NOW,
        "changed_at": NOW,
    }
    return Pair(**values | changes)


def active(**changes: Any) -> Pair:
    return pair(**{"status": "active", "created_at": NOW, "active_since": NOW} | changes)


STEPS = {
    "mentee_yes": lambda p, a, t: life.accepted(p, "mentee", t, EXPIRY),
    "mentor_yes": lambda p, a, t: life.accepted(p, "mentor", t, EXPIRY),
    "manager_yes": lambda p, a, t: life.accepted(p, "manager", t, EXPIRY),
    "mentee_no": lambda p, a, t: life.declined(p, "mentee", a, t),
    "manager_no": lambda p, a, t: life.declined(p, "manager", a, t),
    "expire": lambda p, a, t: life.expired(p, t),
    "pause": lambda p, a, t: life.paused(p, t),
    "resume": lambda p, a, t: life.resumed(p, t),
    "end": lambda p, a, t: life.ended(p, "no_fit", t) if p.living else None,
    "complete": lambda p, a, t: life.completed(p, t) if p.living else None,
}


@given(
    st.sampled_from(get_args(Approval)),
    st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 20)), max_size=12),
)
@settings(max_examples=300)
def test_whatever_is_said_a_pair_lives_once_and_says_the_truth(
    approval: Approval, steps: list[tuple[str, int]]
) -> None:
    now = NOW
    current = life.proposed(pair(), approval, EXPIRY)
    for name, days in steps:
        now += timedelta(days=days)
        after = STEPS[name](current, approval, now)
        if after is None:
            continue
        assert current.living, f"{name} revived a {current.status} pair"
        assert after.version == current.version + 1
        assert after.changed_at == now
        event = pair_event(current, after)
        assert isinstance(event, PairFact)
        assert event.status == after.status
        current = after
        assert (current.awaiting is not None) == (current.status == "proposed")
        assert (current.expires_at is not None) == (current.status == "proposed")
        assert (current.closed_at is None) == current.living
        assert (current.paused_at is not None) == (current.status == "paused")
        assert (current.reason is not None) == (current.status == "ended")
        if current.formed or current.status in ("ended", "completed"):
            assert current.created_at is not None
            assert 0 <= current.paused_days <= (now - current.created_at).days


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({}, "active", None),
        ({"mentor": {"employment": "on_leave"}}, "paused", None),
        ({"mentee": {"status": "paused"}}, "paused", None),
        ({"mentor": {"chain_known": False}}, "paused", None),
        ({"mentor": {"department": "Board"}}, "active", None),
        ({"mentor": {"level": 5}}, "active", None),
        ({"mentor": {"level": 6}}, "ended", "level_gap"),
        ({"mentor": {"leaves_on": date(2026, 5, 1)}}, "active", None),
        ({"mentor": {"employment": "left"}}, "ended", "leaver"),
        # The withdrawal overtook the news that the announced last day is over.
        (
            {"mentor": {"status": "withdrawn", "withdrawn_by": "employment"}},
            "ended",
            "leaver",
        ),
        ({"mentor": {"status": "withdrawn", "withdrawn_by": "participant"}}, "ended", "withdrawn"),
        (
            {"mentor": {"chain_known": False, "managers": frozenset({"mentee-1"})}},
            "ended",
            "reporting_line",
        ),
        ({"mentor": {"offers": {}}}, "active", None),
        ({"mentor": {"languages": frozenset()}}, "ended", "no_common_language"),
        ({"programme": {"open": False}}, "completed", None),
        ({"programme": {"ends_on": NOW.date()}}, "completed", None),
    ],
)
def test_what_a_change_does_to_an_active_pair(
    changes: dict[str, dict[str, Any]], status: str, reason: str | None
) -> None:
    before = active()
    after = guarded(
        before,
        person("mentor", **changes.get("mentor", {})),
        person("mentee", **changes.get("mentee", {})),
        programme(**changes.get("programme", {})),
        NOW,
    )
    assert ((after or before).status, (after or before).reason) == (status, reason)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, "proposed"),
        ({"chain_known": False}, "proposed"),
        ({"status": "paused"}, "expired"),
        ({"employment": "left"}, "expired"),
        ({"level": 5}, "expired"),
        ({"offers": {}}, "expired"),
        ({"leaves_on": date(2026, 5, 1)}, "expired"),
        ({"taken": 1, "met": frozenset({"mentee-1"})}, "proposed"),
    ],
)
def test_what_a_change_does_to_a_proposal(change: dict[str, Any], status: str) -> None:
    before = pair(awaiting="mentee")
    after = guarded(before, person("mentor", **change), person("mentee"), programme(), NOW)
    assert (after or before).status == status


def test_the_oldest_formed_pairs_keep_their_seats() -> None:
    def made(number: int, days: int, **changes: Any) -> Pair:
        at = NOW + timedelta(days=days)
        return replace(active(created_at=at), pair_id=UUID(int=number), **changes)

    old, young = made(1, 0), made(2, 3)
    asked = made(3, -9, status="proposed", created_at=None)
    assert beyond_seats([asked, young, old], 1) == [young, asked]
    assert beyond_seats([asked, young, old], 3) == []
