"""Which changes of an event's schema break somebody: one row per kind, then each on every field."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest
from pydantic import Field, create_model

from deploy.contracts.compatibility import breaking_changes
from deploy.contracts.schemas import schema
from shared.catalogue import (
    EVENT_TYPES,
    EmployeeRecorded,
    Event,
    MatchRunCompleted,
    NotificationSent,
    PairCreated,
    ProgrammeOpened,
    SessionLogged,
)

Change = Callable[[dict[str, Any]], Any]


def changed(event: type[Event], change: Change) -> list[str]:
    return judged(schema(event), change)


def judged(old: dict[str, Any], change: Change) -> list[str]:
    new = copy.deepcopy(old)
    change(new)
    return breaking_changes(old, new)


def field(name: str, **keywords: Any) -> Change:
    return lambda s: s["properties"][name].update(keywords)


def without(name: str, keyword: str) -> Change:
    return lambda s: s["properties"][name].pop(keyword)


def added(name: str, *, required: bool = False, **keywords: Any) -> Change:
    def change(s: dict[str, Any]) -> None:
        s["properties"][name] = keywords
        if required:
            s["required"].append(name)

    return change


def renamed(old: str, new: str) -> Change:
    def change(s: dict[str, Any]) -> None:
        s["properties"][new] = s["properties"].pop(old)
        s["required"] = [new if name == old else name for name in s["required"]]

    return change


def part(model: str, change: Change) -> Change:
    return lambda s: change(s["$defs"][model])


def no_longer_null(s: dict[str, Any]) -> None:
    s["properties"]["run_id"]["anyOf"].remove({"type": "null"})


def may_be_null(s: dict[str, Any]) -> None:
    minutes = s["properties"]["minutes"]
    s["properties"]["minutes"] = {"anyOf": [minutes, {"type": "null"}]}


BREAKING: list[tuple[type[Event], Change, str]] = [
    (PairCreated, lambda s: s["properties"].pop("score"), "data.score: removed;"),
    (PairCreated, renamed("version", "revision"), "data.version: removed (or renamed to revision)"),
    (PairCreated, renamed("version", "revision"), "data.revision: added as a required field"),
    (EmployeeRecorded, renamed("employeeId", "personId"), "data.employeeId: removed (or renamed"),
    (PairCreated, field("version", type="string"), 'data.version: type changed from "integer"'),
    (PairCreated, field("version", type="number"), "data.version: type changed"),
    (PairCreated, field("score", type="integer"), "data.score: type changed"),
    (PairCreated, without("pair_id", "format"), "data.pair_id: format changed"),
    (PairCreated, added("mood", required=True, type="string"), "data.mood: added as a required"),
    (PairCreated, lambda s: s["required"].append("score"), "data.score: became required"),
    (PairCreated, lambda s: s["required"].remove("version"), "data.version: became optional"),
    (PairCreated, lambda s: s["properties"]["status"]["enum"].append("new"), '"new" added'),
    (PairCreated, lambda s: s["properties"]["status"]["enum"].remove("ended"), '"ended" removed'),
    (NotificationSent, field("channel", const="chat"), 'data.channel: value "email" removed'),
    (SessionLogged, field("minutes", minimum=15), "data.minutes: minimum changed from 5 to 15"),
    (SessionLogged, field("minutes", maximum=600), "data.minutes: maximum changed from 480"),
    (SessionLogged, without("minutes", "maximum"), "maximum changed from 480 to nothing"),
    (SessionLogged, field("minutes", multipleOf=5), "minutes: multipleOf changed"),
    (NotificationSent, field("kind", maxLength=200), "data.kind: maxLength changed"),
    (NotificationSent, field("kind", minLength=2), "data.kind: minLength changed"),
    (NotificationSent, field("kind", pattern="^[a-z]+$"), "data.kind: pattern changed"),
    (PairCreated, field("topics", maxItems=3), "data.topics: maxItems changed"),
    (PairCreated, field("topics", items={"type": "integer"}), "data.topics[]: type changed"),
    (PairCreated, field("score", default=50), "data.score: default changed from 0 to 50"),
    (PairCreated, field("cross_department", default=1), "default changed from true to 1"),
    (PairCreated, without("run_id", "default"), "default changed from null to nothing"),
    (PairCreated, no_longer_null, "data.run_id: may no longer be null"),
    (SessionLogged, may_be_null, "data.minutes: may now be null"),
    (PairCreated, part("Contribution", lambda s: s["properties"].pop("points")), "n[].points: re"),
    (PairCreated, part("Contribution", field("value", maximum=2)), "n[].value: maximum changed"),
    (ProgrammeOpened, part("Nudges", field("quiet_from", default=21)), "nudges.quiet_from: defa"),
    (MatchRunCompleted, part("Unmatched", lambda s: s["properties"]["reasons"].update(
        additionalProperties={"type": "string"})), "reasons.*: type changed"),
    (PairCreated, lambda s: s.update(additionalProperties=False), "data: refuses fields"),
    (PairCreated, lambda s: s.update({"x-key": "mentor_id"}), "x-key: changed from pair_id"),
    (PairCreated, lambda s: s.update({"x-topic": "updraft.couples"}), "x-topic: changed from"),
    (PairCreated, lambda s: s.update(oneOf=[{"type": "object"}]), "oneOf changed from nothing"),
]  # fmt: skip

ADDITIVE: list[tuple[type[Event], Change]] = [
    (PairCreated, added("mood", type="string", default="")),
    (PairCreated, added("mood", anyOf=[{"type": "string"}, {"type": "null"}], default=None)),
    (PairCreated, added("title", type="string", default="")),
    (PairCreated, part("Contribution", added("unit", type="string", default=""))),
    (PairCreated, lambda s: s.update(description="other words", title="Other")),
    (PairCreated, field("score", description="other words", examples=[1], deprecated=True)),
    (PairCreated, lambda s: s["properties"]["status"]["enum"].reverse()),
    (PairCreated, lambda s: s["required"].reverse()),
    (PairCreated, lambda s: s["properties"]["run_id"]["anyOf"].reverse()),
    (PairCreated, lambda s: s.update(additionalProperties=True)),
    # The default of a part tells its fields' defaults; a field more is news, not another meaning.
    (ProgrammeOpened, lambda s: (
        s["$defs"]["Nudges"]["properties"].update(snooze_days={"type": "integer", "default": 2}),
        s["properties"]["nudges"]["default"].update(snooze_days=2))),
]  # fmt: skip


@pytest.mark.parametrize(("event", "change", "told"), BREAKING, ids=[row[2] for row in BREAKING])
def test_a_breaking_change_is_told(event: type[Event], change: Change, told: str) -> None:
    assert any(told in line for line in changed(event, change)), changed(event, change)


@pytest.mark.parametrize(("event", "change"), ADDITIVE)
def test_an_additive_change_passes(event: type[Event], change: Change) -> None:
    assert changed(event, change) == []


def test_a_part_under_another_name_is_the_same_contract() -> None:
    def change(s: dict[str, Any]) -> None:
        s["$defs"]["Share"] = s["$defs"].pop("Contribution")
        s["properties"]["breakdown"]["items"]["$ref"] = "#/$defs/Share"

    assert changed(PairCreated, change) == []


def test_the_order_of_what_has_none_does_not_matter_inside_a_choice_either() -> None:
    def either(words: list[str]) -> dict[str, Any]:
        choice = [{"enum": words}, {"type": "integer"}]
        return {"properties": {"size": {"anyOf": choice}}, "required": ["size"]}

    assert breaking_changes(either(["small", "large"]), either(["large", "small"])) == []
    assert breaking_changes(either(["small", "large"]), either(["large"])) != []


def test_a_part_that_holds_itself_can_be_compared() -> None:
    tree = {
        "properties": {"child": {"$ref": "#/$defs/Node"}},
        "$defs": {"Node": {"properties": {"child": {"$ref": "#/$defs/Node"}}}},
    }
    assert breaking_changes(tree, tree) == []


def mutations(s: dict[str, Any]) -> Iterator[tuple[str, Change]]:
    """Every way to break each field of an object."""
    required = set(s.get("required", ()))
    for name, kept in s["properties"].items():
        yield (
            f"remove {name}",
            lambda s, n=name: (
                s["properties"].pop(n),
                n in required and s["required"].remove(n),
            ),
        )
        yield f"retype {name}", lambda s, n=name: s["properties"].update({n: {"type": "object"}})
        yield f"bound {name}", field(name, const=object.__name__)
        if name in required:
            yield f"loosen {name}", lambda s, n=name: s["required"].remove(n)
        else:
            yield (
                f"require {name}",
                lambda s, n=name: s.setdefault("required", []).append(n),
            )
            if "default" in kept:
                yield f"default of {name}", field(name, default="another")
        if {"type": "null"} in kept.get("anyOf", ()):
            yield f"null of {name}", lambda s, n=name: s["properties"][n]["anyOf"].pop()
        else:
            yield (
                f"null for {name}",
                lambda s, n=name: s["properties"].update(
                    {n: {"anyOf": [s["properties"][n], {"type": "null"}]}}
                ),
            )


@pytest.mark.parametrize("event", EVENT_TYPES, ids=lambda event: event.TYPE)
def test_no_field_of_any_event_can_be_broken_unseen(event: type[Event]) -> None:
    old = schema(event)
    whole = [(what, change) for what, change in mutations(old)]
    for name, model in old.get("$defs", {}).items():
        whole += [(f"{name}: {what}", part(name, change)) for what, change in mutations(model)]
    unseen = [what for what, change in whole if not judged(old, change)]
    assert unseen == []
    assert len(whole) >= 4 * len(old["properties"])


def test_changes_of_a_model_are_judged_as_those_of_its_schema() -> None:
    def like_pair(**fields: Any) -> dict[str, Any]:
        made = create_model("PairCreated", __base__=PairCreated, **fields)
        return schema(made)

    old = schema(PairCreated)
    assert breaking_changes(old, like_pair(mood=(str | None, None))) == []
    assert breaking_changes(old, like_pair(mood=(str, ...))) != []
    assert breaking_changes(old, like_pair(version=(int, Field(alias="revision")))) != []
    assert breaking_changes(old, like_pair(score=(float, Field(0, ge=0, le=10)))) != []
    assert breaking_changes(old, like_pair(status=(Literal["proposed", "active"], ...))) != []
    assert breaking_changes(old, like_pair(paused_days=(int, 0))) != []
    assert breaking_changes(old, like_pair(programme_version=(int, 2))) != []

    class Moved(PairCreated):
        TOPIC = "updraft.couples"

    assert breaking_changes(old, schema(Moved)) != []
