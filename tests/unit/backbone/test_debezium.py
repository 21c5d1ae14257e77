"""The connector's configuration names the columns that the outbox has and the headers we send."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import cast

from shared.database import BACKBONE_MIGRATIONS, HEADER_COLUMNS

CONNECTOR = Path(__file__).parents[3] / "deploy" / "debezium" / "outbox-connector.json"
ROUTER = "transforms.outbox."


def config() -> dict[str, str]:
    return cast("dict[str, str]", json.loads(CONNECTOR.read_text(encoding="utf-8"))["config"])


def placed() -> dict[str, str]:
    """Header by column."""
    trios = config()[ROUTER + "table.fields.additional.placement"].split(",")
    parts = [trio.split(":") for trio in trios]
    assert {placement for _, placement, _ in parts} == {"header"}
    return {column: header for column, _, header in parts}


def test_the_connector_names_columns_that_exist() -> None:
    sql = (BACKBONE_MIGRATIONS / "000_backbone.sql").read_text(encoding="utf-8")
    table = sql.split("CREATE TABLE outbox (")[1].split("\n);")[0]
    columns = set(re.findall(r"^    (\w+) ", table, re.MULTILINE))
    fields = ("field.event.id", "field.event.key", "field.event.payload")
    named = {config()[f"{ROUTER}table.{field}"] for field in fields}
    named |= {config()[ROUTER + "route.by.field"], *placed()}
    assert named == columns - {"seq", "created_at"}


def test_the_connector_gives_an_event_the_headers_that_the_relay_gives_it() -> None:
    ours = {column: header for header, column in HEADER_COLUMNS.items()}
    ours |= {"id": "ce_id", "type": "ce_type", "aggregateid": "ce_subject"}
    assert placed() == ours | {"headers": "updraft-headers"}
