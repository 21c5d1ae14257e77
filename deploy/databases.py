"""Which services' databases a command works on: the local stack's, or those of real servers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import asyncpg

from deploy.local.postgres import SERVICES
from deploy.local.process import StackError
from shared.clock import Clock
from shared.database import Connection


class ServiceName(StrEnum):
    """A service as the command line names it."""

    REGISTRATION = "registration"
    MATCHING = "matching"
    NOTIFICATIONS = "notifications"
    METRICS = "metrics"


@dataclass(frozen=True)
class Databases:
    """Connection strings by service, and the clock that those services live by."""

    dsns: Mapping[str, str] = field(repr=False)
    clock: Clock

    async def connect(self, service: str) -> asyncpg.Connection[asyncpg.Record]:
        """A connection to a service's schema. Raises StackError."""
        try:
            return await asyncpg.connect(
                self.dsns[service],
                server_settings={
                    "search_path": service,
                    "application_name": f"{service}-operator",
                },
            )
        except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            reason = str(error) or type(error).__name__
            raise StackError(f"the database of {service} cannot be used: {reason}") from None


def databases(
    data: Path, services: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> Databases:
    """Those of these services: `UPDRAFT_<SERVICE>__DSN` where set, else the stack's in `data`.

    No services means all; or, where some have a DSN set, those. Raises StackError.
    """
    environment = os.environ if environment is None else environment
    given = {
        service: environment[name]
        for service in SERVICES
        if environment.get(name := f"UPDRAFT_{service.upper()}__DSN")
    }
    # The database driver wants nothing but plain text.
    chosen = [str(service) for service in services] or list(given) or SERVICES
    missing = [service for service in chosen if service not in given]
    if not missing:
        return Databases({service: given[service] for service in chosen}, Clock())
    from deploy.local.endpoints import Endpoints

    try:
        stack = Endpoints.of(data)
    except StackError as error:
        names = ", ".join(f"UPDRAFT_{service.upper()}__DSN" for service in missing)
        raise StackError(f"{error}, or set {names}") from None
    return Databases(
        {service: given.get(service) or stack.dsn(service) for service in chosen}, stack.clock
    )


async def is_running(connection: Connection, service: str) -> bool:
    """Whether the service has a connection to this database."""
    found = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = $1)",
        service,
    )
    return bool(found)
