"""Who may ask matching for what."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends

from services.matching import store
from services.matching.domain.people import Programme
from shared.http import Principal, Tx, require
from shared.problems import Problem

Manager = Annotated[Principal, Depends(require("programme_manager"))]
Auditor = Annotated[Principal, Depends(require("auditor"))]
Reader = Annotated[Principal, Depends(require("programme_manager", "auditor"))]
Anyone = Annotated[Principal, Depends(require("participant", "programme_manager", "auditor"))]

_FOUND_NOTHING = {
    "requested": "The run has not begun yet.",
    "running": "The run is not over yet.",
    "cancelled": "The run was cancelled before it found anything.",
    "unchanged": "The run had nothing to do: nothing had changed since the one before.",
    "over": "The run had nothing to do: the programme was over.",
}


def unknown(what: str) -> Problem:
    """The answer to an id that is not there, or not for whoever asks."""
    return Problem(
        404, f"{what}_id", f"There is no {what} with this id that you may see.",
        remedy="Check the id.",
    )  # fmt: skip


def not_kept(field: str, run: Any) -> Problem:
    """The answer to a run of which there is nothing to show, saying why."""
    if run["certificate"] is not None:
        detail = "The run was too long ago: what it found is no longer kept."
    elif run["state"] == "failed":
        detail = f"The run failed: {(run['failure'] or 'the reason is not known').rstrip('.')}."
    else:
        detail = _FOUND_NOTHING.get(run["state"], "The run found nothing.")
    return Problem(409, field, detail, remedy="Name a run that is completed.")


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
