"""Two runs side by side, to choose between them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi import Request

from services.matching.api.access import Reader, not_kept, unknown
from services.matching.api.described import Described
from services.matching.coverage import Groups, shown
from services.matching.store import runs as run_store
from shared.http import Tx, new_router
from shared.problems import Problem

router = new_router("matching")


class Figures(Described):
    """What a run comes to; scores in points from 0 to 100."""

    run_id: UUID
    dry_run: bool
    changes: dict[str, Any]
    covered: int
    """Mentees who had no partner and have one by this run. A run decides on free seats alone, so
    those whose pair or proposal lives are not among them, unless it was asked with `replan`: it
    then counts from nobody having a partner."""
    coverable: int
    """More of them no pairs could serve. 0 of 0: nobody is left whom a pair could serve."""
    covered_mentors: int
    """The same of mentors."""
    coverable_mentors: int
    pairs: int
    """Pairs that the run found; with `replan` those that would stay are among them."""
    total_score: float
    mean_score: float | None
    worst_score: float | None
    p5_score: float | None
    """One pair in twenty scores less."""
    gap: float
    coverage: dict[str, dict[str, Groups]]
    """By `department` and `level`, for `mentors` and `mentees`: [people, of them with a partner];
    groups too small to be shown are told together, under an empty name."""


class Churn(Described):
    """Pairs in both runs, and in one of them."""

    common: int
    only_left: int
    only_right: int


class Comparison(Described):
    """Two runs of one programme."""

    left: Figures
    right: Figures
    churn: Churn


@router.get("/match-runs/compare")
async def compare_runs(left: UUID, right: UUID, tx: Tx, _: Reader, request: Request) -> Comparison:
    """How many people two runs serve, how well, how fairly, and how many pairs differ."""
    rows = [await _solved(tx, side, run_id) for side, run_id in (("left", left), ("right", right))]
    if rows[0]["programme_id"] != rows[1]["programme_id"]:
        raise Problem(
            422, "right", "The runs are of two programmes.", remedy="Name runs of one programme."
        )
    least = request.app.state.settings.min_group_size
    return Comparison(
        left=await _figures(tx, rows[0], least),
        right=await _figures(tx, rows[1], least),
        churn=Churn.model_validate(dict(await run_store.churn(tx, left, right))),
    )


async def _solved(tx: Tx, side: str, run_id: UUID) -> Any:
    row = await run_store.run_row(tx, run_id)
    if row is None:
        raise unknown("run")
    if row["certificate"] is None or not row["kept"]:
        raise not_kept(side, row)
    return row


async def _figures(tx: Tx, row: Any, least: int) -> Figures:
    certificate = row["certificate"]
    found = await run_store.figures(tx, row["run_id"])
    return Figures.model_validate(
        {name: certificate[name] for name in Figures.model_fields if name in certificate}
        | dict(found)
        | {name: row[name] for name in ("run_id", "dry_run", "changes")}
        | {
            "coverage": {
                attribute: {side: shown(groups, least) for side, groups in sides.items()}
                for attribute, sides in row["coverage"].items()
            }
        }
    )
