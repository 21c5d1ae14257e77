"""What the other services told us, and pairs: rows become domain values here.

Runs are in `run_store`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any, TypeVar
from uuid import UUID

import asyncpg

from services.matching.domain.hours import in_utc
from services.matching.domain.pairs import Pair
from services.matching.domain.people import Person, Programme, Weights
from services.matching.domain.scoring import Contribution
from services.matching.domain.topics import Nearness, plain, understood
from shared.catalogue import (
    AnswerFact,
    ConcernFact,
    EmployeeUpdated,
    ParticipantFact,
    ProgrammeFact,
    SessionFact,
)
from shared.database import Transaction
from shared.projections import Projection, Projections

PROJECTIONS = Projections(
    (
        Projection("employees", EmployeeUpdated.TOPIC),
        Projection("reporting", EmployeeUpdated.TOPIC),
        Projection("programmes", ProgrammeFact.TOPIC, own=("last_scheduled_on",)),
        Projection("participants", ParticipantFact.TOPIC),
        Projection("sessions", SessionFact.TOPIC),
        Projection("answers", AnswerFact.TOPIC),
        Projection("concerns", ConcernFact.TOPIC),
    )
)

Versioned = TypeVar("Versioned", EmployeeUpdated, ParticipantFact, ProgrammeFact, SessionFact)


@dataclass(frozen=True, slots=True)
class Moved:
    """Employees whose record changed, and those of them whose people's chains changed too."""

    changed: list[str]
    roots: list[str]


async def lock_programmes(tx: Transaction, programme_ids: Iterable[UUID]) -> None:
    """Be the only one that decides about pairs of these programmes until the transaction ends."""
    await tx.connection.execute(
        # One order for all, so that two transactions never wait for each other in a circle.
        "SELECT FROM programmes WHERE programme_id = ANY($1) ORDER BY programme_id FOR UPDATE",
        list(programme_ids),
    )


async def lock_open_programmes(tx: Transaction) -> None:
    """The same for all programmes: an employee may matter to each of them."""
    await tx.connection.execute(
        "SELECT FROM programmes WHERE status = 'open' ORDER BY programme_id FOR UPDATE"
    )


async def remember_employees(tx: Transaction, events: Sequence[EmployeeUpdated]) -> Moved:
    """Keep the newest record of each employee and their reporting lines."""
    newest = _newest(events, lambda event: event.employee_id)
    rows = await tx.connection.fetch(
        """
        INSERT INTO employees AS known (employee_id, version, status, job_level, department,
                                        division, location, country, leaves_on, erased)
        SELECT * FROM jsonb_to_recordset($1) AS given (
            employee_id text, version bigint, status text, job_level integer, department text,
            division text, location text, country text, leaves_on date, erased boolean)
        ORDER BY employee_id
        ON CONFLICT (employee_id) DO UPDATE SET
            version = excluded.version, status = excluded.status, job_level = excluded.job_level,
            department = excluded.department, division = excluded.division,
            location = excluded.location, country = excluded.country,
            leaves_on = excluded.leaves_on, erased = excluded.erased
        WHERE known.version < excluded.version
        -- a row that was inserted rather than updated has no xmax
        RETURNING employee_id, xmax = 0 OR erased AS new
        """,
        [
            event.model_dump(mode="json", include=_EMPLOYEE_COLUMNS)
            | {"status": "left" if event.erased else event.status}
            for event in newest.values()
        ],
    )
    changed = [row["employee_id"] for row in rows]
    roots = {row["employee_id"] for row in rows if row["new"]}
    roots.update(await _remember_lines(tx, [newest[employee_id] for employee_id in changed]))
    return Moved(changed, sorted(roots))


async def _remember_lines(tx: Transaction, events: Sequence[EmployeeUpdated]) -> list[str]:
    """Replace the lines upwards of these employees; returns those whose lines changed."""
    rows = await tx.connection.fetch(
        """
        WITH given AS (
            SELECT employee_id, managers FROM jsonb_to_recordset($1)
                AS given (employee_id text, managers text[])
        ), gone AS (
            DELETE FROM reporting USING given
            WHERE reporting.employee_id = given.employee_id AND NOT manager_id = ANY(managers)
            RETURNING reporting.employee_id
        ), new AS (
            INSERT INTO reporting (employee_id, manager_id)
            SELECT employee_id, unnest(managers) FROM given
            ON CONFLICT DO NOTHING RETURNING employee_id
        )
        SELECT employee_id FROM gone UNION SELECT employee_id FROM new
        """,
        [
            {
                "employee_id": event.employee_id,
                "managers": sorted(
                    {event.manager_id, *event.dotted_line_manager_ids} - {None}, key=str
                ),
            }
            for event in events
        ],
    )
    return [row["employee_id"] for row in rows]


async def remember_programmes(tx: Transaction, events: Sequence[ProgrammeFact]) -> list[UUID]:
    """Keep the newest version of each programme; returns those that changed."""
    newest = _newest(events, lambda event: event.programme_id)
    rows = await tx.connection.fetch(
        """
        INSERT INTO programmes AS known (programme_id, version, status, starts_on, ends_on,
                                         silence_days, rules)
        SELECT * FROM jsonb_to_recordset($1) AS given (
            programme_id uuid, version bigint, status text, starts_on date, ends_on date,
            silence_days integer, rules jsonb)
        ORDER BY programme_id
        ON CONFLICT (programme_id) DO UPDATE SET
            version = excluded.version, status = excluded.status, starts_on = excluded.starts_on,
            ends_on = excluded.ends_on, silence_days = excluded.silence_days,
            rules = excluded.rules
        WHERE known.version < excluded.version
        RETURNING programme_id
        """,
        [
            {
                "programme_id": str(event.programme_id),
                "version": event.version,
                "status": event.status,
                "starts_on": event.starts_on.isoformat(),
                "ends_on": event.ends_on.isoformat(),
                "silence_days": event.nudges.silence_warning_days + event.nudges.silence_end_days,
                "rules": event.model_dump(mode="json", include=_RULES),
            }
            for event in newest.values()
        ],
    )
    return [row["programme_id"] for row in rows]


async def remember_participants(tx: Transaction, events: Sequence[ParticipantFact]) -> list[UUID]:
    """Keep the newest state of each participant; returns those that changed."""
    newest = _newest(events, lambda event: event.participant_id)
    rows = await tx.connection.fetch(
        """
        INSERT INTO participants AS known (
            participant_id, programme_id, employee_id, role, version, status, consented, trained,
            offers, wants, interests, languages, timezone, works_from, works_until, capacity,
            blocks, ready_at, withdrawn_by)
        SELECT * FROM jsonb_to_recordset($1) AS given (
            participant_id uuid, programme_id uuid, employee_id text, role text, version bigint,
            status text, consented boolean, trained boolean, offers jsonb, wants jsonb,
            interests text[], languages text[], timezone text, works_from time, works_until time,
            capacity integer, blocks text[], ready_at timestamptz, withdrawn_by text)
        ORDER BY participant_id
        ON CONFLICT (participant_id) DO UPDATE SET
            programme_id = excluded.programme_id, employee_id = excluded.employee_id,
            role = excluded.role, version = excluded.version, status = excluded.status,
            consented = excluded.consented, trained = excluded.trained, offers = excluded.offers,
            wants = excluded.wants, interests = excluded.interests,
            languages = excluded.languages, timezone = excluded.timezone,
            works_from = excluded.works_from, works_until = excluded.works_until,
            capacity = excluded.capacity, blocks = excluded.blocks, ready_at = excluded.ready_at,
            withdrawn_by = excluded.withdrawn_by
        WHERE known.version < excluded.version
        RETURNING participant_id
        """,
        [_participant_row(event) for event in newest.values()],
    )
    return [row["participant_id"] for row in rows]


def _participant_row(event: ParticipantFact) -> dict[str, Any]:
    row = event.model_dump(mode="json", include=_PARTICIPANT_COLUMNS)
    return row | {
        "consented": event.agreement_version is not None,
        "trained": event.trained_at is not None,
        # Two spellings of one topic are one; the better offer and the keener wish count.
        "offers": _merged((plain(o.topic), o.proficiency) for o in event.topics_offered),
        "wants": _merged((plain(w.topic), -w.priority) for w in event.topics_wanted),
        "interests": sorted({plain(interest) for interest in event.interests}),
        "languages": sorted({plain(language) for language in event.languages}),
        "works_from": event.working_hours.start.isoformat(),
        "works_until": event.working_hours.end.isoformat(),
    }


def _merged(entries: Iterable[tuple[str, int]]) -> dict[str, int]:
    best: dict[str, int] = {}
    for word, number in entries:
        best[word] = max(number, best.get(word, number))
    return {word: abs(number) for word, number in best.items()}


async def remember_sessions(tx: Transaction, events: Sequence[SessionFact]) -> None:
    """Keep the newest state of each session."""
    newest = _newest(events, lambda event: event.session_id)
    await tx.connection.execute(
        """
        INSERT INTO sessions AS known (session_id, pair_id, version, status, starts_at, held)
        SELECT * FROM jsonb_to_recordset($1) AS given (
            session_id uuid, pair_id uuid, version bigint, status text, starts_at timestamptz,
            held boolean)
        ORDER BY session_id
        ON CONFLICT (session_id) DO UPDATE SET
            version = excluded.version, status = excluded.status,
            starts_at = excluded.starts_at, held = excluded.held
        WHERE known.version < excluded.version
        """,
        [event.model_dump(mode="json", include=_SESSION_COLUMNS) for event in newest.values()],
    )


async def remember_answer(
    tx: Transaction, pair_id: UUID, by: str, answer: str, answered_at: datetime
) -> None:
    """Keep who answered what; the first answer of a kind stays."""
    await tx.connection.execute(
        "INSERT INTO answers (pair_id, by, answer, answered_at) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT DO NOTHING",
        pair_id,
        by,
        answer,
        answered_at,
    )


async def remember_concern(tx: Transaction, event: ConcernFact) -> None:
    """Keep a concern; a request to exit stays, whatever is said later."""
    await tx.connection.execute(
        """
        INSERT INTO concerns AS known (concern_id, pair_id, category, exit_requested, raised_by,
                                       raised_at, resolved_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (concern_id) DO UPDATE SET
            exit_requested = known.exit_requested OR excluded.exit_requested,
            resolved_at = coalesce(excluded.resolved_at, known.resolved_at)
        """,
        event.concern_id,
        event.pair_id,
        event.category,
        event.exit_requested,
        event.raised_by,
        event.raised_at,
        event.resolved_at,
    )


async def living_pairs_of_employees(tx: Transaction, moved: Moved) -> list[UUID]:
    """Living pairs that a change of these employees may concern, whole subtrees included."""
    rows = await tx.connection.fetch(
        """
        WITH RECURSIVE below (employee_id) AS (
            SELECT unnest($1::text[])
            -- a company that is read in has no pairs yet, and need not be walked for each manager
            WHERE EXISTS (SELECT FROM pairs WHERE status IN ('proposed', 'active', 'paused'))
            UNION  -- not ALL: a circle of managers must not run for ever
            SELECT report.employee_id FROM below, LATERAL (
                -- OFFSET has them looked up by the key: the planner would rather read all lines
                SELECT employee_id FROM reporting WHERE manager_id = below.employee_id OFFSET 0
            ) report
        ), touched AS (SELECT employee_id FROM below UNION SELECT unnest($2::text[]))
        SELECT pair_id FROM touched JOIN pairs ON mentor_employee_id = employee_id
        WHERE status IN ('proposed', 'active', 'paused')
        UNION
        SELECT pair_id FROM touched JOIN pairs ON mentee_employee_id = employee_id
        WHERE status IN ('proposed', 'active', 'paused')
        """,
        moved.roots,
        moved.changed,
    )
    return [row["pair_id"] for row in rows]


async def living_pairs_of_participants(tx: Transaction, ids: Collection[UUID]) -> list[UUID]:
    """Living pairs of these participants."""
    rows = await tx.connection.fetch(
        """
        SELECT pair_id FROM pairs JOIN participants
            ON employee_id = mentor_employee_id AND participant_id = mentor_id
        WHERE participant_id = ANY($1) AND pairs.status IN ('proposed', 'active', 'paused')
        UNION
        SELECT pair_id FROM pairs JOIN participants
            ON employee_id = mentee_employee_id AND participant_id = mentee_id
        WHERE participant_id = ANY($1) AND pairs.status IN ('proposed', 'active', 'paused')
        """,
        list(ids),
    )
    return [row["pair_id"] for row in rows]


async def living_pairs_of_programmes(tx: Transaction, ids: Collection[UUID]) -> list[UUID]:
    """Living pairs of these programmes."""
    rows = await tx.connection.fetch(
        "SELECT pair_id FROM pairs"
        " WHERE programme_id = ANY($1) AND status IN ('proposed', 'active', 'paused')",
        list(ids),
    )
    return [row["pair_id"] for row in rows]


async def pairs(tx: Transaction, ids: Collection[UUID]) -> list[Pair]:
    """These pairs, in the order of their ids."""
    rows = await tx.connection.fetch(
        "SELECT * FROM pairs WHERE pair_id = ANY($1) ORDER BY pair_id", list(ids)
    )
    return [_pair(row) for row in rows]


async def programme_of_pair(tx: Transaction, pair_id: UUID) -> UUID | None:
    """The programme of a pair; None when there is no such pair."""
    found: UUID | None = await tx.connection.fetchval(
        "SELECT programme_id FROM pairs WHERE pair_id = $1", pair_id
    )
    return found


async def save_pairs(tx: Transaction, changed: Sequence[Pair]) -> None:
    """Store the new state of pairs."""
    await tx.connection.execute(
        """
        UPDATE pairs SET
            status = given.status, version = given.version, awaiting = given.awaiting,
            asked_at = given.asked_at, expires_at = given.expires_at,
            created_at = given.created_at, paused_at = given.paused_at,
            paused_days = given.paused_days, closed_at = given.closed_at, reason = given.reason,
            left_by = given.left_by, broken_rule = given.broken_rule,
            active_since = given.active_since, changed_at = given.changed_at
        FROM jsonb_populate_recordset(NULL::pairs, $1) AS given
        WHERE pairs.pair_id = given.pair_id
        """,
        [_pair_row(pair) for pair in changed],
    )


async def add_pairs(tx: Transaction, new: Sequence[Pair]) -> set[UUID]:
    """Store new pairs; returns the ids of those whose people had never been brought together."""
    rows = await tx.connection.fetch(
        """
        INSERT INTO pairs SELECT * FROM jsonb_populate_recordset(NULL::pairs, $1)
        -- another programme may have brought the two together a moment ago
        ON CONFLICT DO NOTHING RETURNING pair_id
        """,
        [_pair_row(pair) for pair in new],
    )
    return {row["pair_id"] for row in rows}


async def orphan(tx: Transaction, survivors: Sequence[tuple[UUID, UUID]]) -> None:
    """Put (participant, lost pair) first in line for the next partner."""
    await tx.connection.executemany(
        "INSERT INTO orphans (participant_id, orphaned_since, lost_pair_id) VALUES ($1, $2, $3)"
        " ON CONFLICT DO NOTHING",
        [(participant_id, tx.now, pair_id) for participant_id, pair_id in survivors],
    )


async def no_longer_orphans(tx: Transaction, ids: Collection[UUID]) -> None:
    """These participants have a partner again."""
    await tx.connection.execute("DELETE FROM orphans WHERE participant_id = ANY($1)", list(ids))


async def programme(tx: Transaction, programme_id: UUID) -> Programme | None:
    """A programme's rules at its newest version."""
    row = await tx.connection.fetchrow(
        "SELECT * FROM programmes WHERE programme_id = $1", programme_id
    )
    return _programme(row) if row else None


async def people(
    tx: Transaction,
    of: Programme,
    ids: Collection[UUID] | None = None,
    nearness: Nearness | None = None,
) -> dict[UUID, Person]:
    """Participants of a programme by id: those named, or all who have enrolled and not left.

    Without `nearness` nothing is near to what they offer: see `near.as_found`.
    """
    rows = await tx.connection.fetch(
        """
        SELECT p.*, e.status AS employment, e.job_level, e.department, e.division, e.location,
               e.country, e.leaves_on, o.orphaned_since, history.taken, history.met,
               greatest(p.ready_at, history.free_since) AS waiting_since
        FROM participants p
        LEFT JOIN employees e USING (employee_id)
        LEFT JOIN orphans o USING (participant_id)
        CROSS JOIN LATERAL (
            SELECT count(*) FILTER (
                       WHERE status IN ('proposed', 'active', 'paused')
                       AND p.participant_id IN (mentor_id, mentee_id)) AS taken,
                   array_agg(CASE WHEN mentor_employee_id = p.employee_id THEN mentee_employee_id
                                  ELSE mentor_employee_id END) AS met,
                   max(closed_at) FILTER (
                       WHERE created_at IS NOT NULL
                       AND p.participant_id IN (mentor_id, mentee_id)) AS free_since
            FROM pairs
            WHERE mentor_employee_id = p.employee_id OR mentee_employee_id = p.employee_id
        ) AS history
        WHERE p.programme_id = $1
          AND (p.participant_id = ANY($2)
               OR $2::uuid[] IS NULL AND p.status IN ('enrolled', 'ready', 'paused'))
        """,
        of.programme_id,
        None if ids is None else list(ids),
    )
    chains = await _chains(tx, [row["employee_id"] for row in rows])
    day = max(of.starts_on, tx.now.date())
    said = [_person(row, of, chains, day) for row in rows]
    return {person.participant_id: person for person in understood(said, nearness)}


@dataclass(frozen=True, slots=True)
class _Chain:
    direct: frozenset[str] = frozenset()
    managers: frozenset[str] = frozenset()
    known: bool = True


async def _chains(tx: Transaction, employee_ids: Collection[str]) -> dict[str, _Chain]:
    """Everybody above these employees; the chain is unknown where a record is missing or erased."""
    rows = await tx.connection.fetch(
        """
        WITH RECURSIVE above (employee_id, manager_id) AS (
            SELECT employee_id, manager_id FROM reporting WHERE employee_id = ANY($1)
            UNION  -- not ALL: a circle of managers must not run for ever
            SELECT above.employee_id, next.manager_id FROM above, LATERAL (
                SELECT manager_id FROM reporting WHERE employee_id = above.manager_id OFFSET 0
            ) next
        )
        SELECT above.employee_id, array_agg(above.manager_id) AS managers,
               array_agg(above.manager_id) FILTER (WHERE direct.manager_id IS NOT NULL) AS direct,
               bool_and(employees.employee_id IS NOT NULL AND NOT employees.erased
                        -- in a circle somebody is above themself
                        AND above.manager_id <> above.employee_id) AS known
        FROM above
        LEFT JOIN employees ON employees.employee_id = above.manager_id
        LEFT JOIN reporting AS direct
            ON direct.employee_id = above.employee_id AND direct.manager_id = above.manager_id
        GROUP BY above.employee_id
        """,
        list(employee_ids),
    )
    return {
        row["employee_id"]: _Chain(
            frozenset(row["direct"] or ()), frozenset(row["managers"]), row["known"]
        )
        for row in rows
    }


async def programmes_with_free_people(tx: Transaction, ids: Collection[UUID]) -> list[UUID]:
    """Programmes in which one of these participants is ready and has a seat free."""
    rows = await tx.connection.fetch(
        """
        SELECT DISTINCT p.programme_id FROM participants p
        WHERE p.participant_id = ANY($1) AND p.status = 'ready' AND p.capacity > (
            SELECT count(*) FROM pairs
            WHERE (mentor_employee_id = p.employee_id OR mentee_employee_id = p.employee_id)
              AND p.participant_id IN (mentor_id, mentee_id)
              AND status IN ('proposed', 'active', 'paused'))
        """,
        list(ids),
    )
    return [row["programme_id"] for row in rows]


async def programmes_of_expired_proposals(tx: Transaction) -> list[UUID]:
    """Programmes with a proposal that nobody answered in time."""
    rows = await tx.connection.fetch(
        "SELECT DISTINCT programme_id FROM pairs WHERE status = 'proposed' AND expires_at < $1",
        tx.now,
    )
    return [row["programme_id"] for row in rows]


async def expired_proposals(tx: Transaction, programme_id: UUID) -> list[Pair]:
    """Proposals of a programme that nobody answered in time."""
    rows = await tx.connection.fetch(
        "SELECT * FROM pairs WHERE programme_id = $1 AND status = 'proposed' AND expires_at < $2"
        " ORDER BY pair_id",
        programme_id,
        tx.now,
    )
    return [_pair(row) for row in rows]


async def programmes_over_with_living_pairs(tx: Transaction) -> list[UUID]:
    """Programmes past their last day whose pairs still live."""
    rows = await tx.connection.fetch(
        """
        SELECT programme_id FROM programmes WHERE ends_on <= $1 AND EXISTS (
            SELECT FROM pairs WHERE pairs.programme_id = programmes.programme_id
            AND status IN ('proposed', 'active', 'paused'))
        """,
        tx.now.date(),
    )
    return [row["programme_id"] for row in rows]


async def silent_pairs(tx: Transaction, programme_id: UUID | None = None) -> list[Pair]:
    """Active pairs that did not meet for so long that they end; none of them has a booking."""
    rows = await tx.connection.fetch(
        """
        SELECT pairs.* FROM pairs JOIN programmes USING (programme_id)
        WHERE pairs.status = 'active' AND ($2::uuid IS NULL OR programme_id = $2)
          AND active_since <= $1::timestamptz - make_interval(days => silence_days)
          AND NOT EXISTS (
            SELECT FROM sessions WHERE sessions.pair_id = pairs.pair_id
            AND (sessions.status IN ('logged', 'confirmed') AND held IS NOT FALSE
                 AND starts_at > $1::timestamptz - make_interval(days => silence_days)
                 OR sessions.status = 'scheduled' AND starts_at >= $1))
        ORDER BY pair_id
        """,
        tx.now,
        programme_id,
    )
    return [_pair(row) for row in rows]


async def programmes_to_schedule(tx: Transaction, day: date) -> list[UUID]:
    """Running programmes that have had no scheduled run on this day; they have one now."""
    rows = await tx.connection.fetch(
        """
        UPDATE programmes SET last_scheduled_on = $1
        WHERE status = 'open' AND ends_on > $1
          AND (last_scheduled_on IS NULL OR last_scheduled_on < $1)
        RETURNING programme_id
        """,
        day,
    )
    return [row["programme_id"] for row in rows]


async def participant_row(tx: Transaction, participant_id: UUID) -> asyncpg.Record | None:
    """A participant with the newest explanation."""
    return await tx.connection.fetchrow(
        """
        SELECT p.participant_id, p.programme_id, p.employee_id, p.role, p.status,
               u.run_id, u.reasons, u.remedy, u.explained_at, r.not_examined, o.orphaned_since
        FROM participants p
        LEFT JOIN unmatched u USING (participant_id)
        LEFT JOIN match_runs r USING (run_id)
        LEFT JOIN orphans o USING (participant_id)
        WHERE p.participant_id = $1
        """,
        participant_id,
    )


_EMPLOYEE_COLUMNS = {
    "employee_id", "version", "job_level", "department", "division", "location", "country",
    "leaves_on", "erased",
}  # fmt: skip
_PARTICIPANT_COLUMNS = {
    "participant_id", "programme_id", "employee_id", "role", "version", "status", "timezone",
    "capacity", "blocks", "ready_at", "withdrawn_by",
}  # fmt: skip
_SESSION_COLUMNS = {"session_id", "pair_id", "version", "status", "starts_at", "held"}
_RULES = {
    "min_level_gap", "target_level_gap", "mentor_capacity", "mentee_capacity",
    "different_department", "min_overlap_minutes", "training_required", "approval",
    "proposal_expiry_days", "score_floor", "stickiness", "weights",
}  # fmt: skip


_PAIR_COLUMNS = [column.name for column in fields(Pair)]


def _newest(events: Sequence[Versioned], key: Any) -> dict[Any, Versioned]:
    """The event of the highest version per key: one statement must not write a row twice."""
    newest: dict[Any, Versioned] = {}
    for event in events:
        known = newest.get(key(event))
        if known is None or known.version < event.version:
            newest[key(event)] = event
    return newest


def _programme(row: asyncpg.Record) -> Programme:
    rules = dict(row["rules"])
    return Programme(
        programme_id=row["programme_id"],
        version=row["version"],
        open=row["status"] == "open",
        starts_on=row["starts_on"],
        ends_on=row["ends_on"],
        silence_days=row["silence_days"],
        weights=Weights(**rules.pop("weights")),
        **rules,
    )


def _person(row: asyncpg.Record, of: Programme, chains: dict[str, _Chain], day: date) -> Person:
    chain = chains.get(row["employee_id"], _Chain())
    hours = in_utc(row["works_from"], row["works_until"], row["timezone"], day)
    return Person(
        participant_id=row["participant_id"],
        employee_id=row["employee_id"],
        role=row["role"],
        status=row["status"],
        withdrawn_by=row["withdrawn_by"],
        consented=row["consented"],
        trained=row["trained"],
        employment=row["employment"],
        leaves_on=row["leaves_on"],
        level=row["job_level"],
        department=row["department"],
        division=row["division"],
        location=row["location"],
        country=row["country"],
        direct_managers=chain.direct,
        managers=chain.managers,
        chain_known=chain.known,
        languages=frozenset(row["languages"]),
        offers=row["offers"],
        wants=row["wants"],
        interests=frozenset(row["interests"]),
        midnight=hours.midnight,
        works_from=hours.works_from,
        works_until=hours.works_until,
        seats=min(row["capacity"], of.capacity(row["role"])),
        taken=row["taken"],
        blocks=frozenset(row["blocks"]),
        met=frozenset(row["met"] or ()),
        waiting_since=row["waiting_since"],
        orphaned=row["orphaned_since"] is not None,
    )


def _pair(row: asyncpg.Record) -> Pair:
    return Pair(
        **dict(row)
        | {
            "breakdown": tuple(Contribution(**each) for each in row["breakdown"]),
            "topics": tuple(row["topics"]),
        }
    )


def _pair_row(pair: Pair) -> dict[str, Any]:
    # Not `asdict`: it copies what is in there, too, thousands of times in a large run.
    return {name: getattr(pair, name) for name in _PAIR_COLUMNS}
