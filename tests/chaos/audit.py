"""Reads every topic from its beginning and every service's tables, and holds them to what was told.

As an auditor from outside: whatever the services keep for themselves is believed only as far as
the topics bear it out.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg

from deploy.local.broker import topics
from deploy.local.postgres import SERVICES
from deploy.local.stack import Stack
from deploy.reading import raw_records
from shared.catalogue import (
    AnswerFact,
    ConcernFact,
    ConcernRaised,
    ContactUpdated,
    EmployeeUpdated,
    Event,
    FeedbackGiven,
    GoalFact,
    GoalReached,
    GoalSet,
    KpiMeasured,
    MatchRunCompleted,
    NotificationFact,
    PairFact,
    ParticipantFact,
    ProgrammeFact,
    SessionFact,
)
from shared.envelope import Envelope, Record, UnknownType, Unreadable, decode
from tests.chaos import ledger
from tests.chaos.hr_lane import Acknowledged
from tests.chaos.hr_stream import TOPIC as HR_TOPIC
from tests.chaos.hr_stream import ids_of
from tests.chaos.journeys import CAUSED_BY_PEOPLE
from tests.chaos.ledger import Delivery, Finding

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_OURS = tuple(t.name for t in topics() if not t.name.endswith(".dlq") and t.name != HR_TOPIC)
_DEAD_LETTERS = f"{HR_TOPIC}.registration.dlq"

# How an event names what it is about, and the place of the fact among those about the same.
_VERSIONED: tuple[tuple[type[Event], str], ...] = (
    (EmployeeUpdated, "employee_id"),
    (ContactUpdated, "employee_id"),
    (ProgrammeFact, "programme_id"),
    (ParticipantFact, "participant_id"),
    (PairFact, "pair_id"),
    (SessionFact, "session_id"),
)
_ONCE_OF_ITS_TYPE: tuple[tuple[type[Event], str], ...] = (
    (FeedbackGiven, "feedback_id"),
    (GoalFact, "goal_id"),
    (ConcernFact, "concern_id"),
    (MatchRunCompleted, "run_id"),
)


@dataclass
class Wire:
    """All records of all topics, as their partitions hold them."""

    deliveries: list[Delivery] = field(default_factory=list)
    events: dict[UUID, Event] = field(default_factory=dict)
    """By event id, each once."""
    unreadable: list[str] = field(default_factory=list)
    from_hr: list[frozenset[UUID]] = field(default_factory=list)
    """Per record of HR: the ids under which a reader may know it."""
    dead_letters: list[str] = field(default_factory=list)
    """Place of the original of each."""

    def of(self, *types: type[Event]) -> Iterator[Event]:
        """The events of some kinds, each once."""
        return (event for event in self.events.values() if isinstance(event, types))


def delivery(envelope: Envelope) -> Delivery:
    """An event as the ledger sees it."""
    record, event = envelope.record, envelope.data
    identifier, fact, line, place = _about(envelope, event)
    return Delivery(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        event_id=envelope.identity,
        content=hashlib.blake2b(record.value or b"", digest_size=16).digest(),
        type=envelope.type,
        effect=f"{envelope.type}:{identifier}",
        fact=fact,
        line=line,
        place=place,
    )


def _about(envelope: Envelope, event: Event | None) -> tuple[str, str, str | None, Any]:
    """What it is about, the fact, and the fact's line and place."""
    topic = envelope.record.topic
    if event is None:
        # Nobody may speak twice of one end; a person erased twice has two.
        key = (envelope.record.key or b"").decode()
        return key, f"end of {topic} {key} {envelope.identity}", None, None
    for base, name in _VERSIONED:
        if isinstance(event, base):
            identifier = str(getattr(event, name))
            version: int = event.version  # type: ignore[attr-defined]
            line = f"{topic} {identifier}"
            return identifier, f"{line} version {version}", line, version
    for base, name in _ONCE_OF_ITS_TYPE:
        if isinstance(event, base):
            identifier = str(getattr(event, name))
            return identifier, f"{envelope.type} {identifier}", None, None
    if isinstance(event, AnswerFact):
        identifier = f"{event.pair_id}/{event.by}"
        return identifier, f"answer {identifier}", None, None
    if isinstance(event, NotificationFact):
        identifier = str(event.notification_id)
        return identifier, f"message {identifier}", None, None
    if isinstance(event, KpiMeasured):
        line = f"measure {event.key}"
        return event.key, f"{line} of {event.measured_at}", line, event.measured_at
    raise AssertionError(f"{envelope.type} is not known to the audit")


async def read_wire(bootstrap_servers: str) -> Wire:
    """Read all topics from their beginning."""
    wire = Wire()
    async for raw in raw_records(bootstrap_servers, _OURS):
        record = _record(raw)
        try:
            envelope = decode(record, _NEVER)
        except (Unreadable, UnknownType) as error:
            wire.unreadable.append(f"{record.topic}/{record.partition}/{record.offset}: {error}")
            continue
        wire.deliveries.append(delivery(envelope))
        if envelope.data is not None:
            wire.events[envelope.identity] = envelope.data
    async for raw in raw_records(bootstrap_servers, [HR_TOPIC]):
        wire.from_hr.append(ids_of(_record(raw)))
    async for raw in raw_records(bootstrap_servers, [_DEAD_LETTERS]):
        headers = {
            name: value.decode() for name, value in raw.headers if name.startswith("updraft")
        }
        wire.dead_letters.append(
            "/".join((headers["updraft-partition"], headers["updraft-offset"]))
        )
    return wire


def _record(raw: Any) -> Record:
    return Record(raw.topic, raw.partition, raw.offset, raw.key, raw.value, tuple(raw.headers))


@dataclass
class Tables:
    """What the services keep, as far as it is held against the topics."""

    inbox: dict[str, set[UUID]] = field(default_factory=dict)
    parked: dict[str, list[tuple[UUID, str]]] = field(default_factory=dict)
    """By service: id and topic."""
    parked_places: list[str] = field(default_factory=list)
    people: dict[str, dict[str, Any]] = field(default_factory=dict)
    mailable: set[str] = field(default_factory=set)
    messages: list[tuple[Hashable, ...]] = field(default_factory=list)
    """The cause of each message ever owed."""
    proposals: list[tuple[Hashable, ...]] = field(default_factory=list)
    copies: dict[tuple[str, str], set[Hashable]] = field(default_factory=dict)
    """By service and kind of thing: what it has of them."""


# What of each kind a service must have: exactly what the topics tell.
_COPIES: Mapping[str, tuple[tuple[tuple[str, str], ...], Callable[[Wire], Iterable[Hashable]]]] = {
    "states of employees": (
        (("metrics", "SELECT employee_id, version FROM metrics.employee_states"),),
        lambda wire: ((e.employee_id, e.version) for e in wire.of(EmployeeUpdated)),  # type: ignore[attr-defined]
    ),
    "states of participants": (
        (("metrics", "SELECT participant_id, version FROM metrics.participant_states"),),
        lambda wire: ((e.participant_id, e.version) for e in wire.of(ParticipantFact)),  # type: ignore[attr-defined]
    ),
    "states of pairs": (
        (("metrics", "SELECT pair_id, version FROM metrics.pair_states"),),
        lambda wire: ((e.pair_id, e.version) for e in wire.of(PairFact)),  # type: ignore[attr-defined]
    ),
    "answers": (
        (
            ("registration", "SELECT pair_id, by FROM registration.answers"),
            ("matching", "SELECT pair_id, by FROM matching.answers"),
            ("metrics", "SELECT pair_id, by FROM metrics.answers"),
        ),
        lambda wire: ((e.pair_id, e.by) for e in wire.of(AnswerFact)),  # type: ignore[attr-defined]
    ),
    "feedback": (
        (
            ("registration", "SELECT feedback_id FROM registration.feedback"),
            ("metrics", "SELECT feedback_id FROM metrics.feedback"),
        ),
        lambda wire: ((e.feedback_id,) for e in wire.of(FeedbackGiven)),  # type: ignore[attr-defined]
    ),
    "goals": (
        (
            ("registration", "SELECT goal_id FROM registration.goals"),
            ("metrics", "SELECT goal_id FROM metrics.goals"),
        ),
        lambda wire: ((e.goal_id,) for e in wire.of(GoalSet)),  # type: ignore[attr-defined]
    ),
    "goals reached": (
        (
            ("registration", "SELECT goal_id FROM registration.goals WHERE reached_at IS NOT NULL"),
            ("metrics", "SELECT goal_id FROM metrics.goals WHERE reached_at IS NOT NULL"),
        ),
        lambda wire: ((e.goal_id,) for e in wire.of(GoalReached)),  # type: ignore[attr-defined]
    ),
    "concerns": (
        (
            ("registration", "SELECT concern_id FROM registration.concerns"),
            ("matching", "SELECT concern_id FROM matching.concerns"),
        ),
        lambda wire: ((e.concern_id,) for e in wire.of(ConcernRaised)),  # type: ignore[attr-defined]
    ),
    "match runs": (
        (
            ("matching", "SELECT run_id FROM matching.match_runs WHERE state = 'completed'"),
            ("metrics", "SELECT run_id FROM metrics.match_runs"),
        ),
        lambda wire: ((e.run_id,) for e in wire.of(MatchRunCompleted)),  # type: ignore[attr-defined]
    ),
}


async def read_tables(auditor_dsn: str) -> Tables:
    """Read the four schemas as of one moment."""
    connection = await asyncpg.connect(auditor_dsn)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return await _tables(connection)
    finally:
        await connection.close()


async def _tables(connection: asyncpg.Connection[asyncpg.Record]) -> Tables:
    found = Tables()
    for service in SERVICES:
        rows = await connection.fetch(f"SELECT event_id FROM {service}.inbox")
        found.inbox[service] = {row["event_id"] for row in rows}
        rows = await connection.fetch(f"SELECT event_id, topic FROM {service}.parked")
        found.parked[service] = [(row["event_id"], row["topic"]) for row in rows]
    rows = await connection.fetch("SELECT part, off FROM registration.parked")
    found.parked_places = [f"{row['part']}/{row['off']}" for row in rows]
    rows = await connection.fetch(
        "SELECT employee_id, title, status, job_level, department, manager_id, erased"
        " FROM registration.employees"
    )
    found.people = {row["employee_id"]: dict(row) for row in rows}
    rows = await connection.fetch("SELECT employee_id FROM notifications.contacts")
    found.mailable = {row["employee_id"] for row in rows}
    # The key names the cause; whatever else it holds must not make two of one.
    rows = await connection.fetch(
        "SELECT kind, employee_id, participant_id, pair_id, session_id, about_at, idempotency_key"
        " FROM notifications.messages"
    )
    found.messages = [_cause(dict(row)) for row in rows]
    rows = await connection.fetch("SELECT programme_id, mentor_id, mentee_id FROM matching.pairs")
    found.proposals = [tuple(row) for row in rows]
    for what, (places, _) in _COPIES.items():
        for service, query in places:
            found.copies[service, what] = {tuple(row) for row in await connection.fetch(query)}
    return found


_OF_ITS_VERSION = frozenset({"session_scheduled", "session_cancelled"})
"""Kinds told anew with each version of their session."""
_ONCE = frozenset(
    {
        "invitation",
        "welcome",
        "proposal",
        "pair_created",
        "pair_ended",
        "session_log_request",
        "session_confirm_request",
        "feedback_request",
        "programme_completed",
        "midpoint",
        "no_first_session",
        "digest",
    }
)


def _cause(row: Mapping[str, Any]) -> tuple[Hashable, ...]:
    about = (row["participant_id"], row["pair_id"], row["session_id"], row["about_at"])
    cause: tuple[Hashable, ...] = (row["kind"], row["employee_id"], *map(str, about))
    # A kind that is sent again and again is told apart by its occasion.
    return cause if row["kind"] in _ONCE else (*cause, row["idempotency_key"])


def judge(
    wire: Wire, tables: Tables, hr: Acknowledged, http: Mapping[str, str]
) -> Iterator[Finding]:
    """Everything that is not as promised."""
    yield from (Finding(ledger.PARKED, "topics", one) for one in wire.unreadable)
    yield from ledger.doubled(wire.deliveries)
    yield from ledger.inverted(wire.deliveries)
    yield from ledger.gaps(wire.deliveries)
    yield from ledger.came_about(http, CAUSED_BY_PEOPLE, wire.deliveries)
    for service in SERVICES:
        parked = {event_id for event_id, _ in tables.parked[service]}
        told = _told_to(service, wire, tables.inbox[service])
        yield from ledger.taken_in(service, told, tables.inbox[service], parked)
    yield from _of_hr(wire, tables, hr)
    yield from ledger.once("messages", "notifications", tables.messages)
    yield from ledger.once("proposals", "matching", tables.proposals)
    for what, (places, told_of) in _COPIES.items():
        on_wire = set(told_of(wire))
        for service, _ in places:
            yield from ledger.alike(
                what, f"topics → {service}", on_wire, tables.copies[service, what]
            )


def _of_hr(wire: Wire, tables: Tables, hr: Acknowledged) -> Iterator[Finding]:
    known = tables.inbox["registration"] | {e for e, _ in tables.parked["registration"]}
    for ids in wire.from_hr:
        if not ids & known:
            yield Finding(
                ledger.MISSING, "registration", f"HR record {min(ids)} was never taken in"
            )
    on_wire = {event_id for ids in wire.from_hr for event_id in ids}
    for broken, what in hr.broken.items():
        if not broken & on_wire:
            yield Finding(ledger.MISSING, HR_TOPIC, f"{what} was acknowledged, the topic lacks it")
    parked = [event_id for event_id, topic in tables.parked["registration"] if topic == HR_TOPIC]
    yield from ledger.parked_exactly(hr.broken, parked)
    for service in SERVICES:
        for event_id, topic in tables.parked[service]:
            if topic != HR_TOPIC:
                yield Finding(ledger.PARKED, service, f"event {event_id} of {topic}")
    yield from ledger.alike(
        "record at", "parked → dead letters", tables.parked_places, wire.dead_letters
    )
    yield from ledger.known_as_told(hr.people, tables.people)
    for employee_id, facts in hr.people.items():
        if facts.get("erased") and employee_id in tables.mailable:
            yield Finding(ledger.MISSING, "notifications", f"the erasure of {employee_id}")


def _told_to(service: str, wire: Wire, inbox: set[UUID]) -> dict[UUID, str]:
    """The events that a service handles, by id; of HR's records those that it took for good."""
    handled = importlib.import_module(f"services.{service}.handlers").handlers.routes
    read = {topic.name for topic in topics() if service in topic.readers}
    told = {
        one.event_id: one.fact
        for one in wire.deliveries
        if one.topic in read and one.type in handled
    }
    if HR_TOPIC in read:
        for ids in wire.from_hr:
            for event_id in ids & inbox:
                told[event_id] = "HR record"
    return told


def causes(deliveries: Sequence[Delivery]) -> dict[str, int]:
    """How many events there are of each topic, for the closing table."""
    counts: dict[str, int] = defaultdict(int)
    for one in ledger.first_deliveries(deliveries):
        counts[one.topic] += 1
    return dict(counts)


# What services may say while their surroundings are away; anything else is an error.
_SURROUNDINGS = frozenset(
    {
        "OSError",
        "TimeoutError",
        "ConnectionError",
        "ConnectionRefusedError",
        "ConnectionResetError",
        "BrokenPipeError",
        "IncompleteReadError",
        "InterfaceError",
        "InternalClientError",
        "ConnectionDoesNotExistError",
        "ConnectionFailureError",
        "PostgresConnectionError",
        "AdminShutdownError",
        "CrashShutdownError",
        "CannotConnectNowError",
        "TooManyConnectionsError",
        "DeadlockDetectedError",
        "SerializationError",
        "LockNotAvailableError",
        "OwnershipLost",
        "CommitFailedError",
        "IllegalStateError",
        "IllegalOperation",
        "KafkaError",
        "KafkaConnectionError",
        "KafkaTimeoutError",
        "NodeNotReadyError",
        "RequestTimedOutError",
        "NotLeaderForPartitionError",
        "LeaderNotAvailableError",
        "UnknownTopicOrPartitionError",
        "CoordinatorNotAvailableError",
        "GroupCoordinatorNotAvailableError",
        "NotCoordinatorForGroupError",
        "CoordinatorLoadInProgressError",
        "GroupLoadInProgressError",
        "RebalanceInProgressError",
        "UnknownMemberIdError",
        "IllegalGenerationError",
        "NotEnoughReplicasError",
        "NotEnoughReplicasAfterAppendError",
        "ProducerFenced",
        "OutOfOrderSequenceNumber",
        "SMTPServerDisconnected",
        "SMTPConnectError",
    }
)
_UNDONE_BY_THE_CLIENT = "Resetting connection with an active transaction"
"""Its own rollback met a connection that was being lost; before anybody else gets the connection,
the client rolls back once more."""
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_FAILURES = ("batch_failed", "relay_interrupted", "job_failed", "request_failed", "commit_failed")


def unexpected_errors(logs: Stack) -> dict[str, int]:
    """Errors in the services' logs that no fault explains, and how often each was logged."""
    found: dict[str, int] = defaultdict(int)
    for service in SERVICES:
        for path in sorted(logs.logs_dir.glob(f"{service}*.log")):
            for line in path.read_text(errors="replace").splitlines():
                told = unexpected(line)
                if told:
                    found[f"{service}: {told}"] += 1
    return dict(found)


def unexpected(line: str) -> str | None:
    """What a line of a log tells of that should never happen; None: nothing."""
    try:
        said = json.loads(line)
    except ValueError:
        return line[:200] if "Traceback" in line or "Error" in line else None
    kind = str(said.get("error", ""))
    event = str(said.get("event", ""))
    if event in _FAILURES:
        return None if kind in _SURROUNDINGS else f"{event} by {kind or 'an unnamed error'}"
    if said.get("level") not in ("error", "critical"):
        return None
    if event.startswith(_UNDONE_BY_THE_CLIENT):
        return None
    # Libraries tell in sentences what they cannot reach.
    chain = [str(part).split(" at ")[0] for part in said.get("exception", ())]
    if str(said.get("logger", "")).startswith("aiokafka") and not chain:
        return None
    if chain and all(part in _SURROUNDINGS for part in chain):
        return None
    # The same every time, so that it is told once: of the first line what names no object.
    name = _ADDRESS.sub("", event.partition("\n")[0])[:200]
    return f"{said.get('logger', '')} {name}" + (f" by {' < '.join(chain)}" if chain else "")
