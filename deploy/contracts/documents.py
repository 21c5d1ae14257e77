"""AsyncAPI 3 documents: one per service, one for BI, one of all; from the code and its topics."""

from __future__ import annotations

import inspect
import json
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import UUID

import yaml

from deploy.contracts.schemas import ROOT, schema
from deploy.contracts.wire import (
    BINDING,
    CLOUD_EVENT_HEADERS,
    DEAD_LETTER,
    DEAD_LETTER_HEADERS,
    ORIGINAL_VALUE,
    SECURITY,
    SERVERS,
    STRUCTURED_HEADERS,
)
from deploy.local.broker import Topic, topics
from services.metrics.domain.definitions import KPIS
from shared.catalogue import EVENT_TYPES, ContactUpdated, Event
from shared.envelope import encode, json_value

SERVICES = ("registration", "matching", "notifications", "metrics")
MERGED = "updraft"
# Where a record without value says that nothing is left of its key.
TOMBSTONES: tuple[type[Event], ...] = (ContactUpdated,)
_STRUCTURED_MODE = "hr.employees"
_PERSONAL = {"hr.employees", "updraft.contacts"}
_OUTSIDE = {"hr": "HR platforms", "bi": "BI"}
_EVENT_ID = UUID("0195506f-7f40-7000-8000-0000000000e1")
_MOMENT = datetime(2027, 3, 1, 9, 30, tzinfo=UTC)
_TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def documents() -> dict[str, dict[str, Any]]:
    """File name → AsyncAPI document."""
    made = {name: _Document((name,)).build() for name in SERVICES}
    made |= {"bi": _ForBI(("bi",)).build(), MERGED: _Document(SERVICES).build()}
    return {f"{name}.yaml": document for name, document in made.items()}


def write_documents(folder: Path) -> None:
    """Keep the documents beside the schemas."""
    (folder / "asyncapi").mkdir(exist_ok=True)
    for name, made in documents().items():
        head = "# Made from the code by `make contracts`; not to be edited.\n"
        text = yaml.dump(
            made, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100, indent=2
        )
        (folder / "asyncapi" / name).write_text(head + text, encoding="utf-8")


def stale_documents(folder: Path) -> Iterator[str]:
    """Documents that are not what the code makes."""
    made = documents()
    kept = {file.name: file for file in (folder / "asyncapi").glob("*.yaml")}
    for name in sorted(made.keys() | kept.keys()):
        if name not in made or name not in kept or load(kept[name]) != made[name]:
            yield f"asyncapi/{name}"


def load(file: Path) -> Any:
    """A document as it is kept."""
    return yaml.load(file.read_text("utf-8"), Loader=_LOADER)  # noqa: S506 - a safe loader


# The ones in C where the library has them: the documents are long.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BASE: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Dumper(_BASE):  # type: ignore[misc]
    """Writes every value out, and texts of several lines as such."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the library's interface
        return True


def _text(dumper: Any, text: str) -> Any:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


class _Document:
    """One document in the making: what the operations refer to is collected on the way."""

    def __init__(self, services: Sequence[str]) -> None:
        self.services = services
        self.alone = len(services) == 1
        self.channels: dict[str, Any] = {}
        self.operations: dict[str, Any] = {}
        self.messages: dict[str, Any] = {}
        self.schemas: dict[str, Any] = {}

    def build(self) -> dict[str, Any]:
        """The whole document."""
        for service in self.services:
            for topic in topics():
                if topic.name.endswith(".dlq"):
                    if service in topic.writers:
                        self._set_aside(service, topic)
                    continue
                if service in topic.writers:
                    self._publish(service, topic)
                if service in topic.readers:
                    self._read(service, topic)
        return {
            "asyncapi": "3.0.0",
            "id": self._id(),
            "info": self._info(),
            "defaultContentType": "application/json",
            "servers": SERVERS,
            "channels": dict(sorted(self.channels.items())),
            "operations": self.operations,
            "components": {
                "schemas": dict(sorted(self.schemas.items())),
                "messages": dict(sorted(self.messages.items())),
                "securitySchemes": SECURITY,
            },
        }

    def _id(self) -> str:
        return f"urn:updraft:service:{self.services[0]}" if self.alone else "urn:updraft"

    def _info(self) -> dict[str, Any]:
        said = {name: _told(import_module(f"services.{name}")) for name in self.services}
        tags = {name: told[0] for name, told in said.items()}
        if self.alone:
            [(name, told)] = said.items()
            return _info(f"Updraft {name}", "\n\n".join(told), tags)
        whole = f"{_project()['description']} All four services: what each sends and receives."
        return _info("Updraft", whole, tags)

    def _publish(self, service: str, topic: Topic) -> None:
        for event in _events(topic):
            name = self._message(event)
            self._operation(service, f"publish_{name}", "send", topic, [name], *_told(event))
        for event in TOMBSTONES:
            if topic.name == event.TOPIC:
                name = self._tombstone(event)
                told = self.messages[name]["summary"]
                self._operation(service, f"publish_{name}", "send", topic, [name], told)

    def _read(self, service: str, topic: Topic) -> None:
        handlers = import_module(f"services.{service}.handlers").handlers
        taken: dict[Callable[..., Any], list[str]] = {}
        for event in _events(topic):
            if event.TYPE in handlers.routes:
                names = taken.setdefault(handlers.routes[event.TYPE].function, [])
                names.append(self._message(event))
                if topic.name == _STRUCTURED_MODE:
                    names.append(self._structured(event))
        forgets = handlers.tombstone_routes.get(topic.name)
        if forgets is not None:
            gone = [self._tombstone(event) for event in TOMBSTONES if topic.name == event.TOPIC]
            taken |= {forgets: gone} if gone else {}
        for function, names in taken.items():
            told = _told(function)
            self._operation(service, function.__name__, "receive", topic, names, *told)

    def _set_aside(self, service: str, topic: Topic) -> None:
        origin = topic.name.removesuffix(f".{service}.dlq")
        self.messages["DeadLetter"] = DEAD_LETTER
        self.schemas["DeadLetterHeaders"] = DEAD_LETTER_HEADERS
        self.schemas["OriginalValue"] = ORIGINAL_VALUE
        told = f"Sets aside what {service} cannot handle of {origin}, each with its reason."
        name = f"set_aside_{origin.replace('.', '_').replace('-', '_')}"
        self._operation(service, name, "send", topic, ["DeadLetter"], told)

    def _operation(
        self,
        service: str,
        name: str,
        action: str,
        topic: Topic,
        messages: Sequence[str],
        summary: str,
        *more: str,
    ) -> None:
        channel = f"#/channels/{topic.name}"
        self._channel(topic)
        listed = self.channels[topic.name]["messages"]
        for message in messages:
            listed[message] = {"$ref": f"#/components/messages/{message}"}
        group = {"groupId": {"type": "string", "const": service}, **BINDING}
        self.operations[name if self.alone else f"{service}_{name}"] = {
            "action": action,
            "channel": {"$ref": channel},
            "summary": summary,
            **({"description": "\n\n".join(more)} if more else {}),
            "messages": [{"$ref": f"{channel}/messages/{message}"} for message in messages],
            "tags": [{"name": service}],
            **({"bindings": {"kafka": group}} if action == "receive" else {}),
        }

    def _channel(self, topic: Topic) -> None:
        if topic.name in self.channels:
            return
        kafka = topic.config
        tags = ["dead letters"] if topic.name.endswith(".dlq") else [topic.name.split(".")[1]]
        if topic.name in _PERSONAL or topic.name.startswith(tuple(f"{t}." for t in _PERSONAL)):
            tags.append("personal data")
        self.channels[topic.name] = {
            "address": topic.name,
            "title": topic.name,
            "description": _of_topic(topic),
            "messages": {},
            "tags": [{"name": tag} for tag in tags],
            "bindings": {
                "kafka": {
                    "topic": topic.name,
                    "partitions": topic.partitions,
                    "topicConfiguration": {
                        "cleanup.policy": [kafka["cleanup.policy"]],
                        "retention.ms": int(kafka["retention.ms"]),
                    },
                    **BINDING,
                }
            },
        }

    def _message(self, event: type[Event]) -> str:
        name = event.__name__
        if name not in self.messages:
            self._schema(name, _embedded(event))
            self.messages[name] = {
                **self._described(event, name),
                "payload": {"$ref": f"#/components/schemas/{name}"},
                "examples": [_example(event)],
            }
        return name

    def _tombstone(self, event: type[Event]) -> str:
        name = f"{event.__name__.removesuffix('Updated')}Erased"
        example = _example(event)
        self.messages[name] = {
            **self._described(event, name),
            "summary": "A tombstone: nothing is left of the key.",
            "description": "The record has no value. Compaction removes what the key held before.",
            "payload": {"type": "null", "description": "No value."},
            "examples": [{**example, "summary": "The key of someone erased.", "payload": None}],
        }
        return name

    def _structured(self, event: type[Event]) -> str:
        """The same event as one JSON object, for HR platforms that send it so."""
        name = f"{event.__name__}Structured"
        self.schemas["StructuredHeaders"] = STRUCTURED_HEADERS
        described = self._described(event, name)
        plain = _example(event)
        attributes = {
            attribute.removeprefix("ce_"): value
            for attribute, value in plain["headers"].items()
            if attribute.startswith("ce_")
        }
        known = CLOUD_EVENT_HEADERS["properties"]
        self.messages[name] = {
            **described,
            "summary": f"{described['summary']} In structured mode: one CloudEvent as JSON.",
            "contentType": "application/cloudevents+json",
            "headers": {"$ref": "#/components/schemas/StructuredHeaders"},
            "correlationId": {"location": "$message.payload#/correlationid"},
            "payload": {
                "title": name,
                "type": "object",
                "required": ["specversion", "id", "source", "type", "data"],
                "properties": {
                    **{a.removeprefix("ce_"): known[a] for a in known if a.startswith("ce_")},
                    "type": {**known["ce_type"], "const": event.TYPE},
                    "data": {"$ref": f"#/components/schemas/{event.__name__}"},
                },
            },
            "examples": [
                {
                    **plain,
                    "headers": {"content-type": "application/cloudevents+json"},
                    "payload": {**attributes, "data": plain["payload"]},
                }
            ],
        }
        return name

    def _described(self, event: type[Event], name: str) -> dict[str, Any]:
        """What the messages of an event have in common."""
        self.schemas["CloudEventHeaders"] = CLOUD_EVENT_HEADERS
        summary, *more = _told(event)
        return {
            "name": name,
            "title": name,
            "summary": summary,
            **({"description": "\n\n".join(more)} if more else {}),
            "contentType": "application/json",
            "headers": {
                "allOf": [
                    {"$ref": "#/components/schemas/CloudEventHeaders"},
                    {
                        "type": "object",
                        "properties": {"ce_type": {"type": "string", "const": event.TYPE}},
                    },
                ]
            },
            "correlationId": {"location": "$message.header#/ce_correlationid"},
            "bindings": {"kafka": {"key": _key(event), **BINDING}},
        }

    def _schema(self, name: str, parts: Mapping[str, Any]) -> None:
        for part, value in {name: parts["whole"], **parts["parts"]}.items():
            if self.schemas.setdefault(part, value) != value:
                raise ValueError(f"two models of the catalogue are called {part}; rename one")


class _ForBI(_Document):
    """What a reader of the KPIs needs and no more: their topic, and what each of them says."""

    def _id(self) -> str:
        return "urn:updraft:reader:bi"

    def _info(self) -> dict[str, Any]:
        told = [
            "One record for each KPI of a programme, period and group; the newest of each is kept.",
            *(
                f"**{kpi.name}** ({kpi.unit}; by {', '.join(kpi.dimensions)};"
                f" {'monthly and ' if kpi.monthly else ''}for the whole programme;"
                f" definition {kpi.version}): {kpi.sentence}"
                for kpi in KPIS
            ),
        ]
        return _info("Updraft for BI", "\n\n".join(told), {"bi": "Whoever reads the KPIs."})

    def _read(self, service: str, topic: Topic) -> None:
        for event in _events(topic):
            name = self._message(event)
            self._operation(service, f"read_{name}", "receive", topic, [name], *_told(event))


def _info(title: str, description: str, tags: Mapping[str, str]) -> dict[str, Any]:
    project = _project()
    return {
        "title": title,
        "version": project["version"],
        "description": description,
        "license": {"name": project["license"]},
        "tags": [{"name": name, "description": told} for name, told in tags.items()],
    }


def _project() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return project


def _events(topic: Topic) -> list[type[Event]]:
    return [event for event in EVENT_TYPES if topic.name == event.TOPIC]


def _told(thing: Any) -> list[str]:
    """The paragraphs of a docstring, its sentence first."""
    text = inspect.getdoc(thing) or ""
    return [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]


def _of_topic(topic: Topic) -> str:
    days = topic.retention_days
    kept = "for ever" if days is None else f"{days} days"
    kept = "the newest of each key" if topic.compact else kept
    written, read = (
        ", ".join(_OUTSIDE.get(name, name) for name in names) or "operators"
        for names in (topic.writers, topic.readers)
    )
    return f"Key: {topic.key}. Written by {written}; read by {read}. Kept: {kept}."


def _embedded(event: type[Event]) -> dict[str, Any]:
    """An event's JSON Schema as AsyncAPI takes it: parts beside it, found from the root."""
    whole = schema(event)
    parts = {name: _rooted(part) for name, part in whole.get("$defs", {}).items()}
    beyond = {"$schema", "$id", "$defs", "x-topic", "x-key"}
    return {"whole": _rooted({k: v for k, v in whole.items() if k not in beyond}), "parts": parts}


def _rooted(part: Any) -> Any:
    if isinstance(part, list):
        return [_rooted(item) for item in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        reference = {"$ref": part["$ref"].replace("#/$defs/", "#/components/schemas/")}
        beside = {name: value for name, value in part.items() if name != "$ref"}
        # Beside a reference nothing counts in AsyncAPI, and the description must.
        return {**beside, "allOf": [reference]} if beside else reference
    rooted = {name: _rooted(value) for name, value in part.items()}
    if isinstance(rooted.get("properties"), dict):
        rooted["properties"] = {
            name: _titled(field, f"{rooted['title']}{_pascal(name)}")
            for name, field in rooted["properties"].items()
        }
    return rooted


def _titled(field: dict[str, Any], title: str) -> dict[str, Any]:
    """A field whose own type, if it makes one, has a name: generated clients are read by people."""
    rest = {name: value for name, value in field.items() if name != "title"}
    if "anyOf" in rest:
        rest["anyOf"] = [_titled(option, title) for option in rest["anyOf"]]
    return {"title": title, **rest} if rest.keys() & {"enum", "allOf"} else rest


def _pascal(name: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in name.split("_"))


def _key(event: type[Event]) -> dict[str, Any]:
    info = event.model_fields.get(event.KEY)
    if info is None:
        told = " ".join(_told(getattr(event, event.KEY)))
        return {"type": "string", "description": told}
    name = info.alias or event.KEY
    field = {k: v for k, v in schema(event)["properties"][name].items() if k != "title"}
    return {**field, "description": f"The same as `{name}`: {field['description']}"}


@cache
def _examples() -> Mapping[str, Event]:
    # Made where they are needed: an event that was broken must be told of, not trip over its own.
    from deploy.contracts.examples import examples

    return examples()


def _example(event: type[Event]) -> dict[str, Any]:
    example = _examples()[event.TYPE]
    source = "urn:hr:example" if event.TOPIC.startswith("hr.") else f"urn:updraft:{_writer(event)}"
    headers = encode(event, event_id=_EVENT_ID, source=source, subject=example.key, now=_MOMENT)
    return {
        "name": event.__name__,
        "summary": _told(event)[0],
        "headers": {**headers, "traceparent": _TRACE},
        "payload": json.loads(json_value(example)),
    }


def _writer(event: type[Event]) -> str:
    return next(topic.writers[0] for topic in topics() if topic.name == event.TOPIC)
