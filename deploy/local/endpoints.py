"""Where the parts of a stack are, and how to be let in; also for other processes, by its folder."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from deploy.local.folder import RunFolder
from deploy.local.issuer import SigningKey
from deploy.local.postgres import AUDITOR, SERVICES, dsn
from deploy.local.process import StackError
from shared.clock import Clock


def external_dsns(environment: Mapping[str, str]) -> dict[str, str]:
    """Connection strings of real servers: `UPDRAFT_<SERVICE>__DSN` for all four, or for none.

    `UPDRAFT_AUDITOR__DSN` may be among them. Raises StackError if only some are set.
    """
    given = {
        role: environment[name]
        for role in (*SERVICES, AUDITOR)
        if environment.get(name := f"UPDRAFT_{role.upper()}__DSN")
    }
    missing = [service for service in SERVICES if given and service not in given]
    if missing:
        names = ", ".join(f"UPDRAFT_{service.upper()}__DSN" for service in missing)
        raise StackError(f"some services have a DSN and others not; set {names} too, or none")
    return given


@dataclass(frozen=True)
class Endpoints:
    """The addresses of a stack and the credentials to use them."""

    run_dir: Path
    bootstrap_servers: str
    ports: Mapping[str, int]
    """By part: each service, `mail`, `smtp`, `issuer`, `postgres`."""
    clock: Clock
    dsns: Mapping[str, str] = field(repr=False)
    superuser_dsn: str | None = field(repr=False, default=None)
    """None where Postgres is not ours."""

    @classmethod
    def of(cls, folder: Path) -> Endpoints:
        """Those of the stack that runs in `folder`. Raises StackError if none does."""
        state = RunFolder.state_of(folder)
        if not state.get("running") or not _alive(state.get("pid")):
            raise StackError(f"no stack is running in {folder}; start one with `updraft up`")
        clock = state["clock"]
        return cls(
            run_dir=folder.resolve(),
            bootstrap_servers=state["bootstrap_servers"],
            ports=state["ports"],
            clock=Clock(
                datetime.fromisoformat(clock["start"]),
                datetime.fromisoformat(clock["origin"]),
                clock["speed"],
            ),
            **credentials(RunFolder.secrets_of(folder), state["ports"], os.environ),
        )

    def url(self, part: str) -> str:
        """The HTTP address of a service, of `mail` (the page) or of `issuer`."""
        return f"http://127.0.0.1:{self.ports[part]}"

    def dsn(self, role: str) -> str:
        """The connection string of a service's role, or of `auditor`."""
        if role not in self.dsns:
            raise StackError(f"no DSN is known for {role}; set UPDRAFT_{role.upper()}__DSN")
        return self.dsns[role]

    @cached_property
    def _key(self) -> SigningKey:
        return SigningKey.kept_in(self.run_dir / "secrets" / "issuer.pem")

    def token(self, subject: str, roles: Sequence[str] = (), employee_id: str | None = None) -> str:
        """A bearer token of the local issuer."""
        return self._key.mint(self.url("issuer"), subject, roles, employee_id)


def credentials(
    secrets: Mapping[str, str], ports: Mapping[str, int], environment: Mapping[str, str]
) -> dict[str, Any]:
    """The connection strings by role and the administrator's, for the Postgres in use."""
    given = external_dsns(environment)
    if given:
        return {"dsns": given, "superuser_dsn": None}
    port = ports["postgres"]
    roles = (*SERVICES, AUDITOR)
    return {
        "dsns": {role: dsn(port, role, secrets[role]) for role in roles},
        "superuser_dsn": dsn(port, "postgres", secrets["postgres"]),
    }


def _alive(pid: object) -> bool:
    if not isinstance(pid, int):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
