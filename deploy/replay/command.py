"""`updraft replay`: the projections of a service, rebuilt from its topics."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated

import asyncpg
import typer
from pydantic import ValidationError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from deploy.cli import Servers, fail, finish, servers_of
from deploy.databases import Databases, ServiceName, databases
from deploy.local.broker import topics
from deploy.local.process import StackError
from deploy.replay.history import History
from deploy.replay.rebuild import Rebuild, Told
from deploy.terminal import console
from shared.handlers import Handlers
from shared.projections import Projection, Projections
from shared.settings import KafkaSettings, ServiceSettings, told

_out = console()
_err = console(stderr=True)


def replay(
    service: Annotated[ServiceName, typer.Argument(help="Whose projections.")],
    projection: Annotated[
        list[str] | None,
        typer.Option(metavar="TABLE", help="Only this one; repeatable. All unless given."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Rebuild and compare, change nothing.")
    ] = False,
    remove_unexplained: Annotated[
        bool,
        typer.Option(
            "--remove-unexplained",
            help="Remove rows that no record accounts for and set back those that are newer than"
            " their records; right only if the topics are whole.",
        ),
    ] = False,
    data: Annotated[
        Path, typer.Option("--data", help="The folder of the local stack.", show_default=True)
    ] = Path(".updraft"),
    bootstrap_servers: Servers = None,
) -> None:
    """Rebuild the tables of a service that follow from topics alone, and put right what differs.

    The service may run meanwhile. Its handlers read its topics from the beginning into fresh
    tables, up to where the service itself is; then it stands still for the moment in which the
    live tables are compared with them and corrected, in one transaction. Nothing is published, no
    mail is sent, no job runs. Exit code 1 if differences are left.
    """
    name = service.value
    handlers, projections = _of(name)
    chosen = _chosen(name, projections, projection or [])

    async def work() -> bool:
        places = databases(data, [name])
        kafka = _kafka(servers_of(data, bootstrap_servers))
        try:
            found = await rebuilt(
                places,
                kafka,
                name,
                handlers,
                projections,
                chosen,
                dry_run=dry_run,
                remove_unexplained=remove_unexplained,
            )
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise StackError(f"the database failed: {error or type(error).__name__}") from None
        return _tell(name, found, dry_run, remove_unexplained)

    if not finish(work()):
        raise typer.Exit(1)


def _of(service: str) -> tuple[Handlers, Projections]:
    handlers: Handlers = import_module(f"services.{service}.handlers").handlers
    projections: Projections = import_module(f"services.{service}.store").PROJECTIONS
    return handlers, projections


def _chosen(
    service: str, projections: Projections, names: Collection[str]
) -> tuple[Projection, ...]:
    known = {each.table: each for each in projections.tables}
    if unknown := sorted(set(names) - known.keys()):
        fail(f"{service} has no projection {', '.join(unknown)}; it has {', '.join(known)}")
    return tuple(known[name] for name in known if not names or name in names)


def _kafka(servers: str) -> KafkaSettings:
    try:
        settings = ServiceSettings()
    except ValidationError as error:
        raise StackError("; ".join(told(error))) from None
    return settings.kafka.model_copy(update={"bootstrap_servers": servers})


async def rebuilt(
    places: Databases,
    kafka: KafkaSettings,
    service: str,
    handlers: Handlers,
    projections: Projections,
    chosen: Sequence[Projection],
    *,
    dry_run: bool = False,
    remove_unexplained: bool = False,
) -> Told:
    """Rebuild these projections; the live tables are corrected unless something speaks against it.

    That is: a dry run, or rows unexplained that may not be removed. Raises StackError.
    """
    needed = {each.topic for each in chosen}
    connection = await places.connect(service)
    try:
        async with History.of(kafka, needed, service + kafka.group_suffix) as history:
            _refuse_gaps(history, chosen)
            rebuild = Rebuild(connection, service, handlers, chosen, places.clock, history)
            await rebuild.prepare()
            with Progress(
                "{task.description}",
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=_err,
                disable=not _err.is_terminal,
            ) as progress:
                task = progress.add_task("records", total=None)
                await rebuild.follow(
                    lambda done, total: progress.update(task, completed=done, total=total)
                )
                progress.update(task, description="comparing")
                async with rebuild.standstill():
                    await rebuild.finish()
                    if not dry_run and (remove_unexplained or not _unexplained(rebuild.told)):
                        await rebuild.correct(projections, remove_unexplained=remove_unexplained)
            return rebuild.told
    finally:
        await connection.close(timeout=2)


def _refuse_gaps(history: History, chosen: Sequence[Projection]) -> None:
    gone = history.incomplete({topic.name for topic in topics() if topic.compact})
    if not gone:
        return
    rest = [each.table for each in chosen if each.topic not in gone]
    remedy = " ".join(f"--projection {table}" for table in rest)
    raise StackError(
        f"the first records of {', '.join(gone)} are gone (retention), so what follows from them"
        " cannot be rebuilt; " + (f"the rest can: {remedy}" if rest else "nothing else was asked")
    )


def _unexplained(found: Told) -> int:
    return sum(each.unexplained for each in found.differences)


def _tell(service: str, found: Told, dry_run: bool, remove_unexplained: bool) -> bool:
    """Print what was found; returns whether the live tables are right now."""
    table = Table(box=None, pad_edge=False)
    table.add_column("projection", no_wrap=True)
    for heading in ("rows", "missing", "wrong", "unexplained"):
        table.add_column(heading, justify="right")
    for each in found.differences:
        counts = (each.rows, each.missing, each.wrong, each.unexplained)
        table.add_row(each.table, *(f"{count:,}" for count in counts))
    _out.print(table)
    _say(f"{found.applied:,} records of {service} were applied to fresh tables.")
    if found.set_aside:
        _say(f"{found.set_aside:,} are parked or were dropped and have no effect: `updraft dlq`.")
    if found.unreadable:
        _say(f"{found.unreadable:,} cannot be read any more by this version.")
    for one in found.failed:
        _say(f"{one.count:,} could not be applied now ({one.kind}): {one.reason}")
    different = sum(each.total for each in found.differences)
    if not different:
        _say("Nothing differs.")
    elif dry_run:
        _say("Nothing was changed (dry run).")
    elif _unexplained(found) and not remove_unexplained:
        _say(
            "Nothing was changed: rows are there that no record accounts for. If the topics are"
            " whole, --remove-unexplained takes them away; if the broker lost records or has not"
            " got them back yet, it must not. Or choose other tables with --projection."
        )
    else:
        _say(f"{different:,} rows were put right.")
        return True
    return not different


def _say(text: str) -> None:
    _out.print(Text(text), soft_wrap=True)
