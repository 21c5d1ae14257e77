"""Every event version ever published still decodes, with every field."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from deploy.contracts import FOLDER
from shared.catalogue import BY_TYPE
from shared.envelope import Record, decode

GOLDEN = Path(__file__).parent / "golden"
NAMES = sorted(file.stem for file in GOLDEN.glob("*.json"))


def golden(name: str) -> tuple[Record, dict[str, Any]]:
    kept = json.loads((GOLDEN / f"{name}.json").read_text())
    headers = tuple((key, value.encode()) for key, value in kept["headers"].items())
    value = json.dumps(kept["value"]).encode()
    topic = BY_TYPE[name].TOPIC
    return Record(topic, 0, 0, kept["key"].encode(), value, headers), kept["value"]


def test_each_event_of_the_catalogue_has_a_golden_record() -> None:
    assert set(NAMES) >= set(BY_TYPE)


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_record_decodes_without_losing_a_field(name: str) -> None:
    record, value = golden(name)
    envelope = decode(record, datetime(2026, 3, 3, tzinfo=UTC))
    assert envelope.type == name
    assert envelope.data is not None
    again = json.loads(envelope.data.model_dump_json(by_alias=True))
    assert {key: again[key] for key in value} == value


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_record_fits_its_json_schema(name: str) -> None:
    _, value = golden(name)
    schema = json.loads((FOLDER / f"{name}.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(value)
