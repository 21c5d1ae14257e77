"""`python -m tests.bench`: measures the rows asked for, prints one table, writes one file."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from tests.bench import consumer, flow, growth, matching, matching_scale, relay, solving
from tests.bench.machine import LoadWatch, machine
from tests.bench.report import Row, document, show, write
from tests.bench.rounds import Plan

_ROWS: dict[str, Callable[[Plan], Awaitable[Row]]] = {
    "relay": relay.measure,
    "consumer": consumer.measure,
    "growth": growth.measure,
    "flow": flow.measure,
    "matching": matching.measure,
    "scale": matching_scale.measure,
    "solving": solving.measure,
}
_BY_NAME = {"scale", "solving"}
"""Rows that take many minutes: only measured if somebody asks for them."""
_MINUTES = 18.0
_QUICK_MINUTES = 3.0


def bench(
    only: Annotated[
        list[str] | None,
        typer.Option(
            help=f"A row to measure: {', '.join(_ROWS)}. Repeatable; "
            f"{', '.join(sorted(_BY_NAME))} only if named."
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="One round of little: does it work? No figures to keep.")
    ] = False,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of each row.")] = 5,
    kafka: Annotated[
        str, typer.Option(help="apache, embedded, or the bootstrap servers of an empty Kafka.")
    ] = "apache",
    minutes: Annotated[
        float, typer.Option(help="Rows take fewer rounds rather than longer than this in all.")
    ] = _MINUTES,
    output: Annotated[Path, typer.Option(help="The file for the raw figures.")] = Path(
        ".bench/bench.json"
    ),
) -> None:
    """Measure backbone and matching; timings are told, never judged by the exit code."""
    # What the client tries again by itself, such as a topic without a leader yet.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    # Not the default, which would leave the servers' folders behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    wanted = only or [name for name in _ROWS if name not in _BY_NAME]
    unknown = [name for name in wanted if name not in _ROWS]
    if unknown:
        raise typer.BadParameter(f"{unknown[0]} is not a row; there are {', '.join(_ROWS)}")
    console = Console(width=None if sys.stdout.isatty() else 140)
    found = machine()
    measured: list[Row] = []
    broken: list[str] = []
    ends = time.monotonic() + 60 * (min(minutes, _QUICK_MINUTES) if quick else minutes)
    try:
        with _progress() as progress:
            for place, name in enumerate(wanted):
                bar = progress.add_task(name, total=1.0, note="")
                now = time.monotonic()
                # What earlier rows left over is shared by those to come.
                deadline = now + max(0.0, ends - now) / (len(wanted) - place)
                plan = Plan(1 if quick else rounds, quick, kafka, deadline)
                try:
                    measured.append(asyncio.run(_measured(name, plan, progress, bar)))
                except Exception as error:
                    # The other rows may still be worth their time.
                    broken.append(f"{name} broke: {type(error).__name__}: {error}")
                progress.update(bar, completed=1.0, note="")
    finally:
        # Also of a run that is interrupted.
        if measured:
            show(console, found, measured)
            write(output, document(found, measured))
            console.print(f"raw figures: {output.resolve()}")
    for line in broken:
        console.print(line, markup=False)
    if broken:
        raise typer.Exit(1)


async def _measured(name: str, plan: Plan, progress: Progress, bar: TaskID) -> Row:
    def says(what: str) -> None:
        progress.update(bar, note=what)
        if not progress.console.is_terminal:
            progress.console.print(f"{name}: {what}", markup=False)

    plan.says = says
    plan.advance = lambda share: progress.update(bar, completed=share)
    began = time.monotonic()
    async with LoadWatch() as watch:
        row = await _ROWS[name](plan)
    row.load = watch.load
    row.seconds = time.monotonic() - began
    return row


def _progress() -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description:<10}"),
        BarColumn(bar_width=30),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        disable=not console.is_terminal,
    )


if __name__ == "__main__":
    typer.run(bench)
