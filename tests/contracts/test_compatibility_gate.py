"""The gate lets additive changes of an event pass and stops breaking ones."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deploy.contracts import app, breaking_changes, schema
from shared.catalogue import EVENT_TYPES, PairCreated


@pytest.fixture
def old() -> dict[str, Any]:
    return schema(PairCreated)


def test_an_optional_field_more_is_no_breaking_change(old: dict[str, Any]) -> None:
    new = copy.deepcopy(old)
    new["properties"]["mood"] = {"type": "string", "default": ""}
    new["description"] = "other words"
    assert breaking_changes(old, new) == []


def test_breaking_changes_are_named(old: dict[str, Any]) -> None:
    def changed(change: Any) -> list[str]:
        new = copy.deepcopy(old)
        change(new)
        return breaking_changes(old, new)

    assert changed(lambda s: s["properties"].pop("score")) == ["data.score: removed"]
    assert "data.mood: became required" in changed(
        lambda s: (s["properties"].update(mood={"type": "string"}), s["required"].append("mood"))
    )
    assert changed(lambda s: s["required"].remove("version")) == [
        "data.version: is no longer certain to be there"
    ]
    assert changed(lambda s: s["properties"]["version"].update(type="string"))
    assert changed(lambda s: s["$defs"]["Contribution"]["properties"].pop("points"))
    assert changed(lambda s: s["properties"]["status"]["enum"].append("new"))
    assert changed(lambda s: s.update({"x-key": "mentor_id"}))


def test_the_commands_refuse_to_check_or_write_over_a_breaking_change(tmp_path: Path) -> None:
    run = CliRunner().invoke
    assert run(app, ["write", "--folder", str(tmp_path)]).exit_code == 0
    assert run(app, ["check", "--folder", str(tmp_path)]).exit_code == 0
    file = tmp_path / f"{EVENT_TYPES[0].TYPE}.json"
    kept = json.loads(file.read_text())
    kept["properties"]["badge"] = {"type": "string"}
    file.write_text(json.dumps(kept))
    for command in ("check", "write"):
        result = run(app, [command, "--folder", str(tmp_path)])
        assert result.exit_code == 1
        assert "badge: removed" in result.output
        assert ".v2" in result.output
