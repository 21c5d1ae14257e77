"""The `updraft` command line: everything that a person does by hand."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from rich.markup import escape
from rich.table import Table
from typer.core import TyperGroup

from deploy.terminal import console

T = TypeVar("T")

# Commands that live in modules of their own, imported only when they are called:
# name → "module:attribute", where the attribute is a function or a Typer app.
_ELSEWHERE = {
    "demo": "deploy.demo.command:demo",
    "reconcile": "deploy.reconcile.command:command",
    "contracts": "deploy.contracts:app",
    "access": "deploy.access:app",
    "dlq": "deploy.dlq:app",
    "replay": "deploy.replay.command:replay",
    "match": "deploy.matching.command:app",
    "company": "deploy.matching.command:company",
}


class _Commands(TyperGroup):
    """The commands of this file and those of `_ELSEWHERE`."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *_ELSEWHERE]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in _ELSEWHERE:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = _ELSEWHERE[cmd_name].partition(":")
        found = getattr(import_module(module), attribute)
        if not isinstance(found, typer.Typer):
            alone = typer.Typer(add_completion=False)
            alone.command(cmd_name)(found)
            found = alone
        command = typer.main.get_command(found)
        command.name = cmd_name
        return command


app = typer.Typer(
    name="updraft",
    cls=_Commands,
    help="Run and operate Updraft, the backend for reverse-mentoring programmes.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    rich_markup_mode="markdown",
)
hr = typer.Typer(help="Play the HR platform: send employee records.", no_args_is_help=True)
app.add_typer(hr, name="hr")

_out = console()
_err = console(stderr=True)

Data = Annotated[
    Path,
    typer.Option("--data", help="The folder of the local stack.", show_default=True),
]
Servers = Annotated[
    str | None,
    typer.Option(
        "--bootstrap-servers",
        envvar="UPDRAFT_KAFKA__BOOTSTRAP_SERVERS",
        help="A Kafka cluster, instead of the local stack's broker.",
    ),
]
_DEFAULT_DATA = Path(".updraft")


def finish(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's coroutine; tells errors of the stack in one line, obeys signals."""
    from aiokafka.errors import KafkaError

    from deploy.local.process import StackError
    from deploy.local.signals import Interrupted, run

    try:
        result = run(work)
        sys.stdout.flush()
    except Interrupted as stopped:
        raise typer.Exit(stopped.exit_code) from None
    except (StackError, KafkaError) as error:
        fail(str(error) or type(error).__name__)
    except BrokenPipeError:
        # The reader of our output has seen enough; Python would complain once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
    return result


def fail(message: str) -> NoReturn:
    """End the command with a message and exit code 1."""
    _err.print(f"[red]error:[/red] {escape(message)}", highlight=False, soft_wrap=True)
    raise typer.Exit(1)


def servers_of(data: Path, servers: str | None) -> str:
    """Where Kafka is: as said, or the broker of the stack that runs in the folder."""
    from deploy.local.endpoints import Endpoints
    from deploy.local.process import StackError

    if servers:
        return servers
    try:
        return Endpoints.of(data).bootstrap_servers
    except StackError as error:
        fail(f"{error}, or give --bootstrap-servers")


# --- up


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("send ISO 8601, such as 2026-01-05T09:00Z") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _known_kafka(name: str | None) -> str | None:
    from deploy.local.stack import KAFKAS

    if name is not None and name not in KAFKAS:
        raise typer.BadParameter(
            f"{name}: give {' or '.join(KAFKAS)}; to use a Kafka of your own, set "
            "UPDRAFT_KAFKA__BOOTSTRAP_SERVERS instead"
        )
    return name


@app.command()
def up(
    data: Data = _DEFAULT_DATA,
    speed: Annotated[
        float,
        typer.Option(min=0.001, max=1_000_000, help="How many times as fast as real time."),
    ] = 1.0,
    start: Annotated[
        datetime | None,
        typer.Option(
            parser=_moment,
            metavar="ISO",
            help="When programme time begins; UTC unless it says otherwise.",
        ),
    ] = None,
    kafka: Annotated[
        str | None,
        typer.Option(
            metavar="embedded|apache",
            callback=_known_kafka,
            help="Which broker: embedded, which starts at once and keeps its records in memory, or "
            "Apache Kafka, which keeps them on disk and needs Java 17 (and, the first time, "
            "Maven). What the folder has already is the default.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Run everything on this machine and keep it running: Ctrl-C stops it, data stays.

    Starts Postgres, a Kafka-protocol broker, a mail server, a token issuer and the four services
    on free ports of 127.0.0.1. Set UPDRAFT_KAFKA__BOOTSTRAP_SERVERS, or UPDRAFT_REGISTRATION__DSN
    and its like for all four services, to use servers of your own instead.
    """
    finish(_keep_up(data, start, speed, kafka))


async def _keep_up(data: Path, start: datetime | None, speed: float, kafka: Any) -> None:
    from deploy.local.stack import Stack

    def tell(line: str) -> None:
        _out.print(escape(line), highlight=False, soft_wrap=True)

    stack = Stack(data, keep=True, kafka=kafka, start=start, speed=speed, tell=tell)
    stopping = False
    try:
        async with stack:
            _introduce(stack)
            try:
                await asyncio.Event().wait()
            finally:
                stopping = True
                tell("stopping: services first, then the broker, Postgres last (again to hurry)")
    except asyncio.CancelledError:
        if not stopping:
            raise
        # To stop it by a signal is the normal way.
        tell(f"stopped; the data stays in {stack.run_dir}")


def _introduce(stack: Any) -> None:
    table = Table(show_header=False, box=None, pad_edge=False)
    for name in ("registration", "matching", "notifications", "metrics"):
        table.add_row(name, f"{stack.url(name)}/openapi.json")
    table.add_row("mails", stack.mail_url)
    table.add_row("issuer", f"{stack.issuer_url} (local use only: it trusts everybody here)")
    table.add_row("Kafka", stack.bootstrap_servers)
    table.add_row("folder", str(stack.run_dir))
    if stack.data_dir is not None and not stack.data_dir.is_relative_to(stack.run_dir):
        # For root in a folder that is closed to the user that Postgres runs as.
        table.add_row("database", str(stack.data_dir))
    table.add_row("time", f"{stack.clock.now():%Y-%m-%d %H:%M} UTC, {stack.clock.speed:g}× real")
    _out.print(table, soft_wrap=True)
    _out.print(f"{_KEEPS[stack.kafka]} Ctrl-C stops everything.", highlight=False, soft_wrap=True)


# What each broker keeps; None is one of the user's own.
_KEEPS = {
    "embedded": "The broker keeps its records in memory. When it stops it forgets them, and with "
    "them HR records that\nregistration has not read. All else comes back: at the next start the "
    "services publish again, from\nPostgres, what they have published, and drop what they know "
    "already.",
    "apache": "Apache Kafka keeps its records in the folder. After a stop or a crash all goes on "
    "where it was: nothing is\npublished again, and HR records that registration has not read wait "
    "for it.",
    None: "The broker is yours, and keeps what it keeps.",
}


# --- token


@app.command()
def token(
    sub: Annotated[
        str | None, typer.Option(help="Whose token: the subject; the employee id unless given.")
    ] = None,
    role: Annotated[
        list[str] | None,
        typer.Option(
            help="A role: participant, programme_manager, hr_system or auditor; repeatable."
        ),
    ] = None,
    employee_id: Annotated[
        str | None, typer.Option(help="Which employee this is, for participants.")
    ] = None,
    data: Data = _DEFAULT_DATA,
) -> None:
    """Print a bearer token of the running local stack, valid for eight hours."""
    from deploy.local.endpoints import Endpoints
    from deploy.local.issuer import ROLES
    from deploy.local.process import StackError

    unknown = sorted(set(role or ()) - set(ROLES))
    if unknown:
        raise typer.BadParameter(f"no such role: {', '.join(unknown)}", param_hint="--role")
    try:
        minted = Endpoints.of(data).token(sub or employee_id or "local", role or [], employee_id)
    except StackError as error:
        fail(str(error))
    print(minted)


# --- hr


@hr.command("publish")
def publish_hr(
    file: Annotated[
        Path,
        typer.Argument(
            help="One record per line, as JSON; - reads standard input.",
            allow_dash=True,
            dir_okay=False,
        ),
    ],
    raw: Annotated[
        bool, typer.Option("--raw", help="Send every line as it is, even what is not a record.")
    ] = False,
    erased: Annotated[
        bool, typer.Option("--erased", help="The lines ask for erasure: {employeeId, sequence}.")
    ] = False,
    source: Annotated[str, typer.Option(help="Who says so: the events' source.")] = "urn:hr:file",
    data: Data = _DEFAULT_DATA,
    bootstrap_servers: Servers = None,
) -> None:
    """Publish HR records from a JSON-lines file to hr.employees, keyed by employeeId.

    A line that is a whole CloudEvent in JSON is sent in structured mode. Each record's id is made
    of its content, so publishing a file twice changes nothing. All lines are checked first, and
    if one is wrong none is sent; --raw skips that.
    """
    from deploy.local.hr import read_lines

    if str(file) != "-" and not file.is_file():
        fail(f"{file}: no such file")
    lines = read_lines(
        sys.stdin.buffer if str(file) == "-" else file, source, erased, check=not raw
    )
    if lines.wrong:
        for number, reason in lines.wrong[:20]:
            _err.print(f"line {number}: {escape(reason)}", highlight=False, soft_wrap=True)
        fail(f"{len(lines.wrong)} of the lines are wrong and nothing was sent; --raw sends anyway")
    finish(_publish(servers_of(data, bootstrap_servers), lines.records))


async def _publish(servers: str, records: Sequence[Any]) -> None:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from deploy.local.hr import publish

    with Progress(
        "hr.employees", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=_err
    ) as progress:
        task = progress.add_task("", total=len(records))
        await publish(servers, records, lambda sent: progress.update(task, advance=sent))
    _err.print(f"published {len(records)} records", highlight=False)


# --- topics


@app.command("topics")
def list_topics(
    counts: Annotated[
        bool, typer.Option("--counts", help="Count the records in each; needs the broker.")
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="Show the dead-letter topics too.")] = False,
    data: Data = _DEFAULT_DATA,
    bootstrap_servers: Servers = None,
) -> None:
    """List the topics: key, partitions, how long they keep, who writes and who reads."""
    from deploy.local.broker import topics
    from deploy.reading import count_records

    shown = [topic for topic in topics() if every or not topic.name.endswith(".dlq")]
    found: dict[str, int] = {}
    if counts:
        servers = servers_of(data, bootstrap_servers)
        found = finish(count_records(servers, [topic.name for topic in shown]))
    table = Table(box=None)
    table.add_column("topic", no_wrap=True)
    for heading in ("key", "parts", "keeps", "written by", "read by"):
        table.add_column(heading)
    if counts:
        table.add_column("records", justify="right")
    for topic in shown:
        keeps = "newest per key" if topic.compact else f"{topic.retention_days} days"
        if topic.retention_days is None:
            keeps = "for ever"
        row = [topic.name, topic.key, str(topic.partitions), keeps]
        row += [", ".join(topic.writers), ", ".join(topic.readers)]
        table.add_row(*row, *([f"{found.get(topic.name, 0):,}"] if counts else []))
    _out.print(table)


@app.command("read")
def read_topic(
    topic: Annotated[str, typer.Argument(help="The topic, such as updraft.metrics.")],
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what arrives, until Ctrl-C.")
    ] = False,
    key: Annotated[str | None, typer.Option(help="Only records with this key.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after so many records.")] = None,
    data: Data = _DEFAULT_DATA,
    bootstrap_servers: Servers = None,
) -> None:
    """Print a topic from its beginning as JSON lines: key, type, time and data."""
    from deploy.reading import read_records

    async def show() -> None:
        left = limit
        async for record in read_records(servers_of(data, bootstrap_servers), topic, follow=follow):
            if key is not None and record["key"] != key:
                continue
            print(json.dumps(record, ensure_ascii=False), flush=follow)
            left = None if left is None else left - 1
            if left == 0:
                return

    finish(show())


def main(arguments: Sequence[str] | None = None, run: Callable[..., Any] = app) -> None:
    """Entry point for `python -m deploy.cli`."""
    run(arguments)


if __name__ == "__main__":
    main()
