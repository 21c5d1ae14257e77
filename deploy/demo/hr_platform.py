"""The HR platform of the demo: publishes records into `hr.employees`, good ones and bad ones."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid5

from aiokafka import AIOKafkaProducer

from deploy.demo.workforce import Record, Workforce
from deploy.reading import security_arguments
from shared.catalogue import EmployeeRecorded

SOURCE = "urn:hr:demo"
_SPACE = UUID("6f0d6a3e-5f1c-4b0e-9a53-2d1f0c9b7e11")
_LARGE = 1_000_000


@dataclass(frozen=True)
class RawRecord:
    """A record as the broker takes it; `what` says in plain words what it is."""

    key: str
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    what: str = "record"


def raw(data: Any, *, key: str, event_id: str, now: datetime, what: str = "record") -> RawRecord:
    """A CloudEvent in binary mode around any JSON data, or around the very bytes given."""
    value = data if isinstance(data, bytes) else json.dumps(data, ensure_ascii=False).encode()
    headers = {
        "ce_specversion": "1.0",
        "ce_id": event_id,
        "ce_source": SOURCE,
        "ce_type": EmployeeRecorded.TYPE,
        "ce_subject": key,
        "ce_time": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "content-type": "application/json",
    }
    return RawRecord(key, value, tuple((n, v.encode()) for n, v in headers.items()), what)


class HrPlatform:
    """HR's side: remembers everyone's newest record, numbers the changes, and publishes them."""

    def __init__(self, workforce: Workforce, bootstrap_servers: str, *, seed: int) -> None:
        self._seed = seed
        self._servers = bootstrap_servers
        self._producer: AIOKafkaProducer | None = None
        self._sequences: Counter[str] = Counter()
        self.records: dict[str, dict[str, Any]] = {
            person.employee_id: dict(person.record) for person in workforce.people
        }
        self.history: list[RawRecord] = []
        self.sent: Counter[str] = Counter()

    async def __aenter__(self) -> HrPlatform:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._servers,
            **security_arguments(),
            acks="all",
            max_request_size=4 * _LARGE,
            max_batch_size=256 * 1024,
        )
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._producer is not None
        await self._producer.stop()

    async def publish(self, records: Iterable[RawRecord]) -> None:
        """Send records in order and wait until the broker has all of them."""
        assert self._producer is not None
        acknowledgements = []
        for record in records:
            acknowledgements.append(
                await self._producer.send(
                    "hr.employees",
                    key=record.key.encode(),
                    value=record.value,
                    headers=list(record.headers),
                )
            )
            self.sent[record.what] += 1
        await asyncio.gather(*acknowledgements)

    def full(self, employee_id: str, *, effective: date, now: datetime) -> RawRecord:
        """The whole present record of a person."""
        return self._numbered(employee_id, self.records[employee_id], effective, now, "full record")

    def patch(
        self,
        employee_id: str,
        change: Mapping[str, Any],
        *,
        effective: date,
        now: datetime,
        what: str = "change",
    ) -> RawRecord:
        """Some fields of a person change from `effective` on."""
        if effective <= now.date():
            self.records[employee_id].update(change)
        data = {"recordType": "patch", "employeeId": employee_id, **change}
        return self._numbered(employee_id, data, effective, now, what)

    def cancel(self, employee_id: str, sequence: int, *, now: datetime, what: str) -> RawRecord:
        """Withdraw the scheduled change that had the given sequence."""
        data = {"recordType": "cancel", "employeeId": employee_id, "cancelsSequence": sequence}
        return self._numbered(employee_id, data, now.date(), now, what)

    def last_sequence(self, employee_id: str) -> int:
        """The sequence of the person's newest record."""
        return self._sequences[employee_id]

    def chain(self, employee_id: str) -> list[str]:
        """Managers above a person, nearest first, as far as they are known."""
        above: list[str] = []
        manager = self.records.get(employee_id, {}).get("managerId")
        while manager is not None and manager not in above:
            above.append(manager)
            manager = self.records.get(manager, {}).get("managerId")
        return above

    def _numbered(
        self, employee_id: str, data: Record, effective: date, now: datetime, what: str
    ) -> RawRecord:
        self._sequences[employee_id] += 1
        sequence = self._sequences[employee_id]
        record = raw(
            {**data, "sequence": sequence, "effectiveDate": effective.isoformat()},
            key=employee_id,
            event_id=str(uuid5(_SPACE, f"{self._seed}/{employee_id}/{sequence}")),
            now=now,
            what=what,
        )
        self.history.append(record)
        return record


def broken_records(count: int, template: Record, *, seed: int, now: datetime) -> list[RawRecord]:
    """`count` records that cannot be right, of many kinds, each with a key of its own.

    Own keys, because a parked record makes the later ones of its person wait.
    """
    rng = random.Random(seed)
    made = []
    for number in range(count):
        key = f"broken-{seed}-{number:03d}"
        good = {**template, "employeeId": key, "sequence": 1, "effectiveDate": str(now.date())}
        good["managerId"] = None
        event_id = str(uuid5(_SPACE, key))
        kind = _BROKEN[number % len(_BROKEN)]
        if kind == "header":
            record = raw(good, key=key, event_id=event_id, now=now)
            made.append(
                _with_header(record, "ce_subject", b"\xff\xfe" + bytes([rng.randrange(256)]))
            )
        elif kind == "no id":
            record = raw(good, key=key, event_id=event_id, now=now)
            made.append(_without_header(record, "ce_id"))
        elif kind == "other key":
            made.append(raw(good, key=f"{key}-other", event_id=event_id, now=now))
        elif kind == "id used twice":
            # Two different contents under one id: the second one cannot be told from a forgery.
            joining = {**good, "status": "pending"}
            made.append(raw(joining, key=key, event_id=event_id, now=now, what="pending employee"))
            other = {**joining, "jobLevel": int(joining["jobLevel"]) + 1}
            made.append(raw(other, key=key, event_id=event_id, now=now))
        else:
            made.append(raw(_spoiled(kind, good), key=key, event_id=event_id, now=now))
    return [
        record
        if record.what != "record"
        else RawRecord(record.key, record.value, record.headers, "broken record")
        for record in made
    ]


_BROKEN: tuple[str, ...] = (
    "not json", "level is a word", "no department", "unknown status", "negative level",
    "very long title", "null character", "header", "own manager", "unknown zone", "bad address",
    "bad date", "no sequence", "a list", "empty id", "no id", "other key", "id used twice",
    "no start", "cancels nothing",
)  # fmt: skip


def _spoiled(kind: str, good: dict[str, Any]) -> Any:
    without = {
        "no department": "department",
        "no sequence": "sequence",
        "no start": "startDate",
    }
    if kind in without:
        return {name: value for name, value in good.items() if name != without[kind]}
    changes: dict[str, dict[str, Any]] = {
        "level is a word": {"jobLevel": "senior"},
        "unknown status": {"status": "sabbatical"},
        "negative level": {"jobLevel": -3},
        "very long title": {"title": "x" * _LARGE},
        "null character": {"department": "Sales\u0000"},
        "own manager": {"managerId": good["employeeId"]},
        "unknown zone": {"timezone": "Mars/Olympus"},
        "bad address": {"emails": [{"value": "nobody at nowhere"}]},
        "bad date": {"effectiveDate": "2026-02-31"},
        "empty id": {"employeeId": ""},
        "cancels nothing": {"recordType": "cancel"},
    }
    if kind in changes:
        return {**good, **changes[kind]}
    return [good] if kind == "a list" else b'{"employeeId": "cut off he'


def _with_header(record: RawRecord, name: str, value: bytes) -> RawRecord:
    headers = tuple((n, value if n == name else v) for n, v in record.headers)
    return RawRecord(record.key, record.value, headers, record.what)


def _without_header(record: RawRecord, name: str) -> RawRecord:
    headers = tuple((n, v) for n, v in record.headers if n != name)
    return RawRecord(record.key, record.value, headers, record.what)


def shuffled(records: Sequence[RawRecord], seed: int) -> list[RawRecord]:
    """The records in an order in which many people come before their managers."""
    order = list(records)
    random.Random(seed).shuffle(order)
    return order
