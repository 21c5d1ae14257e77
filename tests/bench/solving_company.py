"""An invented company as the events that tell matching of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID

from deploy.matching.company import Plan, lines, rules_of
from deploy.matching.people import participant_id
from shared.catalogue import (
    EmployeeUpdated,
    Event,
    ParticipantFact,
    ProfileChanged,
    ProgrammeOpened,
    TopicOffered,
    TopicWanted,
    WorkingHours,
)

PROGRAMME = UUID(int=1)
_OF_HR = ("department", "division", "location", "country", "manager_id", "timezone")
_OF_PROFILE = ("role", "interests", "languages", "timezone", "capacity")


def events_of(given: Plan, now: datetime) -> Iterator[Event]:
    """The programme, and everybody's record and participation, managers before their people."""
    rules = {
        name: value
        for name, value in rules_of(given).items()
        if name not in ("starts_on", "ends_on")
    }
    yield ProgrammeOpened(
        programme_id=PROGRAMME,
        version=1,
        status="open",
        name="Benchmark",
        starts_on=now.date(),
        changed_at=now,
        **rules,
    )
    for line in lines(given):
        yield _employee(line, now)
        if line["role"] is not None:
            yield _participant(line, now)


def again(known: EmployeeUpdated) -> EmployeeUpdated:
    """The person's next record, by which nothing changes that a pair depends on."""
    version = known.version + 1
    return known.model_copy(update={"version": version, "title": f"Specialist {version}"})


def _employee(line: Mapping[str, Any], now: datetime) -> EmployeeUpdated:
    return EmployeeUpdated(
        employee_id=line["id"],
        version=1,
        status=line.get("employment", "active"),
        job_level=line["level"],
        title="Specialist",
        start_date=date(2020, 1, 1),
        effective_from=now,
        dotted_line_manager_ids=tuple(line.get("dotted_line_manager_ids", ())),
        **{name: line[name] for name in _OF_HR if name in line},
    )


def _participant(line: Mapping[str, Any], now: datetime) -> ParticipantFact:
    hours = {"start": line["works_from"], "end": line["works_until"]}
    return ProfileChanged.model_validate(
        {
            "participant_id": participant_id(line["role"], line["id"]),
            "programme_id": PROGRAMME,
            "employee_id": line["id"],
            "status": line.get("status", "ready"),
            "version": 1,
            "topics_offered": [
                TopicOffered(topic=topic, proficiency=number)
                for topic, number in line.get("offers", {}).items()
            ],
            "topics_wanted": [
                TopicWanted(topic=topic, priority=number)
                for topic, number in line.get("wants", {}).items()
            ],
            "working_hours": WorkingHours.model_validate(hours),
            "blocks": line.get("blocks", ()),
            "agreement_version": "1",
            "trained_at": now if line.get("trained", True) else None,
            "ready_at": line.get("waiting_since", now),
            "changed_at": now,
        }
        | {name: line[name] for name in _OF_PROFILE if name in line}
    )
