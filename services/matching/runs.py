"""Matching runs: solved by a worker outside of any transaction, and proposed with care.

What a run found was true of its snapshot; each pair is proposed only if it is still true when the
programme's lock is held. A run whose process dies is taken up again by the next one, from where
it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

import structlog

from services.matching import store, wire
from services.matching.decisions import ask_for_run
from services.matching.domain import pairs as life
from services.matching.domain.pairs import Pair
from services.matching.domain.people import Person, Programme
from services.matching.domain.rules import broken_rule
from services.matching.near import as_found
from services.matching.solver import Solve, SolverFailed, Workers
from services.matching.store import locks as lock_store
from services.matching.store import runs as run_store
from services.matching.store.runs import Draft, Run
from shared.database import Database, Transaction
from shared.ids import new_id
from shared.service import Job

log = structlog.get_logger()

MOST_ATTEMPTS = 5
MOST_TOLD = 2_000
"""People without a partner whom a run's event names: it must not outgrow what a broker takes."""
_AT_ONCE = 10
"""Pairs proposed in one transaction: neither events nor requests may wait for long."""
_LOOK_EVERY_SECONDS = 0.25
_LONGEST_REST_SECONDS = 30.0


class MatchRuns(Job):
    """Carries out due runs beside the clock: a run may last longer than a job may stand still."""

    def __init__(
        self,
        solve: Solve,
        workers: Workers | None = None,
        *,
        most: int,
        debounce_seconds: float,
        every_seconds: float,
    ) -> None:
        """`workers`, if they outlive a run, end with this job."""
        super().__init__("match-runs", self._take_up, every_seconds)
        self._solve = solve
        self._workers = workers
        self._most = most
        self._debounce_seconds = debounce_seconds
        self._tasks: dict[UUID, asyncio.Task[None]] = {}
        self._rests_until: dict[UUID, float] = {}
        self._failures: dict[UUID, int] = {}

    async def run(self, database: Database) -> None:
        """Take up what is due for ever; whoever stops this stops the runs and their workers."""
        try:
            await super().run(database)
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            if self._workers is not None:
                await self._workers.close()

    async def _take_up(self, database: Database) -> None:
        for programme_id in await run_store.programmes_with_due_runs(
            database, self._debounce_seconds
        ):
            rests = self._rests_until.get(programme_id, 0) > time.monotonic()
            if len(self._tasks) < self._most and programme_id not in self._tasks and not rests:
                self._tasks[programme_id] = asyncio.create_task(
                    self._carry_out(database, programme_id), name=f"match-run {programme_id}"
                )

    async def _carry_out(self, database: Database, programme_id: UUID) -> None:
        try:
            await _carry_out_alone(database, programme_id, self._solve)
        except Exception as error:
            failures = self._failures[programme_id] = self._failures.get(programme_id, 0) + 1
            rest = min(_LONGEST_REST_SECONDS, 2.0**failures)
            self._rests_until[programme_id] = time.monotonic() + rest
            log.warning(
                "match_run_failed",
                programme_id=str(programme_id),
                error=type(error).__name__,
                reason=str(error) if isinstance(error, SolverFailed) else None,
            )
        else:
            self._failures.pop(programme_id, None)
            self._rests_until.pop(programme_id, None)
        finally:
            del self._tasks[programme_id]


async def carry_out_due_runs(database: Database, solve: Solve, *, debounce_seconds: float) -> None:
    """Carry out what is due, one run after the other."""
    for programme_id in await run_store.programmes_with_due_runs(database, debounce_seconds):
        await _carry_out_alone(database, programme_id, solve)


async def _carry_out_alone(database: Database, programme_id: UUID, solve: Solve) -> None:
    """One run of a programme, unless another replica is at it."""
    async with run_store.sole_runner(database, programme_id) as mine:
        if mine:
            await carry_out_run(database, programme_id, solve)


async def carry_out_run(database: Database, programme_id: UUID, solve: Solve) -> None:
    """One run from snapshot to proposed pairs; the caller is the programme's sole runner."""
    run = await _begin(database, programme_id)
    if run is None or not (run.solved or await _solved(database, run, solve)):
        return
    more = True
    while more:
        began = time.monotonic()
        more = await _propose_some(database, run)
        # Whoever waits for the programme's lock comes first.
        await asyncio.sleep(time.monotonic() - began)


async def _begin(database: Database, programme_id: UUID) -> Run | None:
    """Take the run; None when there is nothing to do."""
    async with database.transaction() as tx:
        run = await run_store.take_run(tx, programme_id)
        if run is None:
            return None
        programme = await store.programme(tx, programme_id)
        if programme is None or programme.over_on(tx.now.date()):
            await run_store.close_run(tx, run.run_id, "over")
            return None
        if run.attempts > MOST_ATTEMPTS:
            reason = f"the worker ended {MOST_ATTEMPTS} times without a result; see the log"
            await _give_up(tx, run, reason)
            return None
    return run


@dataclass(slots=True)
class _Progress:
    doing: str = "starting"
    share: float = 0.0

    def told(self, doing: str, share: float) -> None:
        self.doing, self.share = doing, share


async def _solved(database: Database, run: Run, solve: Solve) -> bool:
    """Have the run solved, and say how far it is; False where it was cancelled or cannot be."""
    progress = _Progress()
    work = asyncio.ensure_future(solve(run, database.clock.now(), progress.told))
    try:
        while not (await asyncio.wait({work}, timeout=_LOOK_EVERY_SECONDS))[0]:
            if not await run_store.note_progress(
                database, run.run_id, progress.doing, progress.share
            ):
                return False
        work.result()
    except SolverFailed as error:
        if not error.final:
            raise
        async with database.transaction() as tx:
            await _give_up(tx, run, str(error))
        return False
    finally:
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await work
    return True


async def _give_up(tx: Transaction, run: Run, reason: str) -> None:
    log.error("match_run_given_up", run_id=str(run.run_id), reason=reason)
    await run_store.close_run(tx, run.run_id, "failed", failure=reason)


async def _propose_some(database: Database, run: Run) -> bool:
    """Propose some of the pairs that a run found; False where no more is to be done."""
    async with database.transaction() as tx:
        # Before the lock, for which events wait: who is erased until then is not active any more.
        drafts = await run_store.drafts_to_propose(tx, run.run_id, _AT_ONCE)
        await store.lock_programmes(tx, [run.programme_id])
        current = await run_store.running(tx, run.run_id, attempts=run.attempts)
        if current is None or not current.solved:
            # Cancelled, unchanged, dry, or a manager is to look at it first.
            return False
        if not drafts:
            await _finish(tx, current)
            return False
        await _propose(tx, current, drafts)
    return True


async def _finish(tx: Transaction, run: Run) -> None:
    """Say what the run came to."""
    found = await run_store.complete_run(tx, run.run_id, most_unmatched=MOST_TOLD)
    tx.publish(wire.run_completed(run, found, tx.now))
    if found.dropped:
        await ask_for_run(tx, [run.programme_id], "overtaken")


async def _propose(tx: Transaction, run: Run, drafts: list[Draft]) -> None:
    """Store the pairs that every rule and every seat still allow, and tell what became of each."""
    programme = await store.programme(tx, run.programme_id)
    if programme is None or programme.over_on(tx.now.date()):
        fates = [(draft.place, "programme_over", None) for draft in drafts]
        await run_store.tell_fates(tx, run.run_id, fates)
        return
    ids = {i for draft in drafts for i in (draft.match.mentor_id, draft.match.mentee_id)}
    people = await store.people(tx, programme, ids)
    apart = await lock_store.couples_locked(tx, programme.programme_id, "apart")
    people = lock_store.kept_apart(people, apart)
    pairs: dict[int, Pair] = {}
    told: dict[int, str] = {}
    for draft in drafts:
        mentor, mentee = people.get(draft.match.mentor_id), people.get(draft.match.mentee_id)
        if mentor is None or mentee is None:
            told[draft.place] = "not_ready"
        elif rule := broken_rule(as_found(mentor, draft.near), mentee, programme):
            told[draft.place] = rule
        else:
            for person in (mentor, mentee):
                people[person.participant_id] = replace(person, taken=person.taken + 1)
            pairs[draft.place] = _pair(tx, run, programme, draft, mentor, mentee)
    new = await store.add_pairs(tx, list(pairs.values())) if pairs else set()
    stored = {place: pair for place, pair in pairs.items() if pair.pair_id in new}
    for pair in stored.values():
        tx.publish(wire.pair_event(None, pair))
    formed = [pair for pair in stored.values() if pair.formed]
    if formed:
        await store.no_longer_orphans(tx, [i for p in formed for i in (p.mentor_id, p.mentee_id)])
    # Another programme may have brought the two together a moment ago.
    told |= dict.fromkeys(pairs.keys() - stored.keys(), "repeated")
    proposed = [(place, "proposed", pair.pair_id) for place, pair in stored.items()]
    dropped = [(place, rule, None) for place, rule in told.items()]
    await run_store.tell_fates(tx, run.run_id, [*proposed, *dropped])


def _pair(
    tx: Transaction, run: Run, programme: Programme, draft: Draft, mentor: Person, mentee: Person
) -> Pair:
    match = draft.match
    pair = Pair(
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
        run_id=run.run_id,
        programme_version=run.programme_version or programme.version,
    )
    expiry = timedelta(days=programme.proposal_expiry_days)
    approval = programme.approval
    if run.asked.review and approval == "manager":
        # Whose yes it takes has said it of the draft.
        approval = "automatic"
    return life.proposed(pair, approval, expiry)
