"""Facts in: each function takes rows as JSON objects and is indifferent to order and repetition."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

from shared.database import Database, Transaction

Rows = Sequence[dict[str, Any]]


async def mark_stale(programme_ids: Iterable[UUID], tx: Transaction) -> None:
    """Say that programmes have facts that are not measured yet."""
    await tx.connection.execute(
        """
        INSERT INTO stale (programme_id)
        -- In one order everywhere, so that two writers never wait for each other in a circle.
        SELECT DISTINCT unnest($1::uuid[]) AS programme_id ORDER BY programme_id
        ON CONFLICT (programme_id) DO UPDATE SET marks = stale.marks + 1
        -- Heard with the commit, in every replica.
        RETURNING pg_notify('metrics_stale', '')
        """,
        list(programme_ids),
    )


async def mark_all_stale(tx: Transaction) -> None:
    """Say that every programme has facts that are not measured yet."""
    await tx.connection.execute(
        """
        INSERT INTO stale (programme_id) SELECT programme_id FROM programmes ORDER BY programme_id
        ON CONFLICT (programme_id) DO UPDATE SET marks = stale.marks + 1
        RETURNING pg_notify('metrics_stale', '')
        """
    )


@asynccontextmanager
async def news_of_facts(database: Database) -> AsyncIterator[asyncio.Event]:
    """An event that is set when a commit has left programmes stale, be it another replica's."""
    news = asyncio.Event()

    def tell(*_: object) -> None:
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
    await tx.connection.execute(
        """
        INSERT INTO employee_states (
            employee_id, version, status, job_level, department, country, manager_id,
            dotted_line_manager_ids, start_date, leaves_on, effective_from, arrived_at,
            lag_seconds)
        SELECT employee_id, version, status, job_level, department, country, manager_id,
               dotted_line_manager_ids, start_date, leaves_on, effective_from, arrived_at,
               -- A change that HR announced ahead is due when it takes effect, not before.
               greatest(0, extract(epoch FROM arrived_at - greatest(received_at, effective_from)))
                   * CASE WHEN received_at IS NOT NULL THEN 1 END
        FROM jsonb_to_recordset($1) AS e(
            employee_id text, version int, status text, job_level int, department text,
            country text, manager_id text, dotted_line_manager_ids text[], start_date date,
            leaves_on date, effective_from timestamptz, received_at timestamptz,
            arrived_at timestamptz)
        ON CONFLICT DO NOTHING
        """,
        rows,
    )


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


async def programmes_due(now: datetime, tx: Transaction) -> list[UUID]:
    """Programmes with facts that are not measured yet, or last measured on another day.

    Those first that were measured longest ago.
    """
    rows = await tx.connection.fetch(
        """
        SELECT p.programme_id
        FROM programmes p LEFT JOIN measured m USING (programme_id)
        WHERE EXISTS (SELECT FROM stale s WHERE s.programme_id = p.programme_id)
           OR m.measured_at IS NULL OR m.measured_at < date_trunc('day', $1, 'UTC')
        ORDER BY m.measured_at NULLS FIRST, p.programme_id
        """,
        now,
    )
    return [row["programme_id"] for row in rows]


async def marks_of(programme_id: UUID, tx: Transaction) -> int:
    """How many facts are not measured yet; to be read before the facts."""
    marks = await tx.connection.fetchval(
        "SELECT marks FROM stale WHERE programme_id = $1", programme_id
    )
    return int(marks or 0)


async def note_measured(programme_id: UUID, marks: int, tx: Transaction) -> None:
    """Say that a programme was measured with the facts up to `marks`; later ones stay to do."""
    await tx.connection.execute(
        "DELETE FROM stale WHERE programme_id = $1 AND marks = $2", programme_id, marks
    )
    await tx.connection.execute(
        """
        INSERT INTO measured (programme_id, measured_at) VALUES ($1, $2)
        ON CONFLICT (programme_id) DO UPDATE SET measured_at = excluded.measured_at
        """,
        programme_id,
        tx.now,
    )
