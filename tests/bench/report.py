"""The one table at the end, and the file with the raw figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.figures import Comparison, Series, Spread
from tests.bench.machine import Load


@dataclass
class Row:
    """All that was found out about one subject."""

    name: str
    series: list[Series]
    comparisons: list[Comparison]
    notes: list[str] = field(default_factory=list)
    servers: dict[str, str] = field(default_factory=dict)
    """Versions of Kafka and Postgres."""
    details: dict[str, Any] = field(default_factory=dict)
    """For the file alone."""
    load: Load | None = None
    seconds: float = 0.0


def document(machine: dict[str, Any], rows: Sequence[Row]) -> dict[str, Any]:
    """Everything measured, as JSON knows it."""
    return {
        "machine": machine,
        "rows": [
            {
                "name": row.name,
                "servers": row.servers,
                "load": asdict(row.load) if row.load else None,
                "seconds": round(row.seconds, 1),
                "series": [
                    {"name": one.name, "unit": one.unit, "figures": one.figures}
                    | asdict(one.spread)
                    for one in row.series
                    if one.figures
                ],
                "comparisons": [
                    {
                        "what": _compared(one),
                        "target": str(one.target) if one.target else None,
                        "met": one.met,
                    }
                    | asdict(one.ratio)
                    for one in _measured(row)
                ],
                "notes": row.notes,
                "details": row.details,
            }
            for row in rows
        ],
    }


def write(file: Path, content: dict[str, Any]) -> None:
    """Write the raw figures; a folder made for them is ignored by git."""
    if not file.parent.exists():
        file.parent.mkdir(parents=True)
        (file.parent / ".gitignore").write_text("*\n")
    file.write_text(json.dumps(content, indent=2) + "\n")


def show(console: Console, machine: dict[str, Any], rows: Sequence[Row]) -> None:
    """Print the table, with the machine above and the notes below."""
    libraries = ", ".join(f"{name} {number}" for name, number in machine["libraries"].items())
    console.print(
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"{machine['kernel']}; Python {machine['python']}, {libraries}; commit {machine['commit']}"
    )
    console.print(table(rows))
    for row in rows:
        for note in row.notes:
            console.print(f"{row.name}: {note}")


def table(rows: Sequence[Row]) -> Table:
    """A line for each series and each comparison of all rows."""
    lines = Table(box=None, pad_edge=False, header_style="bold")
    lines.add_column("row")
    lines.add_column("what", overflow="fold")
    lines.add_column("median", justify="right", no_wrap=True)
    lines.add_column("lowest … highest", justify="right", no_wrap=True)
    lines.add_column("unit", no_wrap=True)
    lines.add_column("target", justify="right", no_wrap=True)
    lines.add_column("", no_wrap=True)
    for row in rows:
        lines.add_section()
        if row.load is not None:
            lines.add_row(row.name, _load(row.load), style="dim")
        if row.servers:
            told = ", ".join(f"{name} {number}" for name, number in row.servers.items())
            lines.add_row("", told, style="dim")
        for one in row.series:
            if one.figures:
                lines.add_row("", one.name, *_spread(one.spread), one.unit)
        for comparison in _measured(row):
            lines.add_row(
                "",
                _compared(comparison),
                *_spread(comparison.ratio),
                "×",
                str(comparison.target or ""),
                {True: "met", False: "[bold red]not met[/]", None: ""}[comparison.met],
            )
    return lines


def _measured(row: Row) -> list[Comparison]:
    return [one for one in row.comparisons if one.ours.figures and one.baseline.figures]


def _compared(one: Comparison) -> str:
    return f"{one.ours.name} ÷ {one.baseline.name}"


def _load(load: Load) -> str:
    stolen = f", {load.stolen:.0%} stolen" if load.stolen else ""
    return (
        f"load {load.before:g} before, {load.mean:g} during (peak {load.peak:g}), "
        f"{load.busy:.0%} busy{stolen}"
    )


def _spread(spread: Spread) -> tuple[str, str]:
    return number(spread.median), f"{number(spread.lowest)} … {number(spread.highest)}"


def number(value: float) -> str:
    """A figure with three significant digits and no exponent."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"
