"""Copies of one thing in several places, compared; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from deploy.reconcile.differences import Compared, Difference
from deploy.reconcile.schemas import AGGREGATES, SERVICES, Copy, Figures, Schemas
from deploy.reconcile.topics import Topics
from shared.catalogue import (
    EmployeeUpdated,
    Event,
    KpiMeasured,
    NotificationFact,
    NotificationFailed,
    NotificationSent,
    PairFact,
    ParticipantFact,
    ProgrammeFact,
    SessionFact,
)

_FACTS: dict[str, type[Event]] = {
    "employees": EmployeeUpdated,
    "programmes": ProgrammeFact,
    "participants": ParticipantFact,
    "pairs": PairFact,
    "sessions": SessionFact,
}
_DECIMALS = 6


def compare_aggregates(schemas: Schemas, topics: Topics, compared: Compared) -> None:
    """Each aggregate's owner against its topic, and against each service that keeps a copy."""
    for table, (key, owner) in AGGREGATES.items():
        truth = schemas.copies[owner, table]
        newest: Copy = {}
        for event in topics.of(_FACTS[table]):
            version, status = getattr(event, "version"), getattr(event, "status")  # noqa: B009
            identifier = str(getattr(event, key))
            if version > newest.get(identifier, (0, ""))[0]:
                newest[identifier] = (version, status)
        others = {"topic": newest}
        others |= {one: schemas.copies[one, table] for one in SERVICES if one != owner}
        for other, copy in others.items():
            where = f"{owner} → {other}"
            compared.note(table, where, len(truth), _copies(table, where, truth, copy))


def _copies(what: str, where: str, truth: Copy, copy: Copy) -> Iterator[Difference]:
    for identifier in sorted(truth.keys() | copy.keys()):
        here, there = truth.get(identifier), copy.get(identifier)
        if here == there:
            continue
        yield Difference(what, where, identifier, f"{_state(here)} here, {_state(there)} there")


def _state(state: tuple[int, str] | None) -> str:
    return "missing" if state is None else f"version {state[0]} {state[1]}"


def compare_transport(schemas: Schemas, topics: Topics, compared: Compared) -> None:
    """Nothing waits to be published, and nothing but HR records was unreadable."""
    for service, count in schemas.outboxes.items():
        left = [Difference("outbox", service, "", f"{count} events wait to be published")]
        compared.note("outbox", service, 1, left if count else ())
    stuck = sum(1 for ids in topics.from_hr if not ids & schemas.taken_in)
    told = [Difference("HR records", "registration", "", f"{stuck} neither applied nor parked")]
    compared.note("HR records", "registration", len(topics.from_hr), told if stuck else ())
    for service in SERVICES:
        mine = [one for one in schemas.parked if one[0] == service]
        wrong = [
            Difference("parked", service, f"{topic}: {reason}", f"{count} records")
            for _, topic, reason, count in mine
            if topic != "hr.employees"
        ]
        compared.note("parked", service, sum(count for *_, count in mine), wrong)
    bad = Counter(topics.unreadable)
    compared.note(
        "records",
        "topics",
        len(topics.told) + sum(bad.values()),
        [
            Difference("records", "topics", f"{topic}: {reason}", f"{count} records")
            for (topic, reason), count in bad.items()
        ],
    )


def compare_messages(
    schemas: Schemas,
    topics: Topics,
    mails: Mapping[str, int] | None,
    compared: Compared,
    *,
    told_since: datetime,
) -> None:
    """Messages owed against what the topic, metrics and the mail folder say became of them.

    Messages recorded before `told_since` may have left the topic by its retention.
    """
    settled = {key: one.state for key, one in schemas.owed.items() if one.state != "owed"}
    told: dict[str, str] = {}
    twice: list[Difference] = []
    where = "notifications → topic"
    for event in topics.of(NotificationFact):
        key, outcome = str(event.notification_id), _outcome(event)
        if told.setdefault(key, outcome) != outcome:
            twice.append(Difference("messages", where, key, f"told {told[key]} and {outcome}"))
    recent = {
        key: state
        for key, state in settled.items()
        if key in told or schemas.owed[key].recorded_at >= told_since
    }
    compared.note("messages", where, len(recent), [*twice, *_outcomes(where, recent, told)])
    where = "notifications → metrics"
    compared.note("messages", where, len(settled), _outcomes(where, settled, schemas.counted))
    if mails is not None:
        compared.note("messages", "notifications → mails", len(settled), _mailed(schemas, mails))


def _outcome(event: NotificationFact) -> str:
    if isinstance(event, NotificationSent):
        return "sent"
    return "failed" if isinstance(event, NotificationFailed) else "suppressed"


def _outcomes(
    where: str, here: Mapping[str, str], there: Mapping[str, str]
) -> Iterator[Difference]:
    for key in sorted(here.keys() | there.keys()):
        one, other = here.get(key, "not known"), there.get(key, "not known")
        if one != other:
            yield Difference("messages", where, key, f"{one} here, {other} there")


def _mailed(schemas: Schemas, mails: Mapping[str, int]) -> Iterator[Difference]:
    where = "notifications → mails"
    for key, message in sorted(schemas.owed.items()):
        if message.state == "sent" and not mails.get(key):
            yield Difference("messages", where, key, f"{message.kind} was sent, no mail arrived")
        # One given up, or tried without an answer, may still have arrived.
        if message.state == "suppressed" and not message.unanswered and mails.get(key):
            yield Difference("messages", where, key, f"{message.kind} was held back, but arrived")
    for key in sorted(mails.keys() - schemas.owed.keys()):
        yield Difference("messages", where, key or "without id", f"{mails[key]} mails nobody owed")


def compare_measures(schemas: Schemas, topics: Topics, compared: Compared) -> None:
    """What metrics keeps as published against the newest record of each key."""
    told: dict[str, KpiMeasured] = {}
    for event in topics.of(KpiMeasured):
        known = told.get(event.key)
        if known is None or known.measured_at <= event.measured_at:
            told[event.key] = event
    published = {
        key: Figures(one.numerator, one.denominator, one.value, one.suppressed)
        for key, one in told.items()
    }
    where = "metrics → topic"
    compared.note(
        "measures",
        where,
        len(schemas.measures),
        [
            Difference("measures", where, key, f"{_told(here)} here, {_told(there)} there")
            for key in sorted(schemas.measures.keys() | published.keys())
            if (here := schemas.measures.get(key)) != (there := published.get(key))
        ],
    )


def _told(figures: Figures | None) -> str:
    if figures is None:
        return "missing"
    if figures.suppressed:
        return "suppressed"
    return f"{figures.numerator} ÷ {figures.denominator} = {figures.value}"


def compare_kpis(
    key_of: Mapping[str, str],
    expected: Mapping[str, tuple[float, float, float | None]],
    schemas: Schemas,
    compared: Compared,
) -> None:
    """KPIs computed from the events alone against what metrics published.

    `key_of` gives the key of the measure for each name in `expected`.
    """
    where = "topics → metrics"
    wrong = []
    for name, (numerator, denominator, value) in expected.items():
        known = schemas.measures.get(key_of[name])
        if known is None:
            wrong.append(Difference("kpis", where, key_of[name], "was never measured"))
        elif not known.suppressed:
            rounded = None if value is None else round(value, _DECIMALS)
            should = Figures(
                round(numerator, _DECIMALS), round(denominator, _DECIMALS), rounded, False
            )
            if not _alike(should, known):
                text = f"{_told(should)} by the events, {_told(known)} by metrics"
                wrong.append(Difference("kpis", where, key_of[name], text))
    compared.note("kpis", where, len(expected), wrong)


def _alike(one: Figures, other: Figures) -> bool:
    pairs = zip(
        (one.numerator, one.denominator, one.value),
        (other.numerator, other.denominator, other.value),
        strict=True,
    )
    return all(
        a == b or (a is not None and b is not None and abs(a - b) <= 2 * 10**-_DECIMALS)
        for a, b in pairs
    )


def retention(days: int) -> timedelta:
    """How long a topic keeps its records, less a day for the broker's own schedule."""
    return timedelta(days=days - 1)
