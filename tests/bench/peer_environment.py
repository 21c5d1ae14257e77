"""An environment for the libraries that we compare with, so that ours need not know them."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

from deploy.local.process import StackError

_PEERS = Path(__file__).parent / "peers"


def peers_python(requirements: str = "requirements") -> Path:
    """Its interpreter; made the first time, in the user's cache folder or in `UPDRAFT_CACHE`.

    Each list of requirements has an environment of its own. Raises StackError if the libraries
    cannot be installed.
    """
    listed = _PEERS / f"{requirements}.txt"
    mark = hashlib.sha256(listed.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = _cache() / f"bench-peers-{mark}"
    python = folder / "bin" / "python"
    if (folder / "complete").exists():
        return python
    venv.create(folder, clear=True, with_pip=True)
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    command += ["-q", "--require-hashes", "--only-binary", ":all:", "-r", str(listed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StackError(
            "the libraries to compare with could not be installed; pip needs the network once:\n"
            + done.stderr.strip()
        )
    (folder / "complete").touch()
    return python


def _cache() -> Path:
    chosen = os.environ.get("UPDRAFT_CACHE")
    if chosen:
        return Path(chosen).resolve()
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "updraft"
