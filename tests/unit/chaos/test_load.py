"""The same seed sends the same records and strikes at the same times."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from uuid import UUID

import pytest

from deploy.demo.hr_platform import RawRecord
from shared.catalogue import EmployeeRecorded
from tests.chaos.audit import unexpected
from tests.chaos.hr_lane import Acknowledged
from tests.chaos.hr_stream import HrStream, Sent
from tests.chaos.schedule import schedule

START = datetime(2027, 3, 1, 8, tzinfo=UTC)
MANY = 2_000


def records(seed: int, count: int = MANY) -> list[Sent]:
    stream = HrStream(seed, people=40, start=START)
    return [stream.next() for _ in range(count)]


def test_the_same_seed_sends_the_same_bytes() -> None:
    assert records(7, 500) == records(7, 500)
    assert records(7, 500) != records(8, 500)


def test_every_record_that_shall_be_parked_can_be_told_from_all_others() -> None:
    told = Acknowledged()
    good: set[UUID] = set()
    for sent in records(7):
        told.note(sent)
        if sent.fate == "applies":
            good |= sent.ids
    broken = [event_id for ids in told.broken for event_id in ids]
    assert len(told.broken) > MANY / 20
    assert len(set(broken)) == len(broken)
    assert not good & set(broken)


def test_good_records_of_a_person_rise_in_sequence_and_are_valid() -> None:
    last: Counter[str] = Counter()
    for sent in records(7):
        if sent.fate == "applies" and "employee-recorded" in headers(sent.record)["ce_type"]:
            event = EmployeeRecorded.model_validate_json(sent.record.value or b"")
            assert event.sequence == last[event.employee_id] + 1
            last[event.employee_id] = event.sequence
    assert max(last.values()) > 10


def headers(record: RawRecord) -> dict[str, str]:
    return {name: value.decode() for name, value in record.headers}


def test_all_kinds_of_records_are_sent() -> None:
    kinds = Counter(sent.record.what for sent in records(7))
    assert set(kinds) >= {
        "hired", "retitled", "promoted", "transferred", "told in full", "left", "returned",
        "announced", "erased", "delivered again", "sent again under a new id", "stale sequence",
        "id used before", "unreadable", "broken record", "broken one delivered again",
    }  # fmt: skip


def test_the_same_seed_makes_the_same_schedule() -> None:
    def made(seed: int) -> list[str]:
        return [str(f) for f in schedule(seed, seconds=600, nodes=3, session_seconds=6)]

    assert made(7) == made(7)
    assert made(7) != made(8)


def test_a_long_schedule_has_every_kind_of_fault_within_its_time() -> None:
    faults = schedule(7, seconds=600, nodes=3, session_seconds=6)
    kinds = Counter(fault.kind for fault in faults)
    assert set(kinds) == {
        "kill", "scale", "cut", "freeze", "postgres restart", "postgres crash", "broker kill",
        "broker stop",
    }  # fmt: skip
    assert {f.target for f in faults if f.kind == "broker kill"} <= {"1", "2", "3"}
    assert all(one.at < other.at <= 600 for one, other in pairwise(faults))
    assert all(f.seconds > 6 for f in faults if f.kind == "freeze")


def test_a_minute_meets_every_kind_of_fault() -> None:
    for seed in range(50):
        kinds = {f.kind for f in schedule(seed, seconds=60, nodes=1, session_seconds=6)}
        assert len(kinds) == 8


def test_a_broker_that_forgets_is_spared() -> None:
    faults = schedule(7, seconds=600, nodes=0, session_seconds=6)
    assert not [fault for fault in faults if fault.kind.startswith("broker")]


@pytest.mark.parametrize(
    "line",
    [
        '{"event": "service_started", "level": "info"}',
        '{"event": "batch_failed", "error": "ConnectionDoesNotExistError", "level": "warning"}',
        '{"event": "records_parked", "count": 1, "level": "warning"}',
        '{"event": "Heartbeat failed", "logger": "aiokafka.consumer", "level": "error"}',
        (
            '{"event": "Resetting connection with an active transaction <Connection at 0x7>",'
            ' "logger": "asyncio", "level": "error"}'
        ),
    ],
)
def test_what_a_fault_explains_is_no_error(line: str) -> None:
    assert unexpected(line) is None


@pytest.mark.parametrize(
    "line",
    [
        '{"event": "batch_failed", "error": "UniqueViolationError", "level": "warning"}',
        '{"event": "request_failed", "error": "KeyError", "level": "error"}',
        (
            '{"event": "Task exception was never retrieved", "logger": "asyncio", "level": "error",'
            ' "exception": ["ValueError at x.py:1 y"]}'
        ),
        "Traceback (most recent call last):",
    ],
)
def test_any_other_failure_is_an_error(line: str) -> None:
    assert unexpected(line) is not None
