"""The stack's run folder: its lock, its secrets, and what it says about itself."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import tempfile
from pathlib import Path
from typing import Any

from deploy.local.postgres import AUDITOR, SERVICES
from deploy.local.process import StackError

_SECRETS = ("postgres", "links", *SERVICES, AUDITOR)


class RunFolder:
    """A folder that one stack at a time uses; secrets in it are readable by its owner alone."""

    def __init__(self, path: Path | None = None) -> None:
        if path is None:
            path = Path(tempfile.mkdtemp(prefix="updraft-"))
        path.mkdir(parents=True, exist_ok=True)
        self.path = path.resolve()
        # Root lends Postgres another user, who must be able to pass through to the data.
        self.path.chmod(0o711 if os.geteuid() == 0 else 0o700)
        self._lock: int | None = None

    @property
    def mails(self) -> Path:
        """Where each mail is kept as an .eml file."""
        return self._closed("mails")

    @property
    def logs(self) -> Path:
        """One log file per process."""
        return self._closed("logs")

    @property
    def issuer_key(self) -> Path:
        """The local issuer's private key."""
        return self._closed("secrets") / "issuer.pem"

    def _closed(self, *names: str) -> Path:
        folder = self.path.joinpath(*names)
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        return folder

    def lock(self) -> None:
        """Claim the folder. Raises StackError if a running stack has it."""
        self._lock = os.open(self.path / ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.unlock()
            raise StackError(
                f"a stack is already running in {self.path}; stop it, or give another folder"
            ) from None

    def unlock(self) -> None:
        """Give the folder back."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def secrets(self) -> dict[str, str]:
        """A secret for each role of the database and for signed links; kept between runs."""
        known = self.secrets_of(self.path)
        missing = {name: secrets.token_urlsafe(32) for name in _SECRETS if name not in known}
        if missing:
            self.write("secrets.json", {**known, **missing})
        return {**known, **missing}

    def hand_over(self, service: str, values: dict[str, str]) -> Path:
        """A folder of secret files for one service, named as `UPDRAFT_SECRETS_DIR` wants them."""
        folder = self._closed("secrets", service)
        for name, value in values.items():
            self._write_text(folder / name, value)
        return folder

    def state(self) -> dict[str, Any]:
        """What the stack that ran here last, or runs here, says about itself."""
        return self.state_of(self.path)

    @staticmethod
    def state_of(path: Path) -> dict[str, Any]:
        """The state in another stack's folder; empty if there is none."""
        return _read(path / "stack.json")

    @staticmethod
    def secrets_of(path: Path) -> dict[str, str]:
        """The secrets in a stack's folder, for whoever may read them."""
        return _read(path / "secrets.json")

    def write(self, name: str, document: dict[str, Any]) -> None:
        """Replace a JSON file at one stroke; only the owner may read it."""
        self._write_text(self.path / name, json.dumps(document, indent=2) + "\n")

    def _write_text(self, file: Path, text: str) -> None:
        draft = file.with_name(f".{file.name}.part")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as out:
            out.write(text)
        draft.rename(file)


def _read(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_text())
    except FileNotFoundError:
        return {}
    except PermissionError:
        raise StackError(f"{file} belongs to another user; run as the one who started it") from None
    except ValueError:
        raise StackError(f"{file} is damaged; remove it or its folder") from None
    return document if isinstance(document, dict) else {}
