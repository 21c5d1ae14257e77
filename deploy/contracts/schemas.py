"""One JSON Schema per event type, made from the catalogue and kept in the repository."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from shared.catalogue import Event

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "shared" / "contracts"


@cache
def schema(event: type[Event]) -> dict[str, Any]:
    """The JSON Schema of an event's data as it stands on the wire, with its topic and key.

    Made once per event: copy it before you alter it.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:updraft:schema:{event.TYPE}",
        "x-topic": event.TOPIC,
        "x-key": event.KEY,
        **event.model_json_schema(by_alias=True, mode="validation"),
    }


def kept_schemas(folder: Path) -> dict[str, dict[str, Any]]:
    """Event type → the schema that the folder keeps of it."""
    return {file.stem: json.loads(file.read_text("utf-8")) for file in folder.glob("*.json")}


def write_schema(event: type[Event], folder: Path) -> None:
    """Keep an event's schema."""
    text = json.dumps(schema(event), indent=1, sort_keys=True, ensure_ascii=False)
    (folder / f"{event.TYPE}.json").write_text(text + "\n", encoding="utf-8")
