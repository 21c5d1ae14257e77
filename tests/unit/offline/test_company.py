"""The generated company: believable, the same for the same seed, as many as asked for."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

import jsonschema
import pytest

from deploy.matching.company import LOWEST_MENTEE, Plan, instance_of, lines, plan, rules_of
from deploy.matching.documents import schemas
from deploy.matching.vocabulary import (
    DEPARTMENTS,
    DIVISIONS,
    SENIOR_TOPICS,
    SITES,
    YOUNG_TOPICS,
)
from services.matching.domain.instance import Instance
from services.matching.domain.rules import broken_rule

MANY = Plan(1400, 600, seed=11)


def written(given: Plan) -> list[str]:
    return [json.dumps(line) for line in lines(given)]


def participants(given: Plan, role: str) -> list[dict[str, Any]]:
    return [line for line in lines(given) if line["role"] == role]


@pytest.fixture(scope="module")
def everybody() -> list[dict[str, Any]]:
    return list(lines(MANY))


def feasible_share(given: Instance, tries: int = 4000) -> float:
    rng = random.Random(5)
    return (
        sum(
            broken_rule(rng.choice(given.mentors), rng.choice(given.mentees), given.programme)
            is None
            for _ in range(tries)
        )
        / tries
    )


def test_the_same_seed_gives_the_same_lines_and_another_seed_others() -> None:
    assert written(Plan(40, 20, seed=3)) == written(Plan(40, 20, seed=3))
    assert written(Plan(40, 20, seed=3)) != written(Plan(40, 20, seed=4))


@pytest.mark.parametrize(
    ("mentors", "mentees"), [(1, 1), (1, 40), (40, 1), (7, 3), (42, 18), (300, 900), (900, 300)]
)
def test_there_are_exactly_as_many_as_asked_for(mentors: int, mentees: int) -> None:
    counted = Counter(line["role"] for line in lines(Plan(mentors, mentees)))
    assert (counted["mentor"], counted["mentee"]) == (mentors, mentees)


def test_the_pyramid_splits_those_whom_nobody_counted() -> None:
    assert plan(100) == Plan(70, 30)
    assert plan(2) == Plan(1, 1)
    assert plan(100, mentors=20) == Plan(20, 80)
    assert plan(mentors=5, mentees=6) == Plan(5, 6)


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"people": 5, "mentors": 5},
        {"people": 9, "mentors": 2, "mentees": 3},
        {"mentors": 4},
        {"mentors": 400_000, "mentees": 400_000},
    ],
)
def test_a_plan_that_cannot_be_is_refused(asked: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="people: "):
        plan(**asked)


def test_every_line_and_the_rules_keep_to_the_schemas(everybody: list[dict[str, Any]]) -> None:
    known = schemas()
    person = jsonschema.Draft202012Validator(known["people"])
    for line in everybody:
        person.validate(line)
        assert set(line) <= set(known["people"]["properties"])
    jsonschema.Draft202012Validator(known["rules"]).validate(rules_of(MANY))


def test_managers_are_there_above_their_people_and_come_before_them(
    everybody: list[dict[str, Any]],
) -> None:
    levels: dict[str, int] = {}
    without = []
    for line in everybody:
        above = [line["manager_id"]] if "manager_id" in line else []
        above += line.get("dotted_line_manager_ids", [])
        assert all(levels[manager] > line["level"] or line["level"] == 8 for manager in above)
        levels[line["id"]] = line["level"]
        without += [] if above else [line["id"]]
    assert without == ["E0000001"]


@pytest.mark.parametrize("given", [Plan(1, 1), Plan(300, 1), Plan(1, 50)])
def test_everybody_above_has_a_line_in_a_small_company_too(given: Plan) -> None:
    everybody = list(lines(given))
    named = {line["manager_id"] for line in everybody if "manager_id" in line}
    assert named <= {line["id"] for line in everybody}


def test_only_those_above_somebody_who_takes_part_are_added(
    everybody: list[dict[str, Any]],
) -> None:
    named = {line.get("manager_id") for line in everybody}
    named |= {name for line in everybody for name in line.get("dotted_line_manager_ids", ())}
    assert all(line["id"] in named for line in everybody if line["role"] is None)
    assert any(line["role"] is None for line in everybody)
    assert any("dotted_line_manager_ids" in line for line in everybody)


def test_roles_go_by_level_and_levels_make_a_pyramid(everybody: list[dict[str, Any]]) -> None:
    taking_part = [line for line in everybody if line["role"]]
    assert all(
        (line["level"] >= LOWEST_MENTEE) == (line["role"] == "mentee") for line in taking_part
    )
    by_level = Counter(line["level"] for line in taking_part)
    assert [by_level[level] for level in range(1, 8)] == sorted(
        (by_level[level] for level in range(1, 8)), reverse=True
    )


def test_departments_and_sites_are_of_unequal_size_and_all_there(
    everybody: list[dict[str, Any]],
) -> None:
    departments = Counter(line["department"] for line in everybody)
    assert set(departments) == set(DEPARTMENTS)
    assert departments.most_common()[0][1] > 4 * departments.most_common()[-1][1]
    assert {line["location"] for line in everybody} == {site.location for site in SITES}
    assert all(line["department"] in DIVISIONS[line["division"]] for line in everybody)


def test_the_young_offer_what_the_senior_want_and_the_other_way_round() -> None:
    young = {topic for cluster in YOUNG_TOPICS.values() for topic in cluster}
    senior = {topic for cluster in SENIOR_TOPICS.values() for topic in cluster}
    assert len(young | senior) == len(young) + len(senior) == 200
    assert len(YOUNG_TOPICS) + len(SENIOR_TOPICS) == 20
    for mentor in participants(MANY, "mentor"):
        assert young >= mentor["offers"].keys() != set()
        assert senior >= mentor["wants"].keys()
    for mentee in participants(MANY, "mentee"):
        assert senior >= mentee["offers"].keys() != set()
        assert young >= mentee["wants"].keys() != set()


def test_a_few_people_are_paused_leaving_untrained_or_blocked(
    everybody: list[dict[str, Any]],
) -> None:
    seen = Counter(
        name
        for line in everybody
        for name in ("status", "leaves_on", "trained", "employment", "blocks", "met", "orphaned")
        if name in line
    )
    assert len(seen) == 7
    assert all(1 <= count <= 100 for count in seen.values())


def test_seats_are_shared_out_as_told() -> None:
    mentors = Counter(person.seats for person in instance_of(mentors=900, mentees=300).mentors)
    assert mentors[1] > 3 * mentors[2] > 3 * mentors[3] > 0
    single = instance_of(mentors=90, mentees=30, single_seats=True)
    assert {person.seats for person in (*single.mentors, *single.mentees)} == {1}


def test_about_half_of_all_pairs_may_be_formed() -> None:
    assert 0.35 < feasible_share(instance_of(mentors=400, mentees=400)) < 0.55


def test_a_hardened_company_is_short_of_languages_hours_and_topics() -> None:
    hard = Plan(1400, 600, seed=11, hardened=True)
    mentees = participants(hard, "mentee")
    alone = [
        line for line in mentees if len(line["languages"]) == 1 and "en" not in line["languages"]
    ]
    assert 0.08 < len(alone) / len(mentees) < 0.16
    everybody = [*mentees, *participants(hard, "mentor")]
    narrow = [line for line in everybody if hours(line) <= 3]
    assert 0.12 < len(narrow) / len(everybody) < 0.18
    assert not [line for line in participants(MANY, "mentee") if hours(line) <= 3]
    usual = feasible_share(instance_of(mentors=400, mentees=400))
    assert 0 < feasible_share(instance_of(mentors=400, mentees=400, hardened=True)) < usual / 3


def hours(line: dict[str, Any]) -> float:
    def minutes(clock: str) -> int:
        return 60 * int(clock[:2]) + int(clock[3:])

    return (minutes(line["works_until"]) - minutes(line["works_from"])) / 60


def test_teams_share_one_set_of_managers() -> None:
    given = instance_of(mentors=900, mentees=300)
    people = (*given.mentors, *given.mentees)
    assert len({id(person.managers) for person in people}) == len(
        {person.managers for person in people}
    )
    assert all(person.chain_known for person in people)
