"""Facts out: all that is known about one programme."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from services.metrics.domain import statistics
from services.metrics.domain.definitions import Basis
from services.metrics.domain.facts import (
    Crowd,
    EmployeeRow,
    Facts,
    FeedbackRow,
    GoalRow,
    Lags,
    NotificationRow,
    PairRow,
    ParticipantRow,
    ProgrammeRow,
    SessionRow,
    histories,
)
from services.metrics.domain.periods import (
    TENURE_EDGES_DAYS,
    YEAR,
    View,
    landmark,
    windows,
)
from shared.database import Transaction


async def facts_of(programme_id: UUID, basis: Basis, tx: Transaction) -> Facts | None:
    """What the KPIs of a basis count for a programme; None for one that is not known."""
    programme = await programme_of(programme_id, tx)
    if programme is None:
        return None
    if basis == "arrivals":
        return Facts(programme, lags=await _lags(tx))
    return await _facts(programme, tx)


async def _facts(programme: ProgrammeRow, tx: Transaction) -> Facts:
    programme_id = programme.programme_id
    facts = Facts(
        programme,
        participants=histories(await _participants(programme_id, tx)),
        pairs=histories(await _pairs(programme_id, tx)),
        sessions=await _sessions(programme_id, tx),
        feedback=await _feedback(programme_id, tx),
        goals=await _goals(programme_id, tx),
        notifications=await _notifications(programme_id, tx),
        later_mentees=await _later_mentees(programme, tx),
    )
    employees = histories(await _employees(facts.people(), tx))
    known = [versions[0].employee_id for versions in employees]
    return replace(facts, employees=employees, crowds=await _crowds(facts, known, tx))


async def programme_of(programme_id: UUID, tx: Transaction) -> ProgrammeRow | None:
    """The rules of a programme."""
    row = await tx.connection.fetchrow(
        """
        SELECT programme_id, status, starts_on, length_days, cadence_days, min_level_gap,
               min_group_size, departments, countries, mentor_max_level, mentee_min_level,
               min_tenure_days, kpi_targets, closed_at
        FROM programmes WHERE programme_id = $1
        """,
        programme_id,
    )
    if row is None:
        return None
    lists = {name: tuple(row[name]) for name in ("departments", "countries")}
    return ProgrammeRow(**{**row, **lists})


async def _employees(people: Collection[str], tx: Transaction) -> list[EmployeeRow]:
    """These people, and everyone above them by line or dotted line, in every version."""
    rows = await tx.connection.fetch(
        """
        WITH RECURSIVE concerned (employee_id) AS (
            SELECT unnest($1::text[])
            UNION
            SELECT above
            FROM concerned c, LATERAL (
                SELECT manager_id, dotted_line_manager_ids FROM employee_states s
                WHERE s.employee_id = c.employee_id ORDER BY version DESC LIMIT 1
            ) AS newest, unnest(dotted_line_manager_ids || manager_id) AS above
            WHERE above IS NOT NULL
        )
        SELECT employee_id, version, status, job_level, department, start_date, effective_from,
               country, manager_id, dotted_line_manager_ids
        FROM employee_states
        -- An array has them looked up one by one: they are few, and the planner cannot know that.
        WHERE employee_id = ANY(ARRAY(SELECT employee_id FROM concerned))
        """,
        list(people),
    )
    return [
        EmployeeRow(**{**row, "dotted_line_manager_ids": tuple(row["dotted_line_manager_ids"])})
        for row in rows
    ]


async def _crowds(
    facts: Facts, known: Sequence[str], tx: Transaction
) -> Mapping[datetime, Sequence[Crowd]]:
    """All in the audience but those who are known, by the moments that the measures look at."""
    views = [View(facts, window, tx.now) for window in windows(facts, tx.now)]
    moments = {view.instant for view in views}
    whole = views[0]
    crowds = await _headcounts(facts.programme, moments, whole.instant, known, tx)
    divided = View(facts, whole.window, landmark(facts.programme))
    if divided.now <= tx.now:
        # Instead of what was counted as of the same moment: these are parts of that.
        crowds[divided.instant] = await _followed(divided, known, tx)
    return crowds


async def _headcounts(
    programme: ProgrammeRow,
    moments: Collection[datetime],
    by_department: datetime,
    known: Sequence[str],
    tx: Transaction,
) -> dict[datetime, list[Crowd]]:
    rows = await tx.connection.fetch(
        """
        WITH spans AS (
            SELECT status, job_level, department, country,
                   -- In the audience not before the day on which they were there for long enough.
                   greatest(effective_from, (start_date + $3::int)::timestamp AT TIME ZONE 'UTC')
                       AS begins,
                   -- The newest version that has begun is true, wherever the others begin.
                   min(effective_from) OVER (
                       PARTITION BY employee_id ORDER BY version DESC
                       ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS ends
            FROM employee_states s
            WHERE NOT EXISTS (SELECT FROM unnest($2::text[]) k WHERE k = s.employee_id)
        )
        SELECT moment, job_level, CASE moment WHEN $6 THEN department END AS department, count(*)
        FROM spans, unnest($1::timestamptz[]) AS moment
        WHERE status = 'active' AND begins <= moment AND (ends IS NULL OR moment < ends)
          AND ($4::text[] = '{}' OR department = ANY($4))
          AND ($5::text[] = '{}' OR country = ANY($5))
        GROUP BY 1, 2, 3
        """,
        list(moments),
        known,
        programme.min_tenure_days,
        programme.departments,
        programme.countries,
        by_department,
    )
    crowds: dict[datetime, list[Crowd]] = {}
    for row in rows:
        crowd = Crowd(row["job_level"], row["department"], row["count"])
        crowds.setdefault(row["moment"], []).append(crowd)
    return crowds


async def _followed(divided: View, known: Sequence[str], tx: Transaction) -> list[Crowd]:
    programme = divided.facts.programme
    rows = await tx.connection.fetch(
        """
        WITH before AS (
            SELECT DISTINCT ON (employee_id) *
            FROM employee_states s
            WHERE effective_from <= $1
              AND NOT EXISTS (SELECT FROM unnest($4::text[]) k WHERE k = s.employee_id)
            ORDER BY employee_id, version DESC
        ), after AS (
            SELECT DISTINCT ON (employee_id) employee_id, status
            FROM employee_states WHERE effective_from <= $3 ORDER BY employee_id, version DESC
        )
        SELECT job_level, department, count(*),
               width_bucket($2::date - start_date, $5::int[]) AS tenure_band,
               count(*) FILTER (WHERE after.status <> 'left') AS stayed
        FROM before JOIN after USING (employee_id)
        WHERE before.status = 'active' AND ($1 AT TIME ZONE 'UTC')::date - start_date >= $6
          AND ($7::text[] = '{}' OR department = ANY($7))
          AND ($8::text[] = '{}' OR country = ANY($8))
        GROUP BY job_level, department, tenure_band
        """,
        divided.instant,
        divided.now.date(),
        divided.now + YEAR,
        known,
        TENURE_EDGES_DAYS,
        programme.min_tenure_days,
        programme.departments,
        programme.countries,
    )
    return [Crowd(**row) for row in rows]


async def _lags(tx: Transaction) -> dict[date | None, Lags]:
    rows = await tx.connection.fetch(
        """
        SELECT month, array_agg(seconds) AS seconds, array_agg(changes) AS changes,
               sum(microseconds) AS microseconds
        FROM arrivals GROUP BY month
        """
    )
    ever: Counter[float] = Counter()
    lags: dict[date | None, Lags] = {}
    for row in rows:
        counts = dict(zip(row["seconds"], row["changes"], strict=True))
        ever.update(counts)
        lags[row["month"]] = _lags_of(counts, row["microseconds"])
    if ever:
        lags[None] = _lags_of(ever, sum(row["microseconds"] for row in rows))
    return lags


def _lags_of(counts: Mapping[float, int], microseconds: Decimal) -> Lags:
    return Lags(
        sum(counts.values()), float(microseconds / 1_000_000), statistics.percentile(counts, 0.95)
    )


async def _participants(programme_id: UUID, tx: Transaction) -> list[ParticipantRow]:
    rows = await tx.connection.fetch(
        """
        SELECT participant_id, employee_id, role, version, status, changed_at, capacity,
               languages, blocks, ready_at
        FROM participant_states WHERE programme_id = $1
        """,
        programme_id,
    )
    return [
        ParticipantRow(
            **{**row, "languages": tuple(row["languages"]), "blocks": tuple(row["blocks"])}
        )
        for row in rows
    ]


async def _pairs(programme_id: UUID, tx: Transaction) -> list[PairRow]:
    rows = await tx.connection.fetch(
        """
        SELECT pair_id, mentor_id, mentee_id, mentor_employee_id, mentee_employee_id, version,
               status, changed_at, cross_department, created_at, closed_at, reason, left_by
        FROM pair_states WHERE programme_id = $1
        """,
        programme_id,
    )
    return [PairRow(**row) for row in rows]


async def _sessions(programme_id: UUID, tx: Transaction) -> list[SessionRow]:
    rows = await tx.connection.fetch(
        """
        SELECT session_id, pair_id, mentor_employee_id, mentee_employee_id, status, starts_at,
               booked, held, cancelled_by, cancelled_at
        FROM sessions WHERE programme_id = $1
        """,
        programme_id,
    )
    return [SessionRow(**row) for row in rows]


async def _feedback(programme_id: UUID, tx: Transaction) -> list[FeedbackRow]:
    rows = await tx.connection.fetch(
        """
        SELECT pair_id, by, by_employee_id, kind, score, given_at, session_id, topic
        FROM feedback WHERE programme_id = $1
        """,
        programme_id,
    )
    return [FeedbackRow(**row) for row in rows]


async def _goals(programme_id: UUID, tx: Transaction) -> list[GoalRow]:
    rows = await tx.connection.fetch(
        "SELECT pair_id, set_at, reached_at FROM goals WHERE programme_id = $1", programme_id
    )
    return [GoalRow(**row) for row in rows]


async def _notifications(programme_id: UUID, tx: Transaction) -> list[NotificationRow]:
    rows = await tx.connection.fetch(
        "SELECT employee_id, outcome, owed_at FROM notifications WHERE programme_id = $1",
        programme_id,
    )
    return [NotificationRow(**row) for row in rows]


async def _later_mentees(programme: ProgrammeRow, tx: Transaction) -> frozenset[str]:
    rows = await tx.connection.fetch(
        """
        SELECT DISTINCT s.employee_id
        FROM participant_states s JOIN programmes p USING (programme_id)
        WHERE p.starts_on > $1 AND s.role = 'mentee' AND s.status IN ('enrolled', 'ready')
        """,
        programme.starts_on,
    )
    return frozenset(row["employee_id"] for row in rows)
