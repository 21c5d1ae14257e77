"""A service's tables against fresh ones: what differs, and the live ones made equal to them.

Rows are exchanged, not tables: those that are right stay as they are, readers see the old rows
until the commit, and views, references and rights that hang on a table need no care.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.database import Connection
from shared.projections import Projection


@dataclass(frozen=True)
class Difference:
    """How many rows of a live table differ from the fresh one."""

    table: str
    rows: int
    """In the fresh one."""
    missing: int
    wrong: int
    unexplained: int
    """Rows that no record accounts for, or that are newer than all records of theirs."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.missing + self.wrong + self.unexplained


@dataclass(frozen=True)
class Statements:
    """The SQL that compares one table, and that makes it right."""

    compare: str
    insert: str
    update: str | None
    """None where all columns belong to the key."""
    reset: str | None
    """Sets rows back that are newer; None where rows have no version."""
    delete: str


# The server writes the statements, so that it also quotes the names.
_WRITE = """
WITH columns AS (
    SELECT attname AS name, attnum AS number, attnum = ANY (indkey) AS key,
           attname = ANY ($3) AS own
    FROM pg_attribute JOIN pg_index ON indrelid = attrelid AND indisprimary
    WHERE attrelid = format('%I.%I', $1::text, $2::text)::regclass
      AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
), parts AS (
    SELECT format('%I.%I', $1, $2) AS live, format('pg_temp.%I', $2) AS fresh,
        string_agg(format('%I', name), ', ' ORDER BY number) AS names,
        string_agg(format('live.%1$I = fresh.%1$I', name), ' AND ') FILTER (WHERE key) AS same,
        string_agg(format('live.%1$I IS DISTINCT FROM fresh.%1$I', name), ' OR ')
            FILTER (WHERE NOT key AND NOT own) AS differs,
        string_agg(format('%1$I = fresh.%1$I', name), ', ')
            FILTER (WHERE NOT key AND NOT own) AS changes,
        bool_or(name = 'version' AND NOT key) AS versioned
    FROM columns
)
SELECT format(
    'SELECT (SELECT count(*) FROM %2$s) AS rows,'
    ' (SELECT count(*) FROM %2$s AS fresh WHERE NOT EXISTS'
    '     (SELECT FROM %1$s AS live WHERE %3$s)) AS missing,'
    ' (SELECT count(*) FROM %1$s AS live JOIN %2$s AS fresh ON %3$s'
    '  WHERE (%4$s) AND NOT %5$s) AS wrong,'
    ' (SELECT count(*) FROM %1$s AS live JOIN %2$s AS fresh ON %3$s WHERE %5$s)'
    ' + CASE WHEN $1 THEN 0 ELSE (SELECT count(*) FROM %1$s AS live WHERE NOT EXISTS'
    '     (SELECT FROM %2$s AS fresh WHERE %3$s)) END AS unexplained',
    live, fresh, same, coalesce(differs, 'false'), newer) AS compare,
  format('INSERT INTO %1$s (%4$s) SELECT %4$s FROM %2$s AS fresh WHERE NOT EXISTS'
         ' (SELECT FROM %1$s AS live WHERE %3$s)', live, fresh, same, names) AS insert,
  CASE WHEN changes IS NOT NULL THEN
      format('UPDATE %1$s AS live SET %4$s FROM %2$s AS fresh WHERE %3$s AND (%5$s) AND NOT %6$s',
             live, fresh, same, changes, differs, newer) END AS update,
  CASE WHEN versioned THEN
      format('UPDATE %1$s AS live SET %4$s FROM %2$s AS fresh WHERE %3$s AND %5$s',
             live, fresh, same, changes, newer) END AS reset,
  format('DELETE FROM %1$s AS live WHERE NOT EXISTS (SELECT FROM %2$s AS fresh WHERE %3$s)',
         live, fresh, same) AS delete
FROM parts, LATERAL (
    SELECT CASE WHEN versioned THEN '(live.version > fresh.version)' ELSE 'false' END AS newer
) AS rule
"""


async def statements(connection: Connection, schema: str, projection: Projection) -> Statements:
    """Those for one table of a schema and its fresh twin of the same name in pg_temp."""
    row = await connection.fetchrow(_WRITE, schema, projection.table, list(projection.own))
    assert row is not None
    return Statements(**row)


async def difference(connection: Connection, projection: Projection, sql: Statements) -> Difference:
    """How the live table differs from the fresh one."""
    row = await connection.fetchrow(sql.compare, projection.outlives_records)
    assert row is not None
    return Difference(projection.table, **row)


async def exchange(
    connection: Connection, projection: Projection, sql: Statements, *, remove_unexplained: bool
) -> None:
    """Make the live table equal to the fresh one; unexplained rows only if they may go."""
    if remove_unexplained:
        if not projection.outlives_records:
            await connection.execute(sql.delete)
        if sql.reset is not None:
            await connection.execute(sql.reset)
    if sql.update is not None:
        await connection.execute(sql.update)
    await connection.execute(sql.insert)
