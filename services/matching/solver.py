"""The worker process: numpy and the flow solver live here, for as long as one run takes.

`python -m services.matching.solver` reads a canonical instance from standard input and writes the
result to standard output, so that the service stays small and its event loop free.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from services.matching.domain.instance import from_canonical
from services.matching.domain.result import Result, from_json, to_json

Solve: TypeAlias = Callable[[bytes], Awaitable[Result]]
"""From a canonical instance to its result."""

_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class SolverFailed(RuntimeError):  # noqa: N818 - named by the fact
    """The worker ended without a result."""


def solver(timeout_seconds: float) -> Solve:
    """A function that solves in a worker of its own and gives up after a time."""

    async def solve(text: bytes) -> Result:
        return await solve_in_worker(text, timeout_seconds)

    return solve


async def solve_in_worker(text: bytes, timeout_seconds: float) -> Result:
    """Solve in a fresh process. Raises SolverFailed; a cancelled caller takes the worker along."""
    worker = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        __spec__.name if __spec__ else "services.matching.solver",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | _ONE_THREAD,
    )
    try:
        output, errors = await asyncio.wait_for(worker.communicate(text), timeout_seconds)
    except TimeoutError:
        raise SolverFailed(f"no result within {timeout_seconds:g} s") from None
    finally:
        if worker.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                worker.kill()
            await worker.wait()
    if worker.returncode != 0:
        lines = errors.decode(errors="replace").strip().splitlines() or ["no message"]
        raise SolverFailed(f"worker ended with {worker.returncode}: {lines[-1]}")
    return await asyncio.to_thread(from_json, output)


def main() -> None:
    """Solve what standard input says."""
    from services.matching.domain.engine import solve

    if hasattr(os, "nice"):
        os.nice(5)  # consumers and health come first
    sys.stdout.buffer.write(to_json(solve(from_canonical(sys.stdin.buffer.read()))))


if __name__ == "__main__":
    main()
