"""JSON Schemas of the file formats, made from their models and kept beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from deploy.matching.formats import (
    BottlenecksFile,
    CertificateFile,
    NotReadyLine,
    PairLine,
    PersonLine,
    PriceLine,
    Rules,
    UnmatchedLine,
)

FOLDER = Path(__file__).parent / "schemas"
FORMATS: dict[str, type[BaseModel]] = {
    "people": PersonLine,
    "rules": Rules,
    "pairs": PairLine,
    "unmatched": UnmatchedLine,
    "not_ready": NotReadyLine,
    "bottlenecks": BottlenecksFile,
    "prices": PriceLine,
    "certificate": CertificateFile,
}
"""File → what each of its lines is, or the whole of a `.json` file."""


def schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schema of each format, draft 2020-12."""
    return {
        name: {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"urn:updraft:schema:matching:{name}",
            **model.model_json_schema(mode="validation"),
        }
        for name, model in FORMATS.items()
    }
