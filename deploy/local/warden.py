"""A tiny process that ends what its parent started, should the parent die without doing so.

It is run as a script with the bare interpreter (`python -I -S warden.py`), so it imports only the
standard library. Its standard input carries lines `+<process group> <signal>` and
`-<process group>`; the end of the input means that the parent is gone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time

_GRACE_SECONDS = 5.0


def _send(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except OSError:
        return False
    return True


def end_groups(groups: dict[int, int]) -> None:
    """Send each process group its signal, and SIGKILL to those that outlive the grace period."""
    for group, number in groups.items():
        _send(group, number)
    deadline = time.monotonic() + _GRACE_SECONDS
    while time.monotonic() < deadline and any(_send(group, 0) for group in groups):
        time.sleep(0.05)
    for group in groups:
        _send(group, signal.SIGKILL)


def watch() -> None:
    """Follow the parent's list of process groups until it closes the pipe; then end them."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: dict[int, int] = {}
    for line in sys.stdin:
        words = line.split()
        with contextlib.suppress(ValueError, IndexError):
            if line.startswith("+"):
                groups[int(words[0])] = int(words[1])
            else:
                groups.pop(-int(words[0]), None)
    end_groups(groups)


if __name__ == "__main__":
    watch()
