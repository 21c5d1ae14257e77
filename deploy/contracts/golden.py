"""Golden records: what was once on the wire, kept for ever, and read with today's code."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deploy.contracts.schemas import ROOT
from shared.catalogue import EVENT_TYPES, Event
from shared.envelope import Record, UnknownType, Unreadable, decode

GOLDEN = ROOT / "tests" / "contracts" / "golden"
_SOME_MOMENT = datetime(2026, 3, 3, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Golden:
    """A kept record; several files may be of one event type."""

    file: str
    key: str
    headers: dict[str, str]
    value: dict[str, Any]

    @property
    def event_type(self) -> str:
        """The type that the record says it is of."""
        return self.headers["ce_type"]

    def record(self, topic: str, value: Any = None) -> Record:
        """The record as a topic carries it, with another value if one is given."""
        body = json.dumps(self.value if value is None else value).encode()
        headers = tuple((name, text.encode()) for name, text in self.headers.items())
        return Record(topic, 0, 0, self.key.encode(), body, headers)


def golden_records(folder: Path = GOLDEN) -> list[Golden]:
    """Every kept record, by file name."""
    return [
        Golden(file.name, **json.loads(file.read_text("utf-8")))
        for file in sorted(folder.glob("*.json"))
    ]


def golden_problems(
    records: Iterable[Golden], events: Iterable[type[Event]] = EVENT_TYPES
) -> Iterator[str]:
    """Records that today's code misreads, and fields or event types that no record shows."""
    by_type: dict[str, list[Golden]] = {}
    for record in records:
        by_type.setdefault(record.event_type, []).append(record)
    for event in events:
        kept = by_type.pop(event.TYPE, [])
        yield from (f"{one.file}: {wrong}" for one in kept for wrong in _misread(event, one))
        if shown := [one for one in kept if not _misread(event, one)]:
            yield from _not_shown(event, shown)
        elif not kept:
            yield f"{event.TYPE}: no golden record; add one with all fields, one with the fewest"
    for name, kept in by_type.items():
        yield from (f"{one.file}: {name} is not in the catalogue any more" for one in kept)


def _misread(event: type[Event], golden: Golden) -> list[str]:
    try:
        envelope = decode(golden.record(event.TOPIC), _SOME_MOMENT)
    except (Unreadable, UnknownType) as error:
        return [f"no longer decodes ({error})"]
    if envelope.data is None:
        return ["no longer decodes"]
    again = json.loads(envelope.data.model_dump_json(by_alias=True))
    return [
        f"data.{name}: was {json.dumps(value)}, is read as {json.dumps(again.get(name))}"
        for name, value in golden.value.items()
        if name not in again or again[name] != value
    ]


def _not_shown(event: type[Event], records: Iterable[Golden]) -> Iterator[str]:
    records = list(records)
    schema = event.model_json_schema(by_alias=True)
    unseen = schema["properties"].keys() - {
        name for one in records for name, value in one.value.items() if value not in (None, [], {})
    }
    for name in sorted(unseen):
        yield f"{event.TYPE}: no golden record sets data.{name}; add it to one"
    optional = schema["properties"].keys() - set(schema.get("required", ()))
    if optional and not any(_fewest(event, one, optional) for one in records):
        yield f"{event.TYPE}: no golden record has the fewest fields possible; add one"


def _fewest(event: type[Event], golden: Golden, optional: set[str]) -> bool:
    """Whether the record reads no longer as soon as an optional field is left out."""
    for name in optional & golden.value.keys():
        less = {field: value for field, value in golden.value.items() if field != name}
        try:
            decode(golden.record(event.TOPIC, less), _SOME_MOMENT)
        except Unreadable:
            continue
        return False
    return True
