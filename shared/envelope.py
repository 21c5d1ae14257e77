"""CloudEvents 1.0 over Kafka: records to envelopes and back (binary mode; structured is read too).

Source: CloudEvents Kafka protocol binding 1.0. Attributes are `ce_` headers, the value is the data.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from asyncpg.pgproto import pgproto
from pydantic import TypeAdapter, ValidationError

from shared import tracing
from shared.catalogue import BY_TYPE, Event

_STRUCTURED = "application/cloudevents+json"
_REQUIRED = ("id", "source", "specversion", "type")
_TIME = TypeAdapter(datetime)
_DATE_AND_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]")
_LONGEST_ATTRIBUTE = 500


@dataclass(frozen=True, slots=True)
class Record:
    """A Kafka record as it came, nothing decoded."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]

    @property
    def fingerprint(self) -> UUID:
        """An id made of the content, for records that carry no usable id of their own."""
        digest = hashlib.sha256()
        parts = [self.topic.encode(), self.key or b"", self.value or b""]
        for name, value in self.headers:
            parts += [name.encode("utf-8", "surrogatepass"), value or b""]
        for part in parts:
            digest.update(len(part).to_bytes(8, "big") + part)
        return UUID(bytes=digest.digest()[:16])


@dataclass(frozen=True, slots=True)
class Envelope:
    """An event with its CloudEvents attributes; `data` is None for a tombstone."""

    id: str
    source: str
    type: str
    time: datetime | None
    traceparent: str | None
    correlation_id: str | None
    origin_time: datetime | None
    """When the first cause of this event took place."""
    data: Event | None
    record: Record
    received_at: datetime

    @property
    def identity(self) -> UUID:
        """The pair (source, id) as one UUID: the inbox's key."""
        text = f"{self.source}\n{self.id}".encode()
        # Of the database's own class: the usual kind, but made in a fraction of the time.
        identity: UUID = pgproto.UUID(hashlib.sha256(text).digest()[:16])
        return identity

    @property
    def erases(self) -> bool:
        """Whether it ends all that is known of its key, whatever came before."""
        return self.data is None or self.data.erases

    @property
    def digest(self) -> bytes:
        """Tells whether two records with one id carry the same content."""
        content = (self.record.key or b"") + b"\n" + (self.record.value or b"\x00")
        return hashlib.blake2b(content, digest_size=12).digest()


class Unreadable(ValueError):  # noqa: N818 - named by the fact
    """A record that is not a valid event; the message names the field and the remedy."""


class UnknownType(Exception):  # noqa: N818
    """A well-formed event of a type that this reader does not know."""


def decode(record: Record, received_at: datetime) -> Envelope:
    """Read a record. Raises Unreadable, or UnknownType for types outside the catalogue."""
    attributes, data = _attributes(record)
    for name in _REQUIRED:
        if not attributes.get(name):
            raise Unreadable(f"ce_{name}: missing; send the CloudEvents 1.0 attribute as a header")
    if attributes["specversion"] != "1.0":
        raise Unreadable("ce_specversion: not supported; send 1.0")
    for name in ("id", "source", "type"):
        if _usable_id(attributes[name]) is None:
            raise Unreadable(f"ce_{name}: too long or not printable; send at most 500 characters")
    event_type = BY_TYPE.get(attributes["type"])
    if event_type is None or record.topic != event_type.TOPIC:
        raise UnknownType(attributes["type"])
    moment = _time(attributes.get("time"))
    event = None if data is None else _event(event_type, data)
    if event is not None and record.key is not None and record.key != event.key.encode():
        name = _wire_name(event_type, event_type.KEY)
        raise Unreadable(f"{name}: differs from the record's key; use it as the key")
    if event is None and record.key is None:
        raise Unreadable("value: missing, and no key says whose record ends; send both")
    return Envelope(
        id=attributes["id"],
        source=attributes["source"],
        type=attributes["type"],
        time=moment,
        traceparent=tracing.readable(attributes.get("traceparent")),
        correlation_id=_usable_id(attributes.get("correlationid")),
        origin_time=_origin(attributes.get("origintime"), moment),
        data=event,
        record=record,
        received_at=received_at,
    )


def _wire_name(event_type: type[Event], field: str) -> str:
    info = event_type.model_fields.get(field)
    return (info.alias if info else None) or field


def _attributes(record: Record) -> tuple[dict[str, str], bytes | None]:
    """The CloudEvents attributes by plain name, and the data as JSON bytes."""
    attributes: dict[str, str] = {}
    for name, value in record.headers:
        attribute = _attribute(name)
        if attribute is None:
            continue
        try:
            attributes[attribute] = value.decode() if value else ""
        except UnicodeDecodeError:
            if attribute == "traceparent":
                continue  # a broken trace must not cost its record
            raise Unreadable(f"{name}: header is not UTF-8; encode it as UTF-8") from None
    if attributes.get("content-type", "").lower().startswith(_STRUCTURED):
        return _structured(record, attributes)
    return attributes, record.value


@lru_cache(maxsize=256)  # the same few names stand on every record
def _attribute(header: str) -> str | None:
    lower = header.lower()
    if lower.startswith("ce_") or lower in ("content-type", "traceparent"):
        return lower.removeprefix("ce_")
    return None


def _structured(record: Record, headers: dict[str, str]) -> tuple[dict[str, str], bytes]:
    try:
        body = json.loads(record.value or b"")
    except (ValueError, RecursionError):
        raise Unreadable("value: not valid JSON; send one CloudEvent as UTF-8 JSON") from None
    if isinstance(body, list):
        raise Unreadable("value: a batch of CloudEvents; send each as a record of its own")
    if not isinstance(body, dict) or "data" not in body:
        raise Unreadable("data: missing; a structured CloudEvent carries its record, JSON, in it")
    for name in _REQUIRED:
        if not isinstance(body.get(name), str):
            raise Unreadable(f"{name}: not a text; a structured CloudEvent has it beside `data`")
    attributes = {name: value for name, value in body.items() if isinstance(value, str)}
    if "traceparent" in headers:
        attributes.setdefault("traceparent", headers["traceparent"])
    return attributes, json.dumps(body["data"]).encode()


def _event(event_type: type[Event], data: bytes) -> Event:
    try:
        return event_type.model_validate_json(data)
    except ValidationError as error:
        raise Unreadable(describe(error)) from None


def describe(error: ValidationError, remedies: Mapping[str, str] = {}) -> str:
    """A validation error as text that names each field, and never repeats the value sent.

    `remedies` by the library's word for the kind of error are added.
    """
    reasons = []
    for detail in error.errors(include_input=False, include_url=False):
        where = ".".join(str(part) for part in detail["loc"])
        if detail["type"] == "json_invalid":
            where = detail["ctx"]["error"]
            reasons.append(f"value: not JSON that is read here ({where}); send one record as JSON")
            continue
        message = detail["msg"].removeprefix("Value error, ")
        if where or detail["type"] != "value_error":
            message = f"{where or 'value'}: {message}"
        if remedy := remedies.get(detail["type"]):
            message += f"; {remedy}"
        reasons.append(message)
    return "; ".join(reasons[:5])


@lru_cache(maxsize=256)  # the events of one batch share it
def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        if not _DATE_AND_TIME.match(text):
            raise ValueError  # left to itself the library reads a bare number as seconds since 1970
        moment = _TIME.validate_python(text)
    except ValueError:
        raise Unreadable("ce_time: not a timestamp; send RFC 3339 with a zone") from None
    if moment.tzinfo is None:
        raise Unreadable("ce_time: has no zone; send RFC 3339 with a zone such as Z")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise Unreadable("ce_time: is outside of the years 1 to 9999; correct it") from None


def _origin(text: str | None, own_time: datetime | None) -> datetime | None:
    """The origin's time, else the event's own: a broken one must not cost its record."""
    try:
        return _time(text) or own_time
    except Unreadable:
        return own_time


@lru_cache(maxsize=256)  # the events of one batch share it
def _rfc3339(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def encode(
    event_type: type[Event],
    *,
    event_id: UUID,
    source: str,
    subject: str,
    now: datetime,
    cause: Envelope | None = None,
    traceparent: str | None = None,
) -> dict[str, str]:
    """The headers of an event that we publish; the value is `event.model_dump_json()`.

    `traceparent` is the event's own, or that of the cause's trace is taken one step further.
    """
    text = str(event_id)
    headers = {
        "ce_specversion": "1.0",
        "ce_id": text,
        "ce_source": source,
        "ce_type": event_type.TYPE,
        "ce_subject": subject,
        "ce_time": _rfc3339(now),
        "ce_dataschema": f"urn:updraft:schema:{event_type.TYPE}",
        "content-type": "application/json",
        "traceparent": traceparent
        or tracing.traceparent(None, cause.traceparent if cause else None),
        "ce_correlationid": text,
        "ce_origintime": _rfc3339(cause.origin_time if cause and cause.origin_time else now),
    }
    if cause is not None:
        headers["ce_correlationid"] = cause.correlation_id or cause.id
        headers["ce_causationid"] = cause.id
    return headers


def _usable_id(text: str | None) -> str | None:
    """A correlation id that our own headers can carry, or None."""
    return text if text and len(text) <= _LONGEST_ATTRIBUTE and text.isprintable() else None


def binary_headers(headers: Mapping[str, str]) -> Sequence[tuple[str, bytes]]:
    """Headers as the Kafka client takes them."""
    return [(name, value.encode()) for name, value in headers.items()]


def json_value(event: Event) -> bytes:
    """An event's data as it goes over the wire."""
    # Bytes at once, where `model_dump_json` makes a text that would have to be encoded.
    return type(event).__pydantic_serializer__.to_json(event, by_alias=True)


def as_record(event: Event, headers: Mapping[str, Any], *, offset: int = 0) -> Record:
    """The record that a broker would deliver for an event."""
    return Record(
        type(event).TOPIC,
        0,
        offset,
        event.key.encode(),
        json_value(event),
        tuple(binary_headers(headers)),
    )
