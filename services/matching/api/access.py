"""Who may ask matching for what."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Depends

from services.matching import store
from services.matching.domain.people import Programme
from shared.http import Principal, Problem, Tx, require

Manager = Annotated[Principal, Depends(require("programme_manager"))]
Auditor = Annotated[Principal, Depends(require("auditor"))]
Reader = Annotated[Principal, Depends(require("programme_manager", "auditor"))]
Anyone = Annotated[Principal, Depends(require("participant", "programme_manager", "auditor"))]


def unknown(what: str) -> Problem:
    """The answer to an id that is not there, or not for whoever asks."""
    return Problem(
        404, f"{what}_id", f"There is no {what} with this id that you may see.",
        remedy="Check the id.",
    )  # fmt: skip


async def known_programme(tx: Tx, programme_id: UUID) -> Programme:
    """The programme. Raises Problem 404."""
    programme = await store.programme(tx, programme_id)
    if programme is None:
        raise unknown("programme")
    return programme


async def running_programme(tx: Tx, programme_id: UUID) -> Programme:
    """The programme, which is not over. Raises Problem 404 or 409."""
    programme = await known_programme(tx, programme_id)
    if programme.over_on(tx.now.date()):
        raise Problem(409, "programme_id", "The programme is over.", remedy="Open a new programme.")
    return programme
