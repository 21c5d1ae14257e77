"""What a manager wants of two people: that they are paired, or that they never are."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query

from services.matching.api.access import Manager, Reader, known_programme, running_programme
from services.matching.api.described import Described, Sent
from services.matching.decisions import ask_for_run
from services.matching.store import locks as lock_store
from services.matching.store.locks import LockKind
from shared.http import Tx, new_router
from shared.problems import Problem

router = new_router("matching")


class PairLock(Sent):
    """What is wanted of two participants."""

    mentor_id: UUID
    mentee_id: UUID
    kind: LockKind
    """together: the next run pairs them, if the rules allow it; apart: no run pairs them."""


class LockShown(Described):
    """A lock and who set it when; without `kind` it was taken off."""

    mentor_id: UUID
    mentee_id: UUID
    kind: LockKind | None
    set_by: str
    set_at: datetime


class LocksShown(Described):
    """A programme's locks, and all that was ever changed about them, newest first."""

    locks: list[LockShown]
    log: list[LockShown]


@router.put("/programmes/{programme_id}/pair-locks")
async def put_lock(programme_id: UUID, lock: PairLock, tx: Tx, who: Manager) -> PairLock:
    """Lock two people together or apart; it takes effect with the next run."""
    await running_programme(tx, programme_id)
    couple = (lock.mentor_id, lock.mentee_id)
    roles = await lock_store.roles_of(tx, programme_id, couple)
    for participant_id, role in zip(couple, ("mentor", "mentee"), strict=True):
        if roles.get(participant_id) != role:
            raise Problem(
                422, f"{role}_id", f"There is no such {role} in this programme.",
                remedy="Send the participant id.",
            )  # fmt: skip
    if lock.kind == "apart" and await lock_store.are_paired(tx, couple):
        raise Problem(
            409, "kind", "The two are a pair, or were proposed to each other.",
            remedy="End the pair, or decline the proposal, first.",
        )  # fmt: skip
    changed = await lock_store.put_lock(tx, programme_id, couple, lock.kind, who.subject)
    if changed and lock.kind == "together":
        await ask_for_run(tx, [programme_id], "lock_changed")
    return lock


@router.delete("/programmes/{programme_id}/pair-locks", status_code=204)
async def take_lock_off(
    programme_id: UUID, mentor_id: UUID, mentee_id: UUID, tx: Tx, who: Manager
) -> None:
    """Leave it to the runs again whether these two are paired; nothing happens without a lock."""
    await known_programme(tx, programme_id)
    if await lock_store.put_lock(tx, programme_id, (mentor_id, mentee_id), None, who.subject):
        await ask_for_run(tx, [programme_id], "lock_changed")


@router.get("/programmes/{programme_id}/pair-locks")
async def list_locks(
    programme_id: UUID, tx: Tx, _: Reader, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> LocksShown:
    """The locks that hold, and the newest changes."""
    await known_programme(tx, programme_id)
    locks = await lock_store.lock_rows(tx, programme_id)
    log = await lock_store.lock_log_rows(tx, programme_id, limit)
    return LocksShown.model_validate(
        {
            name: [{field: row[field] for field in LockShown.model_fields} for row in rows]
            for name, rows in (("locks", locks), ("log", log))
        }
    )
