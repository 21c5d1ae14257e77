"""What a run decides by, read from the store at one moment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from services.matching import store
from services.matching.domain.instance import Instance, instance
from services.matching.domain.people import Person, Programme, Weights
from services.matching.near import nearness
from services.matching.store import locks as lock_store
from services.matching.store.runs import Couple, Run
from shared.database import Transaction


async def snapshot(tx: Transaction, run: Run, programme: Programme) -> Instance:
    """The instance that a run of this programme solves now."""
    programme = with_changes(programme, run.asked.changes)
    people = await store.people(tx, programme, nearness=nearness())
    held = await lock_store.couples_in_review(tx, programme.programme_id)
    people = lock_store.kept_apart(people, [*await _apart(tx, run), *held])
    previous: list[Couple] = []
    if run.asked.replan:
        previous = await lock_store.living_couples(tx, programme.programme_id)
        people = _unpaired(people, previous)
    people = _holding(people, held)
    together = await lock_store.couples_locked(
        tx, programme.programme_id, "together", living=run.asked.replan
    )
    return instance(programme, people.values(), tx.now, locked=together, previous=previous)


async def _apart(tx: Transaction, run: Run) -> list[Couple]:
    """Whom this run must not pair, by what a manager said of the two."""
    apart = await lock_store.couples_locked(tx, run.programme_id, "apart")
    apart.extend(run.asked.apart)
    if not run.asked.review or run.asked.apart:
        # Only a review that is asked for afresh may bring up again what was rejected.
        apart.extend(await lock_store.couples_rejected(tx, run.programme_id))
    return apart


def with_changes(programme: Programme, changes: Mapping[str, Any]) -> Programme:
    """The programme with other rules."""
    values = dict(changes)
    if "weights" in values:
        values["weights"] = Weights(**values["weights"])
    return replace(programme, **values)


def mentioned(given: Instance) -> list[str]:
    """Every employee who is named in an instance."""
    names: set[str] = set()
    for person in (*given.mentors, *given.mentees):
        names.add(person.employee_id)
        names.update(person.direct_managers, person.managers, person.blocks, person.met)
    return sorted(names)


def _unpaired(people: Mapping[UUID, Person], couples: Iterable[Couple]) -> dict[UUID, Person]:
    """The people as if these couples had never met."""
    free = dict(people)
    for mentor_id, mentee_id in couples:
        mentor, mentee = free.get(mentor_id), free.get(mentee_id)
        for one, other in ((mentor, mentee), (mentee, mentor)):
            if one is not None:
                met = one.met - {other.employee_id} if other is not None else one.met
                free[one.participant_id] = replace(one, taken=max(0, one.taken - 1), met=met)
    return free


def _holding(people: Mapping[UUID, Person], couples: Iterable[Couple]) -> dict[UUID, Person]:
    """The people with a seat taken for each of these couples."""
    holding = dict(people)
    for couple in couples:
        for participant_id in couple:
            person = holding.get(participant_id)
            if person is not None:
                holding[participant_id] = replace(person, taken=person.taken + 1)
    return holding
