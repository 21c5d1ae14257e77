"""Tables whatever their columns: emptied, put aside and filled again, multiplied.

Column names come from the catalogue, so that the benchmarks follow the services' migrations.
"""

from __future__ import annotations

import asyncio
import os
from typing import TypeAlias

import asyncpg

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
_KEPT = "migrations"


async def columns(connection: Connection, schema: str, table: str) -> dict[str, str]:
    """The columns that a row is written with, and their types, in order.

    Those that Postgres fills in itself are left out.
    """
    rows = await connection.fetch(
        """
        SELECT column_name AS name, data_type AS type FROM information_schema.columns
        WHERE table_schema = $1 AND table_name = $2 AND is_generated = 'NEVER'
          AND is_identity = 'NO'
        ORDER BY ordinal_position
        """,
        schema,
        table,
    )
    return {row["name"]: row["type"] for row in rows}


async def filled(connection: Connection, schema: str) -> list[str]:
    """The tables of a schema that hold anything."""
    return [
        name
        for name in await _tables(connection, schema)
        if await connection.fetchval(f'SELECT EXISTS (SELECT FROM {schema}."{name}")')
    ]


async def with_column(connection: Connection, schema: str, column: str) -> list[str]:
    """The tables of a schema that have a column of this name."""
    return [
        name
        for name in await _tables(connection, schema)
        if column in await columns(connection, schema, name)
    ]


async def empty(connection: Connection, schema: str) -> None:
    """Empty all tables of a schema but the list of migrations."""
    names = ", ".join(f'{schema}."{name}"' for name in await _tables(connection, schema))
    await connection.execute(f"TRUNCATE {names} RESTART IDENTITY CASCADE")


async def settle(connection: Connection) -> None:
    """Have Postgres finish what earlier rounds left to do, so that the next one does not pay."""
    await connection.execute("ANALYZE")
    await write_out(connection)


async def write_out(connection: Connection) -> None:
    """Have everything written so far brought to disk, by whomever it was written.

    What the system holds back for half a minute it else writes out during what is measured, and
    every commit waits for it.
    """
    await connection.execute("CHECKPOINT")
    await asyncio.to_thread(os.sync)


async def _tables(connection: Connection, schema: str) -> list[str]:
    rows = await connection.fetch(
        "SELECT tablename FROM pg_tables WHERE schemaname = $1 AND tablename <> $2"
        " ORDER BY tablename",
        schema,
        _KEPT,
    )
    return [row["tablename"] for row in rows]


async def put_aside(connection: Connection, schema: str, table: str, aside: str) -> None:
    """Copy the rows of a table to another one, which is made for them."""
    names = ", ".join(await columns(connection, schema, table))
    await connection.execute(f"CREATE TABLE {aside} AS SELECT {names} FROM {schema}.{table}")


async def refill(
    connection: Connection, schema: str, table: str, aside: str, *, copies: int = 1
) -> None:
    """Fill a table with the rows put aside, in their order; further copies get ids of their own."""
    known = await columns(connection, schema, table)
    values = [
        f"CASE WHEN copy = 1 THEN {name} ELSE gen_random_uuid() END" if kind == "uuid" else name
        for name, kind in known.items()
    ]
    await connection.execute(
        f"INSERT INTO {schema}.{table} ({', '.join(known)}) SELECT {', '.join(values)}"
        f" FROM generate_series(1, {copies}) AS copy, {aside}"
    )


async def multiply(connection: Connection, schema: str, mark: str, copies: int) -> None:
    """Add copies of all rows of a schema, with people of their own.

    In texts and documents, `mark` becomes `<mark><number of the copy>`: it must be what the ids of
    the people there begin with.
    """
    for table in await filled(connection, schema):
        known = await columns(connection, schema, table)
        values = [_copied(name, kind, mark) for name, kind in known.items()]
        await connection.execute(
            f"INSERT INTO {schema}.{table} ({', '.join(known)}) SELECT {', '.join(values)}"
            f" FROM {schema}.{table}, generate_series(1, {copies}) AS copy"
        )
    await connection.execute("VACUUM ANALYZE")


def _copied(name: str, kind: str, mark: str) -> str:
    if kind == "uuid":
        return "gen_random_uuid()"
    if kind == "text":
        return f"replace({name}, '{mark}', '{mark}' || copy)"
    if kind == "jsonb":
        return f"replace({name}::text, '{mark}', '{mark}' || copy)::jsonb"
    return name
