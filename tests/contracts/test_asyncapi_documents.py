"""The AsyncAPI documents say what the code does, and nothing in them is empty."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import jsonschema
import pytest

from deploy.contracts.documents import (
    SERVICES,
    TOMBSTONES,
    documents,
    load,
    stale_documents,
    write_documents,
)
from deploy.contracts.examples import examples
from deploy.contracts.schemas import FOLDER, ROOT, kept_schemas
from deploy.local.broker import topics
from services.metrics.domain.definitions import KPIS
from shared.catalogue import BY_TYPE, EVENT_TYPES

KEPT = {file.stem: load(file) for file in sorted((FOLDER / "asyncapi").glob("*.yaml"))}
each_document = pytest.mark.parametrize("document", KEPT.values(), ids=KEPT.keys())


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for value in part.values():
            yield from references(value)
    elif isinstance(part, list):
        for item in part:
            yield from references(item)


def found(document: dict[str, Any], reference: str) -> Any:
    place: Any = document
    for step in reference.removeprefix("#/").split("/"):
        place = place[step]
    return found(document, place["$ref"]) if "$ref" in place else place


def valid(document: dict[str, Any], schema: dict[str, Any], value: Any) -> None:
    whole = {"components": document["components"], "allOf": [schema]}
    jsonschema.Draft7Validator(whole, format_checker=jsonschema.FormatChecker()).validate(value)


def test_there_is_one_document_for_each_service_one_for_bi_and_one_of_all() -> None:
    assert set(KEPT) == {*SERVICES, "bi", "updraft"}


def test_bi_finds_the_kpis_and_what_each_says_and_nothing_else() -> None:
    bi = KEPT["bi"]
    assert list(bi["channels"]) == ["updraft.metrics"]
    for kpi in KPIS:
        assert f"**{kpi.name}** ({kpi.unit};" in bi["info"]["description"]
        assert kpi.sentence in bi["info"]["description"]


@each_document
def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    for reference in references(document):
        assert found(document, reference), reference


@each_document
def test_an_operation_names_messages_of_its_channel_and_says_what_it_is_for(
    document: dict[str, Any],
) -> None:
    for name, operation in document["operations"].items():
        assert operation["action"] in ("send", "receive")
        assert operation["summary"].endswith("."), name
        assert operation["messages"], name
        channel = operation["channel"]["$ref"]
        for message in operation["messages"]:
            assert message["$ref"].startswith(f"{channel}/messages/")
    used = {operation["channel"]["$ref"] for operation in document["operations"].values()}
    assert used == {f"#/channels/{name}" for name in document["channels"]}


@each_document
def test_every_message_has_a_payload_a_key_and_an_example_that_fits(
    document: dict[str, Any],
) -> None:
    for name, message in document["components"]["messages"].items():
        payload = message["payload"]
        whole = found(document, payload["$ref"]) if "$ref" in payload else payload
        assert whole.get("properties") or whole["type"] in ("null", ["string", "null"]), name
        assert message["bindings"]["kafka"]["key"]["description"]
        assert message["examples"], name
        for example in message["examples"]:
            valid(document, payload, example["payload"])
            valid(document, message["headers"], example["headers"])


def test_an_example_that_does_not_fit_would_be_seen() -> None:
    document = KEPT["metrics"]
    message = document["components"]["messages"]["KpiMeasured"]
    broken = {**message["examples"][0]["payload"], "unit": "bananas"}
    with pytest.raises(jsonschema.ValidationError, match="bananas"):
        valid(document, message["payload"], broken)
    headers = {**message["examples"][0]["headers"], "ce_type": "updraft.kpi.measured.v9"}
    with pytest.raises(jsonschema.ValidationError):
        valid(document, message["headers"], headers)


@each_document
def test_every_header_of_an_example_is_described(document: dict[str, Any]) -> None:
    described = document["components"]["schemas"]["CloudEventHeaders"]["properties"]
    for message in document["components"]["messages"].values():
        if message["name"] in BY_NAME:
            for example in message["examples"]:
                assert example["headers"].keys() <= described.keys()
                assert example["headers"]["ce_type"] == BY_NAME[message["name"]]


BY_NAME = {event.__name__: event.TYPE for event in EVENT_TYPES}


@pytest.mark.parametrize("name", BY_TYPE)
def test_every_field_of_an_event_says_what_it_means(name: str) -> None:
    schema = kept_schemas(FOLDER)[name]
    for model in (schema, *schema.get("$defs", {}).values()):
        assert model["description"].split("\n")[0].strip().endswith((".", ":", "`")), model["title"]
        bare = [field for field, one in model["properties"].items() if not one.get("description")]
        assert bare == [], model["title"]


@each_document
def test_every_type_that_a_client_would_generate_has_a_name_of_its_own(
    document: dict[str, Any],
) -> None:
    def made(part: Any) -> Iterator[dict[str, Any]]:
        if isinstance(part, dict):
            if part.keys() & {"enum", "allOf"} and part.get("type") != "object":
                yield part
            for name, value in part.items():
                yield from made(value if name not in ("examples", "default") else None)
        elif isinstance(part, list):
            for item in part:
                yield from made(item)

    names = [part.get("title") for part in made(document["components"]["schemas"])]
    assert names
    assert None not in names
    assert len(set(names)) == len(names)


def test_every_event_has_an_example_on_its_own_key() -> None:
    assert examples().keys() == BY_TYPE.keys()


@pytest.mark.parametrize("service", SERVICES)
def test_a_document_lists_just_what_its_service_reads_and_writes(service: str) -> None:
    document = KEPT[service]
    read, written = set(), set()
    for operation in document["operations"].values():
        place = read if operation["action"] == "receive" else written
        place |= {message["$ref"].rsplit("/", 1)[1] for message in operation["messages"]}
    handlers = import_module(f"services.{service}.handlers").handlers
    topics_of = {event.TOPIC for event in EVENT_TYPES if event.TYPE in handlers.routes}
    assert {n for n in read if n in BY_NAME} == {BY_TYPE[t].__name__ for t in handlers.routes}
    mine = {topic.name for topic in topics() if service in topic.writers}
    assert {n for n in written if n in BY_NAME} == {
        event.__name__ for event in EVENT_TYPES if event.TOPIC in mine
    }
    assert document["channels"].keys() == mine | topics_of


def test_every_event_is_named_in_the_code_of_its_writer() -> None:
    for event in EVENT_TYPES:
        writers = next(t.writers for t in topics() if t.name == event.TOPIC)
        for writer in set(writers) & set(SERVICES):
            code = (file.read_text() for file in (ROOT / "services" / writer).rglob("*.py"))
            assert any(re.search(rf"\b{event.__name__}\b", text) for text in code), event.TYPE


def test_every_tombstone_that_the_code_publishes_is_described() -> None:
    code = "".join(file.read_text() for file in (ROOT / "services").rglob("*.py"))
    published = set(re.findall(r"publish_tombstone\(\s*(\w+)", code))
    assert published == {event.__name__ for event in TOMBSTONES}
    assert KEPT["notifications"]["components"]["messages"]["ContactErased"]["payload"]["type"] == (
        "null"
    )


def test_every_header_of_a_dead_letter_is_described() -> None:
    modules = [file.read_text() for file in (ROOT / "shared").glob("*.py")]
    code = "".join(text for text in modules if '"updraft-reason"' in text)
    described = KEPT["updraft"]["components"]["schemas"]["DeadLetterHeaders"]
    assert set(re.findall(r'"(updraft-[a-z-]+)"', code)) == described["properties"].keys()


@each_document
def test_a_channel_is_set_up_as_the_list_of_topics_says(document: dict[str, Any]) -> None:
    listed = {topic.name: topic for topic in topics()}
    for name, channel in document["channels"].items():
        kafka = channel["bindings"]["kafka"]
        assert (name, name) == (channel["address"], kafka["topic"])
        assert kafka["partitions"] == listed[name].partitions
        config = kafka["topicConfiguration"]
        assert config["cleanup.policy"] == [listed[name].config["cleanup.policy"]]
        assert str(config["retention.ms"]) == listed[name].config["retention.ms"]


def test_a_document_that_was_edited_deleted_or_is_of_nothing_is_told(tmp_path: Any) -> None:
    write_documents(tmp_path)
    assert list(stale_documents(tmp_path)) == []
    edited = tmp_path / "asyncapi" / "metrics.yaml"
    edited.write_text(edited.read_text().replace("bi", "BI", 1))
    (tmp_path / "asyncapi" / "matching.yaml").unlink()
    (tmp_path / "asyncapi" / "payroll.yaml").write_text("{}")
    assert list(stale_documents(tmp_path)) == [
        "asyncapi/matching.yaml",
        "asyncapi/metrics.yaml",
        "asyncapi/payroll.yaml",
    ]


def test_the_documents_are_the_same_however_often_they_are_made() -> None:
    assert documents() == documents()


def test_the_parser_is_pinned_by_hashes_and_no_registry_is_named() -> None:
    folder = ROOT / "tests" / "contracts" / "asyncapi"
    assert "://" not in (folder / "package-lock.json").read_text()
    packages = json.loads((folder / "package-lock.json").read_text())["packages"]
    assert all(one.get("integrity") for name, one in packages.items() if name)
