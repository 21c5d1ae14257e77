"""Parked records on a terminal, and as JSON for programs."""

from __future__ import annotations

import json
import string
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from deploy.dlq.records import Action, Alike, Parked
from shared.envelope import Record

_SHORTEST_REASON = 30
_GAP = 2
_MOST_REASONS = 20
_MOST_BYTES = 2048
_SHORT_ID = 8

REMEDIES = {
    "unreadable": "what sent it is at fault: have it send a corrected record, then drop this one;"
    " or make us read it, then retry",
    "unknown_type": "correct the type where it is sent and drop this one; or retry with a version"
    " of the service that knows the type",
    "reused_id": "have it sent with an id of its own and drop this one; retry applies it as it is",
    "rejected": "have it corrected where it is sent and drop this one; or put right what it misses"
    " and retry",
    "failed": "find its failure in the service's log, mend that, then retry",
    "waiting": "retry or drop the record that it waits for",
}
"""What a person can do, by kind."""


def text_of(key: bytes | None) -> str:
    """A key as it is typed on the command line; what is no text is escaped."""
    return "-" if key is None else key.decode("utf-8", "backslashreplace")


def short(parked: Parked) -> str:
    """The beginning of the id, which is enough to name it."""
    return str(parked.event_id)[:_SHORT_ID]


def show_list(console: Console, listed: Sequence[Parked]) -> None:
    """One row per record; where the reason would not fit beside it, a few short lines."""
    services = len({each.service for each in listed}) > 1
    rows = [_row(each, services) for each in listed]
    taken = sum(
        max(map(len, column)) + _GAP for column in zip(_headings(services), *rows, strict=True)
    )
    if listed and console.width - taken >= _SHORTEST_REASON:
        table = Table(box=None, pad_edge=False)
        for heading in _headings(services):
            table.add_column(heading, no_wrap=True)
        table.add_column("reason", no_wrap=True)
        for each, row in zip(listed, rows, strict=True):
            reason = Text(each.reason)
            reason.truncate(console.width - taken, overflow="ellipsis")
            table.add_row(*map(Text, row), reason)
        console.print(table)
        return
    for each in listed:
        console.print(*_short_lines(each, services, console.width), sep="\n")


def _headings(services: bool) -> list[str]:
    who = ["service"] if services else []
    return ["id", *who, "place", "key", "kind", "tries", "parked at", "wait"]


def _row(each: Parked, services: bool) -> list[str]:
    return [
        short(each),
        *([each.service] if services else []),
        _place(each),
        text_of(each.key),
        _kind(each),
        str(each.attempts),
        _moment(each.parked_at),
        f"{each.behind:,}" if each.behind else "",
    ]


def _short_lines(each: Parked, services: bool, width: int) -> Iterator[Text]:
    first = Text(f"{short(each)}  ", style="bold")
    first.append(_place(each), style="not bold")
    first.append(f"  {text_of(each.key)}", style="cyan not bold")
    tries = f", {each.attempts} tries" if each.attempts > 1 else ""
    wait = f", {each.behind:,} wait behind it" if each.behind else ""
    where = f"{each.service}, " if services else ""
    second = f"          {where}{_moment(each.parked_at)}, {_kind(each)}{tries}{wait}"
    for line in (first, Text(second), Text(f"          {each.reason}")):
        line.truncate(width, overflow="ellipsis")
        yield line


def _place(each: Parked) -> str:
    return f"{each.topic} {each.partition}:{each.offset}"


def _kind(each: Parked) -> str:
    return f"{each.kind} (retry)" if each.state == "retry" else each.kind


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def show_counts(console: Console, service: str, alike: Sequence[Alike]) -> None:
    """How many there are, by kind and reason."""
    total = sum(each.count for each in alike)
    console.print(f"\n[bold]{service}[/bold]: {_records(total)}", highlight=False)
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 2))
    table.add_column(justify="right")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for each in alike[:_MOST_REASONS]:
        table.add_row(f"{each.count:,}", each.kind, Text(each.reason))
    rest = alike[_MOST_REASONS:]
    if rest:
        table.add_row(f"{sum(each.count for each in rest):,}", "", f"{len(rest):,} more reasons")
    console.print(table)


def _records(count: int) -> str:
    return f"{count:,} {'record' if count == 1 else 'records'}"


def as_json(each: Parked) -> str:
    """A record's place and reason as one line of JSON."""
    fields: dict[str, Any] = {
        "service": each.service,
        "id": str(each.event_id),
        "topic": each.topic,
        "partition": each.partition,
        "offset": each.offset,
        "key": None if each.key is None else text_of(each.key),
        "kind": each.kind,
        "state": each.state,
        "reason": each.reason,
        "attempts": each.attempts,
        "parkedAt": each.parked_at.isoformat(),
        "waitingBehind": each.behind,
    }
    return json.dumps(fields, ensure_ascii=False)


def show_one(
    console: Console,
    parked: Parked,
    record: Record,
    *,
    actions: Sequence[Action],
    line: Sequence[Parked],
    payload: bool,
) -> None:
    """All there is to know about a record; its value only if asked for."""
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in (
        ("id", str(parked.event_id)),
        ("service", parked.service),
        ("place", f"{parked.topic}, partition {parked.partition}, offset {parked.offset}"),
        ("key", text_of(parked.key)),
        ("kind", parked.kind),
        ("reason", parked.reason),
        ("remedy", REMEDIES.get(parked.kind, "")),
        ("state", parked.state),
        ("attempts", str(parked.attempts)),
        ("parked at", f"{_moment(parked.parked_at)} UTC"),
    ):
        facts.add_row(name, Text(value))
    console.print(facts)
    if record.headers:
        _heading(console, "headers")
        for header, content in record.headers:
            console.print(Text(f"  {header}: {_printable(content)}"), soft_wrap=True)
    _show_log(console, actions)
    _show_line(console, parked, line)
    _heading(console, "value")
    for row in _value(record.value, payload):
        console.print(Text(f"  {row}"), soft_wrap=True)


def show_log_only(console: Console, event_id: str, actions: Sequence[Action]) -> None:
    """What was done with a record that is parked no more."""
    console.print(f"{event_id} is parked no more.", highlight=False)
    _show_log(console, actions)


def _heading(console: Console, name: str) -> None:
    console.print(f"[bold]{name}[/bold]", highlight=False)


def _show_log(console: Console, actions: Sequence[Action]) -> None:
    if not actions:
        return
    _heading(console, "log")
    for each in actions:
        who = each.actor or "the service"
        line = f"  {_moment(each.at)}  {each.action} by {who}: {each.reason}"
        console.print(Text(line), soft_wrap=True)


def _show_line(console: Console, parked: Parked, line: Sequence[Parked]) -> None:
    ahead = [each for each in line if each.seq < parked.seq]
    behind = [each for each in line if each.seq > parked.seq]
    for name, others in (
        ("stands behind", ahead),
        (f"wait behind it: {max(parked.behind, len(behind)):,}", behind),
    ):
        if not others:
            continue
        _heading(console, name)
        table = Table(box=None, show_header=False, padding=(0, 1, 0, 2))
        for each in others:
            place = f"{each.partition}:{each.offset}"
            table.add_row(str(each.event_id), place, _kind(each), _moment(each.parked_at))
        console.print(table)


def _printable(value: bytes | None) -> str:
    try:
        text = (value or b"").decode()
    except UnicodeDecodeError:
        return f"(not UTF-8) {(value or b'').hex(' ')}"
    return text if text.isprintable() else repr(text)


def _value(value: bytes | None, shown: bool) -> Iterable[str]:
    if value is None:
        return ["none: says that nothing is left of the key, or was erased with its person"]
    if not shown:
        return [f"{len(value):,} bytes; may hold personal data, --payload shows it"]
    try:
        return json.dumps(json.loads(value), indent=2, ensure_ascii=False).splitlines()
    except (ValueError, RecursionError):
        return _hex(value)


def _hex(value: bytes) -> Iterator[str]:
    """The beginning of bytes that are not JSON."""
    plain = set(string.printable) - set(string.whitespace) | {" "}
    for start in range(0, min(len(value), _MOST_BYTES), 16):
        part = value[start : start + 16]
        letters = "".join(chr(byte) if chr(byte) in plain else "." for byte in part)
        yield f"{start:08x}  {part.hex(' '):<47}  {letters}"
    if len(value) > _MOST_BYTES:
        yield f"and {len(value) - _MOST_BYTES:,} bytes more"
