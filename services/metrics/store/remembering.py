"""Facts in: each function takes rows as JSON objects and is indifferent to order and repetition."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from services.metrics.domain.definitions import BASES, Basis
from shared.database import Database, Transaction

Rows = Sequence[dict[str, Any]]


async def mark_stale(
    programme_ids: Iterable[UUID], tx: Transaction, bases: Sequence[Basis] = ("programme",)
) -> None:
    """Say that programmes have facts of these bases that are not measured yet."""
    await _mark(list(programme_ids), bases, tx)


async def mark_all_stale(tx: Transaction) -> None:
    """Say that every programme has facts of each basis that are not measured yet."""
    await _mark(None, BASES, tx)


async def _mark(
    programme_ids: Sequence[UUID] | None, bases: Sequence[Basis], tx: Transaction
) -> None:
    await tx.connection.execute(
        """
        INSERT INTO stale (programme_id, basis)
        SELECT DISTINCT programme_id, basis
        FROM unnest(coalesce($1::uuid[], ARRAY(SELECT programme_id FROM programmes)))
                 AS programme_id,
             unnest($2::text[]) AS basis
        -- In one order everywhere, so that two writers never wait for each other in a circle.
        ORDER BY programme_id, basis
        ON CONFLICT (programme_id, basis) DO UPDATE SET marks = stale.marks + 1
        -- Heard with the commit, in every replica.
        RETURNING pg_notify('metrics_stale', basis)
        """,
        programme_ids,
        bases,
    )


@asynccontextmanager
async def news_of_facts(database: Database, basis: Basis) -> AsyncIterator[asyncio.Event]:
    """An event that is set when a commit has left programmes stale, be it another replica's."""
    news = asyncio.Event()

    def tell(_: object, __: int, ___: str, told: object) -> None:
        if told == basis:
            news.set()

    async with database.pool.acquire() as connection:
        await connection.add_listener("metrics_stale", tell)
        try:
            yield news
        finally:
            await connection.remove_listener("metrics_stale", tell)


async def remember_programmes(rows: Rows, tx: Transaction) -> None:
    """Keep the highest version of each programme; each programme at most once in `rows`."""
    await tx.connection.execute(
        """
        INSERT INTO programmes AS p (
            programme_id, version, status, starts_on, length_days, cadence_days, min_level_gap,
            min_group_size, departments, countries, mentor_max_level, mentee_min_level,
            min_tenure_days, kpi_targets, closed_at)
        SELECT e.programme_id, e.version, e.status, e.starts_on, e.length_days, e.cadence_days,
               e.min_level_gap, e.min_group_size, a.departments, a.countries, a.mentor_max_level,
               a.mentee_min_level, a.min_tenure_days, e.kpi_targets,
               CASE WHEN e.status = 'closed' THEN e.changed_at END
        FROM jsonb_to_recordset($1) AS e(
            programme_id uuid, version int, status text, starts_on date, length_days int,
            cadence_days int, min_level_gap int, min_group_size int, audience jsonb,
            kpi_targets jsonb, changed_at timestamptz),
        LATERAL jsonb_to_record(e.audience) AS a(
            departments text[], countries text[], mentor_max_level int, mentee_min_level int,
            min_tenure_days int)
        ON CONFLICT (programme_id) DO UPDATE SET
            version = excluded.version, status = excluded.status, starts_on = excluded.starts_on,
            length_days = excluded.length_days, cadence_days = excluded.cadence_days,
            min_level_gap = excluded.min_level_gap, min_group_size = excluded.min_group_size,
            departments = excluded.departments, countries = excluded.countries,
            mentor_max_level = excluded.mentor_max_level,
            mentee_min_level = excluded.mentee_min_level,
            min_tenure_days = excluded.min_tenure_days, kpi_targets = excluded.kpi_targets,
            closed_at = CASE WHEN excluded.status = 'closed'
                             THEN least(p.closed_at, excluded.closed_at) END
        WHERE p.version < excluded.version
        """,
        rows,
    )


async def remember_employees(rows: Rows, tx: Transaction) -> None:
    """Keep each version of each person, and how long its HR record took to come here."""
    await tx.connection.execute(_KEEP_EMPLOYEES + _COUNT_ARRIVALS, rows)


async def count_arrivals(tx: Transaction) -> None:
    """Count once more how long HR's changes took, from every version of each person."""
    await tx.connection.execute("DELETE FROM arrivals")
    await tx.connection.execute("WITH come AS (TABLE employee_states)" + _COUNT_ARRIVALS)


_KEEP_EMPLOYEES = """
    WITH come AS (
        INSERT INTO employee_states (
            employee_id, version, status, job_level, department, country, manager_id,
            dotted_line_manager_ids, start_date, leaves_on, effective_from, arrived_at,
            lag_seconds)
        SELECT employee_id, version, status, job_level, department, country, manager_id,
               dotted_line_manager_ids, start_date, leaves_on, effective_from, arrived_at,
               -- A change that HR announced ahead is due when it takes effect, not before.
               greatest(
                   0, extract(epoch FROM arrived_at - greatest(received_at, effective_from))
               ) * CASE WHEN received_at IS NOT NULL THEN 1 END
        FROM jsonb_to_recordset($1) AS e(
            employee_id text, version int, status text, job_level int, department text,
            country text, manager_id text, dotted_line_manager_ids text[], start_date date,
            leaves_on date, effective_from timestamptz, received_at timestamptz,
            arrived_at timestamptz)
        ON CONFLICT DO NOTHING
        RETURNING arrived_at, lag_seconds
    )
"""
_COUNT_ARRIVALS = """
    INSERT INTO arrivals AS a (month, seconds, changes, microseconds)
    SELECT date_trunc('month', arrived_at AT TIME ZONE 'UTC')::date,
           CASE WHEN lag_seconds = 0 THEN 0
                ELSE round(lag_seconds::numeric, 2 - floor(log(lag_seconds))::int) END,
           count(*),
           sum((lag_seconds * 1000000)::bigint)
    FROM come WHERE lag_seconds IS NOT NULL
    GROUP BY 1, 2
    -- In one order everywhere, so that two writers never wait for each other in a circle.
    ORDER BY 1, 2
    ON CONFLICT (month, seconds) DO UPDATE SET
        changes = a.changes + excluded.changes,
        microseconds = a.microseconds + excluded.microseconds
"""


async def forget_employees(employee_ids: Sequence[str], tx: Transaction) -> None:
    """Take from every version of erased people what tells them apart; the counts stay."""
    await tx.connection.execute(
        """
        UPDATE employee_states
        SET department = 'unknown', country = NULL, manager_id = NULL,
            dotted_line_manager_ids = '{}'
        WHERE employee_id = ANY($1)
        """,
        employee_ids,
    )


async def remember_participants(rows: Rows, tx: Transaction) -> None:
    """Keep each version of each participation."""
    await tx.connection.execute(
        """
        INSERT INTO participant_states (
            participant_id, version, programme_id, employee_id, role, status, capacity, languages,
            blocks, ready_at, changed_at)
        SELECT participant_id, version, programme_id, employee_id, role, status, capacity,
               languages, blocks, ready_at, changed_at
        FROM jsonb_to_recordset($1) AS e(
            participant_id uuid, version int, programme_id uuid, employee_id text, role text,
            status text, capacity int, languages text[], blocks text[], ready_at timestamptz,
            changed_at timestamptz)
        ON CONFLICT DO NOTHING
        """,
        rows,
    )


async def remember_pairs(rows: Rows, tx: Transaction) -> None:
    """Keep each version of each pair."""
    await tx.connection.execute(
        """
        INSERT INTO pair_states (
            pair_id, version, programme_id, mentor_id, mentee_id, mentor_employee_id,
            mentee_employee_id, status, cross_department, proposed_at, created_at, paused_at,
            paused_days, closed_at, reason, left_by, changed_at)
        SELECT pair_id, version, programme_id, mentor_id, mentee_id, mentor_employee_id,
               mentee_employee_id, status, cross_department, proposed_at, created_at, paused_at,
               paused_days, closed_at, reason, left_by, changed_at
        FROM jsonb_to_recordset($1) AS e(
            pair_id uuid, version int, programme_id uuid, mentor_id uuid, mentee_id uuid,
            mentor_employee_id text, mentee_employee_id text, status text,
            cross_department boolean, proposed_at timestamptz, created_at timestamptz,
            paused_at timestamptz, paused_days float8, closed_at timestamptz, reason text,
            left_by text, changed_at timestamptz)
        ON CONFLICT DO NOTHING
        """,
        rows,
    )


async def remember_answers(rows: Rows, tx: Transaction) -> None:
    """Keep each answer to a proposal."""
    await tx.connection.execute(
        """
        INSERT INTO answers (pair_id, programme_id, by, accepted, answered_at)
        SELECT pair_id, programme_id, by, accepted, answered_at
        FROM jsonb_to_recordset($1) AS e(
            pair_id uuid, programme_id uuid, by text, accepted boolean, answered_at timestamptz)
        ON CONFLICT DO NOTHING
        """,
        rows,
    )


async def remember_sessions(rows: Rows, tx: Transaction) -> None:
    """Keep the highest version of each session; each session at most once in `rows`."""
    await tx.connection.execute(
        """
        INSERT INTO sessions AS s (
            session_id, pair_id, programme_id, mentor_employee_id, mentee_employee_id, version,
            status, starts_at, booked, held, cancelled_by, cancelled_at)
        SELECT session_id, pair_id, programme_id, mentor_employee_id, mentee_employee_id, version,
               status, starts_at, scheduled_by IS NOT NULL, held, cancelled_by, cancelled_at
        FROM jsonb_to_recordset($1) AS e(
            session_id uuid, pair_id uuid, programme_id uuid, mentor_employee_id text,
            mentee_employee_id text, version int, status text, starts_at timestamptz,
            scheduled_by text, held boolean, cancelled_by text, cancelled_at timestamptz)
        ON CONFLICT (session_id) DO UPDATE SET
            version = excluded.version, status = excluded.status,
            starts_at = excluded.starts_at, booked = excluded.booked, held = excluded.held,
            cancelled_by = excluded.cancelled_by, cancelled_at = excluded.cancelled_at
        WHERE s.version < excluded.version
        """,
        rows,
    )


async def remember_feedback(rows: Rows, tx: Transaction) -> None:
    """Keep each number given."""
    await tx.connection.execute(
        """
        INSERT INTO feedback (
            feedback_id, pair_id, programme_id, by, by_employee_id, kind, score, session_id,
            topic, given_at)
        SELECT feedback_id, pair_id, programme_id, by, by_employee_id, kind, score, session_id,
               topic, given_at
        FROM jsonb_to_recordset($1) AS e(
            feedback_id uuid, pair_id uuid, programme_id uuid, by text, by_employee_id text,
            kind text, score int, session_id uuid, topic text, given_at timestamptz)
        ON CONFLICT DO NOTHING
        """,
        rows,
    )


async def remember_goals(rows: Rows, tx: Transaction) -> None:
    """Keep each goal and when it was first reached; each goal at most once in `rows`."""
    await tx.connection.execute(
        """
        INSERT INTO goals AS g (goal_id, pair_id, programme_id, set_at, reached_at)
        SELECT goal_id, pair_id, programme_id, set_at, reached_at
        FROM jsonb_to_recordset($1) AS e(
            goal_id uuid, pair_id uuid, programme_id uuid, set_at timestamptz,
            reached_at timestamptz)
        ON CONFLICT (goal_id) DO UPDATE SET reached_at = least(g.reached_at, excluded.reached_at)
        """,
        rows,
    )


async def remember_match_runs(rows: Rows, tx: Transaction) -> None:
    """Keep the counts of each matching run."""
    await tx.connection.execute(
        """
        INSERT INTO match_runs (
            run_id, programme_id, proposed, mentees_waiting, mentors_waiting, completed_at)
        SELECT run_id, programme_id, proposed, mentees_waiting, mentors_waiting, completed_at
        FROM jsonb_to_recordset($1) AS e(
            run_id uuid, programme_id uuid, proposed int, mentees_waiting int,
            mentors_waiting int, completed_at timestamptz)
        ON CONFLICT DO NOTHING
        """,
        rows,
    )


async def remember_notifications(rows: Rows, tx: Transaction) -> None:
    """Keep what became of each message."""
    await tx.connection.execute(
        """
        INSERT INTO notifications (
            notification_id, programme_id, employee_id, kind, outcome, owed_at, sent_at)
        SELECT notification_id, programme_id, employee_id, kind, outcome, owed_at, sent_at
        FROM jsonb_to_recordset($1) AS e(
            notification_id uuid, programme_id uuid, employee_id text, kind text, outcome text,
            owed_at timestamptz, sent_at timestamptz)
        ON CONFLICT DO NOTHING
        """,
        rows,
    )


async def programmes_due(basis: Basis, database: Database) -> list[UUID]:
    """Programmes with facts of a basis that are not measured yet, or measured on another day.

    Those first that were measured longest ago.
    """
    rows = await database.pool.fetch(
        """
        SELECT p.programme_id
        FROM programmes p
        LEFT JOIN measured m ON m.programme_id = p.programme_id AND m.basis = $1
        LEFT JOIN stale s ON s.programme_id = p.programme_id AND s.basis = $1
        WHERE s.marks IS NOT NULL
           OR m.measured_at IS NULL OR m.measured_at < date_trunc('day', $2, 'UTC')
        ORDER BY m.measured_at NULLS FIRST, p.programme_id
        """,
        basis,
        database.clock.now(),
    )
    return [row["programme_id"] for row in rows]


async def marks_of(programme_id: UUID, basis: Basis, tx: Transaction) -> int | None:
    """How many facts are not measured yet, to be read before the facts.

    None while another replica measures them; this transaction is the only one else.
    """
    row = await tx.connection.fetchrow(
        """
        SELECT pg_try_advisory_xact_lock(
                   hashtextextended(current_schema() || ':measure:' || $1::uuid || $2::text, 0)
               ) AS taken,
               (SELECT marks FROM stale WHERE programme_id = $1 AND basis = $2) AS marks
        """,
        programme_id,
        basis,
    )
    assert row is not None
    return (row["marks"] or 0) if row["taken"] else None


async def note_measured(programme_id: UUID, basis: Basis, marks: int, tx: Transaction) -> None:
    """Say that a programme was measured with the facts up to `marks`; later ones stay to do."""
    await tx.connection.execute(
        """
        WITH done AS (
            DELETE FROM stale WHERE programme_id = $1 AND basis = $2 AND marks = $3
        )
        INSERT INTO measured (programme_id, basis, measured_at) VALUES ($1, $2, $4)
        ON CONFLICT (programme_id, basis) DO UPDATE SET measured_at = excluded.measured_at
        """,
        programme_id,
        basis,
        marks,
        tx.now,
    )
