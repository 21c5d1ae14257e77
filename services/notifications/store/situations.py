"""Pairs, sessions and rules as the nudge rules want to see them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from services.notifications.domain.facts import Goal, Pair, Rules, Session
from services.notifications.domain.nudges import Situation
from shared.catalogue import Nudges
from shared.database import Transaction


async def pairs_to_look_at(tx: Transaction, limit: int) -> list[UUID]:
    """Pairs whose next look is due, locked; those of unknown programmes wait for the rules."""
    rows = await tx.connection.fetch(
        """
        SELECT pair_id FROM pairs
        WHERE next_look_at <= $1
          AND EXISTS (SELECT FROM programmes g WHERE g.programme_id = pairs.programme_id)
        ORDER BY next_look_at LIMIT $2
        -- replicas share the work, and no one waits for a batch that updates the pair
        FOR UPDATE OF pairs SKIP LOCKED
        """,
        tx.now,
        limit,
    )
    return [row["pair_id"] for row in rows]


async def set_next_looks(tx: Transaction, looks: dict[UUID, datetime | None]) -> None:
    """Keep when each pair is looked at again."""
    await tx.connection.execute(
        """
        UPDATE pairs SET next_look_at = r.at
        FROM unnest($1::uuid[], $2::timestamptz[]) AS r (pair_id, at)
        WHERE pairs.pair_id = r.pair_id
        """,
        list(looks),
        list(looks.values()),
    )


async def situations_of(tx: Transaction, pair_ids: Sequence[UUID]) -> dict[UUID, Situation]:
    """The situations of pairs whose programme is known."""
    pairs = await pairs_of(tx, pair_ids)
    sessions = await sessions_of_pairs(tx, pair_ids)
    goals = await _goals_of_pairs(tx, pair_ids)
    programmes = await programmes_of(tx, {pair.programme_id for pair in pairs.values()})
    by_pair: dict[UUID, list[Session]] = defaultdict(list)
    for session in sessions.values():
        by_pair[session.pair_id].append(session)
    return {
        pair_id: Situation(
            pair,
            programmes[pair.programme_id].rules,
            tuple(by_pair[pair_id]),
            tuple(goals[pair_id]),
        )
        for pair_id, pair in pairs.items()
        if pair.programme_id in programmes
    }


async def pairs_of(tx: Transaction, pair_ids: Sequence[UUID]) -> dict[UUID, Pair]:
    """The pairs that are known."""
    rows = await tx.connection.fetch(
        """
        SELECT pair_id, programme_id, mentor_employee_id, mentee_employee_id, status, awaiting,
            asked_at, created_at, active_since, reason, left_by
        FROM pairs WHERE pair_id = ANY($1)
        """,
        list(pair_ids),
    )
    return {row["pair_id"]: Pair(**dict(row)) for row in rows}


async def proposals_awaiting_manager(tx: Transaction, programme_ids: Sequence[UUID]) -> list[Pair]:
    """Open proposals that the managers of these programmes are to answer."""
    rows = await tx.connection.fetch(
        """
        SELECT pair_id, programme_id, mentor_employee_id, mentee_employee_id, status, awaiting,
            asked_at, created_at, active_since, reason, left_by
        FROM pairs
        WHERE programme_id = ANY($1) AND awaiting = 'manager' AND status = 'proposed'
        """,
        list(programme_ids),
    )
    return [Pair(**dict(row)) for row in rows]


async def sessions_of_pairs(tx: Transaction, pair_ids: Sequence[UUID]) -> dict[UUID, Session]:
    """All sessions of the pairs, by id."""
    rows = await tx.connection.fetch(
        """
        SELECT session_id, pair_id, programme_id, mentor_employee_id, mentee_employee_id, version,
            status, starts_at, minutes, booked_at, logged_by, logged_at, held, cancelled_by,
            cancelled_at,
            ARRAY(SELECT role FROM pulses p WHERE p.session_id = s.session_id) AS pulses
        FROM sessions s WHERE pair_id = ANY($1)
        """,
        list(pair_ids),
    )
    return {row["session_id"]: _session(row) for row in rows}


def _session(row: asyncpg.Record) -> Session:
    values: dict[str, Any] = dict(row)
    return Session(**values | {"pulses": frozenset(values["pulses"])})


async def _goals_of_pairs(
    tx: Transaction, pair_ids: Sequence[UUID]
) -> defaultdict[UUID, list[Goal]]:
    rows = await tx.connection.fetch(
        "SELECT pair_id, goal_id, reached_at FROM goals WHERE pair_id = ANY($1)", list(pair_ids)
    )
    goals: defaultdict[UUID, list[Goal]] = defaultdict(list)
    for row in rows:
        goals[row["pair_id"]].append(Goal(row["goal_id"], row["reached_at"]))
    return goals


@dataclass(frozen=True)
class Programme:
    """A programme as mails and rules need it."""

    programme_id: UUID
    name: str
    status: str
    ends_at: datetime
    cadence_days: int
    session_minutes: int
    training_required: bool
    nudges: Nudges
    rules: Rules


async def programmes_of(
    tx: Transaction, programme_ids: set[UUID] | Sequence[UUID]
) -> dict[UUID, Programme]:
    """The programmes that are known."""
    rows = await tx.connection.fetch(
        """
        SELECT programme_id, status, name, starts_on, length_days, cadence_days, session_minutes,
            training_required, nudges, sponsor_employee_id, manager_employee_id
        FROM programmes WHERE programme_id = ANY($1)
        """,
        list(programme_ids),
    )
    return {row["programme_id"]: _programme(row) for row in rows}


def _programme(row: asyncpg.Record) -> Programme:
    nudges = Nudges.model_validate(row["nudges"])
    length = timedelta(days=row["length_days"])
    starts_at = datetime.combine(row["starts_on"], time(0), UTC)
    rules = Rules(
        cadence=timedelta(days=row["cadence_days"]),
        midpoint=starts_at + length / 2,
        proposal_unanswered=tuple(timedelta(days=d) for d in nudges.proposal_unanswered_days),
        no_first_session=timedelta(days=nudges.no_first_session_days),
        reminder_before=timedelta(hours=nudges.session_reminder_hours),
        feedback_after=timedelta(days=nudges.feedback_after_days),
        silence=timedelta(days=nudges.silence_warning_days),
        sponsor_employee_id=row["sponsor_employee_id"],
        manager_employee_id=row["manager_employee_id"],
    )
    return Programme(
        programme_id=row["programme_id"],
        name=row["name"],
        status=row["status"],
        ends_at=starts_at + length,
        cadence_days=row["cadence_days"],
        session_minutes=row["session_minutes"],
        training_required=row["training_required"],
        nudges=nudges,
        rules=rules,
    )
