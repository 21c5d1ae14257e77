"""Participants: rows in and out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from services.registration.domain.participation import Offer, Participant, Profile, Want

if TYPE_CHECKING:
    import asyncpg

    from services.registration.domain.participation import Counterparts
    from shared.database import Connection


async def participant(
    connection: Connection, participant_id: UUID, *, lock: bool = False
) -> Participant | None:
    """The participant, if there is one; `lock` keeps others from changing it meanwhile."""
    if lock:
        row = await connection.fetchrow(
            "SELECT * FROM participants WHERE participant_id = $1 FOR UPDATE", participant_id
        )
    else:
        row = await connection.fetchrow(
            "SELECT * FROM participants WHERE participant_id = $1", participant_id
        )
    return _participant(row) if row else None


async def participations(
    connection: Connection, programme_id: UUID, employee_ids: Sequence[str]
) -> dict[str, list[Participant]]:
    """All participations of these people in a programme, oldest first, locked."""
    rows = await connection.fetch(
        """
        SELECT * FROM participants
        WHERE programme_id = $1 AND employee_id = ANY ($2)
        ORDER BY participant_id FOR UPDATE
        """,
        programme_id,
        list(employee_ids),
    )
    found: dict[str, list[Participant]] = {employee_id: [] for employee_id in employee_ids}
    for row in rows:
        found[row["employee_id"]].append(_participant(row))
    return found


async def participants_of_programme(
    connection: Connection,
    programme_id: UUID,
    *,
    status: str | None = None,
    after: UUID | None = None,
    limit: int | None = None,
) -> list[Participant]:
    """Participants of a programme by id; `after` and `limit` turn pages."""
    rows = await connection.fetch(
        """
        SELECT * FROM participants
        WHERE programme_id = $1
          AND ($2::text IS NULL OR status = $2)
          AND ($3::uuid IS NULL OR participant_id > $3)
        ORDER BY participant_id
        LIMIT $4
        """,
        programme_id,
        status,
        after,
        limit,
    )
    return [_participant(row) for row in rows]


async def joined_participants(connection: Connection, programme_id: UUID) -> list[Participant]:
    """Participants whom a change of the programme's rules touches, locked."""
    rows = await connection.fetch(
        """
        SELECT * FROM participants
        WHERE programme_id = $1 AND status IN ('enrolled', 'ready', 'paused')
        ORDER BY participant_id FOR UPDATE
        """,
        programme_id,
    )
    return [_participant(row) for row in rows]


async def participants_of_employee(connection: Connection, employee_id: str) -> list[Participant]:
    """All participations of a person, oldest first."""
    rows = await connection.fetch(
        "SELECT * FROM participants WHERE employee_id = $1 ORDER BY participant_id",
        employee_id,
    )
    return [_participant(row) for row in rows]


async def participants_of_employees(
    connection: Connection, employee_ids: Collection[str]
) -> dict[str, list[Participant]]:
    """All participations of these people, oldest first, locked."""
    rows = await connection.fetch(
        "SELECT * FROM participants WHERE employee_id = ANY ($1)"
        " ORDER BY participant_id FOR UPDATE",
        list(employee_ids),
    )
    found: dict[str, list[Participant]] = {employee_id: [] for employee_id in employee_ids}
    for row in rows:
        found[row["employee_id"]].append(_participant(row))
    return found


async def lock_memberships(
    connection: Connection, programme_id: UUID, employee_ids: Sequence[str]
) -> None:
    """Wait until nobody else decides on these people's part in this programme."""
    # There may be no row to lock yet. In one order, so that two callers cannot block each other.
    await connection.execute(
        """
        SELECT pg_advisory_xact_lock(hashtextextended($1 || ':' || id, 1))
        FROM unnest($2::text[]) AS asked (id)
        """,
        str(programme_id),
        sorted(employee_ids),
    )


async def save(connection: Connection, changed: Sequence[Participant]) -> None:
    """Record the state of participants."""
    await connection.executemany(
        """
        INSERT INTO participants (
            participant_id, programme_id, employee_id, role, status, version,
            topics_offered, topics_wanted, interests, languages, timezone, works_from,
            works_until, capacity, blocks, agreement_version, invited_at, enrolled_at,
            trained_at, ready_at, withdrawn_at, withdrawn_by, changed_at
        ) VALUES (
            $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,
            $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23
        )
        ON CONFLICT (participant_id) DO UPDATE SET
            status = excluded.status, version = excluded.version,
            topics_offered = excluded.topics_offered, topics_wanted = excluded.topics_wanted,
            interests = excluded.interests, languages = excluded.languages,
            timezone = excluded.timezone, works_from = excluded.works_from,
            works_until = excluded.works_until, capacity = excluded.capacity,
            blocks = excluded.blocks, agreement_version = excluded.agreement_version,
            enrolled_at = excluded.enrolled_at, trained_at = excluded.trained_at,
            ready_at = excluded.ready_at, withdrawn_at = excluded.withdrawn_at,
            withdrawn_by = excluded.withdrawn_by, changed_at = excluded.changed_at
        """,
        [_values(one) for one in changed],
    )


async def living_pairs(connection: Connection, participant_ids: Sequence[UUID]) -> dict[UUID, int]:
    """How many proposed, active and paused pairs each of these participants has."""
    rows = await connection.fetch(
        """
        SELECT id, count(pair_id) AS pairs
        FROM unnest($1::uuid[]) AS asked (id)
        -- Two joins, each by its own index, instead of an OR that uses none.
        LEFT JOIN LATERAL (
            SELECT pair_id FROM pairs
            WHERE mentor_id = id AND status IN ('proposed', 'active', 'paused')
            UNION ALL
            SELECT pair_id FROM pairs
            WHERE mentee_id = id AND status IN ('proposed', 'active', 'paused')
        ) AS living ON true
        GROUP BY id
        """,
        list(participant_ids),
    )
    return {row["id"]: row["pairs"] for row in rows}


async def counterpart_exists(connection: Connection, wanted: Counterparts) -> bool:
    """Whether somebody in active service would do as a counterpart."""
    return bool(
        await connection.fetchval(
            """
            SELECT EXISTS (
                SELECT FROM employees
                WHERE status = 'active'
                  AND job_level BETWEEN $1 AND $2
                  AND start_date <= $3
                  AND ($4::text[] = '{}' OR department = ANY ($4))
                  AND ($5::text[] = '{}' OR country = ANY ($5))
            )
            """,
            wanted.lowest_level,
            wanted.highest_level,
            wanted.hired_until,
            list(wanted.departments),
            list(wanted.countries),
        )
    )


def _values(one: Participant) -> tuple[object, ...]:
    profile = one.profile
    return (
        one.participant_id,
        one.programme_id,
        one.employee_id,
        one.role,
        one.status,
        one.version,
        [[offer.topic, offer.proficiency] for offer in profile.topics_offered],
        [[want.topic, want.priority] for want in profile.topics_wanted],
        list(profile.interests),
        list(profile.languages),
        profile.timezone,
        profile.works_from,
        profile.works_until,
        profile.capacity,
        list(profile.blocks),
        one.agreement_version,
        one.invited_at,
        one.enrolled_at,
        one.trained_at,
        one.ready_at,
        one.withdrawn_at,
        one.withdrawn_by,
        one.changed_at,
    )


def _participant(row: asyncpg.Record) -> Participant:
    return Participant(
        participant_id=row["participant_id"],
        programme_id=row["programme_id"],
        employee_id=row["employee_id"],
        role=row["role"],
        status=row["status"],
        version=row["version"],
        changed_at=row["changed_at"],
        profile=Profile(
            topics_offered=tuple(Offer(*offer) for offer in row["topics_offered"]),
            topics_wanted=tuple(Want(*want) for want in row["topics_wanted"]),
            interests=tuple(row["interests"]),
            languages=tuple(row["languages"]),
            timezone=row["timezone"],
            works_from=row["works_from"],
            works_until=row["works_until"],
            capacity=row["capacity"],
            blocks=tuple(row["blocks"]),
        ),
        agreement_version=row["agreement_version"],
        invited_at=row["invited_at"],
        enrolled_at=row["enrolled_at"],
        trained_at=row["trained_at"],
        ready_at=row["ready_at"],
        withdrawn_at=row["withdrawn_at"],
        withdrawn_by=row["withdrawn_by"],
    )
