"""Events in: projections of people and programmes, the guard of living pairs, and answers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from services.matching import store
from services.matching.decisions import ask_for_run, recheck, settle
from services.matching.domain import pairs as life
from services.matching.domain.pairs import EndReason, Pair
from services.matching.domain.people import Programme
from services.matching.domain.rules import OF_THE_PAIR_ITSELF, broken_rule
from services.matching.near import as_found
from services.matching.store import runs as run_store
from shared.catalogue import (
    AnswerFact,
    ConcernFact,
    EmployeeUpdated,
    ParticipantFact,
    ProgrammeFact,
    ProposalAccepted,
    SessionFact,
)
from shared.database import Transaction
from shared.handlers import Handlers

handlers = Handlers()

_REASONS: dict[str, EndReason] = {
    "no_fit": "no_fit",
    "conflict": "conflict",
    "safeguard": "safeguard",
    "other": "admin",
}


@handlers.batch(EmployeeUpdated)
async def guard_pairs_of_employees(events: Sequence[EmployeeUpdated], tx: Transaction) -> None:
    """Remember the records and re-check the living pairs of these people and all below them."""
    # Taken before anything is written or looked up: a run that stores pairs meanwhile either sees
    # these records or is seen by the guard.
    await store.lock_open_programmes(tx)
    moved = await store.remember_employees(tx, events)
    await run_store.forget_people(tx, [event.employee_id for event in events if event.erased])
    if moved.changed:
        await recheck(tx, await store.living_pairs_of_employees(tx, moved))


@handlers.batch(ProgrammeFact)
async def follow_programmes(events: Sequence[ProgrammeFact], tx: Transaction) -> None:
    """Remember the rules and re-check the programmes' living pairs; closing completes them."""
    await store.lock_programmes(tx, {event.programme_id for event in events})
    changed = await store.remember_programmes(tx, events)
    await recheck(tx, await store.living_pairs_of_programmes(tx, changed))
    await ask_for_run(tx, changed, "programme_changed")


@handlers.batch(ParticipantFact)
async def follow_participants(events: Sequence[ParticipantFact], tx: Transaction) -> None:
    """Remember profiles, re-check living pairs, and look for partners of who is free."""
    await store.lock_programmes(tx, {event.programme_id for event in events})
    changed = await store.remember_participants(tx, events)
    await recheck(tx, await store.living_pairs_of_participants(tx, changed))
    await ask_for_run(tx, await store.programmes_with_free_people(tx, changed), "participant_ready")


@handlers.each(AnswerFact)
async def take_answer(event: AnswerFact, tx: Transaction) -> None:
    """Move the proposal on; an answer that is late, repeated or not asked for does nothing."""
    yes = isinstance(event, ProposalAccepted)
    await store.remember_answer(
        tx, event.pair_id, event.by, "accepted" if yes else "declined", event.answered_at
    )
    found = await _locked(tx, event)
    if found is None:
        return
    pair, programme = found
    if not life.in_time(pair, event.answered_at):
        await settle(tx, [(pair, life.expired(pair, tx.now))])
    elif yes:
        await settle(tx, [(pair, await _after_yes(pair, event, programme, tx))])
    else:
        await settle(tx, [(pair, life.declined(pair, event.by, programme.approval, tx.now))])


async def _after_yes(
    pair: Pair, event: AnswerFact, programme: Programme, tx: Transaction
) -> Pair | None:
    """The proposal after a yes; the last one forms the pair only if every rule still holds."""
    if life.is_last_answer(pair, event.by):
        people = await store.people(tx, programme, [pair.mentor_id, pair.mentee_id])
        near = await run_store.near_of_proposals(tx, [pair])
        mentor = as_found(people[pair.mentor_id], near.get(pair.pair_id))
        rule = broken_rule(mentor, people[pair.mentee_id], programme, but=OF_THE_PAIR_ITSELF)
        if rule or programme.over_on(tx.now.date()):
            return life.expired(pair, tx.now, rule)
    expiry = timedelta(days=programme.proposal_expiry_days)
    return life.accepted(pair, event.by, tx.now, expiry)


@handlers.each(ConcernFact)
async def let_people_go(event: ConcernFact, tx: Transaction) -> None:
    """End the pair at once when a concern asks for it; it is never formed again."""
    await store.remember_concern(tx, event)
    found = await _locked(tx, event) if event.exit_requested else None
    if found is not None and found[0].living:
        pair = found[0]
        await settle(tx, [(pair, life.ended(pair, _REASONS[event.category], tx.now))])


@handlers.batch(SessionFact)
async def remember_sessions(events: Sequence[SessionFact], tx: Transaction) -> None:
    """Remember who meets, so that silence can be told from life."""
    await store.remember_sessions(tx, events)


async def _locked(
    tx: Transaction, event: AnswerFact | ConcernFact
) -> tuple[Pair, Programme] | None:
    """The event's pair under its programme's lock; None when there is no such pair."""
    programme_id = await store.programme_of_pair(tx, event.pair_id)
    if programme_id is None:
        return None
    await store.lock_programmes(tx, [programme_id])
    programme = await store.programme(tx, programme_id)
    found = await store.pairs(tx, [event.pair_id])
    return (found[0], programme) if programme is not None else None
