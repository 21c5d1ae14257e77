"""Sends HR records as an HR platform would: CloudEvents on `hr.employees`, keyed by employee."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from uuid import NAMESPACE_URL, uuid5

from pydantic import ValidationError

from shared.catalogue import EmployeeErased, EmployeeRecorded

_BATCH = 500
_LARGEST_RECORD = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class HrRecord:
    """A Kafka record for `hr.employees`."""

    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


@dataclass
class Lines:
    """The lines of a file: records to send, and which lines are wrong and why."""

    records: list[HrRecord] = field(default_factory=list)
    wrong: list[tuple[int, str]] = field(default_factory=list)


def read_lines(
    file: Path | IO[bytes], source: str, erased: bool = False, *, check: bool = True
) -> Lines:
    """Read JSON lines, `check`ing each against the event catalogue; blank lines are left out."""
    content = file.read_bytes() if isinstance(file, Path) else file.read()
    lines = Lines()
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line.strip():
            continue
        document = _parsed(line)
        reason = _fault(document, EmployeeErased if erased else EmployeeRecorded) if check else None
        if reason is not None:
            lines.wrong.append((number, reason))
        else:
            lines.records.append(hr_record(line.strip(), document, source, erased=erased))
    return lines


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _fault(document: Any, expected: type[EmployeeRecorded | EmployeeErased]) -> str | None:
    """Why a line is not a record; None if it is one."""
    from shared.envelope import describe

    if not isinstance(document, dict):
        return "not a JSON object; write one record per line"
    if _is_cloud_event(document):
        document = document["data"]
    try:
        expected.model_validate_json(json.dumps(document))
    except ValidationError as error:
        return describe(error)
    return None


def _is_cloud_event(document: Any) -> bool:
    return isinstance(document, dict) and "specversion" in document and "data" in document


def hr_record(line: bytes, document: Any, source: str, *, erased: bool = False) -> HrRecord:
    """The Kafka record for one line; its event id is made of source and content."""
    data = document["data"] if _is_cloud_event(document) else document
    employee = data.get("employeeId") if isinstance(data, dict) else None
    key = employee.encode() if isinstance(employee, str) else None
    if _is_cloud_event(document):
        return HrRecord(key, line, (("content-type", b"application/cloudevents+json"),))
    event = EmployeeErased if erased else EmployeeRecorded
    name = f"{source}\n{line.decode(errors='backslashreplace')}"
    headers = {
        "ce_specversion": "1.0",
        "ce_id": str(uuid5(NAMESPACE_URL, name)),
        "ce_source": source,
        "ce_type": event.TYPE,
        "ce_time": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "content-type": "application/json",
    }
    if key is not None:
        headers["ce_subject"] = str(employee)
    return HrRecord(key, line, tuple((k, v.encode()) for k, v in headers.items()))


async def publish(
    bootstrap_servers: str, records: Sequence[HrRecord], sent: Callable[[int], None]
) -> None:
    """Send the records in order; `sent` hears how many more the broker has confirmed."""
    from aiokafka import AIOKafkaProducer

    from deploy.reading import security_arguments

    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers,
        **security_arguments(),
        acks="all",
        max_request_size=_LARGEST_RECORD,
    )
    await producer.start()
    try:
        for first in range(0, len(records), _BATCH):
            batch = records[first : first + _BATCH]
            waiting = [
                await producer.send(
                    EmployeeRecorded.TOPIC, r.value, key=r.key, headers=list(r.headers)
                )
                for r in batch
            ]
            await asyncio.gather(*waiting)
            sent(len(batch))
    finally:
        await producer.stop()
