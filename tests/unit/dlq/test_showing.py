"""Parked records as a person sees them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from uuid import UUID

import pytest
from rich.console import Console

from deploy.dlq import showing
from deploy.dlq.records import Action, Alike, Parked
from deploy.dlq.showing import REMEDIES
from shared.envelope import Record

REASON = "departments.0: " + "must not be empty " * 20 + "; name one"
PARKED = Parked(
    service="matching",
    event_id=UUID("abcdef12-0000-0000-0000-000000000000"),
    topic="updraft.participants",
    partition=3,
    offset=123_456_789,
    key=b"0198a6b2-3c44-7000-8000-00000000abcd",
    kind="rejected",
    state="parked",
    reason=REASON,
    attempts=4,
    parked_at=datetime(2026, 1, 5, 9, tzinfo=UTC),
    seq=7,
    behind=12_345,
)
RECORD = Record(PARKED.topic, 3, PARKED.offset, PARKED.key, b'{"a": 1}', (("note", b"\xff"),))


def told(width: int, show: object, *arguments: object, **more: object) -> str:
    text = StringIO()
    show(Console(file=text, width=width, emoji=False), *arguments, **more)  # type: ignore[operator]
    return text.getvalue()


@pytest.mark.parametrize("width", [40, 80, 140, 165, 250])
def test_a_list_never_is_wider_than_the_terminal_and_always_names_the_record(width: int) -> None:
    text = told(width, showing.show_list, [PARKED, replace(PARKED, service="metrics")])

    assert max(map(len, text.splitlines())) <= width
    assert text.count("abcdef12") == 2
    assert text.count("departments.0") == 2 or width == 40


def test_counts_name_the_most_frequent_reasons_and_sum_up_the_rest() -> None:
    alike = [Alike("failed", f"reason {n}", 100 - n) for n in range(25)]

    text = told(80, showing.show_counts, "matching", alike)

    assert "matching: 2,200 records" in text
    assert "reason 19" in text
    assert "reason 20" not in text
    assert "5 more reasons" in text


def test_the_value_is_shown_only_on_request_as_json_or_as_bytes() -> None:
    def shown(value: bytes | None, payload: bool) -> str:
        record = replace(RECORD, value=value)
        return told(
            200, showing.show_one, PARKED, record, actions=(), line=(), payload=payload
        ).split("value\n")[1]

    assert '"a": 1' in shown(b'{"a":1}', True)
    assert "a" not in shown(b'{"a":1}', False).split("bytes")[0]
    assert "00000000  00 ff 41" in shown(b"\x00\xffA" + b"x" * 5000, True)
    assert "2,955 bytes more" in shown(b"\x00\xffA" + b"x" * 5000, True)
    assert "erased with its person" in shown(None, False)


def test_one_record_shows_reason_remedy_headers_log_and_line_in_order() -> None:
    ahead = replace(PARKED, event_id=UUID(int=1), seq=6)
    behind = replace(PARKED, event_id=UUID(int=2), seq=8, state="waiting", kind="waiting")
    log = [Action("retry", "ada", "mended", PARKED.parked_at)]

    text = told(
        100, showing.show_one, PARKED, RECORD, actions=log, line=[ahead, behind], payload=False
    )

    assert "note: (not UTF-8) ff" in text
    assert "retry by ada: mended" in text
    assert "; name one" in " ".join(text.split())
    assert REMEDIES["rejected"][:40] in text
    assert text.index("stands behind") < text.index(str(ahead.event_id))
    assert text.index("wait behind it: 12,345") < text.index(str(behind.event_id))


def test_json_holds_keys_that_are_no_text() -> None:
    assert json.loads(showing.as_json(replace(PARKED, key=b"\xff")))["key"] == "\\xff"
    assert json.loads(showing.as_json(replace(PARKED, key=None)))["key"] is None
