"""Broken records of many kinds: bytes, JSON, fields, headers, keys, structured CloudEvents.

Each kind is broken by construction, so that all of its records must end up parked; `Odd` ones may
be good or bad, and only have to end up somewhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Any, TypeAlias

from deploy.local.hr import HrRecord
from tests.load.company import record

Document: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Sent:
    """A record to send, and what must become of it."""

    record: HrRecord
    kind: str
    verdict: str
    """`good`, `bad` or `odd`."""


def stream(broken: int, good: int, seed: int) -> Iterator[Sent]:
    """So many broken or odd records among so many good ones, in random order."""
    random = Random(seed)
    kinds = [*_BAD.items(), *_ODD.items()]
    todo = [True] * broken + [False] * good
    random.shuffle(todo)
    for number, is_broken in enumerate(todo):
        if not is_broken:
            yield Sent(_good(random, f"G{number:07}", seed), "good", "good")
            continue
        name, damage = random.choice(kinds)
        # Some lie under the keys of good ones, which must not have to wait behind them; not the
        # odd ones, which may turn out to be another truth about the same person.
        shared_key = name in _BAD and random.random() < 0.3
        key = f"G{random.randrange(len(todo)):07}" if shared_key else f"F{number:07}"
        damaged = damage(random, _good(random, key, seed), f"{seed}-{number}")
        yield Sent(damaged, name, "bad" if name in _BAD else "odd")


def _good(random: Random, key: str, seed: int) -> HrRecord:
    document: Document = {
        "employeeId": key,
        "sequence": 1,
        "effectiveDate": "2026-01-05",
        "status": "active",
        "jobLevel": random.randint(1, 8),
        "department": f"Department {random.randrange(50)}",
        "startDate": "2020-02-01",
        "managerId": None,
        "name": {"givenName": "Ada", "familyName": key},
        "emails": [{"value": f"{key}@example.org", "primary": True}],
    }
    return record(key, document, f"{seed}-{key}")


Damage: TypeAlias = Callable[[Random, HrRecord, str], HrRecord]


def _document(damage: Callable[[Random, Document], None]) -> Damage:
    """Damage to the document; the event keeps an id of its own."""

    def apply(random: Random, good: HrRecord, mark: str) -> HrRecord:
        document = json.loads(good.value)
        document["note"] = mark
        damage(random, document)
        return _with_id(replace(good, value=json.dumps(document).encode()), mark)

    return apply


def _value(damage: Callable[[Random, bytes, bytes], bytes]) -> Damage:
    def apply(random: Random, good: HrRecord, mark: str) -> HrRecord:
        return _with_id(replace(good, value=damage(random, good.value, mark.encode())), mark)

    return apply


def _headers(damage: Callable[[Random, dict[str, bytes]], None]) -> Damage:
    def apply(random: Random, good: HrRecord, mark: str) -> HrRecord:
        marked = _with_id(good, mark)
        headers = dict(marked.headers)
        damage(random, headers)
        document = json.loads(good.value) | {"note": mark}
        return replace(marked, value=json.dumps(document).encode(), headers=tuple(headers.items()))

    return apply


def _structured(damage: Callable[[Random, Document], Any]) -> Damage:
    def apply(random: Random, good: HrRecord, mark: str) -> HrRecord:
        event: Document = {
            "specversion": "1.0",
            "id": f"structured-{mark}",
            "source": "urn:hr:load",
            "type": dict(good.headers)["ce_type"].decode(),
            "data": json.loads(good.value),
        }
        damaged = damage(random, event)
        text = json.dumps(event if damaged is None else damaged).encode()
        return HrRecord(good.key, text, (("content-type", b"application/cloudevents+json"),))

    return apply


def _with_id(good: HrRecord, mark: str) -> HrRecord:
    headers = dict(good.headers) | {"ce_id": f"broken-{mark}".encode()}
    return replace(good, headers=tuple(headers.items()))


def _set(name: str, *values: Any) -> Callable[[Random, Document], None]:
    def damage(random: Random, document: Document) -> None:
        document[name] = random.choice(values)

    return damage


def _drop(name: str) -> Callable[[Random, Any], None]:
    def damage(_: Random, found: Any) -> None:
        del found[name]

    return damage


def _noise(random: Random, _: bytes, mark: bytes) -> bytes:
    return b"\xff" + random.randbytes(random.randint(1, 400)) + mark


def _cut(random: Random, value: bytes, mark: bytes) -> bytes:
    # The mark comes first, as text before a document is as wrong as a document cut short.
    return mark + value[: random.randint(0, len(value) - 1)]


def _flip(random: Random, value: bytes, _: bytes) -> bytes:
    damaged = bytearray(value)
    for _flipped in range(random.randint(1, 6)):
        damaged[random.randrange(len(damaged))] ^= 1 << random.randrange(8)
    return bytes(damaged)


def _nested(random: Random, _: bytes, mark: bytes) -> bytes:
    depth = random.randint(2_000, 20_000)
    return b'{"note": "' + mark + b'", "employeeId": ' + b"[" * depth + b"]" * depth + b"}"


def _odd_header(random: Random, headers: dict[str, bytes]) -> None:
    headers[random.choice(("x", "traceparent", "ce_subject", "ce_correlationid", "ce_x", "é"))] = (
        random.randbytes(random.randint(0, 60))
    )


def _random_key(random: Random, good: HrRecord, mark: str) -> HrRecord:
    return replace(_with_id(good, mark), key=b"\xfe" + random.randbytes(random.randint(1, 30)))


def _no_key(_: Random, good: HrRecord, mark: str) -> HrRecord:
    return replace(_with_id(good, mark), key=None)


def _other_key(_: Random, good: HrRecord, mark: str) -> HrRecord:
    return replace(_with_id(good, mark), key=f"other-{mark}".encode())


_BAD: dict[str, Damage] = {
    "bytes that are no text": _value(_noise),
    "cut off": _value(_cut),
    "nested without end": _value(_nested),
    "empty": _value(
        lambda _random, _value, mark: b" " * (1 + int(mark.rpartition(b"-")[2]) % 9000)
    ),
    "a list": _value(lambda _random, value, mark: b'["' + mark + b'", ' + value + b"]"),
    "a text": _value(lambda _random, _value, mark: b'"' + mark + b'"'),
    "no id": _headers(_drop("ce_id")),
    "no type": _headers(_drop("ce_type")),
    "no source": _headers(_drop("ce_source")),
    "no specversion": _headers(_drop("ce_specversion")),
    "another specversion": _headers(_set("ce_specversion", b"0.3", b"2.0", b"\xff")),
    "an unknown type": _headers(_set("ce_type", b"x.y.v1", b"updraft.hr.employee-recorded.v9")),
    "an id without text": _headers(_set("ce_id", b"", b"\xff\xfe", b"a" * 600)),
    "a time without sense": _headers(_set("ce_time", b"yesterday", b"2026-13-45", b"\xff")),
    "a key of another": _other_key,
    "a key of bytes": _random_key,
    "no level": _document(_drop("jobLevel")),
    "no department": _document(_drop("department")),
    "no employee": _document(_drop("employeeId")),
    "no sequence": _document(_drop("sequence")),
    "a wrong level": _document(_set("jobLevel", "three", -1, 101, 2.5, True, None, [], {})),
    "a wrong sequence": _document(_set("sequence", "1", -1, 2**63, 1.5, None, [1])),
    "a wrong date": _document(_set("effectiveDate", "05.01.2026", 5, None, "2026-02-30", {})),
    "a wrong status": _document(_set("status", "hired", 1, [], "ACTIVE", "")),
    "wrong addresses": _document(_set("emails", "a@b", [{"value": "a"}], [{}], 7, [["a"]])),
    "a wrong zone": _document(_set("timezone", "Paris", "UTC+25", 3, "../etc")),
    "a zero byte": _document(_set("department", "a\x00b", "\x00")),
    "a surrogate": _document(_set("department", "\ud800", "a\udfffb")),
    "a department without end": _document(
        lambda random, d: d.update(department="x" * random.choice((5_000, 50_000)))
    ),
    "their own manager": _document(lambda _, d: d.update(managerId=d["employeeId"])),
    "a structured one without data": _structured(_drop("data")),
    "a structured one without id": _structured(_drop("id")),
    "a structured one without type": _structured(_drop("type")),
    "a structured one of no object": _structured(lambda _random, event: [event]),
    "a structured one with a list in it": _structured(_set("data", [1], "x", 7)),
    "a structured one of another version": _structured(_set("specversion", "0.3", 1, None)),
}

_ODD: dict[str, Damage] = {
    "flipped bits": _value(_flip),
    "an odd header": _headers(_odd_header),
    "no key": _no_key,
    "unknown fields": _document(lambda random, d: d.update({f"x{random.random()}": [None, {}]})),
    "a structured one with flipped meaning": _structured(_set("source", "urn:other", "")),
}
