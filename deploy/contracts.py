"""The event contracts: one JSON Schema per event type, kept in the repository and guarded.

Within a version only optional fields are added; anything else is a new `.v2` type beside the old.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

from shared.catalogue import EVENT_TYPES, Event

FOLDER = Path(__file__).parents[1] / "shared" / "contracts"
# What readers may ignore without misreading a value.
_ANNOTATIONS = {"title", "description", "default", "examples", "$schema", "$id", "x-topic", "x-key"}

app = typer.Typer(help="The JSON Schemas of the event catalogue.", no_args_is_help=True)


def schema(event: type[Event]) -> dict[str, Any]:
    """The JSON Schema of an event's data as it stands on the wire, with its topic and key."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:updraft:schema:{event.TYPE}",
        "x-topic": event.TOPIC,
        "x-key": event.KEY,
        **event.model_json_schema(by_alias=True, mode="validation"),
    }


def breaking_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What a reader or writer of the old schema would trip over in the new one."""
    changes = [
        f"x-{what}: changed from {old.get(f'x-{what}')} to {new.get(f'x-{what}')}"
        for what in ("topic", "key")
        if old.get(f"x-{what}") != new.get(f"x-{what}")
    ]
    return changes + list(_differences(_inlined(old, old), _inlined(new, new), "data"))


def _differences(old: Any, new: Any, path: str) -> Iterator[str]:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        if old != new:
            yield f"{path}: changed from {json.dumps(old)} to {json.dumps(new)}"
        return
    before, after = old.get("properties"), new.get("properties")
    if not (isinstance(before, dict) and isinstance(after, dict)):
        for name in sorted(old.keys() | new.keys()):
            if name not in old or name not in new:
                yield f"{path}: {name} was {'added' if name in new else 'removed'}"
            else:
                yield from _differences(old[name], new[name], f"{path}.{name}")
        return
    required, still = set(old.get("required", ())), set(new.get("required", ()))
    for name in sorted(before.keys() - after.keys()):
        yield f"{path}.{name}: removed"
    for name in sorted(still - required):
        yield f"{path}.{name}: became required"
    for name in sorted((required - still) & after.keys()):
        yield f"{path}.{name}: is no longer certain to be there"
    for name in sorted(before.keys() & after.keys()):
        yield from _differences(before[name], after[name], f"{path}.{name}")
    rest = {"properties", "required"}
    yield from _differences(
        {name: value for name, value in old.items() if name not in rest},
        {name: value for name, value in new.items() if name not in rest},
        path,
    )


def _inlined(part: Any, whole: Mapping[str, Any]) -> Any:
    """The schema with references resolved and annotations left out, ready to compare."""
    if isinstance(part, list):
        return [_inlined(item, whole) for item in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        name = part["$ref"].removeprefix("#/$defs/")
        return _inlined(whole["$defs"][name], whole)
    if isinstance(part.get("properties"), dict):
        # Property names are not keywords: one may be called `title`.
        properties = {name: _inlined(value, whole) for name, value in part["properties"].items()}
        rest = {name: value for name, value in part.items() if name != "properties"}
        return {**_inlined(rest, whole), "properties": properties}
    return {
        name: _inlined(value, whole)
        for name, value in part.items()
        if name not in _ANNOTATIONS and name != "$defs"
    }


def _committed(folder: Path) -> dict[str, dict[str, Any]]:
    return {file.stem: json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))}


def problems(folder: Path = FOLDER) -> tuple[list[str], list[str]]:
    """Breaking changes against the kept schemas, and types whose kept schema is out of date."""
    kept = _committed(folder)
    current = {event.TYPE: schema(event) for event in EVENT_TYPES}
    broken = [f"{name}: the type is gone" for name in kept.keys() - current.keys()]
    for name in sorted(kept.keys() & current.keys()):
        broken += [f"{name}: {change}" for change in breaking_changes(kept[name], current[name])]
    stale = [name for name in sorted(current) if kept.get(name) != current[name]]
    return broken, stale


def _refuse(broken: list[str]) -> None:
    for line in broken:
        typer.echo(f"breaking: {line}", err=True)
    typer.echo(
        "An event version that was published never changes. Undo the change, or add a new type that"
        " ends in .v2 (or higher) to the catalogue and publish it beside the old one.",
        err=True,
    )
    raise typer.Exit(1)


@app.command()
def check(folder: Path = FOLDER) -> None:
    """Fail when the catalogue breaks a kept schema, or when a kept schema is out of date."""
    broken, stale = problems(folder)
    if broken:
        _refuse(broken)
    if stale:
        typer.echo(f"out of date: {', '.join(stale)}; run `make contracts` and commit", err=True)
        raise typer.Exit(1)
    typer.echo(f"{len(EVENT_TYPES)} event contracts hold.")


@app.command()
def write(folder: Path = FOLDER) -> None:
    """Write the schemas anew; refuses breaking changes."""
    broken, stale = problems(folder)
    if broken:
        _refuse(broken)
    folder.mkdir(parents=True, exist_ok=True)
    for event in EVENT_TYPES:
        text = json.dumps(schema(event), indent=1, sort_keys=True, ensure_ascii=False)
        (folder / f"{event.TYPE}.json").write_text(text + "\n", encoding="utf-8")
    typer.echo(f"{len(stale)} of {len(EVENT_TYPES)} schemas changed.")
