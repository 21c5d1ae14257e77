"""Runs the load, the faults and the audit; ends with a table, and with 1 if a figure is not 0."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deploy.local.postgres import SERVICES
from deploy.reconcile import report as reconciled
from deploy.reconcile.mails import mails_by_message
from tests.chaos import ledger
from tests.chaos.audit import Wire, judge, read_tables, read_wire, unexpected_errors
from tests.chaos.door import Door
from tests.chaos.faults import Faults
from tests.chaos.ground import SESSION_SECONDS, START, Broker, Ground, ground
from tests.chaos.hr_lane import HrLane
from tests.chaos.hr_stream import HrStream
from tests.chaos.journeys import Journeys
from tests.chaos.ledger import Finding
from tests.chaos.schedule import Fault, schedule
from tests.e2e.mailbox import Mailbox

_PEOPLE = 250
_JOURNEY_EVERY_SECONDS = 9.0
_NO_JOURNEY_IN_THE_LAST_SECONDS = 15.0
_MOST_SHOWN = 12
_TELL_EVERY_SECONDS = 30.0


@dataclass
class Outcome:
    """All figures of a run; the run is good if each of `figures` is 0."""

    seed: int
    seconds: float
    broker: str
    nodes: int
    figures: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    schedule: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    took_seconds: dict[str, float] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Whether everything is as promised."""
        return not any(self.figures.values())


class Run:
    """One run, from the first record to the verdict."""

    def __init__(
        self,
        *,
        seed: int,
        seconds: float,
        broker: Broker,
        nodes: int,
        rate: float,
        console: Console,
    ) -> None:
        self.outcome = Outcome(seed, seconds, broker, nodes)
        self._broker = broker
        self._rate = rate
        self._console = console
        self._began = time.monotonic()
        self._faults: list[Fault] = schedule(
            seed,
            seconds=seconds,
            nodes=nodes if broker == "apache" else 0,
            session_seconds=SESSION_SECONDS,
        )
        self.outcome.schedule = [str(fault) for fault in self._faults]

    def tell(self, line: str) -> None:
        """A line of progress."""
        passed = time.monotonic() - self._began
        self._console.print(f"[dim]{passed:6.1f} s[/dim]  {escape(line)}", highlight=False)

    async def run(self, folder: Path, *, patience_seconds: float) -> Outcome:
        """Start everything, hurt it, let it heal, and look."""
        outcome = self.outcome
        async with ground(self._broker, outcome.nodes, folder, self.tell) as found:
            self._mark("start")
            async with httpx.AsyncClient(timeout=5, trust_env=False) as http:
                stream = HrStream(outcome.seed, people=_PEOPLE, start=START)
                lane = HrLane(
                    stream,
                    found.stack.bootstrap_servers,
                    idempotent=self._broker == "apache",
                )
                door = Door(found, http, Mailbox(found.stack.mails_dir), outcome.seed)
                journeys = Journeys(door, lane, outcome.seed)
                faults = Faults(found, self.tell)
                try:
                    await self._hurt(lane, journeys, faults)
                    self._mark("load")
                    findings = await self._heal(found, lane, door, journeys, patience_seconds)
                    self._mark("drain")
                finally:
                    await lane.close()
            findings += await self._look(found, lane, door, faults)
            self._count(found, lane, door, journeys, faults)
            self._mark("audit")
        figures = Counter(finding.figure for finding in findings)
        names = (*ledger.FIGURES, "reconcile", "not drained", "errors", "restarts")
        outcome.figures = {name: figures[name] for name in names}
        outcome.findings = [str(finding) for finding in findings]
        return outcome

    async def _hurt(self, lane: HrLane, journeys: Journeys, faults: Faults) -> None:
        seconds = self.outcome.seconds

        async def begin_journeys() -> None:
            began = time.monotonic()
            last = max(1.0, seconds - _NO_JOURNEY_IN_THE_LAST_SECONDS)
            while time.monotonic() - began < last:
                journeys.begin()
                await asyncio.sleep(_JOURNEY_EVERY_SECONDS)

        async def tell_how_far() -> None:
            began = time.monotonic()
            while (passed := time.monotonic() - began) < seconds:
                self.tell(
                    f"{passed:.0f} of {seconds:.0f} s: {lane.acknowledged.counts.total():,} HR "
                    f"records acknowledged, {journeys.finished} of {journeys.begun} journeys "
                    f"finished, {faults.done.total()} of {len(self._faults)} faults over"
                )
                await asyncio.sleep(min(_TELL_EVERY_SECONDS, seconds - passed))

        async with asyncio.TaskGroup() as group:
            group.create_task(tell_how_far())
            group.create_task(lane.load(seconds, rate=self._rate))
            group.create_task(begin_journeys())
            group.create_task(faults.run(self._faults, seconds=seconds))

    async def _heal(
        self, found: Ground, lane: HrLane, door: Door, journeys: Journeys, patience: float
    ) -> list[Finding]:
        """Let everything end that was begun; returns what did not within the time."""
        deadline = time.monotonic() + patience
        findings = [
            Finding("not drained", service, "is not ready after the run")
            for service in await found.heal()
        ]
        self.tell("everything runs again; what was begun comes to its end")
        door.closes_at = deadline
        await journeys.end()
        findings += [Finding("not drained", "journey", one) for one in journeys.unfinished]
        while lane.unsent and time.monotonic() < deadline:
            await asyncio.sleep(0.2)
        if lane.unsent:
            findings.append(Finding("not drained", "HR", f"{lane.unsent} records have no answer"))
        left = max(20.0, deadline - time.monotonic())
        if not await found.stack.drained(left):
            findings += await _waiting(found)
        return findings

    async def _look(self, found: Ground, lane: HrLane, door: Door, faults: Faults) -> list[Finding]:
        stack = found.stack
        self.tell("reconciling")
        looked = await reconciled(stack, within_seconds=60)
        findings = [Finding("reconcile", one.where, str(one)) for one in looked.differences]
        if not looked.quiet:
            self.tell("reconciliation saw events on their way all the time")
        self.tell("reading every topic and every table")
        # First the tables: what they hold must be on the topics by then.
        tables = await read_tables(stack.auditor_dsn)
        wire = await read_wire(stack.bootstrap_servers)
        found_wrong = list(judge(wire, tables, lane.acknowledged, door.acknowledged))
        if found_wrong:
            # The clock goes on and brings news: what is wrong must be so once more.
            await stack.drained(20)
            tables = await read_tables(stack.auditor_dsn)
            wire = await read_wire(stack.bootstrap_servers)
            again = set(judge(wire, tables, lane.acknowledged, door.acknowledged))
            found_wrong = [one for one in found_wrong if one in again]
        findings += found_wrong
        self._count_wire(wire, stack.mails_dir)
        for told, count in unexpected_errors(stack).items():
            findings.append(Finding("errors", "log", f"{told} ({count} times)"))
        for part in (*SERVICES, "postgres", "broker", "mail", "issuer"):
            if found.deaths[part] != faults.killed[part]:
                ended = f"ended {found.deaths[part]} times, {faults.killed[part]} of them by us"
                findings.append(Finding("restarts", part, ended))
        findings += [Finding("restarts", "replica", one) for one in found.unexpected]
        return findings

    def _count_wire(self, wire: Wire, mails: Path) -> None:
        counts = self.outcome.counts
        counts["events on the topics"] = len({one.event_id for one in wire.deliveries})
        repeated = ledger.duplicates(wire.deliveries)
        counts["duplicates on the wire"] = repeated.total()
        for topic, count in repeated.items():
            counts[f"duplicates on {topic}"] = count
        per_message = mails_by_message(mails)
        counts["mails"] = per_message.total()
        counts["mails that came twice, as the same"] = sum(n - 1 for n in per_message.values())

    def _count(
        self, found: Ground, lane: HrLane, door: Door, journeys: Journeys, faults: Faults
    ) -> None:
        outcome = self.outcome
        outcome.counts |= {
            "HR records acknowledged": lane.acknowledged.counts.total(),
            "HR records sent again by the producer": lane.resent,
            "broken HR records, each to be parked": len(lane.acknowledged.broken),
            "journeys finished": journeys.finished,
            "HTTP requests": door.requests,
            "HTTP requests tried again": door.retried,
            "effects acknowledged over HTTP": len(door.acknowledged),
            "connections cut": faults.connections_cut,
            "faults that met a transaction": faults.caught_in_transaction,
            "processes of services ended": sum(found.deaths[s] for s in SERVICES),
        }
        outcome.faults = dict(sorted(faults.done.items()))
        outcome.faults |= {f"{kind} (was down)": n for kind, n in sorted(faults.skipped.items())}

    def _mark(self, part: str) -> None:
        passed = time.monotonic() - self._began - sum(self.outcome.took_seconds.values())
        self.outcome.took_seconds[part] = round(passed, 1)


async def _waiting(found: Ground) -> list[Finding]:
    """Which service still has something to publish or to read."""
    findings = []
    async with httpx.AsyncClient(timeout=5, trust_env=False) as http:
        for service in SERVICES:
            page = await http.get(f"{found.stack.url(service)}/metrics")
            lines = [
                line
                for line in page.text.splitlines()
                if line.startswith(("updraft_outbox_rows", "updraft_consumer_lag"))
            ]
            findings.append(Finding("not drained", service, "; ".join(lines)))
    return findings


def show(console: Console, outcome: Outcome) -> None:
    """The closing tables."""
    table = Table("what", title=f"Chaos with seed {outcome.seed}", title_justify="left")
    table.add_column("how many", justify="right")
    for name, count in (*outcome.faults.items(), *outcome.counts.items()):
        table.add_row(name, f"{count:,}")
    table.add_section()
    for name, count in outcome.figures.items():
        table.add_row(name, f"[red]{count:,}[/red]" if count else "[green]0[/green]")
    console.print(table)
    for name, count in outcome.figures.items():
        told = [one for one in outcome.findings if one.startswith(f"{name}: ")]
        for finding in told[:_MOST_SHOWN]:
            console.print(f"[red]✗[/red] {escape(finding)}", highlight=False)
        if count > _MOST_SHOWN:
            console.print(f"[red]✗[/red] {name}: and {count - _MOST_SHOWN:,} more, in the report")
    took = ", ".join(f"{part} {seconds:.0f} s" for part, seconds in outcome.took_seconds.items())
    console.print(f"Times: {took}", highlight=False)


def main(
    seed: Annotated[int | None, typer.Option(help="Same seed, same load and faults.")] = None,
    minutes: Annotated[float, typer.Option(min=0.1, help="How long load and faults last.")] = 10,
    kafka: Annotated[
        str, typer.Option(help="apache, or embedded (whose broker is spared).")
    ] = "apache",
    nodes: Annotated[int, typer.Option(min=1, max=3, help="Nodes of Apache Kafka: 1 or 3.")] = 1,
    rate: Annotated[float, typer.Option(min=1, help="HR records a second.")] = 30,
    patience: Annotated[float, typer.Option(help="Seconds to drain within.")] = 120,
    folder: Annotated[Path | None, typer.Option(help="For data and logs; a new one.")] = None,
    report: Annotated[Path | None, typer.Option(help="Where the JSON report goes.")] = None,
) -> None:
    """Load the whole of Updraft, kill it piece by piece, and look for what was lost or doubled."""
    console = Console(emoji=False, width=None if sys.stdout.isatty() else 150)
    if kafka not in ("apache", "embedded"):
        raise typer.BadParameter("say apache or embedded", param_hint="--kafka")
    if nodes == 2:
        raise typer.BadParameter("two nodes are one too few to lose one; say 1 or 3")
    seed = random.SystemRandom().randrange(10**6) if seed is None else seed
    folder = folder or Path(tempfile.mkdtemp(prefix="updraft-chaos-"))
    broker: Any = kafka
    run = Run(
        seed=seed, seconds=minutes * 60, broker=broker, nodes=nodes, rate=rate, console=console
    )
    how = f"SEED={seed} MINUTES={minutes:g} KAFKA={kafka} NODES={nodes}"
    console.print(f"make chaos {how}\nThe faults to come:", highlight=False)
    for fault in run.outcome.schedule:
        console.print(f"  {fault}", highlight=False)
    # The client tells of every refusal while a broker is away, which is what happens here.
    for library in ("aiokafka", "asyncio"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
    outcome = asyncio.run(run.run(folder, patience_seconds=patience))
    show(console, outcome)
    path = report or folder / "chaos.json"
    path.write_text(json.dumps({**asdict(outcome), "good": outcome.good}, indent=2) + "\n")
    console.print(f"Report: {path}\nLogs and mails: {folder}", highlight=False)
    if not outcome.good:
        console.print(f"[red]Not as promised.[/red] Again: make chaos {how}", highlight=False)
        raise typer.Exit(1)
    console.print("[green]✓[/green] Nothing missing, nothing doubled, everything in order.")


if __name__ == "__main__":
    typer.run(main)
