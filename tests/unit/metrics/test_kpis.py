from dataclasses import replace
from datetime import date

import pytest
from scipy.stats import binomtest

from services.metrics.domain.definitions import KPIS
from services.metrics.domain.facts import GoalRow, NotificationRow
from services.metrics.domain.measuring import measure, restated
from tests.unit.metrics.scenario import Scenario, day, pairs_of, uuid


def figures(measure):
    return measure.figures.numerator, measure.figures.denominator, measure.figures.value


def test_participation_counts_those_ever_ready_among_the_eligible():
    scenario = pairs_of(3)
    for n in range(4):
        scenario.employee(f"bystander{n}", 1, "IT")
    scenario.employee("in-between", 3, "IT")
    scenario.employee("gone", 1, "IT", status="left")
    scenario.participant("junior0", "mentor", status="withdrawn", at=day(5))
    look_up = scenario.measures(day(10))
    # Level 3 has counterparts at 1 and 5; nobody is below 1 or above 5.
    assert figures(look_up("participation_rate")) == (6, 11, pytest.approx(6 / 11, abs=1e-6))
    assert figures(look_up("participation_rate", "department", "IT"))[:2] == (3, 8)
    assert figures(look_up("participation_rate", "role", "mentor"))[:2] == (3, 8)


def test_match_rate_counts_active_pairs_among_ready_and_paused():
    scenario = pairs_of(3)
    scenario.participant(scenario.employee("waiting", 1), "mentor")
    scenario.participant(scenario.employee("invited", 1), "mentor", ready=None, status="invited")
    scenario.participant("junior1", "mentor", status="paused", at=day(4))
    scenario.pair("junior1", "senior1", status="paused", at=day(4))
    look_up = scenario.measures(day(10))
    assert figures(look_up("match_rate"))[:2] == (4, 7)
    assert figures(look_up("match_rate", "role", "mentee"))[:2] == (2, 3)


def test_a_closed_month_keeps_the_state_of_its_last_instant():
    scenario = pairs_of(3, created=10)
    scenario.pair("junior0", "senior0", 10, status="ended", at=day(40), closed_at=day(40))
    look_up = scenario.measures(day(60))
    assert figures(look_up("match_rate", month=date(2026, 1, 1)))[:2] == (6, 6)
    assert figures(look_up("match_rate", month=date(2026, 2, 1)))[:2] == (4, 6)
    assert figures(look_up("match_rate"))[:2] == (4, 6)


def test_after_the_programme_states_are_told_as_of_its_last_instant():
    scenario = pairs_of(3)
    for n in range(3):
        scenario.pair(
            f"junior{n}", f"senior{n}", status="completed", at=day(181), closed_at=day(181)
        )
    look_up = scenario.measures(day(200))
    assert look_up("match_rate").figures.value == 1
    assert figures(look_up("completion_rate"))[:2] == (3, 3)
    assert figures(look_up("stalled_pairs"))[:2] == (0, 0)


def test_time_to_match_runs_from_the_later_sides_latest_readiness():
    scenario = Scenario()
    for n, wait in enumerate((1, 2, 9)):
        scenario.participant(scenario.employee(f"j{n}"), "mentor", ready=0)
        scenario.participant(scenario.employee(f"s{n}", 5, "HR"), "mentee", ready=10)
        scenario.pair(f"j{n}", f"s{n}", 10 + wait)
    # Ready again long after the pair was formed: not what the pair waited for.
    scenario.participant("j0", "mentor", ready=50)
    look_up = scenario.measures(day(60))
    assert figures(look_up("time_to_match_p50")) == (12, 3, 2)
    assert look_up("time_to_match_p90").figures.value == pytest.approx(7.6)


def test_proposals_are_judged_once_they_are_decided():
    scenario = pairs_of(3)
    for n, status in enumerate(("declined", "expired", "proposed")):
        scenario.employee(f"x{n}")
        scenario.pair(
            f"x{n}",
            f"senior{n}",
            None,
            status=status,
            closed_at=None if status == "proposed" else day(3),
        )
    assert figures(scenario.measures(day(9))("proposal_acceptance")) == (3, 5, 0.6)


def test_first_sessions_count_only_undisputed_ones_within_14_days():
    scenario = pairs_of(4)
    pairs = [one.pair_id for one in scenario.pairs]
    scenario.session(pairs[0], 14)
    scenario.session(pairs[1], 15)
    scenario.session(pairs[2], 3, status="disputed")
    scenario.session(pairs[3], 3, status="logged")
    assert figures(scenario.measures(day(13))("first_session_14d"))[:2] == (0, 0)
    assert figures(scenario.measures(day(20))("first_session_14d"))[:2] == (2, 4)


def test_cadence_leaves_pauses_out_and_caps_each_pair_at_one():
    scenario = pairs_of(2)
    busy, paused = (one.pair_id for one in scenario.pairs)
    for at in (1, 20, 40, 60):
        scenario.session(busy, at)
    scenario.pair("junior1", "senior1", status="paused", at=day(20))
    scenario.pair("junior1", "senior1", status="active", at=day(70))
    scenario.session(paused, 5)
    # Day 90: 3 meetings due in 90 active days, and 1 in 40; both pairs kept their rhythm.
    assert figures(scenario.measures(day(90.5))("cadence_adherence")) == (2, 2, 1)
    # Day 111: the paused pair was active for 61 days, so 2 are due.
    assert figures(scenario.measures(day(111))("cadence_adherence")) == (1.5, 2, 0.75)


def test_cancellations_are_told_by_who_called_off():
    scenario = pairs_of(3)
    pairs = [one.pair_id for one in scenario.pairs]
    scenario.session(pairs[0], 3)
    for pair, by in zip(pairs, ("mentee", "mentee", "mentor"), strict=True):
        scenario.session(
            pair, 9, status="cancelled", held=None, cancelled_by=by, cancelled_at=day(8)
        )
    scenario.session(
        pairs[0], 10, status="cancelled", held=None, cancelled_by="system", cancelled_at=day(8)
    )
    scenario.session(pairs[1], 50, status="scheduled", held=None)
    scenario.session(pairs[2], 5, held=False)
    look_up = scenario.measures(day(12))
    assert figures(look_up("cancellation_rate"))[:2] == (3, 5)
    assert figures(look_up("senior_cancel_share"))[:2] == (2, 3)
    assert figures(look_up("no_show_rate"))[:2] == (1, 2)


def test_a_pair_stalls_after_two_cadences_without_a_session_or_booking():
    scenario = pairs_of(3)
    met, booked, _ = (one.pair_id for one in scenario.pairs)
    scenario.session(met, 30)
    scenario.session(booked, 80, status="scheduled", held=None)
    assert figures(scenario.measures(day(59))("stalled_pairs")) == (0, 3, 0)
    assert figures(scenario.measures(day(61))("stalled_pairs")) == (1, 3, 1)


def test_completion_leaves_leavers_out_and_reasons_share_all_pairs():
    scenario = pairs_of(10)
    for n, reason in enumerate(["leaver"] * 3 + ["no_fit"] * 2 + ["conflict"] * 2):
        scenario.pair(
            f"junior{n}",
            f"senior{n}",
            status="ended",
            at=day(20),
            closed_at=day(20),
            reason=reason,
            left_by="mentor" if reason == "leaver" else None,
        )
    scenario.pair("junior9", "senior9", status="completed", at=day(20), closed_at=day(20))
    look_up = scenario.measures(day(30))
    assert figures(look_up("completion_rate"))[:2] == (1, 5)
    assert figures(look_up("early_end_by_reason", "reason", "leaver")) == (3, 10, 0.3)
    assert figures(look_up("early_end_by_reason", "reason", "no_fit")) == (2, 10, 0.2)


def test_feedback_is_averaged_by_role_and_compared_with_what_was_asked():
    scenario = pairs_of(3)
    for n, one in enumerate(list(scenario.pairs)):
        session = scenario.session(one.pair_id, 10)
        scenario.pulse(one.pair_id, "mentee", 3 + n, 12, session_id=session)
        scenario.pulse(one.pair_id, "mentor", 5, 12, session_id=session if n else None)
        scenario.pulse(one.pair_id, "mentee", (10, 7, 2)[n], 12, kind="nps")
        scenario.pulse(one.pair_id, "mentee", 2, 1, kind="skill_before", topic="AI")
        scenario.pulse(one.pair_id, "mentee", 2 + n, 12, kind="skill_after", topic="AI")
    look_up = scenario.measures(day(20))
    assert figures(look_up("satisfaction", "role", "mentee")) == (12, 3, 4)
    assert figures(look_up("satisfaction")) == (27, 6, 4.5)
    assert figures(look_up("response_rate"))[:2] == (5, 6)
    assert figures(look_up("nps")) == (0, 3, 0)
    assert figures(look_up("skill_uplift")) == (3, 3, 1)


def test_goals_orphans_departments_and_deliveries():
    scenario = pairs_of(4)
    for n, one in enumerate(list(scenario.pairs)):
        scenario.goals.append(GoalRow(one.pair_id, day(1), day(5) if n else None))
        scenario.notifications.append(
            NotificationRow(one.mentor_employee_id, "sent" if n else "failed", day(1))
        )
    scenario.notifications.append(NotificationRow("junior0", "suppressed", day(1)))
    for n in (0, 1):
        scenario.pair(
            f"junior{n}",
            f"senior{n}",
            status="ended",
            reason="leaver",
            left_by="mentor",
            at=day(20),
            closed_at=day(20),
        )
        scenario.pair(f"new{n}", f"senior{n}", 24 + 2 * n)
    look_up = scenario.measures(day(30))
    assert figures(look_up("goal_attainment")) == (3, 4, 0.75)
    assert figures(look_up("orphan_recovery_p50", "role", "mentee")) == (10, 2, 5)
    assert figures(look_up("cross_department_share")) == (6, 6, 1)
    assert figures(look_up("notification_delivery_rate")) == (3, 4, 0.75)


def test_retention_waits_for_12_months_and_then_has_an_interval():
    scenario = pairs_of(4)
    scenario.employee("junior0", status="left", effective_from=day(300))
    waiting = scenario.measures(day(200))("retention_12m")
    assert figures(waiting) == (None, 8, None)
    known = scenario.measures(day(366))("retention_12m")
    assert figures(known) == (7, 8, 0.875)
    low, high = binomtest(7, 8).proportion_ci(method="wilson")
    assert known.figures.interval_low == pytest.approx(low, abs=1e-5)
    assert known.figures.interval_high == pytest.approx(high, abs=1e-5)


def test_retention_is_compared_within_level_department_and_tenure():
    scenario = pairs_of(4)
    for n in range(4):
        scenario.employee(f"bystander{n}", 1, "IT")
    # Another department: nothing to compare it with.
    scenario.employee("elsewhere", 1, "Legal", status="active")
    for name in ("bystander0", "bystander1", "elsewhere"):
        scenario.employee(
            name,
            1,
            "Legal" if name == "elsewhere" else "IT",
            status="left",
            effective_from=day(300),
        )
    assert figures(scenario.measures(day(200))("retention_delta")) == (None, 4, None)
    known = scenario.measures(day(500))("retention_delta")
    assert figures(known) == (2, 4, 0.5)
    assert known.figures.interval_low < 0.5 < known.figures.interval_high


def test_promotion_compares_levels_after_12_months():
    scenario = pairs_of(4)
    scenario.employee("junior0", 2, effective_from=day(100))
    assert figures(scenario.measures(day(400))("promotion_12m"))[:2] == (1, 8)


def test_open_violations_are_found_by_the_own_check():
    scenario = pairs_of(6)
    scenario.employee("boss", 4)
    scenario.employee("junior0", 1, manager_id="boss")
    scenario.employee("boss", 4, dotted_line_manager_ids=("senior0",))
    scenario.employee("junior1", 5)
    scenario.participant("junior2", "mentor", blocks=("senior2",))
    scenario.participant("senior3", "mentee", languages=("fr",))
    scenario.employee("junior4", status="left")
    assert figures(scenario.measures(day(5))("guard_violations_open")) == (5, 6, 5)


def test_late_facts_restate_only_what_they_change():
    scenario = pairs_of(3)
    before = measure(scenario.facts(), day(50))
    assert restated({}, before) == before
    assert restated(before, before) == {}
    scenario.session(scenario.pairs[0].pair_id, 3)
    changed = restated(before, measure(scenario.facts(), day(50)))
    assert {(key.kpi, key.window.kind, str(key.window.start)) for key in changed} >= {
        ("first_session_14d", "month", "2026-01-01"),
        ("first_session_14d", "programme", "2026-01-05"),
    }
    assert {key.kpi for key in changed}.isdisjoint({"match_rate", "nps", "time_to_match_p50"})


def test_a_group_that_is_gone_is_published_as_suppressed():
    scenario = pairs_of(3)
    before = measure(scenario.facts(), day(50))
    for n in range(3):
        scenario.employee(f"senior{n}", 5, "People")
    changed = restated(before, measure(scenario.facts(), day(50)))
    gone = {
        key.group: one
        for key, one in changed.items()
        if key.kpi == "leader_coverage" and key.dimension == "department"
    }
    assert gone["HR"].suppressed
    assert gone["HR"].figures.value is None
    assert gone["People"].figures.value == 1


def test_nothing_is_measured_before_anything_happened():
    empty = measure(Scenario().facts(), day(-3))
    assert all(one.figures.value in (None, 0) for one in empty.values())
    assert {key.kpi for key in empty} >= {kpi.name for kpi in KPIS if "all" in kpi.dimensions}


def test_a_wrong_date_does_not_make_a_thousand_months():
    scenario = pairs_of(3)
    scenario.session(scenario.pairs[0].pair_id, -40_000)
    assert len({key.window for key in measure(scenario.facts(), day(100))}) < 25


def test_each_kpi_says_its_numerator_and_denominator():
    for kpi in KPIS:
        assert "÷" in kpi.sentence or "enominator" in kpi.sentence or "−" in kpi.sentence
    assert len({kpi.name for kpi in KPIS}) == len(KPIS)


def test_a_programme_closed_early_ends_there():
    scenario = pairs_of(3)
    scenario.programme = replace(scenario.programme, status="closed", closed_at=day(50))
    for n in range(3):
        scenario.pair(
            f"junior{n}",
            f"senior{n}",
            status="ended",
            at=day(50.1),
            closed_at=day(50.1),
            reason="programme_closed",
        )
    look_up = scenario.measures(day(100))
    assert look_up("match_rate").figures.value == 1
    assert look_up("early_end_by_reason", "reason", "programme_closed").figures.value == 1
    assert uuid("programme") == scenario.programme.programme_id
