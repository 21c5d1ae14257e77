"""Today's facts around a batch of messages, each read with one statement for the whole batch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from services.notifications.domain.facts import Pair, Participant, Session
from services.notifications.domain.kinds import Kind
from services.notifications.domain.letter import Digest, Kpi
from services.notifications.domain.nudges import Situation
from services.notifications.domain.release import Contact
from services.notifications.store.messages import Due, calendar_entries
from services.notifications.store.situations import (
    Programme,
    pairs_of,
    programmes_of,
    sessions_of_pairs,
    situations_of,
)
from shared.database import Transaction

PARTICIPANT_LIFE = ("invited", "enrolled", "ready", "paused", "withdrawn")


@dataclass(frozen=True)
class Place:
    """A person's place in a programme, and what mails say about it."""

    participant: Participant
    trained: bool


@dataclass(frozen=True)
class PairDetails:
    """What mails say about a pair beyond what rules look at."""

    topics: tuple[str, ...]
    expires_at: datetime | None


@dataclass(frozen=True)
class Circumstances:
    """All that a batch of messages may depend on, by id."""

    programmes: dict[UUID, Programme] = field(default_factory=dict)
    places: dict[UUID, Place] = field(default_factory=dict)
    pairs: dict[UUID, Pair] = field(default_factory=dict)
    details: dict[UUID, PairDetails] = field(default_factory=dict)
    situations: dict[UUID, Situation] = field(default_factory=dict)
    sessions: dict[UUID, Session] = field(default_factory=dict)
    contacts: dict[str, Contact] = field(default_factory=dict)
    employee_status: dict[str, str] = field(default_factory=dict)
    unsubscribed: frozenset[tuple[str, str]] = frozenset()
    """(employee, kind or `*`)"""
    calendar_entries: frozenset[tuple[UUID, str]] = frozenset()
    digests: dict[UUID, Digest] = field(default_factory=dict)


async def circumstances_of(tx: Transaction, due: Sequence[Due]) -> Circumstances:
    """Read the facts around these messages."""
    messages = [each.message for each in due]
    pair_ids = [m.pair_id for m in messages if m.pair_id is not None]
    pairs = await pairs_of(tx, pair_ids)
    sessions = await sessions_of_pairs(tx, pair_ids)
    people = {m.employee_id for m in messages}
    couples: list[Pair | Session] = [*pairs.values(), *sessions.values()]
    for couple in couples:
        people |= {couple.mentor_employee_id, couple.mentee_employee_id}
    return Circumstances(
        programmes=await programmes_of(tx, {m.programme_id for m in messages}),
        places=await _places(tx, [m.participant_id for m in messages if m.participant_id]),
        pairs=pairs,
        details=await _details(tx, pair_ids),
        situations=await situations_of(tx, pair_ids),
        sessions=sessions,
        contacts=await _contacts(tx, people),
        employee_status=await _employee_status(tx, people),
        unsubscribed=await _unsubscribed(tx, people),
        calendar_entries=frozenset(await calendar_entries(tx, list(sessions))),
        digests=await _digests(tx, due),
    )


async def _places(tx: Transaction, participant_ids: Sequence[UUID]) -> dict[UUID, Place]:
    rows = await tx.connection.fetch(
        """
        SELECT participant_id, programme_id, employee_id, role, status, invited_at, enrolled_at,
            trained_at
        FROM participants WHERE participant_id = ANY($1)
        """,
        list(participant_ids),
    )
    places = {}
    for row in rows:
        values = dict(row)
        trained = values.pop("trained_at") is not None
        places[row["participant_id"]] = Place(Participant(**values), trained)
    return places


async def _details(tx: Transaction, pair_ids: Sequence[UUID]) -> dict[UUID, PairDetails]:
    rows = await tx.connection.fetch(
        "SELECT pair_id, topics, expires_at FROM pairs WHERE pair_id = ANY($1)", list(pair_ids)
    )
    return {row["pair_id"]: PairDetails(tuple(row["topics"]), row["expires_at"]) for row in rows}


async def _contacts(tx: Transaction, people: set[str]) -> dict[str, Contact]:
    rows = await tx.connection.fetch(
        """
        SELECT employee_id, display_name, given_name, email, locale, timezone
        FROM contacts WHERE employee_id = ANY($1)
        """,
        list(people),
    )
    return {
        row["employee_id"]: Contact(
            employee_id=row["employee_id"],
            name=row["display_name"] or row["given_name"],
            given_name=row["given_name"],
            email=row["email"],
            locale=row["locale"],
            timezone=row["timezone"],
        )
        for row in rows
    }


async def _employee_status(tx: Transaction, people: set[str]) -> dict[str, str]:
    rows = await tx.connection.fetch(
        "SELECT employee_id, status FROM employees WHERE employee_id = ANY($1)", list(people)
    )
    return {row["employee_id"]: row["status"] for row in rows}


async def _unsubscribed(tx: Transaction, people: set[str]) -> frozenset[tuple[str, str]]:
    rows = await tx.connection.fetch(
        "SELECT employee_id, kind FROM unsubscriptions WHERE employee_id = ANY($1)", list(people)
    )
    return frozenset((row["employee_id"], row["kind"]) for row in rows)


async def _digests(tx: Transaction, due: Sequence[Due]) -> dict[UUID, Digest]:
    """The weeks that the digests among these messages cover, by notification."""
    asked = [
        (d.notification_id, d.message.programme_id, d.message.about_at)
        for d in due
        if d.message.kind is Kind.DIGEST and d.message.about_at is not None
    ]
    if not asked:
        return {}
    programme_ids = [programme_id for _, programme_id, _ in asked]
    ends = [end for _, _, end in asked]
    participants = await _participants_by_status(tx, programme_ids)
    kpis = await _kpis(tx, programme_ids)
    rows = await tx.connection.fetch(
        """
        SELECT r.notification_id, g.programme_id, run.mentors_waiting, run.mentees_waiting,
            (SELECT count(*) FROM pairs p
             WHERE p.programme_id = g.programme_id AND p.status = 'active') AS active_pairs,
            (SELECT count(*) FROM pairs p
             WHERE p.programme_id = g.programme_id AND p.status = 'proposed') AS open_proposals,
            (SELECT count(*) FROM sessions s
             WHERE s.programme_id = g.programme_id AND s.status IN ('logged', 'confirmed')
               AND s.held IS NOT FALSE
               AND s.starts_at >= r.until - interval '7 days'
               AND s.starts_at < r.until) AS sessions_held,
            (SELECT count(*) FROM pairs p
             WHERE p.programme_id = g.programme_id AND p.status = 'active'
               AND greatest(p.created_at, p.active_since) < g.stalled_before
               -- a session that was held lately, or is booked, is a sign of life
               AND NOT EXISTS (
                   SELECT FROM sessions s WHERE s.pair_id = p.pair_id
                     AND ((s.status IN ('logged', 'confirmed') AND s.held IS NOT FALSE
                           AND s.starts_at >= g.stalled_before)
                          OR (s.status = 'scheduled' AND s.starts_at >= $4)))) AS stalled_pairs
        FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[])
            AS r (notification_id, programme_id, until)
        JOIN LATERAL (
            SELECT programme_id,
                $4::timestamptz - 2 * cadence_days * interval '1 day' AS stalled_before
            FROM programmes p WHERE p.programme_id = r.programme_id) g ON true
        LEFT JOIN match_runs run ON run.programme_id = g.programme_id
        """,
        [notification_id for notification_id, _, _ in asked],
        programme_ids,
        ends,
        tx.now,
    )
    return {
        row["notification_id"]: Digest(
            participants=tuple(participants[row["programme_id"]]),
            active_pairs=row["active_pairs"],
            stalled_pairs=row["stalled_pairs"],
            open_proposals=row["open_proposals"],
            sessions_held=row["sessions_held"],
            mentors_waiting=row["mentors_waiting"],
            mentees_waiting=row["mentees_waiting"],
            kpis=tuple(kpis[row["programme_id"]]),
        )
        for row in rows
    }


async def _participants_by_status(
    tx: Transaction, programme_ids: Sequence[UUID]
) -> defaultdict[UUID, list[tuple[str, int]]]:
    rows = await tx.connection.fetch(
        """
        SELECT programme_id, status, count(*) AS people FROM participants
        WHERE programme_id = ANY($1) GROUP BY programme_id, status
        """,
        list(programme_ids),
    )
    counts: defaultdict[UUID, list[tuple[str, int]]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: PARTICIPANT_LIFE.index(row["status"])):
        counts[row["programme_id"]].append((row["status"], row["people"]))
    return counts


async def _kpis(tx: Transaction, programme_ids: Sequence[UUID]) -> defaultdict[UUID, list[Kpi]]:
    rows = await tx.connection.fetch(
        """
        SELECT programme_id, kpi, value, unit FROM kpis
        WHERE programme_id = ANY($1) AND value IS NOT NULL ORDER BY kpi
        """,
        list(programme_ids),
    )
    kpis: defaultdict[UUID, list[Kpi]] = defaultdict(list)
    for row in rows:
        kpis[row["programme_id"]].append(Kpi(row["kpi"], row["value"], row["unit"]))
    return kpis
