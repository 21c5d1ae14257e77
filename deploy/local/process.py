"""Child processes that cannot outlive us: each has its own session, a log file and a death signal.

Three things end a child: `Child.stop`, the kernel's parent-death signal (Linux), and the warden,
which also reaches grandchildren. So even SIGKILL of the parent leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
_POLL_SECONDS = 0.02


class StackError(RuntimeError):
    """The local stack cannot go on; the message says why and what to do."""


@dataclass(frozen=True)
class Account:
    """The system user that a child runs as."""

    uid: int
    gid: int


_kept: dict[int, socket.socket] = {}


def free_port(preferred: int | None = None) -> int:
    """A port on 127.0.0.1 that is free now: `preferred` if it can be had.

    Taken below the range of outgoing connections, so that none of them grabs it before its owner,
    and kept from others who ask here, so that it is still free when its owner starts once more.
    """
    candidates = [] if preferred is None else [preferred]
    candidates += random.sample(range(15_000, 32_000), 50)
    for port in candidates:
        keeper = socket.socket()
        # A known one may be bound by its last owner's connections, which are about to end.
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, port == preferred)
        try:
            keeper.bind(("127.0.0.1", port))
        except OSError:
            keeper.close()
            continue
        if sys.platform == "linux":
            # Bound without listening, and shared: servers can listen there, no `free_port` binds.
            keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            _kept[port] = keeper
        else:
            keeper.close()
        return port
    raise StackError("no free port on 127.0.0.1; stop something that listens there")


def last_lines(path: Path, count: int = 15) -> str:
    """The end of a log file; empty if there is none."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - 16_384))
            text = log.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-count:])


class _Warden:
    """The one warden process of this interpreter; lives while there are children."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._groups: set[int] = set()

    def watch(self, group: int, death_signal: int) -> None:
        if self._process is None or self._process.poll() is not None:
            script = Path(__file__).with_name("warden.py")
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(script)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
            self._groups.clear()
        self._groups.add(group)
        self._tell(f"+{group} {death_signal}\n")

    def release(self, group: int) -> None:
        if group not in self._groups:
            return
        self._groups.discard(group)
        self._tell(f"-{group}\n")
        if not self._groups and self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=2)
            self._process = None

    def _tell(self, line: str) -> None:
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.write(line.encode())
                self._process.stdin.flush()


_warden = _Warden()


def dies_with_parent(death_signal: int) -> Callable[[], None]:
    """What a child runs between fork and exec so that the kernel ends it with its parent."""
    parent = os.getpid()

    def prepare() -> None:
        if _LIBC is None:
            return
        _LIBC.prctl(_PR_SET_PDEATHSIG, death_signal)
        # The parent may have died before the line above took effect.
        if os.getppid() != parent:
            os._exit(1)

    return prepare


@dataclass
class Child:
    """A running child process and where it logs."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    _released: bool = field(default=False, repr=False)

    @classmethod
    def spawn(
        cls,
        name: str,
        argv: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        account: Account | None = None,
        death_signal: int = signal.SIGKILL,
    ) -> Child:
        """Start `argv`; must be called on the main thread, to whose life Linux ties the child."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env) if env is not None else None,
                cwd=cwd,
                start_new_session=True,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
                # After the change of user, which would clear the death signal again.
                preexec_fn=dies_with_parent(death_signal),  # noqa: PLW1509
            )
        _warden.watch(process.pid, death_signal)
        return cls(name, process, log)

    @property
    def pid(self) -> int:
        """The process id, which is also the id of its process group."""
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether it still runs; the first False also sweeps up what it left behind."""
        if self.process.poll() is None:
            return True
        self._release()
        return False

    def send(self, number: int) -> None:
        """Send a signal to the process itself."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM, *, grace_seconds: float = 8.0) -> None:
        """End it and wait: politely first, with SIGKILL for the whole group after the grace."""
        self.send(number)
        deadline = time.monotonic() + grace_seconds
        while self.running and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        self.kill()

    async def stopping(
        self,
        number: int = signal.SIGTERM,
        *,
        grace_seconds: float = 8.0,
        hurry: asyncio.Event | None = None,
    ) -> None:
        """`stop` without blocking the event loop; `hurry` cuts the grace short."""
        self.send(number)
        deadline = time.monotonic() + grace_seconds
        while self.running and time.monotonic() < deadline:
            if hurry is not None and hurry.is_set():
                break
            await asyncio.sleep(_POLL_SECONDS)
        self.kill()

    def kill(self) -> None:
        """SIGKILL for it and all of its process group; returns when it is gone."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self.process.wait()
        self._release()

    def _release(self) -> None:
        if self._released:
            return
        self._released = True
        # Workers of a dead service would otherwise live on.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        _warden.release(self.pid)

    def failure(self, what: str) -> StackError:
        """An error that tells what failed, with the last lines of the log."""
        code = self.process.poll()
        ended = "" if code is None else f" (exit code {code})"
        return StackError(f"{self.name} {what}{ended}; end of {self.log}:\n{last_lines(self.log)}")
