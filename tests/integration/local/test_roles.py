import shutil
import tempfile
from itertools import permutations
from pathlib import Path

import asyncpg
import pytest

from deploy.local.postgres import SERVICES, create_service_roles, dsn, start_postgres

DENIALS = list(permutations(SERVICES, 2))


@pytest.fixture(scope="module")
def server():
    folder = Path(tempfile.mkdtemp(prefix="updraft-"))
    running = start_postgres(folder)
    try:
        yield running
    finally:
        running.stop()
        shutil.rmtree(folder)


@pytest.fixture
async def connect(server):
    """Connections of roles to a database in which every service has a table with a row."""
    passwords = await create_service_roles(server.superuser_dsn)
    opened = []

    async def open_as(role):
        connection = await asyncpg.connect(dsn(server.port, role, passwords[role]))
        opened.append(connection)
        return connection

    for service in SERVICES:
        own = await open_as(service)
        await own.execute("CREATE TABLE IF NOT EXISTS people (id int)")
        await own.execute("INSERT INTO people VALUES (1)")
    yield open_as
    for connection in opened:
        await connection.close()


def test_there_are_twelve_denials():
    assert len(DENIALS) == 12


@pytest.mark.parametrize(("role", "other"), DENIALS)
async def test_a_service_has_no_right_in_the_schema_of_another(connect, role, other):
    connection = await connect(role)

    assert not await connection.fetchval(
        "SELECT has_schema_privilege($1, 'USAGE') OR has_schema_privilege($1, 'CREATE')", other
    )
    for statement in (
        f"SELECT * FROM {other}.people",
        f"INSERT INTO {other}.people VALUES (2)",
        f"UPDATE {other}.people SET id = 2",
        f"DELETE FROM {other}.people",
        f"CREATE TABLE {other}.mine (id int)",
        f"DROP TABLE {other}.people",
        f"DROP SCHEMA {other} CASCADE",
        f"ALTER SCHEMA {other} OWNER TO {role}",
        f"SET ROLE {other}",
        f"GRANT {other} TO {role}",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)


@pytest.mark.parametrize("role", SERVICES)
async def test_a_service_owns_its_schema_which_is_where_it_looks_first(connect, role):
    connection = await connect(role)

    assert await connection.fetchval("SELECT current_schema()") == role
    assert await connection.fetchval("SELECT count(*) FROM people") >= 1
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("CREATE TABLE public.mine (id int)")


async def test_the_auditor_reads_all_schemas_and_writes_none(connect):
    auditor = await connect("auditor")

    for service in SERVICES:
        assert await auditor.fetchval(f"SELECT count(*) FROM {service}.people") >= 1
        await auditor.execute("SET default_transaction_read_only = off")
        for statement in (
            f"INSERT INTO {service}.people VALUES (3)",
            f"CREATE TABLE {service}.mine (id int)",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await auditor.execute(statement)


async def test_the_auditor_may_change_nothing_by_default(connect):
    auditor = await connect("auditor")

    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await auditor.execute("CREATE TEMPORARY TABLE mine (id int)")


@pytest.mark.parametrize("role", [*SERVICES, "auditor"])
async def test_no_role_gets_in_without_its_password(connect, server, role):
    await connect(role)

    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(dsn(server.port, role, "guess"))


async def test_granting_again_changes_nothing_but_the_password(connect, server):
    before = await connect("matching")
    await before.execute("INSERT INTO people VALUES (7)")

    passwords = await create_service_roles(server.superuser_dsn)

    again = await asyncpg.connect(dsn(server.port, "matching", passwords["matching"]))
    try:
        assert await again.fetchval("SELECT count(*) FROM people WHERE id = 7") == 1
    finally:
        await again.close()
