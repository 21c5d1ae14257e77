"""The worker process: people are read, paired and their pairs kept here, one run at a time.

`python -m services.matching.solver` reads an `Assignment` a line from standard input, says its
progress on standard output, and stores the outcome itself. So the service stays small, and its
event loop and the interpreter's lock are free, however many people there are.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeAlias
from uuid import UUID

from services.matching import store
from services.matching.coverage import coverage
from services.matching.domain.instance import Instance, canonical, instance
from services.matching.domain.people import Person, Programme
from services.matching.domain.result import Result
from services.matching.kernel_cache import environment
from services.matching.near import found_near
from services.matching.snapshot import mentioned, snapshot
from services.matching.store import runs as run_store
from services.matching.store.runs import Outcome, Run
from shared.clock import Clock
from shared.database import Database

Told: TypeAlias = Callable[[str, float], None]
"""Is told what is done now, and which share of it is over."""
Solve: TypeAlias = Callable[[Run, datetime, Told], Awaitable[None]]
"""Solves a run as of a moment, and keeps what it found."""

ON_DEMAND = "manual"
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
_MODULE = "services.matching.solver"
_TELL_EVERY_SECONDS = 0.2
_OUT_OF_MEMORY = 3
_DONE = "done"
_IDLE_SECONDS = 20.0
_LARGE_MB = 300.0
_MANY = 4000
"""People; a run of fewer is over before anybody notices, and must not starve on a busy machine."""
_MIB = 1024 * 1024


class SolverFailed(RuntimeError):  # noqa: N818 - named by the fact
    """The worker ended without a result; `final`: it would do so again."""

    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


@dataclass(frozen=True, slots=True)
class Limits:
    """How good is good enough, and what a worker may use."""

    gap: float | None = None
    """None: as good as the engine thinks right for so many people."""
    budget_seconds: float | None = None
    """After which the best found so far is taken."""
    timeout_seconds: float = 600
    """After which the worker is ended."""
    memory_mb: int | None = None
    """Of address space."""


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a worker is told on its standard input."""

    dsn: str
    service: str
    run_id: str
    attempts: int
    now: str
    limits: Limits


async def work(
    database: Database,
    run_id: UUID,
    attempts: int,
    limits: Limits = NO_LIMITS,
    told: Told = lambda _, __: None,
) -> None:
    """Solve a run of this database and keep what was found, if it is still to be solved."""
    told("snapshot", 0.0)
    async with database.transaction() as tx:
        run = await run_store.running(tx, run_id, attempts=attempts)
        if run is None:
            return
        programme = await store.programme(tx, run.programme_id)
        assert programme is not None
        given = await snapshot(tx, run, programme)
        last = await run_store.last_state_hash(tx, run.programme_id)
    state_hash = given.state_hash
    if run.trigger != ON_DEMAND and state_hash == last:
        # Nothing changed since a run that left no admissible pair unused.
        async with database.transaction() as tx:
            await run_store.close_run(tx, run_id, "unchanged")
        return
    found = _outcome(given, state_hash, limits, told)
    told("storing", 0.0)
    with contextlib.suppress(_Overtaken):
        async with database.transaction() as tx:
            await run_store.keep_outcome(tx, run, found)
            await store.lock_programmes(tx, [run.programme_id])
            if not await run_store.mark_solved(tx, run, found):
                raise _Overtaken


class _Overtaken(Exception):  # noqa: N818 - named by the fact
    """The run was cancelled, or is another attempt's: nothing is kept."""


def _outcome(given: Instance, state_hash: str, limits: Limits, told: Told) -> Outcome:
    if len(given.mentors) + len(given.mentees) > _MANY:
        _give_way()
    began = time.monotonic()
    result = _solved(given, limits, told)
    seconds = time.monotonic() - began
    return Outcome(
        result=result,
        input=canonical(given),
        state_hash=state_hash,
        mentions=mentioned(given),
        coverage=coverage(given, result.matches),
        near=found_near(given, result.matches),
        seconds=round(seconds, 3),
        peak_memory_mb=round(_peak_memory_mb(), 1),
    )


def _give_way() -> None:
    """Have this thread, and those it starts, run only while nobody else wants the processors."""
    # A low priority alone still keeps each of the service's many short steps waiting for the end
    # of a slice.
    if hasattr(os, "SCHED_IDLE"):
        with contextlib.suppress(OSError):  # not every sandbox lets a process do so
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _solved(given: Instance, limits: Limits, told: Told) -> Result:
    # numpy, the flow solver and numba: never in the service's own process.
    from services.matching.domain.engine import solve

    budget = limits.budget_seconds
    until = None if budget is None else time.monotonic() + budget
    return solve(
        given,
        gap=limits.gap,
        enough=lambda: until is not None and time.monotonic() >= until,
        told=told,
    )


def _peak_memory_mb() -> float:
    with contextlib.suppress(OSError):
        # What `getrusage` says on Linux may be the peak of the process that started this one.
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (_MIB if sys.platform == "darwin" else 1024)


def solver(dsn: str, service: str, limits: Limits, workers: Workers | None = None) -> Solve:
    """A function that solves runs of a database by these workers, or each in one of its own."""

    async def solve(run: Run, now: datetime, told: Told) -> None:
        given = Assignment(dsn, service, str(run.run_id), run.attempts, now.isoformat(), limits)
        await (workers.solve if workers is not None else solve_in_worker)(given, told)

    return solve


async def solve_in_worker(given: Assignment, told: Told = lambda _, __: None) -> None:
    """Solve in a process that ends with it; see `Workers.solve`."""
    workers = Workers()
    try:
        await workers.solve(given, told)
    finally:
        await workers.close()


class Workers:
    """Processes that solve; each waits a while for the next run, since a start costs a second."""

    def __init__(self, kernel_cache: Path | None = None) -> None:
        self._kernel_cache = kernel_cache
        self._idle: list[Process] = []

    async def solve(self, given: Assignment, told: Told = lambda _, __: None) -> None:
        """Have a run solved. Raises SolverFailed; a cancelled caller takes the worker along."""
        worker = self._waiting() or await _start(self._kernel_cache, stdin=PIPE, stdout=PIPE)
        try:
            said = await asyncio.wait_for(_talk(worker, given, told), given.limits.timeout_seconds)
            if said == _DONE:
                self._idle.append(worker)
                asyncio.get_running_loop().call_later(_IDLE_SECONDS, self._let_go, worker)
                return
        except TimeoutError:
            raise SolverFailed(
                f"no result within {given.limits.timeout_seconds:g} s; raise"
                " UPDRAFT_SOLVE_TIMEOUT_SECONDS, or let it stop earlier by"
                " UPDRAFT_SOLVE_BUDGET_SECONDS",
                final=True,
            ) from None
        finally:
            if worker not in self._idle:
                await _end(worker)
        if worker.returncode in (_OUT_OF_MEMORY, -signal.SIGABRT):
            raise SolverFailed(
                f"it needs more than {given.limits.memory_mb} MB of address space; raise"
                " UPDRAFT_SOLVER_MEMORY_MB",
                final=True,
            )
        if worker.returncode != 0:
            raise SolverFailed(f"worker ended with {worker.returncode}: {said or 'no message'}")

    async def close(self) -> None:
        """End those that wait."""
        while self._idle:
            await _end(self._idle.pop())

    def _waiting(self) -> Process | None:
        while self._idle:
            worker = self._idle.pop()
            if worker.returncode is None:
                return worker
        return None

    def _let_go(self, worker: Process) -> None:
        if worker in self._idle:
            self._idle.remove(worker)
            assert worker.stdin is not None
            worker.stdin.close()


async def warm(kernel_cache: Path | None) -> None:
    """Have a worker compile what large runs need, unless that was done before."""
    worker = await _start(kernel_cache, "warm")
    try:
        await worker.wait()
    finally:
        await _end(worker)


async def _start(kernel_cache: Path | None, *words: str, **pipes: int) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", _MODULE, *words),
        env=os.environ | _ONE_THREAD | environment(kernel_cache),
        **pipes,  # type: ignore[arg-type]
    )


async def _end(worker: Process) -> None:
    if worker.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            worker.kill()
        await worker.wait()


async def _talk(worker: Process, given: Assignment, told: Told) -> str | None:
    """Say what to do and listen until it is done, or the worker ends; returns its last word."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    with contextlib.suppress(ConnectionError):
        worker.stdin.write(json.dumps(asdict(given)).encode() + b"\n")
        await worker.stdin.drain()
    last: str | None = None
    async for line in worker.stdout:
        said = json.loads(line)
        if "last" in said:
            last = said["last"]
            if last == _DONE:
                return last
        else:
            told(said["doing"], said["share"])
    await worker.wait()
    return last


def main() -> None:
    """Do what standard input says, or warm the kernels."""
    if hasattr(os, "nice"):
        os.nice(10)  # consumers and health come first
    # What fails is told by the last word; the tracebacks that libraries log may name people.
    logging.getLogger().addHandler(logging.NullHandler())
    if sys.argv[1:] == ["warm"]:
        _solved(_everything(), NO_LIMITS, lambda _, __: None)
        return
    tasks: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=_listen, args=(tasks,), daemon=True).start()
    while _peak_memory_mb() < _LARGE_MB:  # a larger one gives its memory back by its end
        _carry_out(tasks.get())


def _carry_out(task: str) -> None:
    try:
        document = json.loads(task)
        given = Assignment(**document | {"limits": Limits(**document["limits"])})
        _limit_memory(given.limits.memory_mb)
        asyncio.run(_work(given))
    except Exception as error:
        if _is_short_of_memory(error):
            os._exit(_OUT_OF_MEMORY)
        # No message: it may name people.
        place = traceback.extract_tb(error.__traceback__)[-1]
        _say({"last": f"{type(error).__name__} in {Path(place.filename).name}:{place.lineno}"})
        sys.exit(1)
    if _peak_memory_mb() < _LARGE_MB:
        _say({"last": _DONE})


async def _work(given: Assignment) -> None:
    now = datetime.fromisoformat(given.now)
    clock = Clock(start=now, origin=now, speed=0)
    database = await Database.connect(given.dsn, service=given.service, clock=clock, size=1)
    try:
        await work(database, UUID(given.run_id), given.attempts, given.limits, _teller())
    finally:
        await database.close()


def _limit_memory(megabytes: int | None) -> None:
    if megabytes is None:
        return
    import resource

    with contextlib.suppress(ValueError, OSError):  # not every system knows it
        resource.setrlimit(resource.RLIMIT_AS, (megabytes * _MIB, megabytes * _MIB))


def _is_short_of_memory(error: BaseException | None) -> bool:
    """Libraries that no longer fit, and threads, have errors of their own.

    The database's client speaks of a lost connection where there was no room for an answer.
    """
    if error is None:
        return False
    told = ("failed to map", "allocate memory", "start new thread")
    return (
        isinstance(error, MemoryError)
        or any(sign in str(error) for sign in told)
        or _is_short_of_memory(error.__cause__)
    )


def _listen(tasks: SimpleQueue[str]) -> None:
    """Pass on each line; nobody waits for a result once the service is gone."""
    # Not `sys.stdin`: a thread that holds it when the interpreter ends makes that an abort.
    rest = b""
    while read := os.read(0, 65_536):
        *lines, rest = (rest + read).split(b"\n")
        for line in lines:
            tasks.put(line.decode())
    os._exit(1)


def _teller() -> Told:
    last = 0.0
    lock = threading.Lock()

    def told(doing: str, share: float) -> None:
        nonlocal last
        with lock:
            now = time.monotonic()
            if share and now - last < _TELL_EVERY_SECONDS:
                return
            last = now
            _say({"doing": doing, "share": share})

    return told


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


_FEW = 501
"""Of each side; squared, more than the engine keeps in a table."""


def _everything() -> Instance:
    """An instance that is solved by the compiled kernels."""
    clock = Clock()
    today = clock.now().date()
    programme = Programme(
        UUID(int=0), 1, True, today, today.replace(year=today.year + 1, day=1), min_level_gap=1
    )
    return instance(programme, _anybody(), clock.now())


def _anybody() -> Iterator[Person]:
    for number in range(_FEW):
        for role, level in (("mentor", 1), ("mentee", 3)):
            yield Person(
                UUID(int=2 * number + level // 2),
                f"{role}-{number}",
                role,  # type: ignore[arg-type]
                level=level,
                department=role,
                languages=frozenset({"en"}),
                offers={"ai": 1 + number % 5} if role == "mentor" else {},
                wants={"ai": 1} if role == "mentee" else {},
            )


if __name__ == "__main__":
    main()
