"""Where the engine's compiled kernels are kept: to compile them takes a minute, each time."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path

_SOURCE = Path(__file__).parent / "domain" / "kernels.py"
_BESIDE_SOURCE = _SOURCE.parent / "__pycache__"


def environment(folder: Path | None) -> dict[str, str]:
    """What tells a worker where to keep compiled kernels."""
    if "NUMBA_CACHE_DIR" in os.environ and folder is None:
        return {}
    if folder is None and _writable(_BESIDE_SOURCE):
        return {}
    return {"NUMBA_CACHE_DIR": str(folder or _of_this_process().name)}


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


@cache
def _of_this_process() -> tempfile.TemporaryDirectory[str]:
    """A new folder, since nobody else may put code into it that we would run."""
    return tempfile.TemporaryDirectory(prefix="updraft-kernels-")
