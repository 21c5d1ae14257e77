"""Contenders as processes: a job goes in as JSON, the figures come back as JSON."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

from deploy.local.process import Child

_ROOT = Path(__file__).parents[2]
_PEERS = Path(__file__).parent / "peers"
_POLL_SECONDS = 0.02
_numbers = count(1)


class Job:
    """A contender's process at work."""

    def __init__(self, child: Child, answer: Path) -> None:
        self._child = child
        self._answer = answer

    async def answer(self, *, within_seconds: float = 60.0) -> dict[str, Any]:
        """What it found out. Raises StackError if it fails or takes longer."""
        deadline = time.monotonic() + within_seconds
        try:
            while self._child.running:
                if time.monotonic() > deadline:
                    raise self._child.failure(f"took more than {within_seconds:.0f} s")
                await asyncio.sleep(_POLL_SECONDS)
        finally:
            self._child.kill()
        if self._child.process.returncode != 0 or not self._answer.exists():
            raise self._child.failure("failed")
        answer: dict[str, Any] = json.loads(self._answer.read_text())
        return answer

    def check(self) -> None:
        """Raise StackError if a process that should go on has ended."""
        if not self._child.running:
            raise self._child.failure("died")

    def stop(self) -> None:
        """End it."""
        self._child.stop(grace_seconds=2)


def start(
    contender: str,
    task: Mapping[str, Any],
    folder: Path,
    *,
    environment: Mapping[str, str] | None = None,
    peers: Path | None = None,
) -> Job:
    """Start a contender: a module of `contenders`, or with `peers` a script under that Python."""
    number = next(_numbers)
    question = folder / f"job-{number}.json"
    answer = folder / f"answer-{number}.json"
    question.write_text(json.dumps(task))
    if peers is None:
        command = [sys.executable, "-m", f"tests.bench.contenders.{contender}"]
    else:
        command = [str(peers), str(_PEERS / f"{contender}.py")]
    child = Child.spawn(
        contender,
        [*command, str(question), str(answer)],
        log=folder / f"{contender}-{number}.log",
        env={**os.environ, "UPDRAFT_LOG__LEVEL": "WARNING", **(environment or {})},
        cwd=_ROOT,
    )
    return Job(child, answer)


async def done(
    contender: str,
    task: Mapping[str, Any],
    folder: Path,
    *,
    environment: Mapping[str, str] | None = None,
    peers: Path | None = None,
    within_seconds: float = 60.0,
) -> dict[str, Any]:
    """Run a contender to its end; returns its answer. Raises StackError if it fails."""
    job = start(contender, task, folder, environment=environment, peers=peers)
    return await job.answer(within_seconds=within_seconds)
