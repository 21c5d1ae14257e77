"""Every event version ever published still decodes, with every field."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, ClassVar

import jsonschema
import pytest

from deploy.contracts.golden import Golden, golden_problems, golden_records
from deploy.contracts.schemas import FOLDER
from shared.catalogue import EVENT_TYPES, Event, GoalReached

RECORDS = golden_records()


def test_every_golden_record_is_read_whole_and_every_event_has_its_records() -> None:
    assert list(golden_problems(RECORDS)) == []


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.file)
def test_a_golden_record_fits_its_json_schema(record: Golden) -> None:
    schema = json.loads((FOLDER / f"{record.event_type}.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(record.value)


class WaveSeen(Event):
    """An event that nobody kept a record of."""

    TYPE: ClassVar[str] = "updraft.wave.seen.v1"
    TOPIC: ClassVar[str] = "updraft.waves"
    KEY: ClassVar[str] = "wave"
    wave: str


def goal(**value: Any) -> Golden:
    found = next(one for one in RECORDS if one.event_type == GoalReached.TYPE)
    return replace(found, value={**found.value, **value})


def test_an_event_type_without_golden_record_is_told() -> None:
    problems = list(golden_problems(RECORDS, (*EVENT_TYPES, WaveSeen)))
    assert problems == [
        "updraft.wave.seen.v1: no golden record; add one with all fields, one with the fewest"
    ]


def test_a_record_of_a_type_that_is_gone_is_told() -> None:
    left = [event for event in EVENT_TYPES if event is not GoalReached]
    problems = list(golden_problems(RECORDS, left))
    assert problems
    assert all("not in the catalogue any more" in problem for problem in problems)


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (goal(set_by="sponsor"), "no longer decodes (set_by: "),
        (goal(pair_id="019c0003-0000-7000-8000-00000000ffff"), "differs from the record's key"),
        (goal(mood="good"), 'data.mood: was "good", is read as null'),
        (goal(set_at="2026-03-02T10:30:00+01:00"), "data.set_at: was"),
    ],
)
def test_a_record_that_is_misread_is_told(record: Golden, told: str) -> None:
    problems = list(golden_problems([record], [GoalReached]))
    assert any(told in problem for problem in problems), problems


def test_a_field_that_no_record_shows_is_told_and_so_are_missing_short_records() -> None:
    most, least = (one for one in RECORDS if one.event_type == GoalReached.TYPE)
    assert len(least.value) < len(most.value)
    assert list(golden_problems([most], [GoalReached])) == [
        "updraft.goal.reached.v1: no golden record has the fewest fields possible; add one"
    ]
    assert list(golden_problems([least], [GoalReached])) == [
        f"updraft.goal.reached.v1: no golden record sets data.{name}; add it to one"
        for name in ("reached_at", "topic")
    ]
