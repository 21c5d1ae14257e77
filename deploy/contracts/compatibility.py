"""What in a new JSON Schema of an event breaks those who know the old one.

Records stay on topics for years and services are rolled out one by one. So whoever knows the new
schema must read records of the old, and whoever knows the old must read records of the new. Only
two things pass: a new optional field, and words that explain. Anything not known here is breaking.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# What explains a value and does not change what is valid.
_WORDS = {"title", "description", "examples", "deprecated", "$schema", "$id", "$defs"}
_NOTHING = object()


def breaking_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What readers or writers of the old schema trip over in the new one, place and reason."""
    found = []
    for name, reason in (
        ("x-topic", "readers of the old topic would miss the event"),
        ("x-key", "the events of one aggregate would be spread over partitions, out of order"),
    ):
        if old.get(name) != new.get(name):
            found.append(f"{name}: changed from {old.get(name)} to {new.get(name)}; {reason}")
    return found + list(_differences(_plain(old, old), _plain(new, new), "data"))


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], path: str) -> Iterator[str]:
    if "properties" in old and "properties" in new:
        yield from _of_fields(old, new, path)
    # A field's place in `required` is told with the field.
    for name in sorted((old.keys() | new.keys()) - {"required", "default"}):
        before, after = old.get(name, _NOTHING), new.get(name, _NOTHING)
        if before == after or (name == "properties" and _NOTHING not in (before, after)):
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _differences(before, after, f"{path}{_STEPS.get(name, f'.{name}')}")
        else:
            yield from (f"{path}: {change}" for change in _of_rule(name, before, after))


_STEPS = {"items": "[]", "additionalProperties": ".*"}


def _of_fields(old: Mapping[str, Any], new: Mapping[str, Any], path: str) -> Iterator[str]:
    before, after = old["properties"], new["properties"]
    required, still = set(old.get("required", ())), set(new.get("required", ()))
    added = sorted(after.keys() - before.keys())
    for name in sorted(before.keys() - after.keys()):
        alike = next((one for one in added if after[one] == before[name]), None)
        renamed = f" (or renamed to {alike})" if alike else ""
        yield f"{path}.{name}: removed{renamed}; readers of today look for it"
    for name in added:
        if name in still:
            yield f"{path}.{name}: added as a required field; records already written lack it"
    for name in sorted(before.keys() & after.keys()):
        place = f"{path}.{name}"
        if name in still - required:
            yield f"{place}: became required; records already written may lack it"
        elif name in required - still:
            yield f"{place}: became optional; readers of today rely on it"
        elif name not in required:
            yield from _of_default(before[name], after[name], place)
        yield from _differences(before[name], after[name], place)


def _of_default(old: Mapping[str, Any], new: Mapping[str, Any], path: str) -> Iterator[str]:
    before, after = old.get("default", _NOTHING), new.get("default", _NOTHING)
    if not _same_default(before, after):
        yield (
            f"{path}: default changed from {_said(before)} to {_said(after)}; records that were "
            "written without it would change their meaning"
        )


def _same_default(old: Any, new: Any) -> bool:
    """Whether the old default is still meant; one that is an object may have gained fields."""
    if isinstance(old, dict) and isinstance(new, dict):
        return all(name in new and _same_default(old[name], new[name]) for name in old)
    return bool(old == new) and isinstance(old, bool) == isinstance(new, bool)


def _of_rule(name: str, old: Any, new: Any) -> Iterator[str]:
    if name == "null":
        if new is True:
            yield "may now be null; readers of today refuse null"
        else:
            yield "may no longer be null; records already written may carry it"
    elif name == "enum" and _NOTHING not in (old, new):
        added, removed = ([v for v in a if v not in b] for a, b in ((new, old), (old, new)))
        if removed:
            yield f"value {_said(*removed)} removed; records already written may carry it"
        if added:
            # Our own readers are strict about enumerations, as a new value is a case to decide.
            yield (
                f"value {_said(*added)} added; readers of today refuse values that they do not "
                "know (tell the news in a new optional field instead)"
            )
    elif name == "additionalProperties" and new is False:
        yield "refuses fields that it does not know; writers of another version send some"
    else:
        yield (
            f"{name} changed from {_said(old)} to {_said(new)}; what is valid on one side of the "
            "change is refused on the other"
        )


def _said(*values: Any) -> str:
    return ", ".join("nothing" if v is _NOTHING else json.dumps(v) for v in values)


def _plain(part: Mapping[str, Any], whole: Mapping[str, Any], of: Sequence[str] = ()) -> Any:
    """A schema in one spelling: no references, no words, sets in order, null as a flag."""
    if "$ref" in part:
        name = part["$ref"].removeprefix("#/$defs/")
        beside = {key: value for key, value in part.items() if key != "$ref"}
        if name in of:
            return {"recursive": name}
        return {**_plain(whole["$defs"][name], whole, (*of, name)), **_plain(beside, whole, of)}
    plain: dict[str, Any] = {}
    for name, value in part.items():
        if name in _WORDS or name.startswith("x-"):
            continue
        if name == "properties":
            # Property names are not keywords: one may be called `title`.
            plain[name] = {field: _plain(one, whole, of) for field, one in value.items()}
        elif name == "anyOf":
            plain |= _choice([_plain(one, whole, of) for one in value])
        elif name == "const":
            plain["enum"] = [value]
        elif name in ("enum", "required"):
            plain[name] = sorted(value, key=json.dumps)
        elif name == "default" or not isinstance(value, dict):
            plain[name] = value
        else:
            plain[name] = _plain(value, whole, of)
    if plain.get("additionalProperties") is True:
        del plain["additionalProperties"]
    return plain


def _choice(options: list[dict[str, Any]]) -> dict[str, Any]:
    others = [one for one in options if one != {"type": "null"}]
    null = {"null": True} if len(others) < len(options) else {}
    if len(others) == 1:
        return {**others[0], **null}
    return {"anyOf": sorted(others, key=json.dumps), **null}
