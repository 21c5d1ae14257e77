"""`updraft demo`: a whole programme on this machine, from HR records to KPIs."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

START = datetime(2026, 1, 5, 7, 0, tzinfo=UTC)
DEFAULT_SPEED = 120_000.0
"""About 1.4 programme days a second: lead and six months in some 140 seconds."""
_FILE_WIDTH = 150
_LATE = timedelta(days=3)
_MOST_ASKED = 60


def demo(
    hr_file: Annotated[
        Path | None, typer.Option(help="A CSV file with HR records; needs --mapping.")
    ] = None,
    mapping: Annotated[
        Path | None, typer.Option(help="How the columns of the HR file are read (YAML).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same company and same dice.")] = 1,
    people: Annotated[
        int, typer.Option(min=60, max=20_000, help="Size of the invented company.")
    ] = 1000,
    speed: Annotated[
        float, typer.Option(min=1000, max=500_000, help="How many times as fast as real time.")
    ] = DEFAULT_SPEED,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave everything running until Ctrl-C.")
    ] = False,
    data: Annotated[
        Path | None, typer.Option(help="Folder for logs and mails; a new one if not given.")
    ] = None,
) -> None:
    """Play six months of a reverse-mentoring programme and show what came of it.

    Everything is real but the people: four service processes, a broker, Postgres, mails, signed
    links. Exit code 1 if the services disagree with each other, one was restarted or too big, or a
    matching run is not what its certificate says.
    """
    from deploy.cli import fail, finish
    from deploy.demo.company import company
    from deploy.demo.hr_file import HrFileError, workforce_from

    if (hr_file is None) != (mapping is None):
        raise typer.BadParameter("give both --hr-file and --mapping, or neither")
    try:
        if hr_file is not None and mapping is not None:
            workforce = workforce_from(hr_file, mapping, today=START.date())
        else:
            workforce = company(people, seed=seed, today=START.date())
    except HrFileError as error:
        fail(str(error))
    problems = finish(_demo(workforce, seed=seed, speed=speed, keep=keep, data=data))
    if problems:
        raise typer.Exit(1)


async def _demo(
    workforce: Any, *, seed: int, speed: float, keep: bool, data: Path | None
) -> list[str]:
    from deploy.demo import tables
    from deploy.demo.hr_platform import HrPlatform
    from deploy.demo.mailbox import Mailbox
    from deploy.demo.office import Office
    from deploy.demo.play import Play
    from deploy.demo.progress import Show
    from deploy.local.stack import Stack

    console = _console()
    began = time.monotonic()

    def tell(line: str) -> None:
        console.print(f"[dim]{time.monotonic() - began:5.1f} s[/dim]  {escape(line)}")

    for line in tables.source_of_people(workforce):
        console.print(escape(line), highlight=False)
    async with Stack(data, start=START, speed=speed, tell=tell) as stack:
        urls = {name: stack.url(name) for name in ("registration", "matching", "metrics")}
        mailbox = Mailbox(stack.mails_dir, Play.interesting_mails())
        async with (
            Office(urls, stack.token, seed=seed) as office,
            HrPlatform(workforce, stack.bootstrap_servers, seed=seed) as platform,
        ):
            show = Show(console)
            play = Play(
                workforce, office, platform, mailbox, stack.clock, seed=seed, watch=show.update
            )
            await play.load_people()
            # A large company takes longer to be taken in than the usual one.
            patience = max(10.0, len(workforce.people) / 200)
            known = await play.wait_for_people(real_seconds=patience)
            tell(f"HR published {platform.sent.total():,} records")
            if not known:
                tell("registration does not know everybody yet; the play begins all the same")
            await play.open_programme()
            tell("the programme is open; people begin to react to their mails")
            with show:
                show.follow(play)
                await play.live()
            tell(f"six months are over, {office.requests:,} HTTP requests were made")
            await play.close()
            await play.fade_out(real_seconds=25)
            quiet = await stack.drained(30)
            problems = [] if quiet else ["events were still on their way 30 s after the end"]
            tell("the last mails are out and every event has been taken in")
            found, pairs = await _closing(console, stack, play, tell)
            problems += found
            tell("done")
            _verdict(console, stack, problems, pairs=pairs, keep=keep)
            if keep:
                _where_to_look(console, stack)
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()
    return problems


def _console() -> Console:
    """The terminal; wide enough for the tables where the output goes to a file."""
    # What people and records are called is never meant as an emoji's name.
    console = Console(emoji=False)
    return console if console.is_terminal else Console(width=_FILE_WIDTH, emoji=False)


async def _closing(console: Console, stack: Any, play: Any, tell: Any) -> tuple[list[str], int]:
    """All tables and checks; returns what went wrong, and how many pairs were formed."""
    from deploy.demo import tables
    from deploy.demo.outcome import formed_pairs, read_topics, violations
    from deploy.demo.proof import show_proof

    programme_id, office = play.scene.programme_id, play.office
    problems = await _differences(stack, tell)
    told = await read_topics(stack.bootstrap_servers)
    play.mailbox.new_mails()
    tables.show_funnel(console, tables.funnel(told, play.workforce))
    path = f"/programmes/{programme_id}/kpis"
    kpis = await office.as_manager("GET", path, service="metrics")
    tables.show_kpis(console, kpis, speed=stack.clock.speed)
    await _show_without_partner(console, told, office)
    problems += await show_proof(console, office, programme_id, stack.run_dir)
    pairs = formed_pairs(told)
    for pair in _telling_pairs(pairs):
        path = f"/pairs/{pair.pair_id}/explanation"
        explanation = await office.as_manager("GET", path, service="matching")
        tables.show_explanation(console, explanation, pair, play.workforce)
    tables.show_counts(
        console, "Proposals and pairs that did not complete", _ends(told), what="how"
    )
    tables.show_counts(console, "Mails by kind", play.mailbox.counts)
    tables.show_counts(console, "What HR told", play.story.told, what="about")
    parked = tables.parked_by_reason(await office.as_hr("GET", "/hr/parked-records"))
    tables.show_counts(console, "Parked HR records", parked, what="reason")
    tables.show_events(console, told)
    if office.refusals:
        refusals = {
            f"{what} → {status}: {office.first_refusal[what, status]}"[:150]: count
            for (what, status), count in office.refusals.items()
        }
        tables.show_counts(
            console,
            "Requests refused, as life had moved on",
            refusals,
            what="request → answer: the first one's words",
        )
    resident = {name: stack.rss(name) for name in stack.restarts}
    problems += tables.show_memory(console, resident, stack.restarts)
    _say_if_too_fast(console, told, stack.clock.speed)
    # Two real seconds are what the guard may need to see a change.
    broken = violations(told, grace=timedelta(seconds=2 * stack.clock.speed))
    tell(f"pairs that ever broke a hard rule: {len(broken)}")
    problems += broken
    problems += [f"the play stumbled: {error!r}" for error in play.agenda.failures[:5]]
    return problems, len(pairs)


async def _show_without_partner(console: Console, told: Any, office: Any) -> None:
    """Why those who were ready all along stayed alone; of many, every so many-th is asked about."""
    from deploy.demo import tables
    from deploy.demo.office import Refused
    from deploy.demo.outcome import never_paired

    waiting = never_paired(told)
    answers = []
    for participant_id in waiting[:: -(-len(waiting) // _MOST_ASKED) or 1]:
        path = f"/participants/{participant_id}/explanation"
        with contextlib.suppress(Refused):
            answers.append(await office.as_manager("GET", path, service="matching"))
    if waiting:
        tables.show_without_partner(console, answers, waiting=len(waiting))


def _say_if_too_fast(console: Console, told: Any, speed: float) -> None:
    """Mails that come days late leave people no time to answer, which the KPIs then show."""
    delays = sorted(told.mail_delays)
    if delays and (typical := delays[len(delays) // 2]) > _LATE:
        console.print(
            f"[yellow]The clock was too fast for this machine as busy as it was: a proposal waited "
            f"{typical / timedelta(days=1):.1f} days to be mailed, so people met late and less. "
            f"--speed {speed / 3:.0f} shows what the programme does.[/yellow]",
            highlight=False,
        )


async def _differences(stack: Any, tell: Any) -> list[str]:
    from deploy.reconcile import reconcile

    found = await reconcile(stack)
    tell(f"reconciliation: {len(found)} differences")
    return [f"reconciliation: {difference}" for difference in found]


def _telling_pairs(pairs: Sequence[Any]) -> list[Any]:
    """Three pairs that formed: the best, the middle and the weakest match."""
    formed = sorted(pairs, key=lambda pair: -pair.score)
    if not formed:
        return []
    places = sorted({0, len(formed) // 2, len(formed) - 1})
    return [formed[place] for place in places]


def _ends(told: Any) -> dict[str, int]:
    counts: dict[str, int] = {}
    for facts in told.pairs.values():
        last = max(facts, key=lambda fact: fact.version)
        if last.status != "completed":
            name = last.status if last.reason is None else f"{last.status}: {last.reason}"
            counts[name] = counts.get(name, 0) + 1
    return counts


def _verdict(console: Console, stack: Any, problems: list[str], *, pairs: int, keep: bool) -> None:
    for problem in problems[:40]:
        console.print(f"[red]✗[/red] {escape(problem)}", highlight=False)
    if len(problems) > 40:
        console.print(f"[red]✗[/red] and {len(problems) - 40} more")
    if pairs == 0:
        console.print(
            "[yellow]! No pair was formed at all: the table 'Why ready people have no partner' "
            "and the parked HR records above tell why.[/yellow]",
            highlight=False,
        )
    if not problems and pairs > 0:
        console.print(
            "[green]✓[/green] The four services agree, nothing was restarted, no pair ever broke "
            "a hard rule, and matching is as good as it says."
        )
    console.print(f"Mails: {stack.mails_dir}\nLogs:  {stack.logs_dir}", highlight=False)
    if not keep:
        console.print("With --keep it all stays up afterwards, to look around.")


def _where_to_look(console: Console, stack: Any) -> None:
    console.print(f"\n{'mails':<14} {stack.mail_url}", highlight=False)
    for name in stack.restarts:
        console.print(f"{name:<14} {stack.url(name)}/openapi.json", highlight=False)
    console.print("A token for them: updraft token --help. Everything stays up until Ctrl-C.")
