"""What files of people and rules become, and what is said of those that cannot be used."""

from __future__ import annotations

import contextlib
import csv
import json
import random
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.matching import files, people
from deploy.matching.company import Plan, lines, named_instance_of, plan, rules_of
from deploy.matching.files import BadInputError, Input, read_input, read_rules
from deploy.matching.people import participant_id
from services.matching.domain.instance import Instance, canonical, from_canonical
from services.matching.domain.people import Person, Role
from services.matching.domain.rules import broken_rule

RULES: dict[str, Any] = {"starts_on": "2026-03-02"}
MENTOR: dict[str, Any] = {"id": "m", "role": "mentor", "level": 1, "offers": {"chess": 4}}
MENTEE: dict[str, Any] = {"id": "s", "role": "mentee", "level": 5, "wants": {"chess": 1}}
BOSS: dict[str, Any] = {"id": "boss", "role": None}


def read(
    folder: Path,
    *people_lines: dict[str, Any] | bytes,
    rules: dict[str, Any] | bytes = RULES,
    name: str = "people.jsonl",
) -> Input:
    raw = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in people_lines]
    (folder / name).write_bytes(b"\n".join(raw))
    text = rules if isinstance(rules, bytes) else json.dumps(rules).encode()
    (folder / "rules.json").write_bytes(text)
    return read_input(folder / name, folder / "rules.json")


def problems(folder: Path, *people_lines: dict[str, Any] | bytes, **more: Any) -> list[str]:
    with pytest.raises(BadInputError) as refused:
        read(folder, *people_lines, **more)
    return refused.value.problems


def instance(folder: Path, *people_lines: dict[str, Any] | bytes, **more: Any) -> Instance:
    return read(folder, *people_lines, **more).named.instance


def person(given: Instance, role: Role, name: str) -> Person:
    wanted = participant_id(role, name)
    return next(p for p in (*given.mentors, *given.mentees) if p.participant_id == wanted)


# --- what lines mean


def test_a_line_with_nothing_but_id_role_level_and_topics_can_be_paired(tmp_path: Path) -> None:
    read_in = read(tmp_path, MENTOR, MENTEE)
    (mentor,), (mentee,) = read_in.named.instance.mentors, read_in.named.instance.mentees
    assert broken_rule(mentor, mentee, read_in.named.instance.programme) is None
    assert read_in.named.ids == {mentor.participant_id: "m", mentee.participant_id: "s"}
    assert read_in.warnings == (
        "no line names a department, so that the rule of different departments is left out",
    )


@pytest.mark.parametrize(
    ("lacks", "rules", "status"),
    [
        ({}, RULES, "ready"),
        ({"trained": False}, RULES | {"training_required": False}, "ready"),
        ({"trained": False}, RULES, "enrolled"),
        ({"consented": False}, RULES | {"training_required": False}, "enrolled"),
    ],
)
def test_who_is_enrolled_and_lacks_neither_consent_nor_training_is_ready(
    tmp_path: Path, lacks: dict[str, Any], rules: dict[str, Any], status: str
) -> None:
    found = instance(tmp_path, MENTOR | {"status": "enrolled"} | lacks, MENTEE, rules=rules)
    assert person(found, "mentor", "m").status == status


def test_letters_may_be_written_in_one_part_or_in_two(tmp_path: Path) -> None:
    found = instance(
        tmp_path,
        MENTOR | {"offers": {"re\u0301seaux": 3}, "interests": ["Cafe\u0301"]},
        MENTEE | {"wants": {"r\u00e9seaux": 1}, "interests": ["caf\u00e9"]},
    )
    (mentor,), (mentee,) = found.mentors, found.mentees
    assert mentor.offers.keys() == mentee.wants.keys()
    assert mentor.interests == mentee.interests


def test_different_departments_are_asked_for_where_departments_are_known(tmp_path: Path) -> None:
    assert instance(tmp_path, MENTOR | {"department": "A"}, MENTEE).programme.different_department
    said = RULES | {"different_department": True}
    assert instance(tmp_path, MENTOR, MENTEE, rules=said).programme.different_department


def test_a_whole_line_becomes_the_person_that_the_service_would_see(tmp_path: Path) -> None:
    line = {
        "id": "m", "role": "mentor", "employee_id": "E1", "level": 2, "department": "Data",
        "division": "Tech", "location": "Paris", "country": "FR", "manager_id": "boss",
        "dotted_line_manager_ids": ["dotted"], "languages": ["EN", "fr"],
        "offers": {"Chess  Openings": 3, "chess openings": 5},
        "wants": [{"topic": "Zither", "priority": 3}, {"topic": "zither ", "priority": 1}],
        "interests": ["Jazz", " jazz"], "timezone": "Asia/Kolkata", "works_from": "10:00",
        "works_until": "18:30", "capacity": 9, "blocks": ["E8"], "met": ["E9"],
        "status": "paused", "consented": False, "trained": False, "employment": "on_leave",
        "leaves_on": "2026-05-01", "waiting_since": "2026-02-01T01:00:00+01:00", "orphaned": True,
    }  # fmt: skip
    dotted = {"id": "dotted", "role": None, "manager_id": "boss"}
    found = instance(tmp_path, line, BOSS, dotted)
    assert person(found, "mentor", "m") == Person(
        participant_id=participant_id("mentor", "m"),
        employee_id="E1",
        role="mentor",
        status="paused",
        consented=False,
        trained=False,
        employment="on_leave",
        leaves_on=date(2026, 5, 1),
        level=2,
        department="Data",
        division="Tech",
        location="Paris",
        country="FR",
        direct_managers=frozenset({"boss", "dotted"}),
        managers=frozenset({"boss", "dotted"}),
        languages=frozenset({"en", "fr"}),
        offers={"chess openings": 5},
        wants={"zither": 1},
        interests=frozenset({"jazz"}),
        midnight=-330,
        works_from=270,
        works_until=780,
        seats=2,
        blocks=frozenset({"E8"}),
        met=frozenset({"E9"}),
        waiting_since=datetime(2026, 2, 1, tzinfo=UTC),
        orphaned=True,
    )


def test_topics_go_by_the_names_that_the_vocabulary_knows(tmp_path: Path) -> None:
    found = instance(tmp_path, MENTOR | {"offers": {"GenAI": 5}}, MENTEE)
    assert person(found, "mentor", "m").offers["generative ai"] == 5


def test_a_topic_that_is_listed_twice_counts_by_the_better_number(tmp_path: Path) -> None:
    wants = [{"topic": "zither", "priority": 1}, {"topic": "zither", "priority": 3}]
    offers = [{"topic": "lute", "proficiency": 4}, {"topic": "lute"}]
    (found,) = instance(tmp_path, MENTOR | {"wants": wants, "offers": offers}).mentors
    assert (found.wants, found.offers) == ({"zither": 1}, {"lute": 4})


def test_one_employee_may_be_mentor_and_mentee(tmp_path: Path) -> None:
    both = {"id": "x", "level": 3}
    found = instance(tmp_path, both | {"role": "mentor"}, both | {"role": "mentee"})
    assert found.mentors[0].employee_id == found.mentees[0].employee_id == "x"
    assert found.mentors[0].participant_id != found.mentees[0].participant_id


def test_managers_are_followed_to_the_top_by_solid_and_dotted_lines(tmp_path: Path) -> None:
    chain = [
        {"id": "a", "role": None, "manager_id": "b"},
        {"id": "b", "role": None, "manager_id": "boss", "dotted_line_manager_ids": ["c"]},
        {"id": "c", "role": None},
    ]
    found = person(instance(tmp_path, MENTOR | {"manager_id": "a"}, *chain, BOSS), "mentor", "m")
    assert (found.direct_managers, found.managers) == ({"a"}, {"a", "b", "c", "boss"})
    assert found.chain_known


def test_a_manager_without_a_line_makes_the_chain_unknown_for_all_below(tmp_path: Path) -> None:
    given = instance(
        tmp_path,
        MENTOR | {"manager_id": "boss"},
        MENTEE,
        BOSS | {"manager_id": "nobody knows"},
    )
    assert not person(given, "mentor", "m").chain_known
    assert person(given, "mentee", "s").chain_known


def test_whoever_is_above_themself_has_no_known_chain(tmp_path: Path) -> None:
    circle = [
        MENTOR | {"manager_id": "b"},
        {"id": "b", "role": "mentor", "level": 2, "manager_id": "m"},
    ]
    given = instance(tmp_path, *circle)
    assert not any(each.chain_known for each in given.mentors)


def test_more_managers_than_any_company_has_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "MOST_MANAGERS", 3)
    tower = [{"id": f"t{n}", "role": None, "manager_id": f"t{n + 1}"} for n in range(5)]
    (problem,) = problems(tmp_path, MENTEE, *tower, MENTOR | {"manager_id": "t0"})
    assert problem.startswith("people.jsonl: line 7: manager_id: more than ")


def test_equal_values_are_kept_once(tmp_path: Path) -> None:
    team = [
        MENTOR | {"id": f"m{n}", "manager_id": "boss", "interests": ["a", "b"]} for n in range(9)
    ]
    given = instance(tmp_path, *team, BOSS)
    for name in ("managers", "direct_managers", "interests", "languages", "blocks"):
        assert len({id(getattr(mentor, name)) for mentor in given.mentors}) == 1


def test_the_order_of_lines_makes_no_difference(tmp_path: Path) -> None:
    everybody = list(lines(Plan(20, 10, seed=2)))
    before = instance(tmp_path, *everybody)
    random.Random(1).shuffle(everybody)
    assert instance(tmp_path, *everybody) == before


def test_reading_a_company_gives_what_it_gives_without_files(tmp_path: Path) -> None:
    asked = plan(60, seed=4)
    assert read(tmp_path, *lines(asked), rules=rules_of(asked)).named == named_instance_of(asked)


# --- rules


def test_rules_become_the_programme(tmp_path: Path) -> None:
    rules = RULES | {
        "ends_on": "2026-09-01", "min_level_gap": 1, "target_level_gap": 2, "mentor_capacity": 4,
        "mentee_capacity": 3, "different_department": False, "min_overlap_minutes": 60,
        "training_required": False, "score_floor": 12.5, "stickiness": 3, "gap": 0.01,
        "seconds": 9, "as_of": "2026-03-05T12:00:00Z",
        "weights": {
            "wants_covered": 100, "shared_interests": 0, "distance": 0, "mentor_wants_covered": 0,
            "time_overlap": 0, "waiting_time": 0, "level_gap": 0,
        },
    }  # fmt: skip
    found = read(tmp_path, MENTOR | {"capacity": 9}, MENTEE, rules=rules)
    programme = found.named.instance.programme
    assert {name: getattr(programme, name) for name in rules if hasattr(programme, name)} == {
        "starts_on": date(2026, 3, 2), "ends_on": date(2026, 9, 1), "min_level_gap": 1,
        "target_level_gap": 2, "mentor_capacity": 4, "mentee_capacity": 3,
        "different_department": False, "min_overlap_minutes": 60, "training_required": False,
        "score_floor": 12.5, "stickiness": 3, "weights": programme.weights,
    }  # fmt: skip
    assert programme.weights.wants_covered == 100
    assert found.named.instance.now == datetime(2026, 3, 5, 12, tzinfo=UTC)
    assert found.named.instance.mentors[0].seats == 4
    assert (found.rules.gap, found.rules.seconds) == (0.01, 9)


def test_a_run_is_of_the_programmes_first_day_unless_told(tmp_path: Path) -> None:
    given = instance(tmp_path, MENTOR, MENTEE)
    assert given.now == datetime(2026, 3, 2, tzinfo=UTC)
    assert given.programme.ends_on == date(2026, 8, 29)


def test_hours_are_those_of_the_day_on_which_the_programme_runs(tmp_path: Path) -> None:
    line = MENTOR | {"timezone": "Europe/Paris"}
    in_summer = RULES | {"as_of": "2026-07-01T00:00:00Z"}
    assert instance(tmp_path, line).mentors[0].works_from == 480
    assert instance(tmp_path, line, rules=in_summer).mentors[0].works_from == 420


def test_pairs_that_are_locked_apart_or_of_before_are_known_by_id(tmp_path: Path) -> None:
    pair = [{"mentor_id": "m", "mentee_id": "s", "score": 4}]
    ids = ((participant_id("mentor", "m"), participant_id("mentee", "s")),)
    line = MENTEE | {"employee_id": "E7"}
    given = instance(tmp_path, MENTOR, line, rules=RULES | {"locked": pair, "previous": pair})
    assert (given.locked, given.previous) == (ids, ids)
    given = instance(tmp_path, MENTOR, line, rules=RULES | {"apart": pair})
    assert broken_rule(given.mentors[0], given.mentees[0], given.programme) == "blocked"


@pytest.mark.parametrize("name", ["locked", "apart"])
def test_pairs_of_people_who_are_not_there_are_refused(tmp_path: Path, name: str) -> None:
    rules = RULES | {name: [{"mentor_id": "m", "mentee_id": "m"}]}
    assert problems(tmp_path, MENTOR, MENTEE, rules=rules) == [
        f"rules.json: {name}.0.mentee_id: no line of people is about this mentee; correct it"
    ]


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (b"", "not JSON"),
        (b"[]", "value: Input should be an object; send one object in braces"),
        (b"{", "not JSON"),
        (b"\xff", "not UTF-8"),
        (b'{"starts_on":"2026-03-02","starts_on":"2026-03-02"}', "starts_on: stands twice in one"),
        pytest.param(b"[" * 10_000, "not JSON", id="10,000 lists deep"),
        ({}, "starts_on: Field required"),
        (RULES | {"starts_on": 5}, "starts_on: is not a calendar day"),
        (RULES | {"ends_on": "2026-03-02"}, "ends_on: is not after starts_on"),
        (RULES | {"min_level_gap": 0}, "min_level_gap: Input should be greater"),
        (RULES | {"min_level_gap": "2"}, "min_level_gap: Input should be a valid integer"),
        (
            RULES | {"weights": {"wants_covered": 50}},
            "rules.json: weights: sum to 115; make them sum to 100",
        ),
        (
            b'{"starts_on":"2026-03-02","weights":{"distance":NaN}}',
            "weights.distance: Input should be a finite number; send a number such as 0.5",
        ),
        (RULES | {"weights": {"youth": 100}}, "weights.youth: is no rule; leave it out"),
        (
            RULES | {"weights": {"wants_coverd": 35}},
            "weights.wants_coverd: is no rule; write wants_covered, or leave it out",
        ),
        (RULES | {"Score-Flor": 5}, "Score-Flor: is no rule; write score_floor, or leave it out"),
        (RULES | {"locked": [5]}, "locked.0: Input should be an object; send one object in"),
        (RULES | {"seconds": 0}, "seconds: Input should be greater than 0; send a larger number"),
        (RULES | {"score_floor": -1}, "greater than or equal to 0; send a larger number"),
        ({"starts_on": "9999-12-31"}, "starts_on: leaves no days to run; send a day of this"),
        ({"starts_on": "9999-07-05"}, "starts_on: leaves no days to run; send a day of this"),
        ({"starts_on": "0000-12-31"}, "starts_on: Input should be a valid date"),
        (RULES | {"ends_on": "10000-01-01"}, "ends_on: is not a calendar day; send one"),
        (RULES | {"as_of": "9999-12-31T23:59:59-01:00"}, "as_of: is outside of the years 1 to"),
        (RULES | {"as_of": "0001-01-01T00:00:00+01:00"}, "as_of: is outside of the years 1 to"),
        (
            RULES | {"weights": {"age": 100}},
            "weights.age: protected attributes and pay are never used",
        ),
        (
            RULES | {"min_overlap": 5},
            "min_overlap: is no rule; write min_overlap_minutes, or leave it out",
        ),
        (RULES | {"xyzzy": 5}, "xyzzy: is no rule; leave it out"),
        (RULES | {"gender": "any"}, "gender: protected attributes and pay are never used"),
        (RULES | {"gap": 1.5}, "less than or equal to 1; send a smaller number"),
        (RULES | {"as_of": "2026-03-02T10:00:00"}, "as_of: Input should have timezone info"),
    ],
)
def test_rules_that_cannot_be_are_refused_with_the_field(
    tmp_path: Path, rules: Any, said: str
) -> None:
    (problem,) = problems(tmp_path, MENTOR, MENTEE, rules=rules)
    assert problem.startswith("rules.json: ")
    assert said in problem
    assert "; " in problem or "send " in problem
    assert "each line" not in problem


def test_rules_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "rules.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(RULES).encode() + b"\r\n")
    assert read_rules(tmp_path / "rules.json").starts_on == date(2026, 3, 2)


def test_nearness_is_refused_where_its_model_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "nearness", lambda: None)
    rules = RULES | {"near_topics": True}
    (problem,) = problems(tmp_path, MENTOR, MENTEE, rules=rules)
    assert "near_topics: needs the extra `near`; install" in problem


# --- bad lines


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{", "value: not JSON"),
        (b"[1]", "value: Input should be an object"),
        (b"null", "value: Input should be an object"),
        (b'{"id": "\xff"}', "is not UTF-8; save the file as UTF-8"),
        pytest.param(b"[" * 5000, "value: not JSON", id="5,000 lists deep"),
        (b'{"id":"a","role":"mentor","level":NaN}', "level: Input should be a valid integer"),
        (b'{"id":"a","role":"mentor","level":1e999}', "level: Input should be a valid integer"),
        pytest.param(
            b'{"id":"a","role":"mentor","level":' + b"9" * 5000 + b"}",
            "number out of range",
            id="a number of 5,000 digits",
        ),
        ({"role": "mentor", "level": 1}, "id: Field required"),
        ({"id": "a", "level": 1}, "role: Field required"),
        ({"id": "", "role": None}, "id: String should have at least 1 character"),
        ({"id": "a" * 65, "role": None}, "id: String should have at most 64 characters"),
        ({"id": "a\u0000", "role": None}, "id: must not contain control characters; remove them"),
        ({"id": 7, "role": None}, "id: Input should be a valid string"),
        (MENTOR | {"role": "boss"}, "role: Input should be 'mentor' or 'mentee'"),
        ({"id": "a", "role": "mentor"}, "level: is missing; a mentor or mentee must have one"),
        (MENTOR | {"level": 2.5}, "level: Input should be a valid integer"),
        (MENTOR | {"level": True}, "level: Input should be a valid integer"),
        (MENTOR | {"level": "2"}, "level: Input should be a valid integer"),
        (MENTOR | {"level": -1}, "level: Input should be greater than or equal to 0"),
        (MENTOR | {"offers": {"a": 6}}, "offers.a: Input should be less than or equal to 5"),
        (MENTOR | {"offers": {"a": "x"}}, "offers.a: Input should be a valid integer"),
        (MENTOR | {"offers": ["a"]}, 'offers: send a list such as [{"topic"'),
        (MENTOR | {"offers": [{"topic": "a", "proficiency": 0}]}, "offers.a: Input should be"),
        (MENTOR | {"offers": {"a\nb": 3}}, "must not contain control characters"),
        (MENTOR | {"wants": {"a": 4}}, "wants.a: Input should be less than or equal to 3"),
        (MENTOR | {"interests": "chess"}, "interests: Input should be a valid array"),
        (MENTOR | {"interests": ["x"] * 201}, "interests: Tuple should have at most 200 items"),
        (
            MENTOR | {"languages": ["english"]},
            "languages.0: is no language code; send codes of two",
        ),
        (MENTOR | {"timezone": "Mars/North"}, "timezone: is not an IANA time zone; send"),
        (MENTOR | {"timezone": "../../etc/passwd"}, "timezone: is not an IANA time zone; send"),
        (MENTOR | {"works_from": "9"}, "works_from: is no time of day; send a time"),
        (MENTOR | {"works_until": "24:00"}, "00:00 to 23:59, such as 09:00"),
        (MENTOR | {"works_from": "17:00"}, "works_until: is not after works_from; send"),
        (MENTOR | {"capacity": 0}, "capacity: Input should be greater than or equal to 1"),
        (MENTOR | {"status": "happy"}, "status: Input should be 'invited'"),
        (MENTOR | {"trained": "yes"}, "trained: Input should be a valid boolean"),
        (MENTOR | {"trained": 1}, "trained: Input should be a valid boolean"),
        (MENTOR | {"employment": None}, "employment: Input should be 'pending'"),
        (MENTOR | {"leaves_on": 20260301}, "leaves_on: is not a calendar day; send"),
        (MENTOR | {"leaves_on": "2026-02-30"}, "leaves_on: "),
        (MENTOR | {"waiting_since": 1}, "waiting_since: Input should be a valid datetime"),
        (MENTOR | {"waiting_since": "2026-01-01T00:00:00"}, "waiting_since: Input should have"),
        (MENTOR | {"gender": "x"}, "gender: protected attributes and pay are never used here"),
        (MENTOR | {"birthDate": None}, "birthDate: protected attributes and pay are never used"),
        (MENTOR | {"Ethnicity": ""}, "Ethnicity: protected attributes and pay are never used"),
        (MENTOR | {"Languages": ["de"]}, "Languages: is no field; write languages"),
        (MENTOR | {"works-from": "10:00"}, "works-from: is no field; write works_from"),
        (
            b'{"id":"a","role":"mentor","level":1,"level":2}',
            "level: stands twice in one object; keep one of the two",
        ),
        (
            b'{"id":"a","role":"mentor","level":1,"offers":{"chess":1,"go":2,"chess":5}}',
            "chess: stands twice in one object; keep one of the two",
        ),
        (b'{"id":"a","role":null,"a":1,"\\u0061":2}', "a: stands twice in one object"),
        (MENTEE, "id: is on line 1 as a mentee already; keep one of the two"),
        (MENTEE | {"id": "t", "employee_id": "s"}, "employee_id: is on line 1 as a mentee"),
        (MENTEE | {"role": "mentor", "level": 4}, "level: differs from line 1 about the same"),
        (
            {"id": "s", "role": None, "level": 5, "manager_id": "x"},
            "manager_id: differs from line 1 about the same employee; make them equal",
        ),
    ],
)
def test_a_bad_line_is_refused_with_its_number_field_and_remedy(
    tmp_path: Path, line: Any, said: str
) -> None:
    *_, problem = problems(tmp_path, MENTEE, b"", line)
    assert problem.startswith("people.jsonl: line 3: ")
    assert said in problem
    assert "; " in problem or "send " in problem


def test_all_bad_lines_are_counted_and_the_first_50_told_in_order(tmp_path: Path) -> None:
    with pytest.raises(BadInputError) as refused:
        read(tmp_path, MENTOR, *([b"{"] * 70), MENTOR)
    assert refused.value.count == 71
    assert [problem.split(": ")[1] for problem in refused.value.problems] == [
        f"line {number}" for number in range(2, 52)
    ]


def test_an_overlong_line_is_refused_and_the_others_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "LONGEST_LINE", 500)
    monkeypatch.setattr(files, "_LONGEST_SKIP", 50_000)
    found = problems(tmp_path, MENTOR, b" " * 9000, b"{")
    assert [problem.split(": ")[1] for problem in found] == ["line 2", "line 3"]
    assert "is longer than 500 bytes" in found[0]
    assert "not read" not in found[0]
    (endless,) = problems(tmp_path, MENTOR, b" " * 90_000, b"{")
    assert endless.endswith("; what follows was not read")


@pytest.mark.parametrize("line", [b"x" * 2_000_000 + b",mentor,1", b"\xff,mentor,1"])
def test_where_reading_of_a_csv_file_ends_is_told(tmp_path: Path, line: bytes) -> None:
    rows = (b"id,role,level", b"a,mentor,x", line, b"b,mentor,x")
    bad, last = problems(tmp_path, *rows, name="people.csv")
    assert bad.startswith("people.csv: line 2: level: ")
    assert last.startswith("people.csv: line 3: ")
    assert last.endswith("; what follows was not read")


def test_more_lines_than_a_programme_can_have_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MOST_LINES", 2)
    (problem,) = problems(tmp_path, MENTOR, MENTEE, BOSS, b"{")
    assert problem == "people.jsonl: line 3: more than 2 lines; split the programme"


@pytest.mark.parametrize("name", ["people.jsonl", "people.csv"])
@pytest.mark.parametrize("content", [b"", b"\n\n \r\n", b"\xef\xbb\xbf"])
def test_a_file_without_people_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    assert problems(tmp_path, content, name=name) == [
        f"{name}: is empty; write one person per line"
    ]


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rules.json").write_text(json.dumps(RULES))
    for path, said in (
        (tmp_path, "is a folder; name the file in it"),
        (tmp_path / "none.jsonl", "no such file; correct the path"),
    ):
        with pytest.raises(BadInputError) as refused:
            read_input(path, tmp_path / "rules.json")
        assert refused.value.problems == [f"{path.name}: {said}"]


def test_byte_order_mark_and_windows_line_ends_are_read_over(tmp_path: Path) -> None:
    plain = instance(tmp_path, MENTOR, MENTEE)
    content = (
        b"\xef\xbb\xbf" + json.dumps(MENTOR).encode() + b"\r\n\r\n" + json.dumps(MENTEE).encode()
    )
    assert instance(tmp_path, content + b"\r\n") == plain


def test_unknown_fields_are_left_out_with_one_warning(tmp_path: Path) -> None:
    odd = [MENTOR | {"shoe": 4, "hat": {"deep": [1]}, "department": "A"}, MENTEE | {"shoe": None}]
    (warning,) = read(tmp_path, *odd).warnings
    where = "2 lines, first on line 1"
    assert warning == f"fields that no format knows stand on {where}, and were not read: shoe, hat"


@pytest.mark.parametrize("name", ["people.jsonl", "people.csv"])
def test_unknown_fields_are_told_too_when_people_are_refused(tmp_path: Path, name: str) -> None:
    rows: list[dict[str, Any] | bytes] = [b"id,role,lvl", b"m,mentor,1", b"s,mentee,5"]
    if name == "people.jsonl":
        rows = [b"{}", {"id": "m", "role": "mentor", "lvl": 1}, MENTEE | {"lvl": 5}]
    unread, *refused = problems(tmp_path, *rows, name=name)
    assert unread == (
        f"{name}: fields that no format knows stand on 2 lines, first on line 2,"
        " and were not read: lvl"
    )
    assert f"{name}: line 2: level: is missing; a mentor or mentee must have one" in refused


def test_a_field_that_cannot_be_passed_over_is_told_beside_what_else_is_wrong(
    tmp_path: Path,
) -> None:
    line = {"id": "m", "role": "mentor", "Level": 1}
    (problem,) = problems(tmp_path, line)
    assert problem.endswith("must have one; Level: is no field; write level")


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_days_and_moments_at_both_ends_of_the_calendar_are_read(
    tmp_path: Path, zone: str, day: str
) -> None:
    rules = {"starts_on": "0001-01-01", "ends_on": "9999-12-31", "as_of": f"{day}T00:00:00Z"}
    line = {"timezone": zone, "leaves_on": day, "waiting_since": f"{day}T23:59:59Z"}
    given = instance(tmp_path, MENTOR | line, MENTEE | line, rules=rules)
    assert from_canonical(canonical(given)) == given
    for until in ("9999-07-04", "9999-12-30"):
        last = {"starts_on": until} | ({"ends_on": "9999-12-31"} if until > "9999-08" else {})
        found = instance(tmp_path, MENTOR | {"timezone": zone}, rules=last).programme
        assert found.ends_on > found.starts_on


def test_a_pair_of_before_that_names_nobody_here_is_told_of(tmp_path: Path) -> None:
    pairs = [("m", "s"), ("m", "gone"), ("tpyo", "gone"), ("m", "m")]
    previous = [{"mentor_id": mentor, "mentee_id": mentee} for mentor, mentee in pairs]
    (told,) = (
        warning
        for warning in read(tmp_path, MENTOR, MENTEE, rules=RULES | {"previous": previous}).warnings
        if "previous" in warning
    )
    assert told.startswith("previous names 3 participants whom no line is about, first mentee gone")
    assert "in previous.1; correct" in told
    known = read(tmp_path, MENTOR, MENTEE, rules=RULES | {"previous": previous[:1]}).warnings
    assert not any("previous" in warning for warning in known)


def test_whoever_stands_under_an_unknown_or_circular_manager_is_told_of(tmp_path: Path) -> None:
    first, second = MENTOR | {"id": "x", "manager_id": "y"}, MENTOR | {"id": "y", "manager_id": "x"}
    circle, *_ = (w for w in read(tmp_path, first, second, MENTEE).warnings if "circle" in w)
    assert circle.startswith("2 participants can be paired with nobody, first x: a manager above")
    strangers = read(tmp_path, MENTOR | {"manager_id": "typo"}, MENTEE).warnings
    (typo,) = (warning for warning in strangers if "manager" in warning)
    assert typo.startswith("1 participant can be paired with nobody, first ")


def test_a_block_of_somebody_whom_no_line_knows_is_told_of(tmp_path: Path) -> None:
    many = [MENTOR | {"blocks": ["boss", "s"]}, MENTEE | {"blocks": ["tpyo", "gone"]}, BOSS]
    (told,) = (w for w in read(tmp_path, *many).warnings if "blocks" in w)
    assert told.startswith("blocks name 2 ids of nobody in this file, first gone on line 2;")
    many.insert(0, MENTEE | {"id": "other", "blocks": ["tpyo"]})
    (told,) = (w for w in read(tmp_path, *many).warnings if "blocks" in w)
    assert "first tpyo on line 1;" in told


def test_codes_of_one_language_are_one_language(tmp_path: Path) -> None:
    given = instance(tmp_path, MENTOR | {"languages": ["FRA"]}, MENTEE | {"languages": ["fr"]})
    (mentor,), (mentee,) = given.mentors, given.mentees
    assert broken_rule(mentor, mentee, given.programme) is None
    given = instance(tmp_path, MENTOR | {"languages": ["fry"]}, MENTEE | {"languages": ["fr"]})
    (mentor,), (mentee,) = given.mentors, given.mentees
    assert broken_rule(mentor, mentee, given.programme) == "no_common_language"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"offers": [{"topic": "a", "proficiency": 3, "gender": "f"}]},
            "offers: 'gender' is never read; send topic and proficiency alone",
        ),
        ({"level": "high"}, "level: Input should be a valid integer; send a whole number"),
        ({"department": 3}, "department: Input should be a valid string; send a text"),
    ],
)
def test_a_wrong_value_is_told_with_what_to_send(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    assert problems(tmp_path, MENTOR | changes) == [f"people.jsonl: line 1: {said}"]


def test_what_is_told_of_a_line_cannot_play_with_the_terminal(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, MENTOR | {"offers": {"\x1b[2J" + "x" * 250: 9}})
    assert "\x1b" not in problem
    (warning, *_) = read(tmp_path, MENTOR | {"\x1b[2J": 1}, MENTEE).warnings
    assert "\x1b" not in warning


def test_a_file_without_mentees_is_read_with_a_warning(tmp_path: Path) -> None:
    assert "nobody is a mentee, so that nobody can be paired" in read(tmp_path, MENTOR).warnings


# --- CSV


def cell(value: Any) -> str:
    if isinstance(value, dict):
        return ";".join(f"{topic}:{number}" for topic, number in value.items())
    if isinstance(value, list):
        return "; ".join(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def as_csv(path: Path, people_lines: list[dict[str, Any]]) -> None:
    columns = list(dict.fromkeys(name for line in people_lines for name in line))
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([[cell(line.get(name)) for name in columns] for line in people_lines])


def test_csv_says_the_same_as_json_lines(tmp_path: Path) -> None:
    asked = plan(120, seed=6)
    as_csv(tmp_path / "people.csv", list(lines(asked)))
    (tmp_path / "rules.json").write_text(json.dumps(rules_of(asked)))
    found = read_input(tmp_path / "people.csv", tmp_path / "rules.json")
    assert found.named == named_instance_of(asked)


def test_a_topic_without_a_number_has_the_usual_one(tmp_path: Path) -> None:
    rows = (b"id,role,level,offers,wants", b"m,mentor,2,chess; c++ : 5 ,zither")
    found = instance(tmp_path, *rows, name="people.csv").mentors[0]
    assert (found.offers["chess"], max(found.offers.values()), found.wants) == (3, 5, {"zither": 2})


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ((b"id,level", b"m,1"), "line 1: role: is missing in the header; name the columns"),
        ((b"id;role;level", b"m;mentor;1"), "line 1: id, role: is missing in the header"),
        ((b"id,role,id", b"m,mentor,1"), "line 1: id: stands twice in the header; keep one"),
        ((b"id,role,gender", b"m,,x"), "line 2: gender: protected attributes and pay are never"),
        ((b"id,role,Blocks", b"m,,x"), "line 2: Blocks: is no field; write blocks"),
        ((b"id,role", b"m"), "line 2: has 1 cells and the header 2; make them equal"),
        ((b"id,role,level", b"m,mentor,two"), "line 2: level: Input should be a valid integer"),
        ((b"id,role,level", b"m,mentor," + b"9" * 99), "line 2: level: Input should be a valid"),
        ((b"id,role,orphaned", b"m,,maybe"), "line 2: orphaned: Input should be a valid boolean"),
        ((b"id,role,offers", b"m,,chess:good"), "line 2: offers.chess: Input should be a valid"),
        ((b"id,role,offers", b"m,,chess:9"), "line 2: offers.chess: Input should be less than"),
        ((b"id,role", b'"a\nb",mentor', b"c,x"), "line 2: id: must not contain control"),
        ((b"id,role", b"m,", b'"m'), "line 3: is not CSV (unexpected end of data)"),
        ((b"id,role", b"m,", b"\xff,"), "line 3: is not UTF-8; save the file as UTF-8"),
        ((b"id,role", b"m,", b"x" * 2_000_000), "line 3: is longer than 1,048,576 bytes"),
    ],
)
def test_bad_csv_is_refused_with_its_line(
    tmp_path: Path, rows: tuple[bytes, ...], said: str
) -> None:
    found = problems(tmp_path, *rows, name="people.csv")
    assert any(problem.startswith(f"people.csv: {said}") for problem in found)


def test_a_row_of_empty_cells_is_left_out(tmp_path: Path) -> None:
    rows = (b"id,role,level", b",,", b"", b"m,mentor,2")
    assert len(instance(tmp_path, *rows, name="people.csv").mentors) == 1


# --- anything at all

words = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=12
).filter(lambda text: text.strip())
person_lines = st.fixed_dictionaries(
    {
        "id": words,
        "role": st.sampled_from(["mentor", "mentee", None]),
        "level": st.integers(0, 100),
    },
    optional={
        "department": words,
        "manager_id": words,
        "languages": st.lists(st.sampled_from(["en", "FR", "de"]), max_size=3),
        "offers": st.dictionaries(words, st.integers(1, 5), max_size=4),
        "wants": st.lists(
            st.fixed_dictionaries({"topic": words}, optional={"priority": st.integers(1, 3)}),
            max_size=4,
        ),
        "interests": st.lists(words, max_size=4),
        "timezone": st.sampled_from(["UTC", "Asia/Kolkata", "America/New_York"]),
        "capacity": st.integers(1, 10),
        "blocks": st.lists(words, max_size=2),
        "trained": st.booleans(),
        "waiting_since": st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat),
    },
)


@settings(deadline=None, max_examples=60)
@given(st.lists(person_lines, min_size=1, max_size=6, unique_by=lambda line: line["id"].strip()))
def test_what_keeps_to_the_format_is_read_whole(
    tmp_path_factory: pytest.TempPathFactory, people_lines: list[dict[str, Any]]
) -> None:
    folder = tmp_path_factory.mktemp("read")
    found = read(folder, *people_lines).named
    taking_part = [line for line in people_lines if line["role"]]
    assert sorted(found.ids.values()) == sorted(line["id"].strip() for line in taking_part)
    for line in taking_part:
        read_in = person(found.instance, line["role"], line["id"].strip())
        assert read_in.level == line["level"]
        assert read_in.trained == line.get("trained", True)
        assert read_in.languages == {word.lower() for word in line.get("languages", ["en"])}


@settings(deadline=None, max_examples=150)
@given(st.binary(max_size=200), st.sampled_from(["people.jsonl", "people.csv"]))
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str
) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    head = b"id,role,level\n" if name.endswith("csv") else b""
    with contextlib.suppress(BadInputError):
        read(folder, head + content, name=name)
