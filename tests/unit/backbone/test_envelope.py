"""What a record at fault is told, and what must not cost it."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest

from shared.catalogue import EmployeeErased, EmployeeUpdated
from shared.envelope import Record, Unreadable, decode
from shared.testing import record_of

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
ERASURE = EmployeeErased(employee_id="e1", sequence=3)


def structured(body: Any) -> Record:
    headers = (("content-type", b"application/cloudevents+json"),)
    return Record("hr.employees", 0, 0, b"e1", json.dumps(body).encode(), headers)


def event(**changes: Any) -> dict[str, Any]:
    whole = {
        "id": "1",
        "source": "urn:hr",
        "specversion": "1.0",
        "type": EmployeeErased.TYPE,
        "data": {"employeeId": "e1", "sequence": 3},
    }
    return {name: value for name, value in (whole | changes).items() if value is not None}


def test_a_structured_event_is_read() -> None:
    assert decode(structured(event()), NOW).data == ERASURE


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (event(id=7), "id: not a text; a structured CloudEvent has it beside `data`"),
        (event(type=None), "type: not a text; a structured CloudEvent has it beside `data`"),
        ([event()], "value: a batch of CloudEvents; send each as a record of its own"),
        (event(data=None, data_base64="e30="), "data: missing; "),
    ],
)
def test_a_structured_event_at_fault_is_told_in_its_own_terms(body: Any, reason: str) -> None:
    with pytest.raises(Unreadable) as refusal:
        decode(structured(body), NOW)
    assert str(refusal.value).startswith(reason)


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (b'{"employeeId": "e1", "x": ' + b"[" * 900 + b"]" * 900 + b"}", "recursion limit"),
        (b'{"employeeId": "e1", ', "EOF"),
    ],
)
def test_json_that_is_not_read_is_told_with_the_cause(value: bytes, what: str) -> None:
    good = record_of(ERASURE, now=NOW)
    with pytest.raises(Unreadable, match=what):
        decode(Record(good.topic, 0, 0, good.key, value, good.headers), NOW)


def test_a_broken_trace_does_not_cost_its_record() -> None:
    good = record_of(ERASURE, now=NOW)
    headers = [(name, value) for name, value in good.headers if name != "traceparent"]
    broken = Record(
        good.topic, 0, 0, good.key, good.value, (*headers, ("traceparent", b"\xff\xfe"))
    )
    assert decode(broken, NOW).traceparent is None


def test_who_was_erased_ends_a_line_and_who_is_employed_does_not() -> None:
    state = EmployeeUpdated(
        employee_id="e1",
        version=1,
        status="left",
        job_level=1,
        department="IT",
        start_date=date(2020, 1, 1),
        effective_from=NOW,
    )
    assert not decode(record_of(state, now=NOW), NOW).erases
    assert decode(record_of(state.model_copy(update={"erased": True}), now=NOW), NOW).erases
