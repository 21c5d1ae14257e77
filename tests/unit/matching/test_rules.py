from __future__ import annotations

from datetime import date, time
from typing import Any

import pytest

from services.matching.domain.hours import in_utc, overlap_minutes
from services.matching.domain.rules import RULES, broken_rule
from services.matching.domain.scoring import common_topics, fit
from tests.unit.matching.company import NOW, person, programme


def test_two_people_whom_nothing_keeps_apart() -> None:
    assert broken_rule(person("mentor"), person("mentee"), programme()) is None


@pytest.mark.parametrize(
    ("rule", "mentor", "mentee"),
    [
        ("not_ready", {"status": "enrolled"}, {}),
        ("not_ready", {}, {"status": "paused"}),
        ("not_ready", {"consented": False}, {}),
        ("not_ready", {}, {"trained": False}),
        ("not_active", {"employment": "on_leave"}, {}),
        ("not_active", {}, {"employment": None}),
        ("leaving", {"leaves_on": date(2026, 8, 27)}, {}),
        ("repeated", {"met": frozenset({"mentee-1"})}, {}),
        ("blocked", {"blocks": frozenset({"mentee-1"})}, {}),
        ("blocked", {}, {"blocks": frozenset({"mentor-1"})}),
        ("level_gap", {"level": 5}, {}),
        ("level_gap", {"level": None}, {}),
        ("chain_unknown", {"chain_known": False}, {}),
        ("reporting_line", {"managers": frozenset({"a", "b", "c", "mentee-1"})}, {}),
        ("reporting_line", {}, {"managers": frozenset({"mentor-1"})}),
        ("reporting_line", {"direct_managers": frozenset({"boss-of-mentee"})}, {}),
        ("same_department", {"department": "Board"}, {}),
        ("no_common_language", {"languages": frozenset({"fr"})}, {}),
        ("time_overlap", {"works_from": 901, "works_until": 1200}, {}),
        ("no_wanted_topic", {"offers": {"golf": 5}}, {}),
        ("no_wanted_topic", {"offers": {"golf": 5}, "near": {"tennis": ("golf", 70)}}, {}),
        ("capacity", {"taken": 1}, {}),
        ("capacity", {}, {"seats": 0}),
    ],
)
def test_each_rule_keeps_two_people_apart(
    rule: str, mentor: dict[str, Any], mentee: dict[str, Any]
) -> None:
    pair = person("mentor", **mentor), person("mentee", **mentee)
    assert broken_rule(*pair, programme()) == rule
    assert broken_rule(*pair, programme(), but={rule}) is None


def test_what_no_rule_minds() -> None:
    lenient = programme(different_department=False, training_required=False)
    assert (
        broken_rule(
            person(
                "mentor",
                department="Board",
                trained=False,
                leaves_on=date(2026, 8, 28),
                # The same head of the house far above both is no common manager.
                managers=frozenset({"boss-of-mentor", "head"}),
                works_from=900,
                works_until=1200,
                # What is only near to the wanted topic is something to begin with.
                offers={"robots": 3},
                near={"ai": ("robots", 66)},
            ),
            person("mentee", trained=False, managers=frozenset({"boss-of-mentee", "head"})),
            lenient,
        )
        is None
    )


def test_every_rule_says_what_it_means() -> None:
    assert all(rule.__doc__ for rule in RULES.values())


@pytest.mark.parametrize(
    ("zones", "day", "minutes"),
    [
        (("Europe/Paris", "Europe/Paris"), date(2026, 1, 12), 480),
        (("Europe/Paris", "America/New_York"), date(2026, 1, 12), 120),
        # America changes to summer time three weeks before Europe.
        (("Europe/Paris", "America/New_York"), date(2026, 3, 16), 180),
        (("Europe/Paris", "America/New_York"), date(2026, 7, 13), 120),
        (("Asia/Tokyo", "America/Los_Angeles"), date(2026, 7, 13), 0),
        # One's Tuesday morning is the other's Monday.
        (("Pacific/Auckland", "America/Los_Angeles"), date(2026, 7, 13), 180),
        (("Europe/Paris", "No/Where"), date(2026, 1, 12), 0),
        (("Europe/Paris", "../etc/passwd"), date(2026, 1, 12), 0),
    ],
)
def test_common_working_time_knows_zones_and_summer_time(
    zones: tuple[str, str], day: date, minutes: int
) -> None:
    days = [in_utc(time(9), time(17), zone, day) for zone in zones]
    hours = [(each.works_from, each.works_until) for each in days]
    assert overlap_minutes(hours[0], hours[1]) == minutes
    assert overlap_minutes(hours[1], hours[0]) == minutes


def test_the_explanation_uses_plain_words() -> None:
    mentor = person("mentor", offers={"ai": 5, "tiktok": 1}, interests=frozenset({"chess"}))
    mentee = person(
        "mentee", wants={"tiktok": 1, "ai": 2, "golf": 3}, interests=frozenset({"chess"})
    )
    found = fit(mentor, mentee, programme(), NOW)
    told = {part.factor: part.detail for part in found.breakdown}
    assert told["wants_covered"] == "2 of 3 topics that the mentee wants: tiktok, ai"
    assert told["shared_interests"] == "both like chess"
    assert told["distance"] == "different department"
    assert told["time_overlap"] == "8 h 00 min of common working time a day"
    assert told["level_gap"] == "4 levels apart; 3 are aimed at"
    assert found.topics == common_topics(mentor, mentee) == ("tiktok", "ai")
    value = next(part.value for part in found.breakdown if part.factor == "wants_covered")
    assert value == pytest.approx((3 * 0.5 + 2 * 1.0) / 6)


def test_whoever_lost_a_partner_counts_as_having_waited_longest() -> None:
    mentor = person("mentor", waiting_since=NOW)
    points = [
        fit(mentor, person("mentee", waiting_since=NOW, orphaned=orphaned), programme(), NOW).score
        for orphaned in (False, True)
    ]
    assert points[1] - points[0] == pytest.approx(5)
