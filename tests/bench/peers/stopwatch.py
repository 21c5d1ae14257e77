"""What all who pair people share: task in, answer out, a time limit, the peak of memory.

It runs in the peers' own environments as well, so it may import nothing but Python itself.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
import time
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

_STACK = 512 * 2**20


def contend(main: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Run a contender as `script <task file> <answer file>`.

    The answer has no `seconds` if it took longer than the task's `limit_seconds` in all.
    """
    task = json.loads(Path(sys.argv[1]).read_text())
    answer: dict[str, Any] = {}
    # One of the peers goes down a thousand calls and more; only a thread's stack can be chosen.
    threading.stack_size(_STACK)
    worker = threading.Thread(target=lambda: answer.update(main(task)), daemon=True)
    worker.start()
    worker.join(task["limit_seconds"])
    late = worker.is_alive()
    if not late and not answer:
        sys.exit(1)
    answer = {} if late else answer
    Path(sys.argv[2]).write_text(json.dumps({"peak_mb": peak_mb()} | answer))
    # The thread of a late one does not end by itself.
    os._exit(0)


class Stopwatch:
    """Counts from when it is made: seconds, and processor seconds of all threads."""

    def __init__(self) -> None:
        self._began = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        """What has gone by."""
        wall, cpu = self._began
        return {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}


def peak_mb() -> float:
    """The most memory that this process ever had, in millions of bytes."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most * (1 if sys.platform == "darwin" else 1024) / 1e6
    # Not `getrusage`, which counts what the parent had when it made this process.
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6


def worth(task: dict[str, Any]) -> list[array[int]]:
    """The ready-made scores in units, a row for each mentee; -1 where a rule excludes the pair."""
    columns = task["columns"]
    with Path(task["worth"]).open("rb") as file:
        rows = []
        for _ in range(task["rows"]):
            rows.append(array("i"))
            rows[-1].fromfile(file, columns)
    return rows
