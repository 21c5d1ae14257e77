"""What HR records came to in the tables: the rows of each person, ready to be copied in again."""

from __future__ import annotations

import io
import pickle
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.process import StackError
from tests.bench import tables

_PERSON_IN = {"outbox": "aggregateid", "inbox": "event_id"}


@dataclass(frozen=True, slots=True)
class TableOutcome:
    """The rows of one table, as lines of COPY's text format."""

    name: str
    columns: list[str]
    lines: dict[str, bytes]
    """By the person that they are about."""


async def outcome_of(
    connection: tables.Connection, schema: str, people_of_events: Mapping[str, str]
) -> list[TableOutcome]:
    """What the tables of a schema hold now; each row must tell whom it is about."""
    outcome = []
    for table in await tables.filled(connection, schema):
        names = await tables.columns(connection, schema, table)
        column = _PERSON_IN.get(table, "employee_id")
        if column not in names:
            raise StackError(
                f"rows of {schema}.{table} do not tell whom they are about: {list(names)}"
            )
        text = io.BytesIO()
        await connection.copy_from_query(
            f"SELECT {column}, {', '.join(names)} FROM {schema}.{table}", output=text
        )
        lines: defaultdict[str, bytes] = defaultdict(bytes)
        for line in text.getvalue().splitlines(keepends=True):
            key, _, row = line.partition(b"\t")
            person = key.decode()
            lines[people_of_events[person] if table == "inbox" else person] += row
        outcome.append(TableOutcome(table, list(names), dict(lines)))
    return outcome


def keep_outcome(outcome: list[TableOutcome], file: Path) -> None:
    """Write it down for a process that copies it."""
    file.write_bytes(pickle.dumps(outcome))


def read_outcome(file: Path) -> list[TableOutcome]:
    """What `keep_outcome` wrote."""
    outcome: list[TableOutcome] = pickle.loads(file.read_bytes())
    return outcome
