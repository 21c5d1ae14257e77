"""The access rules as text and as a difference; what they do is tried on Apache Kafka."""

from __future__ import annotations

import shlex
from dataclasses import replace
from itertools import pairwise, permutations

import pytest
from typer.testing import CliRunner

from deploy.access import (
    Operation,
    Pattern,
    Resource,
    Right,
    compared,
    kafka_acls,
    principals_of,
    rights,
)
from deploy.cli import app
from deploy.local.broker import topics


def parsed(command: str) -> set[Right]:
    """The rights that a command for `kafka-acls.sh` adds."""
    words = shlex.split(command)
    assert words[0] == "kafka-acls.sh"
    assert "--add" in words
    pairs = list(pairwise(words))

    def values(option: str) -> list[str]:
        return [value for word, value in pairs if word == option]

    return {
        Right(principal, resource, name, Pattern[pattern.upper()], Operation[operation])
        for principal in values("--allow-principal")
        for pattern in values("--resource-pattern-type")
        for resource, option in ((Resource.TOPIC, "--topic"), (Resource.GROUP, "--group"))
        for name in values(option)
        for operation in values("--operation")
    }


def test_the_commands_for_kafka_s_own_tool_give_the_same_rights() -> None:
    wanted = rights("User:updraft {name}")
    commands = list(kafka_acls(wanted, "kafka:9092"))
    assert set().union(*map(parsed, commands)) == set(wanted)
    assert len(commands) < 20


def test_no_principal_may_use_the_groups_of_another() -> None:
    for one, other in permutations(principals_of(topics()), 2):
        assert not other.startswith(one)


def test_what_is_missing_and_what_is_too_much_are_told_apart() -> None:
    wanted = rights()
    stray = replace(wanted[0], name="updraft.contacts")
    denied = replace(wanted[0], permission=2)
    of_somebody_else = replace(stray, principal="User:lake")
    of_everybody = replace(stray, principal="User:*")
    found = compared(wanted, [*wanted[1:], stray, denied, of_somebody_else, of_everybody])
    assert found.missing == (wanted[0],)
    assert set(found.beyond) == {stray, denied, of_everybody}


@pytest.mark.parametrize("pattern", ["User:metrics", "User:{}", "User:{name}{name}", "{other}"])
def test_a_pattern_of_principals_must_hold_the_name(pattern: str) -> None:
    done = CliRunner().invoke(app, ["access", "list", "--principals", pattern])
    assert done.exit_code == 2
    assert "{name}" in done.output


def test_the_command_line_lists_the_rights() -> None:
    done = CliRunner().invoke(app, ["access", "list", "--principals", "User:CN={name}"])
    assert done.exit_code == 0
    assert "User:CN=bi" in done.output
    assert "updraft.metrics" in done.output
    commands = CliRunner().invoke(app, ["access", "list", "--format", "kafka-acls"])
    assert set().union(*map(parsed, commands.output.splitlines())) == set(rights())


def test_applying_needs_a_cluster_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UPDRAFT_KAFKA__BOOTSTRAP_SERVERS", raising=False)
    done = CliRunner().invoke(app, ["access", "apply"])
    assert done.exit_code == 1
    assert "--bootstrap-servers" in done.output
