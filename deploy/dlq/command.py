"""`updraft dlq`: records that could not be applied, listed, shown, retried and dropped."""

from __future__ import annotations

import asyncio
import getpass
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import asyncpg
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

from deploy.cli import fail, finish
from deploy.databases import Databases, ServiceName, databases
from deploy.dlq import showing
from deploy.dlq.records import Alike, Outcome, ParkedRecords, Wanted
from deploy.dlq.showing import REMEDIES
from deploy.local.process import StackError
from deploy.terminal import console
from shared.parking import Kind

app = typer.Typer(
    help="Records that could not be applied: list, show, retry or drop them.",
    no_args_is_help=True,
)
_out = console()
_err = console(stderr=True)
_POLL_SECONDS = 0.3
_MOST_IN_LINE = 50


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("send ISO 8601, such as 2026-01-05T09:00Z") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


Data = Annotated[
    Path, typer.Option("--data", help="The folder of the local stack.", show_default=True)
]
Service = Annotated[
    list[ServiceName] | None,
    typer.Option(
        metavar="NAME", help=f"Whose records, of {', '.join(ServiceName)}; repeatable, else all."
    ),
]
Topic = Annotated[str | None, typer.Option(help="Only records of this topic.")]
Key = Annotated[str | None, typer.Option(help="Only records with this key.")]
OfKind = Annotated[
    Kind | None,
    typer.Option(
        metavar="KIND",
        help=f"Only of this kind: {', '.join(REMEDIES)} (those that wait behind another).",
    ),
]
Reason = Annotated[str | None, typer.Option(help="Only where the reason contains this text.")]
Since = Annotated[
    datetime | None,
    typer.Option(
        parser=_moment, metavar="ISO", help="Only those parked at or after this moment (UTC)."
    ),
]
Until = Annotated[
    datetime | None,
    typer.Option(parser=_moment, metavar="ISO", help="Only those parked before this moment."),
]
Id = Annotated[str | None, typer.Option("--id", help="Only the one whose id begins so.")]
Actor = Annotated[
    str | None, typer.Option(help="Who does this, for the log; the system's user unless given.")
]
Because = Annotated[str | None, typer.Option(help="Why, for the log.")]
Everything = Annotated[
    bool, typer.Option("--all", help="All parked records; needed where nothing else chooses.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done; do nothing.")]
Wait = Annotated[
    float, typer.Option(min=0, help="Real seconds to wait until the service has done it.")
]
_DEFAULT_DATA = Path(".updraft")
_LIMIT = 50


@app.command("list")
def list_records(
    service: Service = None,
    topic: Topic = None,
    key: Key = None,
    kind: OfKind = None,
    reason: Reason = None,
    since: Since = None,
    until: Until = None,
    id_: Id = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help=f"At most so many of a service; {_LIMIT} unless --json."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
    data: Data = _DEFAULT_DATA,
) -> None:
    """List parked records, oldest first, and count them by reason.

    A record that waits for an earlier one of its key is counted there; `--kind waiting` lists it.
    Where several services run it, moments are in programme time.
    """
    wanted = _wanted(topic, key, kind, reason, since, until, id_)

    async def show() -> None:
        async with _opened(data, service) as (_, stores):
            if json:
                for store in stores:
                    async for each in store.listed(wanted, limit):
                        print(showing.as_json(each))
                return
            shown = limit or _LIMIT
            listed = [each for store in stores async for each in store.listed(wanted, shown)]
            showing.show_list(_out, listed)
            for store in stores:
                alike = await store.counts(wanted)
                if alike or service:
                    showing.show_counts(_out, store.service, alike)
            if not listed and not service:
                _out.print("Nothing is parked.")

    finish(show())


@app.command("show")
def show_record(
    record_id: Annotated[str, typer.Argument(metavar="ID", help="The id, or how it begins.")],
    payload: Annotated[
        bool, typer.Option("--payload", help="Show the value too; it may hold personal data.")
    ] = False,
    service: Service = None,
    data: Data = _DEFAULT_DATA,
) -> None:
    """Show everything about one record: place, headers, reason, remedy, log, and who waits."""

    async def show() -> None:
        async with _opened(data, service) as (_, stores):
            found = [
                (store, each)
                for store in stores
                async for each in store.listed(Wanted(id=record_id), 2)
            ]
            if not found:
                await _show_what_is_logged(stores, record_id)
                return
            if len(found) > 1:
                ids = ", ".join(f"{store.service} {each.event_id}" for store, each in found)
                raise StackError(
                    f"several records begin with {record_id}: {ids};"
                    " give more of the id, or --service"
                )
            store, parked = found[0]
            log = await store.log(str(parked.event_id))
            showing.show_one(
                _out,
                parked,
                await store.content(parked),
                actions=[action for _, action in log],
                line=await store.line(parked, _MOST_IN_LINE),
                payload=payload,
            )

    finish(show())


async def _show_what_is_logged(stores: Sequence[ParkedRecords], record_id: str) -> None:
    for store in stores:
        log = await store.log(record_id)
        if log:
            event_id = log[0][0]
            actions = [action for each, action in log if each == event_id]
            showing.show_log_only(_out, str(event_id), actions)
            return
    raise StackError(f"no parked record has an id that begins with {record_id}")


@app.command()
def retry(
    service: Service = None,
    topic: Topic = None,
    key: Key = None,
    kind: OfKind = None,
    reason: Reason = None,
    since: Since = None,
    until: Until = None,
    id_: Id = None,
    everything: Everything = False,
    dry_run: DryRun = False,
    actor: Actor = None,
    because: Because = None,
    wait: Wait = 60.0,
    data: Data = _DEFAULT_DATA,
) -> None:
    """Have the service apply parked records once more, and then those that wait behind them.

    Exit code 1 if not all of them took effect.
    """
    wanted = _wanted(topic, key, kind, reason, since, until, id_)
    _refuse_everything(wanted, everything)
    if kind == "waiting":
        fail("those that wait follow by themselves; retry what they wait for")

    async def work() -> bool:
        async with _opened(data, service) as (places, stores):
            if not any([await store.counts(wanted) for store in stores]):
                _out.print("There is nothing to retry.")
            good = [
                await _retry(store, wanted, dry_run, _actor(actor), because, places.clock.now, wait)
                for store in stores
            ]
            return all(good)

    if not finish(work()):
        raise typer.Exit(1)


async def _retry(
    store: ParkedRecords,
    wanted: Wanted,
    dry_run: bool,
    actor: str,
    because: str | None,
    now: Callable[[], datetime],
    wait: float,
) -> bool:
    total = _total(await store.counts(wanted))
    if dry_run:
        _say(store, f"{_records(total)} would be retried")
    if not total or dry_run:
        return True
    at = now()
    with _bar(f"{store.service}: marking", total) as step:
        marked = await store.retry(wanted, actor=actor, because=because, at=at, progress=step)
    if not marked:
        _say(store, "marked already, or waiting for another; nothing to do")
        return True
    waited = await _until_tried(store, marked, wait)
    return _tell(store, marked, await store.outcome(actor=actor, at=at), waited)


async def _until_tried(store: ParkedRecords, total: int, seconds: float) -> bool:
    """Wait until the service has tried what it can; False if it is not there to do so."""
    deadline = time.monotonic() + seconds
    with _bar(f"{store.service}: applying", total) as step:
        done = 0
        while left := await store.still_to_try():
            step(max(0, total - left) - done)
            done = max(done, total - left)
            if not await store.running():
                return False
            if time.monotonic() >= deadline:
                return True
            await asyncio.sleep(_POLL_SECONDS)
        step(total - done)
    return True


def _tell(store: ParkedRecords, marked: int, outcome: Outcome, running: bool) -> bool:
    failed = _total(outcome.failed)
    _say(store, f"{_records(marked)} retried: {outcome.applied:,} applied, {failed:,} failed again")
    for each in outcome.failed:
        _out.print(f"  {each.count:>7,}  {each.kind}: ", end="", highlight=False)
        _out.print(each.reason, markup=False, highlight=False, soft_wrap=True)
    late = outcome.pending - outcome.behind_others
    if late and not running:
        _say(store, f"is not running; {_records(late)} will be applied when it starts")
    elif late:
        _say(store, f"{_records(late)} not tried yet; the service goes on, or wait longer (--wait)")
    if outcome.behind_others:
        _say(
            store,
            f"{_records(outcome.behind_others)} marked, but behind a parked record of their key;"
            " retry or drop that one",
        )
    return outcome.applied == marked


@app.command()
def drop(
    service: Service = None,
    topic: Topic = None,
    key: Key = None,
    kind: OfKind = None,
    reason: Reason = None,
    since: Since = None,
    until: Until = None,
    id_: Id = None,
    everything: Everything = False,
    dry_run: DryRun = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    actor: Actor = None,
    because: Because = None,
    wait: Wait = 60.0,
    data: Data = _DEFAULT_DATA,
) -> None:
    """Give parked records up for good; those that wait behind them are applied.

    Who did it, when and `--because` stay in the log, and a copy in the dead-letter topic.
    """
    wanted = _wanted(topic, key, kind, reason, since, until, id_)
    _refuse_everything(wanted, everything)

    async def work() -> None:
        async with _opened(data, service) as (places, stores):
            totals = [_total(await store.counts(wanted)) for store in stores]
            for store, total in zip(stores, totals, strict=True):
                if total and (dry_run or not yes):
                    showing.show_counts(_out, store.service, await store.counts(wanted))
            if dry_run or not sum(totals):
                _out.print(f"{_records(sum(totals))} would be dropped", highlight=False)
                return
            if not yes and not typer.confirm(f"Drop {_records(sum(totals))} for good?"):
                fail("nothing was dropped")
            for store, total in zip(stores, totals, strict=True):
                if total:
                    at = places.clock.now()
                    await _drop(store, wanted, total, _actor(actor), because, at, wait)

    finish(work())


async def _drop(
    store: ParkedRecords,
    wanted: Wanted,
    total: int,
    actor: str,
    because: str | None,
    at: datetime,
    wait: float,
) -> None:
    with _bar(f"{store.service}: dropping", total) as step:
        dropped = await store.drop(wanted, actor=actor, because=because, at=at, progress=step)
    _say(store, f"{_records(dropped)} dropped")
    released = await store.still_to_try()
    if not released:
        return
    if not await _until_tried(store, released, wait):
        _say(store, f"is not running; {_records(released)} that waited will be applied then")
        return
    left = await store.still_to_try()
    _say(store, f"{_records(released)} that waited: {released - left:,} tried, {left:,} to go")


def _wanted(
    topic: str | None,
    key: str | None,
    kind: str | None,
    reason: str | None,
    since: datetime | None,
    until: datetime | None,
    id_: str | None,
) -> Wanted:
    return Wanted(topic, None if key is None else key.encode(), kind, reason, since, until, id_)


def _refuse_everything(wanted: Wanted, everything: bool) -> None:
    if wanted.everything and not everything:
        fail("say which records, such as --kind failed or --id ID, or --all")


@asynccontextmanager
async def _opened(
    data: Path, services: Sequence[str] | None
) -> AsyncIterator[tuple[Databases, list[ParkedRecords]]]:
    places = databases(data, services or ())
    stores: list[ParkedRecords] = []
    try:
        for name in places.dsns:
            stores.append(await ParkedRecords.of(places, name))  # noqa: PERF401 - closed below
        yield places, stores
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise StackError(f"the database failed: {error or type(error).__name__}") from None
    finally:
        for store in stores:
            await store.close()


@contextmanager
def _bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar; gives the function that moves it on."""
    with Progress(
        "{task.description}",
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=_err,
        transient=True,
        disable=not _err.is_terminal,
    ) as progress:
        task = progress.add_task(what, total=total)
        yield lambda count: progress.advance(task, count)


def _total(alike: Sequence[Alike]) -> int:
    return sum(each.count for each in alike)


def _records(count: int) -> str:
    return f"{count:,} {'record' if count == 1 else 'records'}"


def _say(store: ParkedRecords, text: str) -> None:
    _out.print(f"[bold]{store.service}[/bold]: ", end="", highlight=False)
    _out.print(text, markup=False, highlight=False, soft_wrap=True)


def _actor(given: str | None) -> str:
    try:
        return given or getpass.getuser()
    except (KeyError, OSError):
        fail("the system does not say who you are; give --actor NAME")
