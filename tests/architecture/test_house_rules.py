"""Rules of the house that no linter knows."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from shared.catalogue import EVENT_TYPES

ROOT = Path(__file__).parents[2]
SERVICES = ("registration", "matching", "notifications", "metrics")
SQL = re.compile(
    r"^\s*(--[^\n]*\n\s*)*(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH)\s", re.MULTILINE
)


def modules(service: str) -> Iterator[tuple[str, Path]]:
    folder = ROOT / "services" / service
    for file in folder.rglob("*.py"):
        yield file.relative_to(folder).as_posix(), file


def has(service: str, name: str) -> bool:
    folder = ROOT / "services" / service
    return (folder / f"{name}.py").is_file() or (folder / name / "__init__.py").is_file()


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    "part", ["__main__", "app", "settings", "handlers", "api", "store", "domain"]
)
def test_all_services_have_the_same_parts(service: str, part: str) -> None:
    assert has(service, part)


@pytest.mark.parametrize("service", SERVICES)
def test_sql_lives_only_in_the_store(service: str) -> None:
    strays = []
    for name, file in modules(service):
        if name == "store.py" or name.startswith("store/"):
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and SQL.match(text):
                strays.append(f"{name}:{node.lineno}")
    assert strays == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_domain_knows_no_clock_and_no_chance(service: str) -> None:
    strays = []
    for name, file in modules(service):
        if not name.startswith("domain/"):
            continue
        text = file.read_text()
        words = ("datetime.now", "date.today", "utcnow", "time.time(", "uuid4(", "import random")
        strays += [f"{name}: {word}" for word in words if word in text]
    assert strays == []


def test_each_topic_of_the_catalogue_is_in_the_list_of_topics() -> None:
    listed = yaml.safe_load((ROOT / "deploy" / "topics.yaml").read_text())["topics"]
    assert {event.TOPIC for event in EVENT_TYPES} == set(listed)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_reads_just_the_topics_that_the_list_gives_it(service: str) -> None:
    from importlib import import_module

    listed = yaml.safe_load((ROOT / "deploy" / "topics.yaml").read_text())["topics"]
    wanted = {name for name, topic in listed.items() if service in topic["readers"]}
    assert set(import_module(f"services.{service}.handlers").handlers.topics) == wanted


def test_migrations_are_numbered_without_gaps() -> None:
    for service in SERVICES:
        names = sorted(f.name for f in (ROOT / "services" / service / "migrations").glob("*.sql"))
        assert [int(name[:3]) for name in names] == list(range(1, len(names) + 1))
