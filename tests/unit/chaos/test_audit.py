"""The audit knows every event that services publish, and what about each may be told once only."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from deploy.contracts.golden import Golden, golden_records
from shared.catalogue import BY_TYPE
from shared.envelope import decode
from tests.chaos import ledger
from tests.chaos.audit import Tables, Wire, delivery, judge
from tests.chaos.hr_lane import Acknowledged
from tests.chaos.hr_stream import TOPIC as HR_TOPIC
from tests.chaos.ledger import Delivery, Finding

OURS = [one for one in golden_records() if BY_TYPE[one.event_type].TOPIC != HR_TOPIC]
PEOPLE_ASKED = "updraft.goal.set.v1"


def as_delivered(golden: Golden) -> Delivery:
    record = golden.record(BY_TYPE[golden.event_type].TOPIC)
    return delivery(decode(record, datetime(2027, 3, 1, tzinfo=UTC)))


@pytest.mark.parametrize("golden", OURS, ids=lambda golden: golden.file)
def test_the_same_fact_under_another_id_is_doubled(golden: Golden) -> None:
    told = as_delivered(golden)
    again = replace(told, event_id=UUID(int=1))

    assert list(ledger.doubled([told, told])) == []
    assert [one.figure for one in ledger.doubled([told, again])] == [ledger.DOUBLED]


def test_facts_about_different_things_are_different_facts() -> None:
    facts = [as_delivered(golden).fact for golden in OURS]
    versions = [fact for fact in facts if " version " in fact]
    others = [fact for fact in facts if " version " not in fact]
    assert versions
    assert len(others) >= 8


def verdict(wire: Wire, tables: Tables, acknowledged: dict[str, str]) -> list[Finding]:
    return list(judge(wire, tables, Acknowledged(), acknowledged))


def history() -> tuple[Wire, Tables, dict[str, str]]:
    """A goal that somebody set, as topic and services have it."""
    golden = next(one for one in OURS if one.event_type == PEOPLE_ASKED)
    record = golden.record(BY_TYPE[PEOPLE_ASKED].TOPIC)
    envelope = decode(record, datetime(2027, 3, 1, tzinfo=UTC))
    told = delivery(envelope)
    assert envelope.data is not None
    services = ("registration", "matching", "notifications", "metrics")
    wire = Wire([told], {told.event_id: envelope.data})
    tables = Tables(
        inbox={one: set[UUID]() for one in services},
        parked={one: [] for one in services},
    )
    tables.inbox["metrics"].add(told.event_id)
    goal = (UUID(golden.value["goal_id"]),)
    kept = ("states of employees", "states of participants", "states of pairs")
    tables.copies = {("metrics", what): set() for what in kept}
    tables.copies |= {
        (service, what): {goal} if what == "goals" else set()
        for service in services
        for what in ("answers", "feedback", "goals", "goals reached", "concerns", "match runs")
    }
    return wire, tables, {told.effect: "Ada"}


def test_a_history_that_agrees_has_no_finding() -> None:
    assert verdict(*history()) == []


def test_a_row_that_a_service_lost_is_missing_there() -> None:
    wire, tables, acknowledged = history()
    tables.copies["metrics", "goals"] = set()

    assert [(one.figure, one.where) for one in verdict(wire, tables, acknowledged)] == [
        (ledger.MISSING, "topics → metrics")
    ]


def test_an_event_that_a_reader_dropped_is_missing_there() -> None:
    wire, tables, acknowledged = history()
    tables.inbox["metrics"].clear()

    assert [(one.figure, one.where) for one in verdict(wire, tables, acknowledged)] == [
        (ledger.MISSING, "metrics")
    ]


def test_an_event_between_services_that_was_parked_is_told() -> None:
    wire, tables, acknowledged = history()
    tables.parked["matching"].append((UUID(int=4), "updraft.pairs"))

    assert [one.figure for one in verdict(wire, tables, acknowledged)] == [ledger.PARKED]
