from dataclasses import replace
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from services.metrics.domain.definitions import KPIS
from services.metrics.domain.measuring import measure
from services.metrics.domain.suppression import hidden, size, too_small, union
from tests.unit.metrics.scenario import Scenario, day, pairs_of

PEOPLE = [f"e{n}" for n in range(40)]
sides = st.frozensets(st.sampled_from(PEOPLE), max_size=12)
one_sided = st.dictionaries(st.sampled_from("abcdefgh"), st.tuples(sides), max_size=8)
two_sided = st.dictionaries(st.sampled_from("abcdefgh"), st.tuples(sides, sides), max_size=8)


@settings(deadline=None)
@given(st.one_of(one_sided, two_sided), st.integers(2, 8))
def test_what_total_minus_shown_tells_is_never_about_too_few(groups, minimum):
    total = union(groups.values())
    if too_small(total, minimum):
        return  # then the total is not shown, nor any group
    secret = hidden(groups, minimum)
    assert not any(too_small(groups[group], minimum) for group in groups.keys() - secret)
    if secret:
        rest = union(groups[group] for group in secret)
        assert size(rest) >= minimum
        assert len(secret) > 1


@settings(deadline=None)
@given(st.one_of(one_sided, two_sided), st.integers(2, 8))
def test_no_smaller_choice_of_the_largest_shown_group_was_hidden_needlessly(groups, minimum):
    secret = hidden(groups, minimum)
    small = {group for group, people in groups.items() if too_small(people, minimum)}
    if not small:
        assert not secret
    assert hidden(groups, minimum, add_up=False) == small


@st.composite
def programmes(draw):
    """Programmes with pairs, sessions, feedback and ends spread over groups and months."""
    scenario = Scenario()
    count = draw(st.integers(1, 14))
    for n in range(count):
        junior = scenario.employee(f"j{n}", 1, draw(st.sampled_from("ABC")))
        senior = scenario.employee(f"s{n}", 5, draw(st.sampled_from("ABC")))
        scenario.participant(junior, "mentor")
        scenario.participant(senior, "mentee")
        created = draw(st.integers(0, 100))
        pair = scenario.pair(junior, senior, created)
        for at in draw(st.lists(st.integers(created, 150), max_size=3, unique=True)):
            status = draw(st.sampled_from(["confirmed", "cancelled", "scheduled"]))
            called_off = status == "cancelled"
            scenario.session(
                pair,
                at,
                status=status,
                held=True if status == "confirmed" else None,
                cancelled_by=draw(st.sampled_from(["mentor", "mentee"])) if called_off else None,
                cancelled_at=day(at) if called_off else None,
            )
        if draw(st.booleans()):
            reason = draw(st.sampled_from(["leaver", "no_fit", "conflict", "safeguard"]))
            end = draw(st.integers(created, 150))
            scenario.pair(
                junior,
                senior,
                created,
                status="ended",
                reason=reason,
                at=day(end),
                closed_at=day(end),
                left_by="mentor" if reason == "leaver" else None,
            )
        if draw(st.booleans()):
            scenario.pulse(pair, draw(st.sampled_from(["mentor", "mentee"])), 4, created + 1)
    return scenario


# No deadline: the machine may be busy.
@settings(deadline=None, max_examples=50)
@given(programmes(), st.integers(2, 6))
def test_no_published_line_of_sums_gives_a_hidden_figure_away(scenario, minimum):
    """Each line of figures that adds up to a known total hides nothing, or enough people."""
    exact = scenario
    exact.programme = replace(exact.programme, min_group_size=minimum)
    now = day(160)
    shown = measure(exact.facts(), now)
    exact.programme = replace(exact.programme, min_group_size=0)
    truth = measure(exact.facts(), now)
    kinds = {kpi.name: kpi for kpi in KPIS}
    lines: dict[object, list[object]] = {}
    for key in shown:
        kpi = kinds[key.kpi]
        if not kpi.personal:
            assert shown[key] == truth[key]
            continue
        if key.window.kind == "month" and kpi.adds_up:
            lines.setdefault((key.kpi, "months"), []).append(key)
        if key.window.kind == "programme" and key.dimension in ("department", "role"):
            lines.setdefault((key.kpi, key.dimension), []).append(key)
    for (name, _), keys in lines.items():
        total = next(
            one
            for key, one in shown.items()
            if key.kpi == name and key.dimension == "all" and key.window.kind == "programme"
        )
        secret = [key for key in keys if shown[key].suppressed]
        if total.suppressed:
            assert all(shown[key].suppressed for key in keys)
        else:
            # One hidden figure alone would be the total minus the shown ones.
            assert len(secret) != 1


# No deadline: the machine may be busy.
@settings(deadline=None, max_examples=50)
@given(programmes(), st.integers(2, 6))
def test_few_early_ends_are_not_told_by_their_reason(scenario, minimum):
    """The reasons but leaver add up to completion_rate's early ends, which anyone can read."""
    scenario.programme = replace(scenario.programme, min_group_size=minimum)
    shown = measure(scenario.facts(), day(160))
    reasons = {key.group: one for key, one in shown.items() if key.kpi == "early_end_by_reason"}
    newest = {one.pair_id: one for one in scenario.pairs}
    ended: dict[str, int] = {}
    for one in newest.values():
        if one.reason:
            ended[one.reason] = ended.get(one.reason, 0) + 1
    for reason, one in reasons.items():
        assert one.suppressed or ended[reason] >= minimum
    secret = [r for r, one in reasons.items() if one.suppressed and r != "leaver"]
    rest = sum(ended[reason] for reason in secret)
    assert not secret or (len(secret) > 1 and rest >= minimum)
    unnamed = [r for r in ended if r not in reasons and r != "leaver"]
    assert sum(ended[reason] for reason in unnamed) < minimum


def test_small_groups_show_no_figure_at_all():
    scenario = pairs_of(6, department="HR")
    scenario.participant(scenario.employee("lonely", 5, "Legal"), "mentee")
    scenario.programme = replace(scenario.programme, min_group_size=5)
    look_up = scenario.measures(day(10))
    for group in ("Legal", "HR"):
        cell = look_up("leader_coverage", "department", group)
        assert cell.suppressed
        assert (cell.figures.numerator, cell.figures.denominator, cell.figures.value) == (None,) * 3
    assert not look_up("leader_coverage").suppressed


def test_a_pair_figure_counts_the_smaller_side():
    people = (frozenset({"m"}), frozenset("abcdef"))
    assert size(people) == 1
    assert too_small(people, 5)
    for some in combinations("abcdef", 2):
        assert too_small((frozenset(some), frozenset("abcdef")), 3)
