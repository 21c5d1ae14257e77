"""Runs on demand and dry ones, their progress, their proof, and the review of what they found."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Response
from pydantic import Field

from services.matching.api.access import (
    Auditor,
    Manager,
    Reader,
    known_programme,
    not_kept,
    running_programme,
    unknown,
)
from services.matching.api.described import Described, Sent
from services.matching.api.rules import RuleChanges, in_full
from services.matching.decisions import ask_for_run
from services.matching.domain.bottlenecks import Bottleneck, Shortage
from services.matching.domain.people import Role
from services.matching.domain.result import Alternative, Certificate, RefusedLock
from services.matching.domain.words import bottleneck_in_words
from services.matching.solver import ON_DEMAND
from services.matching.store import runs as run_store
from services.matching.store.runs import Request
from shared.catalogue import Contribution
from shared.http import Tx, new_router
from shared.problems import Problem

router = new_router("matching")

_MOST_WAITING = 20


class RunAccepted(Described):
    """The run that will be carried out."""

    run_id: UUID


class ShortageTold(Described):
    """Something that many need of the other side and few there have."""

    kind: Shortage
    name: str
    """The topic, the languages or the working hours in UTC; empty for seats."""
    role: Role
    """Of those who need it."""
    people: int
    seats: int
    """Their free seats before the run."""
    offered: int
    """Free seats of those on the other side who have it."""
    left_out: int
    """Of `people`, those without a partner after the run."""
    told: str


class RunState(Described):
    """A matching run: requested, running, review, approved, completed, failed, cancelled,
    unchanged or over."""

    run_id: UUID
    programme_id: UUID
    trigger: str
    state: str
    dry_run: bool
    replan: bool
    review: bool
    changes: dict[str, Any]
    """Rules that a dry run went by in place of the programme's; weights are told in full."""
    asked_by: str | None
    approved_by: str | None
    requested_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    doing: str | None
    """What a run does now that is not over."""
    share: float | None
    """Which share of that is done, in [0, 1]."""
    failure: str | None
    programme_version: int | None
    input_hash: str | None
    proposed: int | None
    dropped: int | None
    mentees_waiting: int | None
    mentors_waiting: int | None
    objective: float | None
    certificate: Certificate | None
    """How good the result is, and the bound that proves it.

    `covered` are the mentees who had no partner and have one by this run; more than `coverable` no
    pairs could serve. A run decides on free seats alone, so those whose pair or proposal lives are
    in neither, unless it was asked with `replan`: it then counts from nobody having a partner. 0 of
    0: nobody is left whom a pair could serve.
    """
    refused_locks: list[RefusedLock]
    """Pairs that were to be formed, with the rule that forbids each."""
    bottlenecks: list[ShortageTold]
    """What the programme is short of, the worst first."""
    seconds: float | None
    peak_memory_mb: float | None
    verifiable: bool
    """Whether what the run decided by is still kept."""


class Couple(Sent):
    """Two participants."""

    mentor_id: UUID
    mentee_id: UUID


class FoundPair(Described):
    """A pair that a run found, and what became of it."""

    place: int
    """0 scores best."""
    mentor_id: UUID
    mentee_id: UUID
    score: float
    breakdown: list[Contribution]
    topics: list[str]
    instead_for_mentee: Alternative | None
    instead_for_mentor: Alternative | None
    fate: str | None
    """None: not decided yet; approved, rejected, proposed, or the rule that forbids it now."""
    pair_id: UUID | None


class Approval(Sent):
    """What a manager says to the pairs of a run."""

    approved: list[Couple] | None = Field(default=None, max_length=10_000)
    """The pairs to propose; absent: all."""
    again: bool = False
    """Pair the people of the rejected pairs anew, with others, to be reviewed too."""


_ALL = Approval()


class ApprovalTaken(Described):
    """What follows from it."""

    run_id: UUID
    rejected: int
    next_run_id: UUID | None
    """The run that pairs the people of rejected pairs anew."""


@router.post("/programmes/{programme_id}/match-runs", status_code=202)
async def start_run(
    programme_id: UUID,
    tx: Tx,
    who: Manager,
    changes: RuleChanges | None = None,
    dry_run: bool = False,
    replan: bool = False,
    review: bool = False,
) -> RunAccepted:
    """Ask for a matching run now; a run that waits already is brought forward.

    `dry_run` proposes nothing and may try other rules. Like any run it decides on free seats alone:
    where everybody has a partner it finds nothing to do, unless `replan` has it decide proposals
    and living pairs anew. With `review` the pairs wait for `POST /match-runs/{run_id}/approval`.
    """
    programme = await running_programme(tx, programme_id)
    if not dry_run and (changes is not None or replan):
        field = "replan" if replan else "body"
        raise Problem(
            422, field, "Only a dry run may do this.", remedy="Send dry_run=true, or leave it out."
        )
    if dry_run and review:
        raise Problem(
            422, "review", "A dry run proposes nothing that could be reviewed.",
            remedy="Leave out dry_run or review.",
        )  # fmt: skip
    if dry_run and await run_store.waiting_dry_runs(tx, programme_id) >= _MOST_WAITING:
        raise Problem(
            409, "programme_id", f"{_MOST_WAITING} dry runs wait already.",
            remedy="Wait for them, or cancel some.",
        )  # fmt: skip
    asked = Request(
        dry_run=dry_run,
        replan=replan,
        review=review,
        changes=in_full(changes, programme),
        asked_by=who.subject,
    )
    runs = await ask_for_run(tx, [programme_id], ON_DEMAND, at_once=True, asked=asked)
    return RunAccepted(run_id=runs[programme_id])


@router.get("/programmes/{programme_id}/match-runs")
async def list_runs(
    programme_id: UUID, tx: Tx, _: Reader, limit: Annotated[int, Query(ge=1, le=500)] = 50
) -> list[RunState]:
    """The programme's runs, newest first."""
    await known_programme(tx, programme_id)
    return [_run(row) for row in await run_store.run_rows(tx, programme_id, limit)]


@router.get("/match-runs/{run_id}")
async def show_run(run_id: UUID, tx: Tx, _: Reader) -> RunState:
    """One run: how far it is, or what it found and how good that is."""
    return _run(await _known(tx, run_id))


@router.post("/match-runs/{run_id}/cancel")
async def cancel_run(run_id: UUID, tx: Tx, _: Manager) -> RunState:
    """Stop a run that is not over; pairs that it proposed already stay."""
    await _known(tx, run_id)
    if not await run_store.cancel_run(tx, run_id):
        raise Problem(409, "run_id", "The run is over.", remedy="Ask for another run.")
    return _run(await _known(tx, run_id))


@router.get("/match-runs/{run_id}/certificate", response_class=Response)
async def show_certificate(run_id: UUID, tx: Tx, _: Auditor) -> Response:
    """What the run can be verified by: certificate, pairs, input and prices (gzip, base64).

    `erased`: somebody in the input was erased since, and it is not kept.
    """
    run = await _known(tx, run_id)
    evidence = await run_store.evidence(tx, run_id)
    if evidence is None:
        raise not_kept("run_id", run)
    return Response(evidence, media_type="application/json")


@router.get("/match-runs/{run_id}/pairs")
async def list_pairs(
    run_id: UUID,
    tx: Tx,
    _: Reader,
    after: Annotated[int, Query(ge=-1, le=2**31 - 1)] = -1,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> list[FoundPair]:
    """The pairs that a run found, best score first; `after`: the last place seen."""
    await _known(tx, run_id)
    rows = await run_store.pair_rows(tx, run_id, after=after, limit=limit)
    return [_pair(row) for row in rows]


@router.post("/match-runs/{run_id}/approval", status_code=202)
async def approve_pairs(
    run_id: UUID, tx: Tx, who: Manager, approval: Approval = _ALL
) -> ApprovalTaken:
    """Have pairs proposed that a run with `review` found, and drop the others.

    Each is checked by every rule once more; what does not hold by then is told as its fate. Where
    the programme's approval is the manager's, the pairs are formed at once: this was their yes. A
    pair that is rejected is kept apart while the run's outcome is kept, also in dry runs and with
    `again`, until a manager locks the two together; only a run newly asked for with `review` may
    bring it up again. A lock that held the two together is taken off.
    """
    run = await _known(tx, run_id)
    couples = None
    if approval.approved is not None:
        couples = [(each.mentor_id, each.mentee_id) for each in approval.approved]
        strangers = await run_store.strangers(tx, run_id, couples)
        if strangers:
            mentor_id, mentee_id = strangers[0]
            raise Problem(
                422, "approved", f"The run did not find the pair of {mentor_id} and {mentee_id}.",
                remedy="Send pairs of GET /match-runs/{run_id}/pairs.",
            )  # fmt: skip
    rejected = await run_store.approve(tx, run_id, couples, who.subject)
    if rejected is None:
        raise Problem(
            409, "run_id", "The run does not wait for an approval.",
            remedy="Ask for a run with review=true.",
        )  # fmt: skip
    next_run_id = None
    if approval.again and rejected:
        asked = Request(review=True, apart=tuple(rejected), asked_by=who.subject)
        programme_id = run["programme_id"]
        runs = await ask_for_run(tx, [programme_id], ON_DEMAND, at_once=True, asked=asked)
        next_run_id = runs[programme_id]
    return ApprovalTaken(run_id=run_id, rejected=len(rejected), next_run_id=next_run_id)


async def _known(tx: Tx, run_id: UUID) -> Any:
    row = await run_store.run_row(tx, run_id)
    if row is None:
        raise unknown("run")
    return row


def _run(row: Any) -> RunState:
    shortages = [
        {**short, "told": bottleneck_in_words(Bottleneck(**short))} for short in row["bottlenecks"]
    ]
    return RunState.model_validate(
        {name: row[name] for name in RunState.model_fields} | {"bottlenecks": shortages}
    )


def _pair(row: Any) -> FoundPair:
    instead = {f"instead_for_{side}": other for side, other in row["instead"].items()}
    return FoundPair.model_validate(dict(row) | instead)
