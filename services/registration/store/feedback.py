"""Feedback, goals and concerns: rows in and out. Their texts leave by no event."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from services.registration.domain.concerns import Concern
from services.registration.domain.feedback import Feedback
from services.registration.domain.goals import Goal

if TYPE_CHECKING:
    from collections.abc import Sequence

    import asyncpg

    from shared.database import Connection


async def record_feedback(connection: Connection, one: Feedback) -> bool:
    """Keep a number; False: this person gave one on the same thing before."""
    return bool(
        await connection.fetchval(
            """
            INSERT INTO feedback (
                feedback_id, pair_id, by, by_employee_id, kind, score, session_id, topic, comment,
                given_at
            ) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
            ON CONFLICT DO NOTHING
            RETURNING true
            """,
            one.feedback_id,
            one.pair_id,
            one.by,
            one.by_employee_id,
            one.kind,
            one.score,
            one.session_id,
            one.topic,
            one.comment,
            one.given_at,
        )
    )


async def save_goal(connection: Connection, one: Goal) -> None:
    """Record the state of a goal."""
    await connection.execute(
        """
        INSERT INTO goals (
            goal_id, pair_id, set_by, set_by_employee_id, title, topic, set_at, reached_at
        ) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (goal_id) DO UPDATE SET reached_at = excluded.reached_at
        """,
        one.goal_id,
        one.pair_id,
        one.set_by,
        one.set_by_employee_id,
        one.title,
        one.topic,
        one.set_at,
        one.reached_at,
    )


async def goal(connection: Connection, goal_id: UUID) -> Goal | None:
    """The goal, if there is one, locked."""
    row = await connection.fetchrow("SELECT * FROM goals WHERE goal_id = $1 FOR UPDATE", goal_id)
    return _goal(row) if row else None


async def goals_of_pair(connection: Connection, pair_id: UUID) -> list[Goal]:
    """The goals of a pair, oldest first."""
    rows = await connection.fetch(
        "SELECT * FROM goals WHERE pair_id = $1 ORDER BY goal_id", pair_id
    )
    return [_goal(row) for row in rows]


async def save_concern(connection: Connection, one: Concern) -> None:
    """Record the state of a concern."""
    await connection.execute(
        """
        INSERT INTO concerns (
            concern_id, pair_id, programme_id, raised_by, raised_by_employee_id, category,
            exit_requested, text, raised_at, resolution, resolved_at
        ) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        ON CONFLICT (concern_id) DO UPDATE SET
            resolution = excluded.resolution, resolved_at = excluded.resolved_at
        """,
        one.concern_id,
        one.pair_id,
        one.programme_id,
        one.raised_by,
        one.raised_by_employee_id,
        one.category,
        one.exit_requested,
        one.text,
        one.raised_at,
        one.resolution,
        one.resolved_at,
    )


async def concern(connection: Connection, concern_id: UUID) -> Concern | None:
    """The concern, if there is one, locked."""
    row = await connection.fetchrow(
        "SELECT * FROM concerns WHERE concern_id = $1 FOR UPDATE", concern_id
    )
    return _concern(row) if row else None


async def concerns(connection: Connection, *, unresolved_only: bool) -> list[Concern]:
    """Concerns, oldest first."""
    rows = await connection.fetch(
        """
        SELECT * FROM concerns WHERE NOT $1 OR resolved_at IS NULL
        ORDER BY raised_at, concern_id
        """,
        unresolved_only,
    )
    return [_concern(row) for row in rows]


async def forget_words(connection: Connection, employee_ids: Sequence[str]) -> None:
    """Erase every free text that these people left; the facts without words stay."""
    await connection.execute(
        "UPDATE feedback SET comment = NULL"
        " WHERE by_employee_id = ANY ($1) AND comment IS NOT NULL",
        employee_ids,
    )
    await connection.execute(
        "UPDATE goals SET title = 'erased' WHERE set_by_employee_id = ANY ($1)", employee_ids
    )
    await connection.execute(
        "UPDATE concerns SET text = NULL WHERE raised_by_employee_id = ANY ($1)"
        " AND text IS NOT NULL",
        employee_ids,
    )


def _goal(row: asyncpg.Record) -> Goal:
    return Goal(
        goal_id=row["goal_id"],
        pair_id=row["pair_id"],
        set_by=row["set_by"],
        set_by_employee_id=row["set_by_employee_id"],
        title=row["title"],
        topic=row["topic"],
        set_at=row["set_at"],
        reached_at=row["reached_at"],
    )


def _concern(row: asyncpg.Record) -> Concern:
    return Concern(
        concern_id=row["concern_id"],
        pair_id=row["pair_id"],
        programme_id=row["programme_id"],
        raised_by=row["raised_by"],
        raised_by_employee_id=row["raised_by_employee_id"],
        category=row["category"],
        exit_requested=row["exit_requested"],
        text=row["text"],
        raised_at=row["raised_at"],
        resolution=row["resolution"],
        resolved_at=row["resolved_at"],
    )
