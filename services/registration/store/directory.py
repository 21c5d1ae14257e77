"""The directory's tables: HR's records, employees, contacts and scheduled changes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any, TypeAlias

from pydantic_core import to_json

from services.registration.domain.directory import Person, ScheduledChange
from services.registration.domain.employment import (
    Contact,
    Employee,
    Facts,
)
from shared.database import Connection

_DATES = frozenset({"start_date", "termination_date"})
_LISTS = frozenset({"dotted_line_manager_ids", "skills", "interests"})


async def employee(connection: Connection, employee_id: str) -> Employee | None:
    """The clean state of one person, also of one who left or was erased."""
    return (await employees(connection, [employee_id])).get(employee_id)


async def employees(connection: Connection, ids: Collection[str]) -> dict[str, Employee]:
    """The clean state of those of these people who are known, by id."""
    rows = await connection.fetch("SELECT * FROM employees WHERE employee_id = ANY($1)", list(ids))
    return {row["employee_id"]: _employee(row) for row in rows}


async def contact(connection: Connection, employee_id: str) -> Contact | None:
    """How to reach a person; None for someone unknown or erased."""
    row = await connection.fetchrow("SELECT * FROM contacts WHERE employee_id = $1", employee_id)
    return Contact(**row) if row else None


async def levels_of_active_employees(
    connection: Connection,
    *,
    departments: Sequence[str] = (),
    countries: Sequence[str] = (),
) -> dict[int, int]:
    """Level → number of active employees on it, lowest level first; an empty filter admits all."""
    rows = await connection.fetch(
        """
        SELECT job_level, count(*) AS people FROM employees
        WHERE status = 'active'
          AND (cardinality($1::text[]) = 0 OR department = ANY($1))
          AND (cardinality($2::text[]) = 0 OR country = ANY($2))
        GROUP BY job_level ORDER BY job_level
        """,
        list(departments),
        list(countries),
    )
    return {row["job_level"]: row["people"] for row in rows}


async def lock_people(connection: Connection, ids: Collection[str]) -> dict[str, Person]:
    """These people, locked until the transaction ends; someone unknown comes as an empty Person."""
    known = await _locked(connection, ids)
    # Where another transaction wrote since our statement began, only the record is its new one. A
    # statement that begins under the lock sees what it wrote beside it: never without the record.
    overtaken = [each for each, row in known.items() if not row["settled"]]
    if overtaken:
        known |= await _locked(connection, overtaken)
    return {each: _person(known[each]) if each in known else Person(each) for each in ids}


async def _locked(connection: Connection, ids: Collection[str]) -> dict[str, Any]:
    rows = await connection.fetch(
        """
        SELECT record.*, (
            SELECT ctid FROM hr_records AS seen WHERE seen.employee_id = record.employee_id
        ) = record.ctid AS settled, (
            -- each by a look-up of its own: a join's plan, made while the tables were small, would
            -- read them whole when they have grown
            SELECT one FROM employees AS one WHERE one.employee_id = record.employee_id
        ) AS employee, (
            SELECT one FROM contacts AS one WHERE one.employee_id = record.employee_id
        ) AS contact, (
            SELECT array_agg(one ORDER BY one.effective_date, one.sequence)
            FROM scheduled_changes AS one WHERE one.employee_id = record.employee_id
        ) AS scheduled
        FROM hr_records AS record WHERE record.employee_id = ANY($1)
        -- in one order, so that two transactions never wait for each other in a circle
        ORDER BY record.employee_id FOR UPDATE
        """,
        list(ids),
    )
    return {row["employee_id"]: row for row in rows}


async def managers_above(connection: Connection, ids: Collection[str]) -> dict[str, str | None]:
    """Employee id → manager id, of these people and of everyone known above them."""
    rows = await connection.fetch(
        """
        -- LIMIT 1 has each person looked up by the key: guessing how far the walk goes, the planner
        -- would rather read the whole table
        WITH RECURSIVE line AS (
            SELECT one.* FROM unnest($1::text[]) AS named (employee_id), LATERAL (
                SELECT employee_id, manager_id FROM employees
                WHERE employee_id = named.employee_id LIMIT 1
            ) one
            -- UNION drops what was seen, so the walk ends even if the data held a circle
            UNION
            SELECT above.* FROM line, LATERAL (
                SELECT employee_id, manager_id FROM employees
                WHERE employee_id = line.manager_id LIMIT 1
            ) above
        )
        SELECT employee_id, manager_id FROM line
        """,
        list(ids),
    )
    return {row["employee_id"]: row["manager_id"] for row in rows}


async def people_due(connection: Connection, today: date, *, limit: int) -> list[str]:
    """People whom time changes: an announced change is due, or the last day has passed."""
    rows = await connection.fetch(
        """
        SELECT employee_id FROM (
            SELECT employee_id, effective_date AS due_on, held_because IS NOT NULL AS held
            FROM scheduled_changes WHERE effective_date <= $1
            UNION ALL
            SELECT employee_id, leaves_on + 1, false
            FROM employees WHERE status <> 'left' AND leaves_on < $1
        ) due
        GROUP BY employee_id
        -- what is held back may have to wait long and must not keep the others out
        ORDER BY bool_and(held), min(due_on), employee_id
        LIMIT $2
        """,
        today,
        limit,
    )
    return [row["employee_id"] for row in rows]


async def save_people(connection: Connection, changed: Sequence[tuple[Person, Person]]) -> None:
    """Write the new state of people whose old and new state are given."""
    records = [(old.sequence >= 0, _record_row(new)) for old, new in changed]
    employees = [
        (old.employee is not None, new.employee)
        for old, new in changed
        if new.employee and new.employee != old.employee
    ]
    contacts = [
        (old.contact is not None, new.contact)
        for old, new in changed
        if new.contact and new.contact != old.contact
    ]
    await _save_rows(connection, (records, employees, contacts))
    gone = [new.employee_id for old, new in changed if old.contact and not new.contact]
    if gone:
        await connection.execute("DELETE FROM contacts WHERE employee_id = ANY($1)", gone)
    await _save_schedules(
        connection, [new for old, new in changed if new.scheduled != old.scheduled]
    )


_MANY_NEW = 100
"""New people in one transaction, as only an import has them."""
_Rows: TypeAlias = Sequence[tuple[bool, tuple[Any, ...]]]
"""Whole rows of a table, each with whether the table has one to replace."""

_TABLES: Mapping[str, Sequence[str]] = {
    "hr_records": (
        "employee_id",
        "sequence",
        "digest",
        "effective_date",
        "facts",
        "contact_version",
        "erased",
    ),
    "employees": Employee._fields,
    "contacts": Contact._fields,
}
"""The tables with one row for each person, by `employee_id`; columns in the table's order."""


async def _save_rows(connection: Connection, rows: Sequence[_Rows]) -> None:
    """Write the rows of each table."""
    for (table, columns), theirs in zip(_TABLES.items(), rows, strict=True):
        new = [row for known, row in theirs if not known]
        if new:
            # A fraction of an upsert's work, and a first import is all of this kind.
            await connection.copy_records_to_table(table, columns=columns, records=new)
    if sum(not known for known, _ in rows[0]) >= _MANY_NEW:
        # Plans made for a small company read its tables whole, which takes ever longer until
        # Postgres notices by itself, perhaps a minute later, that they have grown.
        await connection.execute("DISCARD PLANS")
    changed = [[row for known, row in theirs if known] for theirs in rows]
    if any(changed):
        await connection.execute(_REPLACE, *changed)


def _replace(table: str, columns: Sequence[str], parameter: int) -> str:
    excluded = ", ".join(f"excluded.{column}" for column in columns)
    return f"""
        {table}_replaced AS (
            INSERT INTO {table} SELECT * FROM unnest(${parameter}::{table}[])
            -- the order in which an enrolment holds several people's employment
            ORDER BY employee_id
            ON CONFLICT (employee_id) DO UPDATE SET ({", ".join(columns)}) = ({excluded})
        )
    """  # noqa: S608 - names of our own


# One statement: with few people, the way to Postgres and back takes longer than the work there.
_REPLACE = f"""
    WITH {",".join(_replace(*each, n) for n, each in enumerate(_TABLES.items(), 1))} SELECT
"""


def _record_row(person: Person) -> tuple[Any, ...]:
    return (
        person.employee_id,
        person.sequence,
        person.digest,
        person.since,
        person.facts._asdict() if person.facts else None,
        person.contact_version,
        person.erased,
    )


def _person(row: Any) -> Person:
    return Person(
        row["employee_id"],
        sequence=row["sequence"],
        digest=row["digest"],
        since=row["effective_date"],
        facts=Facts(**_from_json(row["facts"])) if row["facts"] else None,
        employee=_employee(row["employee"]) if row["employee"] else None,
        contact=Contact(*row["contact"]) if row["contact"] else None,
        contact_version=row["contact_version"],
        scheduled=tuple(_scheduled_change(each) for each in row["scheduled"] or ()),
        erased=row["erased"],
    )


def _scheduled_change(row: Any) -> ScheduledChange:
    changes = _from_json(row["changes"])
    return ScheduledChange(row["sequence"], row["effective_date"], changes, row["held_because"])


async def _save_schedules(connection: Connection, people: Sequence[Person]) -> None:
    if not people:
        return
    await connection.execute(
        "DELETE FROM scheduled_changes WHERE employee_id = ANY($1)",
        [each.employee_id for each in people],
    )
    rows = [(each.employee_id, change) for each in people for change in each.scheduled]
    await connection.execute(
        """
        INSERT INTO scheduled_changes (employee_id, sequence, effective_date, changes, held_because)
        SELECT employee_id, sequence, effective_date, changes::jsonb, held_because
        FROM unnest($1::text[], $2::bigint[], $3::date[], $4::text[], $5::text[])
            AS row (employee_id, sequence, effective_date, changes, held_because)
        """,
        [employee_id for employee_id, _ in rows],
        [change.sequence for _, change in rows],
        [change.effective_date for _, change in rows],
        [to_json(dict(change.changes)).decode() for _, change in rows],
        [change.held_because for _, change in rows],
    )


def _employee(row: Any) -> Employee:
    return Employee._make(tuple(value) if isinstance(value, list) else value for value in row)


def _from_json(values: Mapping[str, Any]) -> dict[str, Any]:
    read = dict(values)
    for name in _DATES & read.keys():
        read[name] = read[name] and date.fromisoformat(read[name])
    for name in _LISTS & read.keys():
        read[name] = tuple(read[name])
    return read
