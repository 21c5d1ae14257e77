"""Decisions about living pairs, saved with everything that follows from them.

All of it happens under the lock of the pairs' programmes, which callers take first: capacity is
counted, rules are checked and pairs are written by one transaction at a time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import groupby
from uuid import UUID

from services.matching import store, wire
from services.matching.domain import pairs as life
from services.matching.domain.guard import beyond_seats, guarded
from services.matching.domain.pairs import Pair
from services.matching.domain.people import Programme
from services.matching.near import as_found
from services.matching.store import runs as run_store
from services.matching.store.runs import PLAIN, Request
from shared.database import Transaction
from shared.ids import new_id

Step = tuple[Pair, Pair]
"""A pair before and after."""


async def recheck(tx: Transaction, pair_ids: Collection[UUID]) -> None:
    """The continuous guard: judge these living pairs by what is known now."""
    if not pair_ids:
        return
    living = sorted(await store.pairs(tx, pair_ids), key=lambda pair: str(pair.programme_id))
    for programme_id, group in groupby(living, key=lambda pair: pair.programme_id):
        programme = await store.programme(tx, programme_id)
        if programme is not None:
            await _recheck(tx, programme, list(group))


async def _recheck(tx: Transaction, programme: Programme, living: Sequence[Pair]) -> None:
    everybody = {i for pair in living for i in (pair.mentor_id, pair.mentee_id)}
    people = await store.people(tx, programme, everybody)
    near = await run_store.near_of_proposals(tx, living)
    steps = []
    for pair in living:
        mentor, mentee = people.get(pair.mentor_id), people.get(pair.mentee_id)
        if mentor is not None and mentee is not None:
            mentor = as_found(mentor, near.get(pair.pair_id))
            steps.append((pair, guarded(pair, mentor, mentee, programme, tx.now)))
    await settle(tx, steps)
    await _end_beyond_seats(
        tx, {i: person.seats for i, person in people.items() if person.taken > person.seats}
    )


async def _end_beyond_seats(tx: Transaction, seats: dict[UUID, int]) -> None:
    for participant_id in sorted(seats):
        ids = await store.living_pairs_of_participants(tx, [participant_id])
        surplus = beyond_seats(await store.pairs(tx, ids), seats[participant_id])
        await settle(tx, [(pair, life.ended(pair, "over_capacity", tx.now)) for pair in surplus])


async def settle(tx: Transaction, steps: Iterable[tuple[Pair, Pair | None]]) -> list[Pair]:
    """Save and publish the pairs that changed, see to who lost a partner; returns those pairs."""
    taken: list[Step] = [(before, after) for before, after in steps if after is not None]
    if not taken:
        return []
    await store.save_pairs(tx, [after for _, after in taken])
    for before, after in taken:
        tx.publish(wire.pair_event(before, after))
    await _remember_orphans(tx, taken)
    await _ask_for_runs(tx, taken)
    return [after for _, after in taken]


async def _remember_orphans(tx: Transaction, steps: Sequence[Step]) -> None:
    survivors = [
        (after.mentee_id if after.left_by == "mentor" else after.mentor_id, after.pair_id)
        for _, after in steps
        if after.status == "ended" and after.left_by is not None
    ]
    if survivors:
        await store.orphan(tx, survivors)
    formed = [after for before, after in steps if after.formed and not before.formed]
    if formed:
        await store.no_longer_orphans(tx, [i for p in formed for i in (p.mentor_id, p.mentee_id)])


_TRIGGERS = {"ended": "pair_ended", "declined": "proposal_declined", "expired": "proposal_expired"}


async def _ask_for_runs(tx: Transaction, steps: Sequence[Step]) -> None:
    """Somebody is left without a partner: look for another at once."""
    triggers = {
        after.programme_id: after.reason if after.left_by else _TRIGGERS[after.status]
        for _, after in steps
        if after.status in _TRIGGERS
    }
    for programme_id, trigger in sorted(triggers.items(), key=lambda item: str(item[0])):
        await ask_for_run(tx, [programme_id], str(trigger))


async def ask_for_run(
    tx: Transaction,
    programme_ids: Sequence[UUID],
    trigger: str,
    *,
    at_once: bool = False,
    asked: Request = PLAIN,
) -> dict[UUID, UUID]:
    """Ask for a matching run of each programme; returns programme → run id."""
    if not programme_ids:
        return {}
    runs = [(new_id(tx.now), programme_id) for programme_id in programme_ids]
    return await run_store.request_runs(tx, runs, trigger, at_once=at_once, asked=asked)
