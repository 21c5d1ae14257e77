"""Matching runs: a snapshot, a solution outside of any transaction, and a careful store.

What a run proposes was true of its snapshot; it is stored only if it is still true when the
programme's lock is held. A run whose process dies is taken up again by the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

import structlog

from services.matching import store, wire
from services.matching.decisions import ask_for_run
from services.matching.domain import pairs as life
from services.matching.domain.instance import Instance, canonical, instance
from services.matching.domain.pairs import Pair
from services.matching.domain.people import Person, Programme
from services.matching.domain.result import Match, Result
from services.matching.domain.rules import broken_rule
from services.matching.solver import Solve
from services.matching.store import Run
from shared.database import Database, Transaction
from shared.ids import new_id

log = structlog.get_logger()

MOST_ATTEMPTS = 5
_ON_DEMAND = "manual"


@dataclass(frozen=True, slots=True)
class _Task:
    """A run and what it decides by."""

    run: Run
    given: Instance
    text: bytes
    input_hash: str
    state_hash: str


async def carry_out_due_runs(database: Database, solve: Solve, *, debounce_seconds: float) -> None:
    """Carry out what is due, one run per programme at a time, over all replicas."""
    for programme_id in await store.programmes_with_due_runs(database, debounce_seconds):
        async with store.sole_runner(database, programme_id) as mine:
            if mine:
                await carry_out_run(database, programme_id, solve)


async def carry_out_run(database: Database, programme_id: UUID, solve: Solve) -> None:
    """One run from snapshot to stored pairs; the caller is the programme's sole runner."""
    task = await _begin(database, programme_id)
    if task is None:
        return
    result = await solve(task.text)
    async with database.transaction() as tx:
        await store.lock_programmes(tx, [programme_id])
        if await store.is_running(tx, task.run.run_id):
            await _finish(tx, task, result)


async def _begin(database: Database, programme_id: UUID) -> _Task | None:
    """Take the run and read what it decides by; None when there is nothing to decide."""
    async with database.transaction() as tx:
        run = await store.take_run(tx, programme_id)
        if run is None:
            return None
        programme = await store.programme(tx, programme_id)
        if programme is None or programme.over_on(tx.now.date()):
            await store.close_run(tx, run.run_id, "over")
            return None
        if run.attempts > MOST_ATTEMPTS:
            log.error("match_run_given_up", run_id=str(run.run_id))
            await store.close_run(tx, run.run_id, "failed")
            return None
        people = await store.people(tx, programme)
        last = await store.last_state_hash(tx, programme_id)
    given = instance(programme, people.values(), tx.now)
    # Thousands of people take a while to write down; the event loop must not wait.
    task = await asyncio.to_thread(_task, run, given)
    if run.trigger != _ON_DEMAND and task.state_hash == last:
        # Nothing changed since a run that left no admissible pair unused.
        async with database.transaction() as tx:
            await store.close_run(tx, run.run_id, "unchanged")
        return None
    return task


def _task(run: Run, given: Instance) -> _Task:
    return _Task(run, given, canonical(given), given.input_hash, given.state_hash)


async def _finish(tx: Transaction, task: _Task, result: Result) -> None:
    """Store what still holds, and say what the run found."""
    programme = await store.programme(tx, task.run.programme_id)
    stored: list[Pair] = []
    if programme is not None and not programme.over_on(tx.now.date()):
        stored = await _propose(tx, task, programme, result.matches)
    dropped = len(result.matches) - len(stored)
    waiting = [each.role for each in result.unmatched]
    figures = {
        "programme_version": task.given.programme.version,
        "input_hash": task.input_hash,
        "proposed": len(stored),
        "mentees_waiting": waiting.count("mentee"),
        "mentors_waiting": waiting.count("mentor"),
        "objective": round(sum(pair.score for pair in stored), 4),
    }
    await store.explain_unmatched(tx, task.run.run_id, result.unmatched)
    await store.complete_run(
        tx, task.run.run_id, state_hash=task.state_hash, dropped=dropped, **figures  # type: ignore[arg-type]
    )  # fmt: skip
    tx.publish(
        wire.run_completed(
            result,
            run_id=task.run.run_id,
            programme_id=task.run.programme_id,
            trigger=task.run.trigger,
            started_at=task.run.started_at,
            completed_at=tx.now,
            **figures,  # type: ignore[arg-type]
        )
    )
    if dropped:
        await ask_for_run(tx, [task.run.programme_id], "overtaken")


async def _propose(
    tx: Transaction, task: _Task, programme: Programme, matches: Sequence[Match]
) -> list[Pair]:
    """Store the matches that every rule and every seat still allow."""
    ids = {i for match in matches for i in (match.mentor_id, match.mentee_id)}
    people = await store.people(tx, programme, ids)
    drafts = []
    for match in matches:
        mentor, mentee = people.get(match.mentor_id), people.get(match.mentee_id)
        if mentor is None or mentee is None or broken_rule(mentor, mentee, programme):
            continue
        for person in (mentor, mentee):
            people[person.participant_id] = replace(person, taken=person.taken + 1)
        drafts.append(_draft(tx, task, programme, match, mentor, mentee))
    new = await store.add_pairs(tx, drafts) if drafts else set()
    stored = [pair for pair in drafts if pair.pair_id in new]
    for pair in stored:
        tx.publish(wire.pair_event(None, pair))
    formed = [pair for pair in stored if pair.formed]
    if formed:
        await store.no_longer_orphans(tx, [i for p in formed for i in (p.mentor_id, p.mentee_id)])
    return stored


def _draft(
    tx: Transaction,
    task: _Task,
    programme: Programme,
    match: Match,
    mentor: Person,
    mentee: Person,
) -> Pair:
    draft = Pair(
        pair_id=new_id(tx.now),
        programme_id=programme.programme_id,
        mentor_id=mentor.participant_id,
        mentee_id=mentee.participant_id,
        mentor_employee_id=mentor.employee_id,
        mentee_employee_id=mentee.employee_id,
        status="proposed",
        version=1,
        proposed_at=tx.now,
        changed_at=tx.now,
        score=match.fit.score,
        breakdown=match.fit.breakdown,
        topics=match.fit.topics,
        cross_department=mentor.department != mentee.department,
        run_id=task.run.run_id,
        programme_version=task.given.programme.version,
    )
    expiry = timedelta(days=programme.proposal_expiry_days)
    return life.proposed(draft, programme.approval, expiry)
