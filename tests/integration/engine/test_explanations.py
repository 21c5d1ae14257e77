from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.matching.company import instance_of
from services.matching.domain import opening_kernels, openings, problem
from services.matching.domain.bottlenecks import Bottleneck, bottlenecks
from services.matching.domain.changes import Change, Kind, Remedy, changed, smallest_first
from services.matching.domain.engine import solve
from services.matching.domain.explanation import Unmatched
from services.matching.domain.instance import Instance, instance
from services.matching.domain.openings import Side, steps_needed
from services.matching.domain.people import Person, Programme
from services.matching.domain.remedies import nearest
from services.matching.domain.result import Alternative, Result, from_json, to_json
from services.matching.domain.rules import RULES, broken_rule
from services.matching.domain.scoring import covered_eighths, fit
from services.matching.domain.words import (
    bottleneck_in_words,
    in_words,
    left_out_told_to,
    told_to,
)
from tests.unit.matching.company import NOW, crowd, instances, person, programme

# One worker compiles the loops, so that not each of them does.
pytestmark = pytest.mark.xdist_group("compiled")


def _served(result: Result) -> set[UUID]:
    return {each for match in result.matches for each in (match.mentor_id, match.mentee_id)}


@contextmanager
def _stored(pairs: bool) -> Iterator[None]:
    """Whether all pairs are in a table, or none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(problem, "MOST_IN_A_TABLE", 10**9 if pairs else -1)
        yield


def _varied(case: Instance, rng: random.Random) -> Instance:
    """The same with room for more seats, a floor, earlier pairs, and pairs that are to be, and
    people in other zones."""
    pairs = [(a.participant_id, b.participant_id) for a in case.mentors for b in case.mentees]
    mentors, mentees = (
        tuple(_elsewhere(each, rng) for each in side) for side in (case.mentors, case.mentees)
    )
    return replace(
        case,
        mentors=mentors,
        mentees=mentees,
        programme=replace(
            case.programme,
            mentor_capacity=5,
            mentee_capacity=5,
            min_level_gap=rng.choice((1, 2, 3)),
            score_floor=rng.choice((0, 40)),
            stickiness=rng.choice((0, 3)),
        ),
        locked=tuple(sorted(rng.sample(pairs, min(len(pairs), rng.choice((0, 2)))))),
        previous=tuple(sorted(rng.sample(pairs, min(len(pairs), rng.choice((0, 5)))))),
    )


def _elsewhere(each: Person, rng: random.Random) -> Person:
    """The person with the hours of the clock in another zone, where they are a day's."""
    midnight = rng.choice((0, 0, -330, 480))
    until = min(each.works_until, 1439)
    return replace(
        each,
        midnight=midnight,
        works_from=midnight + min(each.works_from, until - 60),
        works_until=midnight + until,
    )


def _follow(case: Instance, result: Result, gap: float | None = None) -> Counter[str]:
    """Make each change that is stated, one at a time; returns how many of each kind there were."""
    before = _served(result)
    midnights = {each.participant_id: each.midnight for each in (*case.mentors, *case.mentees)}
    kinds: Counter[str] = Counter()
    for remedy in result.remedies:
        assert remedy.participant_id not in before
        for change in remedy.changes:
            assert change.kind not in result.not_examined
            if change.kind == "time":
                assert 0 <= int(change.after or 0) - midnights[remedy.participant_id] < 1440
            after = _served(solve(changed(case, change), gap=gap))
            assert remedy.participant_id in after, change
            kinds[change.kind] += 1
    return kinds


@given(instances(), st.booleans(), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_following_any_change_that_is_stated_serves_the_person(
    case: Instance, stored: bool, rng: random.Random
) -> None:
    case = _varied(case, rng)
    with _stored(stored):
        _follow(case, solve(case))


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("gap", [0.0, 0.05])
def test_in_larger_crowds_changes_of_every_kind_are_stated_and_true(
    stored: bool, gap: float
) -> None:
    kinds: Counter[str] = Counter()
    with _stored(stored):
        for seed, size in enumerate(((30, 18), (18, 30), (24, 24))):
            case = _varied(crowd(seed, *size), random.Random(seed))
            case = replace(case, programme=replace(case.programme, min_level_gap=2))
            result = solve(case, gap=gap)
            assert ("seat" in result.not_examined) is (gap > 0)
            kinds += _follow(case, result, gap)
    expected: set[Kind] = {"time", "topic", "language", "break"}
    if stored:
        expected |= {"department", "level"}
    if gap == 0:
        expected |= {"seat"}
    assert expected <= kinds.keys()


@given(instances(), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_whoever_is_left_out_is_told_the_rule_at_which_the_nearest_counterparts_fail(
    case: Instance, rng: random.Random
) -> None:
    case = _varied(replace(case, locked=()), rng)
    case = replace(case, locked=())
    result = solve(case)
    told = {remedy.participant_id: remedy for remedy in result.remedies}
    everybody = {each.participant_id: each for each in (*case.mentors, *case.mentees)}
    for left in result.unmatched:
        remedy, each = told[left.participant_id], everybody[left.participant_id]
        others = case.mentees if each.role == "mentor" else case.mentors
        rules = [_rule(each, other, case.programme) or "capacity" for other in others]
        last = max(rules, key=list(RULES).index, default=None)
        assert (remedy.bottleneck, remedy.nearest) == (last, rules.count(str(last)))


def _rule(person: Person, other: Person, rules: Programme) -> str | None:
    mentor, mentee = (person, other) if person.role == "mentor" else (other, person)
    return broken_rule(mentor, mentee, rules)


@given(instances(most=7), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_no_smaller_step_of_time_would_do(case: Instance, rng: random.Random) -> None:
    """Whoever is stated to need so many minutes at once is not served by 15 minutes less."""
    case = replace(case, locked=(), previous=())
    for mentor in case.mentors:
        for mentee in case.mentees:
            if _overlaps(case, mentor, mentee):
                continue
            for one, other in ((mentor, mentee), (mentee, mentor)):
                later, earlier = steps_needed(one, other, case.programme)
                for steps, name, sign in ((later, "works_until", 1), (earlier, "works_from", -1)):
                    if not steps:
                        continue
                    enough = [
                        _overlaps(case, replace(one, **{name: at}), other)
                        for at in (
                            getattr(one, name) + sign * 15 * steps,
                            getattr(one, name) + sign * 15 * (steps - 1),
                        )
                    ]
                    assert enough[0]
                    assert steps == 1 or not enough[1]


def _overlaps(case: Instance, one: Person, other: Person) -> bool:
    return not RULES["time_overlap"](one, other, case.programme)


@given(st.integers(0, 10**9))
@settings(max_examples=80, deadline=None)
def test_compiled_loops_find_the_same_openings_as_the_rules(seed: int) -> None:
    rng = random.Random(seed)
    case = crowd(
        seed,
        14,
        11,
        different_department=rng.random() < 0.5,
        min_overlap_minutes=rng.choice((0, 120, 240)),
        min_level_gap=rng.choice((1, 2, 3)),
    )
    for role, people, others in (
        ("mentee", case.mentees, case.mentors),
        ("mentor", case.mentors, case.mentees),
    ):
        side = Side(case.programme, role, _hale(people, case), _hale(others, case))  # type: ignore[arg-type]
        places = range(len(side.counterparts))
        nobody: list[list[int]] = [[] for _ in side.people]
        some = [place for place in places if rng.random() < 0.2]
        held = [rng.sample(places, min(len(places), rng.randint(0, 2))) for _ in side.people]
        for left, holds in ((places, nobody), (some, held)):
            found = openings.openings(side, left, holds)
            assert opening_kernels.openings(side, left, holds) == found
            for each in found:
                for best in (each.language, each.topic):
                    assert best is None or best[1] <= len(places)
        reached = openings.reachable(side, some, held)
        assert opening_kernels.reachable(side, some, held) == reached
        assert set(some) <= set(reached)


def _hale(people: tuple[Person, ...], case: Instance) -> list[Person]:
    return [
        each
        for each in people
        if each.ready(case.programme)
        and each.employed
        and each.level is not None
        and each.chain_known
        and each.free_seats
        and not (each.leaves_on and each.leaves_on < case.programme.ends_on)
    ]


def _only(result: Result, who: Person) -> Remedy:
    return next(each for each in result.remedies if each.participant_id == who.participant_id)


def _alone(mentee: Person, *, rules: Programme | None = None) -> Remedy:
    """What is told a mentee beside whom there is one mentor, who admits everybody."""
    return _only(solve(instance(rules or programme(), [person("mentor"), mentee], NOW)), mentee)


def test_the_smallest_change_is_said_first_and_how_large_it_is() -> None:
    remedy = _alone(person("mentee", works_from=1000, works_until=1300))
    assert [(each.kind, each.field) for each in remedy.changes] == [("time", "works_from")]
    assert remedy.changes[0].after == 1000 - 105
    assert remedy.changes[0].minutes == 105
    assert (remedy.bottleneck, remedy.nearest) == ("time_overlap", 1)

    both = [
        person("mentor", 1, languages=frozenset({"fr"})),
        person("mentor", 2, offers={"sql": 3}),
        person("mentee"),
    ]
    result = solve(instance(programme(), both, NOW))
    changes = _only(result, both[2]).changes
    assert [(each.kind, each.before, each.after) for each in changes] == [
        ("topic", None, "sql"),
        ("language", None, "fr"),
    ]
    assert [each.via for each in changes] == [1, 1]


def test_of_two_ways_to_work_longer_the_shorter_is_said() -> None:
    mentors = [
        person("mentor", 1, works_from=600, works_until=720),
        person("mentor", 2, works_from=0, works_until=435),
    ]
    mentee = person("mentee", works_from=360, works_until=690)
    remedy = _only(solve(instance(programme(), [*mentors, mentee], NOW)), mentee)
    assert [(each.field, each.after) for each in remedy.changes] == [("works_until", 720)]


@pytest.mark.parametrize(
    ("midnight", "hours", "counterpart", "after"),
    [
        (0, (60, 480), (1080, 1430), None),  # would begin the day before
        (-600, (60, 480), (1080, 1430), -135),
        (-235, (900, 1190), (1080, 1430), None),  # would end the day after
        (-234, (900, 1190), (1080, 1430), 1205),
    ],
)
def test_nobody_is_told_to_work_beyond_midnight_where_they_are(
    midnight: int, hours: tuple[int, int], counterpart: tuple[int, int], after: int | None
) -> None:
    mentor = person("mentor", works_from=counterpart[0], works_until=counterpart[1])
    mentee = person("mentee", midnight=midnight, works_from=hours[0], works_until=hours[1])
    remedy = _only(solve(instance(programme(), [mentor, mentee], NOW)), mentee)
    assert [each.after for each in remedy.changes if each.kind == "time"] == (
        [] if after is None else [after]
    )


@pytest.mark.parametrize(
    ("lacking", "kind"),
    [
        ({"trained": False}, "training"),
        ({"trained": False, "status": "enrolled"}, "training"),
        ({"consented": False}, "consent"),
        ({"status": "paused"}, "break"),
        ({"employment": "on_leave"}, "break"),
    ],
)
def test_who_lacks_only_what_all_are_asked_for_is_told_so(
    lacking: dict[str, object], kind: Kind
) -> None:
    mentee = person("mentee", **lacking)
    remedy = _alone(mentee)
    assert [each.kind for each in remedy.changes] == [kind]
    case = instance(programme(), [person("mentor"), mentee], NOW)
    assert mentee.participant_id in _served(solve(changed(case, remedy.changes[0])))


@pytest.mark.parametrize(
    "lacking",
    [
        {"trained": False, "consented": False},
        {"trained": False, "leaves_on": NOW.date() + timedelta(days=9)},
        {"status": "withdrawn"},
        {"status": "invited", "trained": False},
        {"status": "paused", "languages": frozenset({"fr"})},
        {"employment": "left", "status": "paused"},
        {"taken": 1, "seats": 2, "status": "paused"},
    ],
)
def test_nothing_is_said_of_people_who_are_not_ready_and_whom_no_single_change_serves(
    lacking: dict[str, object],
) -> None:
    case = instance(programme(), [person("mentor"), person("mentee", **lacking)], NOW)
    assert [each.role for each in solve(case).remedies] == ["mentor"]


def test_a_leaver_is_offered_no_change() -> None:
    remedy = _alone(person("mentee", leaves_on=NOW.date() + timedelta(days=9)))
    assert (remedy.changes, remedy.bottleneck) == ((), "leaving")


def test_a_rule_is_only_named_if_the_person_is_served_under_it() -> None:
    """Two are kept out by one rule, one seat is left: the changed rule would serve one of them."""
    mentees = [
        person("mentee", number, department="Data", wants={"ai": 1, **more})
        for number, more in ((1, {}), (2, {"golf": 1}))
    ]
    result = solve(instance(programme(), [person("mentor"), *mentees], NOW))
    first, second = (_only(result, each) for each in mentees)
    assert [(each.kind, each.field, each.after) for each in first.changes] == [
        ("department", "different_department", False)
    ]
    assert second.changes == ()


def test_a_rule_of_levels_never_goes_below_one() -> None:
    near = _alone(person("mentee", level=4), rules=programme(min_level_gap=3))
    assert [(each.kind, each.before, each.after) for each in near.changes] == [("level", 3, 2)]
    assert _alone(person("mentee", level=3), rules=programme(min_level_gap=3)).changes == ()
    lowest = _alone(person("mentee", level=2), rules=programme(min_level_gap=1))
    assert lowest.changes == ()


def test_a_further_seat_is_named_to_the_one_who_would_get_it() -> None:
    mentor = person("mentor", offers={"ai": 4})
    mentees = [
        person("mentee", n, wants={"ai": 1, **dict.fromkeys("xyz"[:n], 1)}) for n in range(3)
    ]
    result = solve(instance(programme(), [mentor, *mentees], NOW))
    assert _served(result) == {mentor.participant_id, mentees[0].participant_id}
    change = Change("seat", "seats", 1, 2, 1, mentor.participant_id)
    assert [_only(result, each).changes for each in mentees[1:]] == [(change,), ()]
    assert _only(result, mentees[2]).bottleneck == "capacity"
    at_most = solve(instance(programme(mentor_capacity=1), [mentor, *mentees], NOW))
    assert [each.changes for each in at_most.remedies] == [(), ()]


def test_a_seat_is_as_good_as_left_if_its_holder_can_move_on() -> None:
    """The French speaker's only mentor is taken by somebody who could be served by another."""
    mentors = [
        person("mentor", 1, languages=frozenset({"fr", "en"}), interests=frozenset({"chess"})),
        person("mentor", 2, offers={"sql": 5, "ai": 1}, languages=frozenset({"en"})),
    ]
    mentees = [
        person("mentee", 1, interests=frozenset({"chess"})),
        person("mentee", 2, languages=frozenset({"hi"}), blocks=frozenset({"mentor-2"})),
    ]
    for stored in (True, False):
        with _stored(stored):
            case = instance(programme(), [*mentors, *mentees], NOW)
            result = solve(case)
            assert _served(result) == {mentors[0].participant_id, mentees[0].participant_id}
            remedy = _only(result, mentees[1])
            assert [(each.kind, each.after) for each in remedy.changes] == [("language", "en")]
            assert remedy.participant_id in _served(solve(changed(case, remedy.changes[0])))


def test_a_seat_is_as_good_as_left_if_its_holder_has_another() -> None:
    """Both mentors teach one mentee, who is served by either of them."""
    mentors = [person("mentor", n, languages=frozenset({"en"})) for n in (1, 2)]
    mentees = [
        person("mentee", 1, seats=2, languages=frozenset({"en"})),
        person("mentee", 2, languages=frozenset({"es"})),
    ]
    for stored in (True, False):
        with _stored(stored):
            case = instance(programme(mentee_capacity=2), [*mentors, *mentees], NOW)
            remedy = _only(solve(case), mentees[1])
            assert [(each.kind, each.after) for each in remedy.changes] == [("language", "en")]
            assert remedy.participant_id in _served(solve(changed(case, remedy.changes[0])))


@pytest.mark.parametrize("how", ["living", "locked"])
def test_a_further_seat_is_named_where_a_pair_that_stays_takes_the_only_one(how: str) -> None:
    mentor, other = person("mentor", 1, seats=1), person("mentee", 1)
    mentee = person("mentee", 2)
    case = instance(programme(mentor_capacity=2), [mentor, other, mentee], NOW)
    if how == "living":
        case = replace(case, mentors=(replace(mentor, taken=1),), mentees=(mentee,))
    else:
        case = replace(case, locked=((mentor.participant_id, other.participant_id),))
    (change,) = _only(solve(case), mentee).changes
    assert (change.kind, change.before, change.after) == ("seat", 1, 2)
    assert change.participant_id == mentor.participant_id
    assert mentee.participant_id in _served(solve(changed(case, change)))
    full = replace(case, programme=programme(mentor_capacity=1))
    assert not _only(solve(full), mentee).changes, "the programme allows no second one"


def test_changes_are_ranked_by_size_then_by_counterparts() -> None:
    def change(kind: Kind, after: str | int, via: int = 1, before: int | None = None) -> Change:
        return Change(kind, "x", before, after, via, None)

    many, few = change("topic", "a", 2), change("topic", "b", 1)
    short, long = change("time", 15, before=0), change("time", 120, before=0)
    language, level = change("language", "fr", 9), change("level", 1, 9, 2)
    assert smallest_first([language, few, many, short]) == (short, many, language)
    assert smallest_first([level, long, language]) == (long, level, language)
    assert smallest_first([change("consent", 1), long, level, language])[0].kind == "consent"
    assert len(smallest_first([short, many, level, language])) == 3


def test_while_it_is_not_proven_who_can_be_served_no_change_is_stated() -> None:
    case = crowd(3, 20, 14)
    sure, unsure = solve(case), solve(case, gap=1.0)
    assert any(remedy.changes for remedy in sure.remedies)
    assert unsure.not_examined
    assert not any(remedy.changes for remedy in unsure.remedies)
    assert [each.participant_id for each in unsure.remedies] == [
        each.participant_id for each in unsure.unmatched
    ]


@given(instances(), st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_result_is_the_same_after_the_way_through_json_that_any_reader_knows(
    case: Instance, stored: bool
) -> None:
    with _stored(stored):
        result = solve(case)
        assert to_json(solve(case)) == to_json(result)
    text = to_json(result)
    assert from_json(text) == result
    broken = replace(result, certificate=replace(result.certificate, gap=float("nan")))
    with pytest.raises(ValueError, match="JSON"):
        to_json(broken)
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_what_many_want_and_few_offer_is_a_bottleneck_with_its_numbers() -> None:
    mentees = [
        person("mentee", number, wants={"ai": 1, "sql": 2} if number else {"golf": 1})
        for number in range(4)
    ]
    mentors = [person("mentor", 1, offers={"ai": 3}), person("mentor", 2, offers={"golf": 5})]
    off = person("mentor", 3, offers={"sql": 3}, status="paused")
    case = instance(programme(), [*mentors, *mentees, off], NOW)
    result = solve(case)
    assert result.bottlenecks == (
        Bottleneck("topic", "sql", "mentee", 3, 3, 0, 2),
        Bottleneck("seats", "", "mentee", 4, 4, 2, 2),
        Bottleneck("topic", "ai", "mentee", 3, 3, 1, 2),
    )
    assert bottleneck_in_words(result.bottlenecks[0]) == (
        "3 mentees want sql and have 3 seats; mentors who suit them in this have 0. "
        "2 of them are left out."
    )


@pytest.mark.parametrize(
    ("short", "told"),
    [
        (
            Bottleneck("topic", "sql", "mentee", 1, 1, 0, 1),
            (
                "1 mentee wants sql and has 1 seat; mentors who suit them in this have 0. "
                "They are left out."
            ),
        ),
        (
            Bottleneck("language", "de, fr", "mentor", 4, 5, 1, 0),
            (
                "4 mentors speak de, fr and nothing else and have 5 seats; "
                "mentees who suit them in this have 1. Nobody of them is left out."
            ),
        ),
        (
            Bottleneck("time", "09:00-17:00", "mentor", 2, 1, 0, 1),
            (
                "2 mentors work 09:00-17:00 UTC and have 1 seat; "
                "mentees who suit them in this have 0. 1 of them is left out."
            ),
        ),
        (
            Bottleneck("seats", "", "mentee", 2, 2, 0, 2),
            (
                "2 mentees look for somebody and have 2 seats; "
                "mentors who suit them in this have 0. All of them are left out."
            ),
        ),
    ],
)
def test_a_bottleneck_is_a_sentence_for_one_as_for_many(short: Bottleneck, told: str) -> None:
    assert bottleneck_in_words(short) == told


def test_a_language_or_working_hours_that_cut_many_off_are_bottlenecks() -> None:
    mentors = [person("mentor", number) for number in range(6)]
    french = [person("mentee", number, languages=frozenset({"fr"})) for number in range(2)]
    late = [person("mentee", 5 + number, works_from=1200, works_until=1440) for number in range(3)]
    found = solve(instance(programme(), [*mentors, *french, *late], NOW)).bottlenecks
    assert [
        (each.kind, each.name, each.people, each.offered, each.left_out)
        for each in found
        if each.role == "mentee"
    ] == [("time", "20:00-00:00", 3, 0, 3), ("language", "fr", 2, 0, 2)]


@given(instances(), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_the_numbers_of_a_bottleneck_are_those_of_the_people(
    case: Instance, rng: random.Random
) -> None:
    everybody = _hale_enough(case)
    left = {each.participant_id for each in everybody if rng.random() < 0.4}
    for found in bottlenecks(case, left):
        people = [each for each in everybody if each.role == found.role]
        if found.kind == "topic":
            people = [each for each in people if found.name in each.wants]
        if found.kind == "language":
            people = [each for each in people if ", ".join(sorted(each.languages)) == found.name]
        if found.kind == "time":
            people = [each for each in people if _hours_of(each) == found.name]
        others = [
            each
            for each in everybody
            if each.role != found.role
            and (
                found.kind == "seats"
                or (found.kind == "topic" and found.name in covered_eighths(each))
                or (found.kind == "language" and people[0].languages & each.languages)
                or (found.kind == "time" and _overlaps(case, people[0], each))
            )
        ]
        assert found.people == len(people)
        assert found.seats == sum(each.free_seats for each in people)
        assert found.offered == sum(each.free_seats for each in others) < found.seats
        assert found.left_out == sum(each.participant_id in left for each in people)


def _hours_of(each: Person) -> str:
    return "-".join(
        f"{at // 60 % 24:02d}:{at % 60:02d}" for at in (each.works_from, each.works_until)
    )


def _hale_enough(case: Instance) -> list[Person]:
    return [
        each
        for each in (*case.mentors, *case.mentees)
        if each.free_seats
        and each.ready(case.programme)
        and each.employed
        and not (each.leaves_on and each.leaves_on < case.programme.ends_on)
    ]


@given(instances())
@settings(max_examples=60, deadline=None)
def test_the_manager_hears_contributions_that_sum_to_the_score(case: Instance) -> None:
    for match in solve(case).matches:
        lines = told_to("manager", match.fit)
        points = [float(line.split(": ")[1].split(" of ")[0]) for line in lines[1:8]]
        assert sum(points) == pytest.approx(match.fit.score, abs=1e-9)
        assert lines[0] == f"{match.fit.score:.4f} of 100 points:"
        assert points == sorted(points, reverse=True)


def test_the_manager_hears_of_alternatives_and_what_they_cost() -> None:
    mentor, mentee = person("mentor"), person("mentee")
    other = Alternative(UUID(int=5), 42.5, 3.25)
    lines = told_to(
        "manager",
        fit(mentor, mentee, programme(), NOW),
        instead_for_mentee=other,
        instead_for_mentor=replace(other, cost=None),
    )
    assert lines[-2] == (
        f"Next best for the mentee: {UUID(int=5)}, 42.5000 points; "
        "choosing it would cost the programme at least 3.2500 points."
    )
    assert lines[-1] == (
        f"Next best for the mentor: {UUID(int=5)}, 42.5000 points; "
        "choosing it would leave somebody without a partner."
    )
    assert told_to("manager", fit(mentor, mentee, programme(), NOW))[-1] == (
        "No other pair is possible for the mentor."
    )


@pytest.mark.parametrize("gap", [0.0, 0.9])
@pytest.mark.parametrize("seed", [0, 3])
def test_choosing_an_alternative_costs_at_least_what_is_stated(seed: int, gap: float) -> None:
    case = instance_of(mentors=24, mentees=20, seed=seed)
    with _stored(pairs=False), pytest.MonkeyPatch.context() as patch:
        patch.setattr("services.matching.domain.streamed_pairs._CANDIDATES", 2)
        result = solve(case, gap=gap)
    found = result.certificate
    assert (found.gap > 0) == (gap > 0)
    stated = [
        (other.cost, (mentor_id or other.participant_id, mentee_id or other.participant_id))
        for match in result.matches
        for other, mentor_id, mentee_id in (
            (match.instead_for_mentee, None, match.mentee_id),
            (match.instead_for_mentor, match.mentor_id, None),
        )
        if other is not None and other.cost != 0
    ]
    assert stated or gap
    for cost, pair in stated:
        forced = solve(replace(case, locked=(pair,))).certificate
        lost = found.covered + found.covered_mentors - forced.covered - forced.covered_mentors
        if cost is None:
            assert lost > 0
        elif lost == 0:
            assert forced.objective <= found.objective - cost + 1e-6


def test_a_bound_of_nothing_is_no_promise_that_the_alternative_costs_nothing() -> None:
    fits = fit(person("mentor"), person("mentee"), programme(), NOW)
    free = Alternative(UUID(int=5), 42.5, 0.0)
    lines = told_to("manager", fits, instead_for_mentee=free, instead_for_mentor=free)
    for line in lines[-2:]:
        assert line.endswith("42.5000 points; choosing it may cost the programme nothing.")


def test_a_participant_hears_in_their_own_words_and_no_number_that_tells_on_the_other() -> None:
    shared = {"interests": frozenset({"chess"}), "waiting_since": NOW - timedelta(days=20)}
    mentor = person("mentor", wants={"finance": 1}, **shared)
    mentee = person("mentee", offers={"finance": 5}, level=9, **shared)
    scored = fit(mentor, mentee, programme(), NOW)
    other = Alternative(UUID(int=5), 42.5, 3.25)
    told = {
        who: told_to(who, scored, instead_for_mentee=other, instead_for_mentor=other)
        for who in ("mentor", "mentee")
    }
    taught = (
        "What your mentor wants to learn: a strong point; "
        "1 of 1 topics that the mentor wants: finance"
    )
    assert told["mentee"] == [
        "What you want to learn: a strong point; 1 of 1 topics that you want: ai",
        taught,
        "Common working time: a strong point; 8 h 00 min of common working time a day",
        "Distance in the organisation: a fair point; different department",
        "Shared interests: a fair point; both like chess",
    ]
    for lines in told.values():
        text = " ".join(lines)
        for secret in ("level", "waiting", "points", f"{scored.score:.0f}", str(UUID(int=5))):
            assert secret not in text.lower()
    assert any("1 of 1 topics that you want: finance" in line for line in told["mentor"])


def test_a_participant_never_hears_that_somebody_blocked_declined_or_leaves() -> None:
    reasons = {rule: number for number, rule in enumerate(RULES, start=1)}
    left = Unmatched(UUID(int=1), "mentor", reasons)
    for who in ("mentor", "mentee"):
        text = " ".join(left_out_told_to(who, left, None))
        for secret in ("wish", "before", "leave", "level", "line", "active"):
            assert secret not in text
    heard = sum(int(line.split()[0]) for line in left_out_told_to("mentor", left, None))
    assert heard == sum(reasons.values())
    assert len(left_out_told_to("manager", left, None)) == len(RULES)


@pytest.mark.parametrize("rule", ["not_active", "leaving", "chain_unknown"])
def test_what_may_hold_of_either_is_not_said_of_the_counterparts(rule: str) -> None:
    (line,) = left_out_told_to("manager", Unmatched(UUID(int=1), "mentor", {rule: 146}), None)
    assert line.startswith("146 not possible: ")
    assert "one of the two" in line


def test_every_change_is_a_sentence_and_a_participant_hears_only_of_their_own() -> None:
    own, other = UUID(int=1), UUID(int=2)
    changes = [
        Change("consent", "consented", False, True, 2, own),
        Change("training", "trained", False, True, 2, own),
        Change("break", "status", "paused", "ready", 2, own),
        Change("time", "works_until", 1020, 1065, 1, own),
        Change("topic", "wants", None, "sql", 3, own),
        Change("language", "languages", None, "fr", 3, own),
        Change("seat", "seats", 1, 2, 1, other),
        Change("department", "different_department", True, False, 4, None),
        Change("level", "min_level_gap", 2, 1, 4, None),
    ]
    for change in changes:
        remedy = Remedy(own, "mentee", (change,), "capacity", 3)
        for who in ("manager", "mentee"):
            (line, *more) = left_out_told_to(who, None, remedy)
            told = who == "manager" or change.participant_id == own
            assert ("would have a partner" in line) is told
            assert more == []
    assert in_words(changes[3], "mentee", "mentee") == (
        "If your working day ended 45 minutes later, you would have a partner then, "
        "by way of 1 mentor."
    )
    assert "which is a rule for all" in in_words(changes[8], "mentee")
    assert in_words(replace(changes[6], before=0, after=1), "mentee") == (
        f"If mentor {other} had 1 seat instead of 0, this mentee would have a partner then, "
        "by way of 1 mentor."
    )
    assert in_words(changes[6], "mentee", "mentee").endswith(
        " had 2 seats instead of 1, you would have a partner then, by way of 1 mentor."
    )
    for left in ((), changes[7:]):
        assert left_out_told_to("mentee", None, Remedy(own, "mentee", tuple(left), "level", 3)) == [
            "No change that you alone could make is known that would surely lead to a partner now."
        ]
    assert left_out_told_to(
        "manager", None, Remedy(own, "mentee", (), "capacity", 3), ["seat"]
    ) == [
        "No single change is known that would surely lead to a partner now.",
        "The nearest: 3 possible, but taken by others.",
        "Changes not looked for: seat.",
    ]


def test_nobody_on_the_other_side_has_no_nearest() -> None:
    assert nearest({}) == (None, 0)
    assert nearest({"not_ready": 9, "time_overlap": 2, "blocked": 5}) == ("time_overlap", 2)
