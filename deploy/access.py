"""Who may do what on Kafka: the access rules that `deploy/topics.yaml` amounts to, and no more.

A service writes the topics it owns and the dead-letter topics of what it reads, reads its topics,
and uses the consumer groups that begin with its name. An idempotent producer needs no right of its
own: since Kafka 2.8 the right to write a topic includes it (KIP-679).
"""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import groupby
from typing import Annotated, Any

import typer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import for_code
from aiokafka.protocol.admin import (
    CreateAclsRequest_v1,
    DeleteAclsRequest_v1,
    DescribeAclsRequest,
)
from aiokafka.protocol.api import Request

from deploy.cli import Servers, fail, finish
from deploy.local.broker import Topic, topics
from deploy.local.process import StackError
from deploy.reading import security_arguments

OPERATOR = "operator"
DEAD_LETTERS = ".dlq"
_EVERYBODY = "User:*"
_ANY_HOST = "*"
_NO_AUTHORIZER = 54
_AT_ONCE = 50
_IN_FORCE_WITHIN_SECONDS = 60.0
_BETWEEN_LOOKS_SECONDS = 0.1
_ALLOW = 3
_ANY = 1

app = typer.Typer(help="The rights on Kafka that each service needs.", no_args_is_help=True)
Principals = Annotated[
    str,
    typer.Option(
        "--principals",
        metavar="PATTERN",
        help="How the brokers call a principal; {name} is a service, hr, bi or operator.",
    ),
]
_DEFAULT_PRINCIPALS = "User:{name}"


class Resource(IntEnum):
    """What a right is about, by Kafka's number."""

    TOPIC = 2
    GROUP = 3


class Pattern(IntEnum):
    """How a right names it, by Kafka's number."""

    LITERAL = 3
    PREFIXED = 4


class Operation(IntEnum):
    """What a right allows, by Kafka's number and under its name."""

    Read = 3
    Write = 4
    Create = 5
    Alter = 7
    Describe = 8
    DescribeConfigs = 10
    AlterConfigs = 11


@dataclass(frozen=True, order=True)
class Right:
    """One thing that a principal may do."""

    principal: str
    resource: int
    name: str
    pattern: int
    operation: int
    permission: int = _ALLOW
    host: str = _ANY_HOST

    def __str__(self) -> str:
        kind = _word(Resource, self.resource).lower()
        prefix = " and what begins so" if self.pattern == Pattern.PREFIXED else ""
        may = "may" if self.permission == _ALLOW else "may not"
        host = "" if self.host == _ANY_HOST else f" from {self.host}"
        what = _word(Operation, self.operation)
        return f"{self.principal} {may} {what} {kind} {self.name}{prefix}{host}"


def _word(kind: type[IntEnum], number: int) -> str:
    try:
        return kind(number).name
    except ValueError:
        return f"{kind.__name__} {number}"


def rights(
    principals: str = _DEFAULT_PRINCIPALS, listed: Sequence[Topic] | None = None
) -> tuple[Right, ...]:
    """Every right that anybody needs, in the order of principals and topics."""
    known = topics() if listed is None else listed
    return tuple(
        Right(principals.format(name=name), resource, place, pattern, operation)
        for name in principals_of(known)
        for resource, place, pattern, operation in _rights_of(name, known)
    )


def principals_of(listed: Sequence[Topic]) -> tuple[str, ...]:
    """Who writes or reads some topic, and the operator who makes them."""
    names = {name for topic in listed for name in (*topic.writers, *topic.readers)}
    return (*sorted(names), OPERATOR)


def _rights_of(
    name: str, listed: Sequence[Topic]
) -> Iterator[tuple[Resource, str, Pattern, Operation]]:
    for topic in listed:
        allowed = set()
        if name in topic.writers:
            allowed |= {Operation.Write, Operation.Describe}
        if name in topic.readers:
            allowed |= {Operation.Read, Operation.Describe}
        if name == OPERATOR:
            allowed |= _OF_THE_OPERATOR
            if topic.name.endswith(DEAD_LETTERS):
                allowed |= {Operation.Read}
        for operation in sorted(allowed):
            yield Resource.TOPIC, topic.name, Pattern.LITERAL, operation
    if any(name in topic.readers for topic in listed):
        # A replay reads under the service's name with something added.
        yield Resource.GROUP, name, Pattern.PREFIXED, Operation.Read


_OF_THE_OPERATOR = {
    Operation.Create,
    Operation.Alter,
    Operation.Describe,
    Operation.DescribeConfigs,
    Operation.AlterConfigs,
}


def kafka_acls(wanted: Iterable[Right], servers: str) -> Iterator[str]:
    """The commands for `kafka-acls.sh` that give these rights, as few as will do."""
    by_place: dict[tuple[str, int, int, tuple[int, ...]], list[str]] = {}
    for (principal, resource, name, pattern), same in groupby(
        wanted, key=lambda right: (right.principal, right.resource, right.name, right.pattern)
    ):
        operations = tuple(right.operation for right in same)
        by_place.setdefault((principal, resource, pattern, operations), []).append(name)
    for (principal, resource, pattern, operations), names in by_place.items():
        words = ["kafka-acls.sh", "--bootstrap-server", servers]
        words += ["--command-config", "admin.properties", "--add", "--allow-principal", principal]
        for operation in operations:
            words += ["--operation", Operation(operation).name]
        words += ["--resource-pattern-type", Pattern(pattern).name.lower()]
        for name in names:
            words += [f"--{Resource(resource).name.lower()}", name]
        yield shlex.join(words)


@dataclass(frozen=True)
class Comparison:
    """What the brokers grant, held against what is needed."""

    missing: tuple[Right, ...]
    beyond: tuple[Right, ...]
    """What our principals, or everybody, have on top."""


def compared(wanted: Sequence[Right], granted: Iterable[Right]) -> Comparison:
    """What is to be added, and what is more than needed."""
    ours = {right.principal for right in wanted} | {_EVERYBODY}
    found = {right for right in granted if right.principal in ours}
    return Comparison(
        tuple(right for right in wanted if right not in found),
        tuple(sorted(found - set(wanted))),
    )


async def granted_rights(admin: AIOKafkaAdminClient) -> list[Right]:
    """Every access rule of the cluster. Raises StackError where it keeps none or tells none."""
    answer = await _asked(admin, DescribeAclsRequest(_ANY, None, _ANY, None, None, _ANY, _ANY))
    _accept(answer.error_code, answer.error_message)
    return [
        Right(principal, resource, name, pattern, operation, permission, host)
        for resource, name, pattern, rules in answer.resources
        for principal, host, operation, permission in rules
    ]


async def grant(admin: AIOKafkaAdminClient, given: Sequence[Right]) -> None:
    """Add access rules. Raises StackError."""
    answer = await _asked(admin, _Grant(given))
    for code, message in answer.creation_responses:
        _accept(code, message)


async def revoke(admin: AIOKafkaAdminClient, taken: Sequence[Right]) -> None:
    """Remove access rules. Raises StackError."""
    answer = await _asked(admin, _Revoke(taken))
    for code, message, _ in answer.filter_responses:
        _accept(code, message)


class _Grant(Request[CreateAclsRequest_v1]):  # type: ignore[misc]
    """The client's own message takes one rule at a time, which costs a commit each."""

    API_KEY = CreateAclsRequest_v1.API_KEY

    def __init__(self, given: Sequence[Right]) -> None:
        self._rows = [_row(right) for right in given]

    def build(self, request_struct_class: Any) -> Any:
        """The message for the wire."""
        return request_struct_class(self._rows)


class _Revoke(Request[DeleteAclsRequest_v1]):  # type: ignore[misc]
    API_KEY = DeleteAclsRequest_v1.API_KEY

    def __init__(self, taken: Sequence[Right]) -> None:
        self._rows = [_row(right) for right in taken]

    def build(self, request_struct_class: Any) -> Any:
        """The message for the wire."""
        return request_struct_class(self._rows)


def _row(right: Right) -> tuple[int, str, int, str, str, int, int]:
    return (
        right.resource,
        right.name,
        right.pattern,
        right.principal,
        right.host,
        right.operation,
        right.permission,
    )


async def _asked(admin: AIOKafkaAdminClient, request: Any) -> Any:
    # The client has the messages but no method for them; any broker passes them on.
    return await admin._send_request(request)  # noqa: SLF001


def _accept(code: int, message: str | None) -> None:
    if code == _NO_AUTHORIZER:
        raise StackError(
            "the brokers keep no access rules; set authorizer.class.name="
            "org.apache.kafka.metadata.authorizer.StandardAuthorizer in their settings"
        )
    if code != 0:
        raise StackError(f"the brokers refused: {message or for_code(code).__name__}")


# --- commands


@app.command("list")
def list_rights(
    style: Annotated[
        str,
        typer.Option("--format", help="table, or kafka-acls: the commands for Kafka's own tool."),
    ] = "table",
    principals: Principals = _DEFAULT_PRINCIPALS,
    bootstrap_servers: Servers = None,
) -> None:
    """List every right that somebody needs."""
    if style not in ("table", "kafka-acls"):
        raise typer.BadParameter("send table or kafka-acls", param_hint="--format")
    wanted = rights(_checked(principals))
    if style == "kafka-acls":
        for command in kafka_acls(wanted, bootstrap_servers or "localhost:9092"):
            print(command)
        return
    _print_table(wanted)


def _print_table(wanted: Sequence[Right]) -> None:
    from rich.table import Table

    from deploy.terminal import console

    table = Table("principal", box=None)
    table.add_column("on", no_wrap=True)
    table.add_column("may")
    for (principal, resource, name, pattern), same in groupby(
        wanted, key=lambda right: (right.principal, right.resource, right.name, right.pattern)
    ):
        star = "*" if pattern == Pattern.PREFIXED else ""
        may = ", ".join(Operation(right.operation).name for right in same)
        table.add_row(principal, f"{Resource(resource).name.lower()} {name}{star}", may)
    console().print(table)


@app.command("apply")
def apply_rights(
    principals: Principals = _DEFAULT_PRINCIPALS,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would be changed.")
    ] = False,
    revoke_others: Annotated[
        bool,
        typer.Option(
            "--revoke", help="Take away what these principals, or everybody, have beyond the list."
        ),
    ] = False,
    bootstrap_servers: Servers = None,
) -> None:
    """Give every principal its rights on a cluster; safe to repeat.

    Connects as UPDRAFT_KAFKA__SECURITY_PROTOCOL and its like say, by a principal that may alter the
    cluster. Exits with 1 while somebody has rights beyond the list.
    """
    if not bootstrap_servers:
        fail("which cluster? give --bootstrap-servers or UPDRAFT_KAFKA__BOOTSTRAP_SERVERS")
    wanted = rights(_checked(principals))
    found = finish(apply_to(bootstrap_servers, wanted, dry_run=dry_run, revoking=revoke_others))
    if found.beyond and (dry_run or not revoke_others):
        raise typer.Exit(1)


async def apply_to(
    servers: str, wanted: Sequence[Right], *, dry_run: bool = False, revoking: bool = False
) -> Comparison:
    """Give these rights, and take others with `revoking`; returns what was found before."""
    from rich.progress import track

    from deploy.terminal import console

    told = console(stderr=True)
    admin = AIOKafkaAdminClient(bootstrap_servers=servers, **security_arguments())
    await admin.start()
    try:
        found = compared(wanted, await granted_rights(admin))
        if not dry_run:
            parts = [
                found.missing[n : n + _AT_ONCE] for n in range(0, len(found.missing), _AT_ONCE)
            ]
            for part in track(parts, "granting", console=told, transient=True):
                await grant(admin, part)
            if revoking and found.beyond:
                await revoke(admin, found.beyond)
            await _until_in_force(admin, wanted)
    finally:
        await admin.close()
    would = "would be " if dry_run else ""
    kept = len(wanted) - len(found.missing)
    told.print(f"{kept} rights were there, {len(found.missing)} {would}granted", highlight=False)
    end = f"{would}revoked" if revoking else "beyond the list; --revoke takes it away"
    for right in found.beyond:
        told.print(f"{right}: {end}", highlight=False, markup=False, soft_wrap=True)
    return found


async def _until_in_force(admin: AIOKafkaAdminClient, wanted: Sequence[Right]) -> None:
    """Wait until a broker knows all of it: the controller says yes a moment earlier."""
    deadline = time.monotonic() + _IN_FORCE_WITHIN_SECONDS
    while time.monotonic() < deadline:
        if not compared(wanted, await granted_rights(admin)).missing:
            return
        await asyncio.sleep(_BETWEEN_LOOKS_SECONDS)
    raise StackError("the rights were accepted, but the broker does not know them yet; try again")


def _checked(principals: str) -> str:
    if principals.count("{name}") != 1 or principals.count("{") != 1:
        raise typer.BadParameter("must hold {name} once", param_hint="--principals")
    return principals
