"""What other services told us, newest version of each; every function tells what it changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from shared.catalogue import (
    ContactUpdated,
    EmployeeUpdated,
    Event,
    FeedbackGiven,
    GoalReached,
    KpiMeasured,
    MatchRunCompleted,
    PairFact,
    ParticipantFact,
    ProgrammeFact,
    SessionFact,
)
from shared.database import Transaction

E = TypeVar("E", bound=Event)

_EMPLOYEE_FIELDS = {"employee_id", "version", "status", "erased"}
"""An EmployeeUpdated has many more, and everybody's are sent whenever a company is read in."""


def newest(events: Sequence[E], id_field: str) -> list[E]:
    """The event with the highest version of each aggregate; an upsert meets each row once."""
    best: dict[Any, E] = {}
    for event in events:
        key = getattr(event, id_field)
        if key not in best or best[key].version < event.version:  # type: ignore[attr-defined]
            best[key] = event
    return list(best.values())


def _in_turn(events: Sequence[E], id_field: str) -> list[list[E]]:
    """The same events in lists that hold each aggregate once, its lowest version first.

    What depends on a state in between must not depend on how many states came in one batch.
    """
    turns: list[dict[Any, E]] = []
    for event in sorted(events, key=lambda event: event.version):  # type: ignore[attr-defined]
        key = getattr(event, id_field)
        for turn in turns:
            if key not in turn:
                turn[key] = event
                break
        else:
            turns.append({key: event})
    return [list(turn.values()) for turn in turns]


def _rows(events: Sequence[Event]) -> list[dict[str, Any]]:
    return [event.model_dump(mode="json") for event in events]


async def remember_contacts(tx: Transaction, contacts: Sequence[ContactUpdated]) -> set[str]:
    """Keep how to reach people; returns the employees whose contact is new or changed."""
    rows = await tx.connection.fetch(
        """
        INSERT INTO contacts AS t (employee_id, version, given_name, display_name, email, locale,
                                   timezone)
        SELECT employee_id, version, given_name, display_name, email, locale, timezone
        FROM jsonb_to_recordset($1::jsonb) AS r (employee_id text, version bigint,
            given_name text, display_name text, email text, locale text, timezone text)
        ORDER BY employee_id
        ON CONFLICT (employee_id) DO UPDATE SET version = excluded.version,
            given_name = excluded.given_name, display_name = excluded.display_name,
            email = excluded.email, locale = excluded.locale, timezone = excluded.timezone
        WHERE t.version < excluded.version
        RETURNING employee_id
        """,
        _rows(contacts),
    )
    return {row["employee_id"] for row in rows}


async def forget_contacts(tx: Transaction, employee_ids: Sequence[str]) -> None:
    """Erase everything personal about people."""
    await tx.connection.execute(
        "DELETE FROM contacts WHERE employee_id = ANY($1)", list(employee_ids)
    )
    await tx.connection.execute(
        "DELETE FROM unsubscriptions WHERE employee_id = ANY($1)", list(employee_ids)
    )


async def remember_employees(tx: Transaction, employees: Sequence[EmployeeUpdated]) -> None:
    """Keep whether people still work here."""
    await tx.connection.execute(
        """
        INSERT INTO employees AS t (employee_id, version, status)
        SELECT employee_id, version, CASE WHEN erased THEN 'left' ELSE status END
        FROM jsonb_to_recordset($1::jsonb)
            AS r (employee_id text, version bigint, status text, erased boolean)
        ORDER BY employee_id
        ON CONFLICT (employee_id) DO UPDATE SET version = excluded.version,
            status = excluded.status
        WHERE t.version < excluded.version
        """,
        [event.model_dump(mode="json", include=_EMPLOYEE_FIELDS) for event in employees],
    )


async def remember_programmes(
    tx: Transaction, programmes: Sequence[ProgrammeFact], *, first_digest_at: datetime
) -> set[UUID]:
    """Keep the rules of programmes; returns those that are new or changed."""
    rows = await tx.connection.fetch(
        """
        INSERT INTO programmes AS t (programme_id, version, status, name, starts_on, length_days,
            cadence_days, session_minutes, training_required, nudges, sponsor_employee_id,
            manager_employee_id, next_digest_at)
        SELECT programme_id, version, status, name, starts_on, length_days, cadence_days,
            session_minutes, training_required, nudges, sponsor_employee_id, manager_employee_id,
            $2
        FROM jsonb_to_recordset($1::jsonb) AS r (programme_id uuid, version bigint, status text,
            name text, starts_on date, length_days int, cadence_days int, session_minutes int,
            training_required boolean, nudges jsonb, sponsor_employee_id text,
            manager_employee_id text)
        ORDER BY programme_id
        ON CONFLICT (programme_id) DO UPDATE SET version = excluded.version,
            status = excluded.status, name = excluded.name, starts_on = excluded.starts_on,
            length_days = excluded.length_days, cadence_days = excluded.cadence_days,
            session_minutes = excluded.session_minutes,
            training_required = excluded.training_required, nudges = excluded.nudges,
            sponsor_employee_id = excluded.sponsor_employee_id,
            manager_employee_id = excluded.manager_employee_id
        WHERE t.version < excluded.version
        RETURNING programme_id
        """,
        _rows(programmes),
        first_digest_at,
    )
    return {row["programme_id"] for row in rows}


async def remember_participants(
    tx: Transaction, participants: Sequence[ParticipantFact]
) -> set[UUID]:
    """Keep people's places in programmes; returns those that are new or changed."""
    rows = await tx.connection.fetch(
        """
        INSERT INTO participants AS t (participant_id, programme_id, employee_id, role, version,
            status, invited_at, enrolled_at, trained_at)
        SELECT participant_id, programme_id, employee_id, role, version, status, invited_at,
            enrolled_at, trained_at
        FROM jsonb_to_recordset($1::jsonb) AS r (participant_id uuid, programme_id uuid,
            employee_id text, role text, version bigint, status text, invited_at timestamptz,
            enrolled_at timestamptz, trained_at timestamptz)
        ORDER BY participant_id
        ON CONFLICT (participant_id) DO UPDATE SET version = excluded.version,
            status = excluded.status, invited_at = excluded.invited_at,
            enrolled_at = excluded.enrolled_at, trained_at = excluded.trained_at
        WHERE t.version < excluded.version
        RETURNING participant_id
        """,
        _rows(participants),
    )
    return {row["participant_id"] for row in rows}


async def remember_pairs(tx: Transaction, pairs: Sequence[PairFact]) -> set[UUID]:
    """Keep the state of pairs; returns those that are new or changed, to be looked at now."""
    changed = [await _remember_pairs(tx, turn) for turn in _in_turn(pairs, "pair_id")]
    return set().union(*changed)


async def _remember_pairs(tx: Transaction, pairs: Sequence[PairFact]) -> set[UUID]:
    rows = await tx.connection.fetch(
        """
        INSERT INTO pairs AS t (pair_id, programme_id, version, status, mentor_employee_id,
            mentee_employee_id, awaiting, topics, asked_at, expires_at, created_at, active_since,
            reason, left_by, next_look_at)
        SELECT pair_id, programme_id, version, status, mentor_employee_id, mentee_employee_id,
            awaiting, topics, asked_at, expires_at, created_at,
            CASE WHEN status = 'active' THEN changed_at END, reason, left_by, $2
        FROM jsonb_to_recordset($1::jsonb) AS r (pair_id uuid, programme_id uuid, version bigint,
            status text, mentor_employee_id text, mentee_employee_id text, awaiting text,
            topics jsonb, asked_at timestamptz, expires_at timestamptz, created_at timestamptz,
            reason text, left_by text, changed_at timestamptz)
        ORDER BY pair_id
        ON CONFLICT (pair_id) DO UPDATE SET version = excluded.version,
            status = excluded.status, awaiting = excluded.awaiting, topics = excluded.topics,
            asked_at = excluded.asked_at, expires_at = excluded.expires_at,
            created_at = excluded.created_at,
            -- silence is counted from the end of a pause, not across it
            active_since = CASE WHEN t.status = 'active' THEN t.active_since
                                ELSE coalesce(excluded.active_since, t.active_since) END,
            reason = excluded.reason, left_by = excluded.left_by, next_look_at = $2
        WHERE t.version < excluded.version
        RETURNING pair_id
        """,
        _rows(pairs),
        tx.now,
    )
    return {row["pair_id"] for row in rows}


async def remember_sessions(tx: Transaction, sessions: Sequence[SessionFact]) -> set[UUID]:
    """Keep the state of sessions; returns those that are new or changed."""
    changed = [await _remember_sessions(tx, turn) for turn in _in_turn(sessions, "session_id")]
    return set().union(*changed)


async def _remember_sessions(tx: Transaction, sessions: Sequence[SessionFact]) -> set[UUID]:
    rows = await tx.connection.fetch(
        """
        INSERT INTO sessions AS t (session_id, pair_id, programme_id, version, status,
            mentor_employee_id, mentee_employee_id, starts_at, minutes, booked_at, logged_by,
            logged_at, held, cancelled_by, cancelled_at)
        SELECT session_id, pair_id, programme_id, version, status, mentor_employee_id,
            mentee_employee_id, starts_at, minutes,
            CASE WHEN status = 'scheduled' THEN changed_at END, logged_by, logged_at, held,
            cancelled_by, cancelled_at
        FROM jsonb_to_recordset($1::jsonb) AS r (session_id uuid, pair_id uuid,
            programme_id uuid, version bigint, status text, mentor_employee_id text,
            mentee_employee_id text, starts_at timestamptz, minutes int, changed_at timestamptz,
            logged_by text, logged_at timestamptz, held boolean, cancelled_by text,
            cancelled_at timestamptz)
        ORDER BY session_id
        ON CONFLICT (session_id) DO UPDATE SET version = excluded.version,
            status = excluded.status, starts_at = excluded.starts_at, minutes = excluded.minutes,
            booked_at = coalesce(excluded.booked_at, t.booked_at),
            logged_by = excluded.logged_by, logged_at = excluded.logged_at, held = excluded.held,
            cancelled_by = excluded.cancelled_by, cancelled_at = excluded.cancelled_at
        WHERE t.version < excluded.version
        RETURNING session_id
        """,
        _rows(sessions),
    )
    return {row["session_id"] for row in rows}


async def remember_pulses(tx: Transaction, pulses: Sequence[FeedbackGiven]) -> None:
    """Keep who already gave their pulse for which session."""
    await tx.connection.execute(
        """
        INSERT INTO pulses (session_id, role)
        SELECT session_id, by FROM jsonb_to_recordset($1::jsonb) AS r (session_id uuid, by text)
        ORDER BY session_id, by
        ON CONFLICT DO NOTHING
        """,
        _rows(pulses),
    )


async def remember_goals(tx: Transaction, goals: Sequence[GoalReached]) -> None:
    """Keep the goals that pairs reached."""
    await tx.connection.execute(
        """
        INSERT INTO goals (goal_id, pair_id, reached_at)
        SELECT goal_id, pair_id, reached_at
        FROM jsonb_to_recordset($1::jsonb) AS r (goal_id uuid, pair_id uuid, reached_at timestamptz)
        WHERE reached_at IS NOT NULL ORDER BY goal_id
        ON CONFLICT DO NOTHING
        """,
        _rows(goals),
    )


async def remember_kpis(tx: Transaction, kpis: Sequence[KpiMeasured]) -> None:
    """Keep the newest figures of whole programmes."""
    await tx.connection.execute(
        """
        INSERT INTO kpis AS t (programme_id, kpi, value, unit, measured_at)
        -- a batch may hold one figure more than once; an upsert may meet a row only once
        SELECT DISTINCT ON (programme_id, kpi) programme_id, kpi, value, unit, measured_at
        FROM jsonb_to_recordset($1::jsonb) AS r (programme_id uuid, kpi text,
            value double precision, unit text, measured_at timestamptz)
        ORDER BY programme_id, kpi, measured_at DESC
        ON CONFLICT (programme_id, kpi) DO UPDATE SET value = excluded.value,
            unit = excluded.unit, measured_at = excluded.measured_at
        WHERE t.measured_at <= excluded.measured_at
        """,
        _rows(kpis),
    )


async def remember_match_runs(tx: Transaction, runs: Sequence[MatchRunCompleted]) -> None:
    """Keep the newest match run of each programme."""
    await tx.connection.execute(
        """
        INSERT INTO match_runs AS t (programme_id, completed_at, proposed, mentees_waiting,
                                     mentors_waiting)
        SELECT DISTINCT ON (programme_id) programme_id, completed_at, proposed, mentees_waiting,
            mentors_waiting
        FROM jsonb_to_recordset($1::jsonb) AS r (programme_id uuid, completed_at timestamptz,
            proposed int, mentees_waiting int, mentors_waiting int)
        ORDER BY programme_id, completed_at DESC
        ON CONFLICT (programme_id) DO UPDATE SET completed_at = excluded.completed_at,
            proposed = excluded.proposed, mentees_waiting = excluded.mentees_waiting,
            mentors_waiting = excluded.mentors_waiting
        WHERE t.completed_at < excluded.completed_at
        """,
        _rows(runs),
    )


async def look_again_at_pairs(tx: Transaction, pair_ids: Sequence[UUID]) -> None:
    """Have the nudge rules look at these pairs now."""
    await tx.connection.execute(
        "UPDATE pairs SET next_look_at = $2 WHERE pair_id = ANY($1)", list(pair_ids), tx.now
    )


async def look_again_at_programmes(tx: Transaction, programme_ids: Sequence[UUID]) -> None:
    """Have the nudge rules look at all living pairs of these programmes now."""
    await tx.connection.execute(
        """
        UPDATE pairs SET next_look_at = $2
        WHERE programme_id = ANY($1) AND status IN ('proposed', 'active', 'paused', 'completed')
        """,
        list(programme_ids),
        tx.now,
    )


async def unsubscribe(tx: Transaction, employee_id: str, kind: str) -> None:
    """Keep that a person wants no more mails of a kind; `*` means all that are optional."""
    await tx.connection.execute(
        """
        INSERT INTO unsubscriptions (employee_id, kind, since) VALUES ($1, $2, $3)
        ON CONFLICT DO NOTHING
        """,
        employee_id,
        kind,
        tx.now,
    )


async def subscribe_again(tx: Transaction, employee_id: str, kinds: Sequence[str]) -> None:
    """Take unsubscriptions back."""
    await tx.connection.execute(
        "DELETE FROM unsubscriptions WHERE employee_id = $1 AND kind = ANY($2)",
        employee_id,
        list(kinds),
    )


async def locale_of(tx: Transaction, employee_id: str) -> str:
    """The language that a person reads; English when we do not know them."""
    locale = await tx.connection.fetchval(
        "SELECT locale FROM contacts WHERE employee_id = $1", employee_id
    )
    return "en" if locale is None else str(locale)
