"""Facts out: all that is known about one programme."""

from __future__ import annotations

from uuid import UUID

from services.metrics.domain.facts import (
    EmployeeRow,
    Facts,
    FeedbackRow,
    GoalRow,
    NotificationRow,
    PairRow,
    ParticipantRow,
    ProgrammeRow,
    SessionRow,
    histories,
)
from shared.database import Transaction


async def facts_of(programme_id: UUID, tx: Transaction) -> Facts | None:
    """The facts of a programme; None for a programme that is not known."""
    programme = await programme_of(programme_id, tx)
    if programme is None:
        return None
    return Facts(
        programme,
        employees=histories(await _employees(tx)),
        participants=histories(await _participants(programme_id, tx)),
        pairs=histories(await _pairs(programme_id, tx)),
        sessions=await _sessions(programme_id, tx),
        feedback=await _feedback(programme_id, tx),
        goals=await _goals(programme_id, tx),
        notifications=await _notifications(programme_id, tx),
        later_mentees=await _later_mentees(programme, tx),
    )


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


async def _employees(tx: Transaction) -> list[EmployeeRow]:
    rows = await tx.connection.fetch(
        """
        SELECT employee_id, version, status, job_level, department, start_date, effective_from,
               country, manager_id, dotted_line_manager_ids, leaves_on, arrived_at, lag_seconds
        FROM employee_states
        """
    )
    return [
        EmployeeRow(**{**row, "dotted_line_manager_ids": tuple(row["dotted_line_manager_ids"])})
        for row in rows
    ]


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
