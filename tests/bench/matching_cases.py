"""Companies to pair, who pairs them in a process of their own, and what came of it."""

from __future__ import annotations

import asyncio
import io
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from deploy.local.process import StackError
from tests.bench import jobs
from tests.bench.report import number

_MOST_UNITS = 1_000_000
_GRACE_SECONDS = 30.0
HOUR = 3600.0
"""Seconds; nobody is to take so long."""
_WIDTH = 118


@dataclass(frozen=True, slots=True)
class Company:
    """Who is to be paired."""

    mentors: int
    mentees: int
    hardened: bool = False
    single_seats: bool = True

    def __str__(self) -> str:
        kind = ", hardened" if self.hardened else ""
        return f"{self.mentors:,} × {self.mentees:,}{kind}"


@dataclass(frozen=True, slots=True)
class Case:
    """A company as files: an instance for us, ready-made scores for the others."""

    company: Company
    folder: Path
    task: Mapping[str, Any]
    ids: Mapping[str, Mapping[str, int]]
    """Of mentees and of mentors, where each is in the matrix of scores."""
    coverable: int
    """So many mentees can be served, by scipy's maximum bipartite matching."""


async def prepare(company: Company, folder: Path, *, scores: bool = True) -> Case:
    """Write the files of a company."""
    await asyncio.to_thread(folder.mkdir)
    task: dict[str, Any] = {"instance": str(folder / "instance.json")}
    if scores:
        task["worth"] = str(folder / "worth")
    found = await run(
        "matching_case",
        folder,
        task
        | {
            "mentors": company.mentors,
            "mentees": company.mentees,
            "hardened": company.hardened,
            "single_seats": company.single_seats,
            "seed": 1,
        },
    )
    if not scores:
        return Case(company, folder, task, {}, 0)
    task |= {key: found[key] for key in ("rows", "columns", "by waiting")}
    # More than all pairs together can score.
    task["bonus"] = (_MOST_UNITS + 1) * min(task["rows"], task["columns"])
    ids = {
        side: {one: place for place, one in enumerate(found[side])}
        for side in ("mentees", "mentors")
    }
    return Case(company, folder, task, ids, found["coverable"])


async def run(
    contender: str,
    folder: Path,
    task: Mapping[str, Any],
    *,
    peers: Path | None = None,
    limit_seconds: float = HOUR,
) -> dict[str, Any]:
    """Have somebody do a task in a process of their own; no `seconds` if it took too long."""
    return await jobs.done(
        contender,
        {**task, "limit_seconds": limit_seconds},
        folder,
        peers=peers,
        within_seconds=limit_seconds + _GRACE_SECONDS,
    )


@dataclass(slots=True)
class Outcome:
    """What one contender made of one company, round for round."""

    name: str
    company: Company
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    peak_mb: list[float] = field(default_factory=list)
    left_out: int = 0
    """Mentees without a mentor who could have had one."""
    coverable: int = 0
    total: float = 0.0
    worst: float = 0.0
    limit: float | None = None
    """The seconds that were not enough."""

    def add(self, answer: Mapping[str, Any], case: Case, limit: float) -> None:
        """Take in a round. Raises StackError if the pairs are not allowed."""
        if "seconds" not in answer:
            self.limit = limit
            return
        self.seconds.append(answer["seconds"])
        self.cpu_seconds.append(answer["cpu_seconds"])
        self.peak_mb.append(answer["peak_mb"])
        pairs = np.array(_places(answer, case), np.int64).reshape(-1, 2)
        worth = np.memmap(
            case.task["worth"], np.int32, "r", shape=(case.task["rows"], case.task["columns"])
        )
        units = worth[pairs[:, 0], pairs[:, 1]]
        twice = any(len(np.unique(ends)) < len(ends) for ends in pairs.T)
        if twice or units.min(initial=0) < 0:
            raise StackError(f"{self.name}: pairs that a rule excludes")
        self.coverable = case.coverable
        self.left_out = case.coverable - len(pairs)
        self.total = int(units.sum()) / 10_000
        self.worst = int(units.min(initial=_MOST_UNITS)) / 10_000

    def plain(self) -> dict[str, Any]:
        """For the file of raw figures."""
        return {
            "company": str(self.company),
            "name": self.name,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "peak_mb": self.peak_mb,
            "left_out": self.left_out,
            "coverable": self.coverable,
            "total": self.total,
            "worst": self.worst,
            "limit_seconds": self.limit,
        }


def _places(answer: Mapping[str, Any], case: Case) -> Sequence[Sequence[int]]:
    if "pairs" in answer:
        return answer["pairs"]  # type: ignore[no-any-return]
    mentees, mentors = case.ids["mentees"], case.ids["mentors"]
    return [[mentees[mentee], mentors[mentor]] for mentee, mentor in answer["pairs by id"]]


def compared(outcomes: Sequence[Outcome]) -> str:
    """A table of all, as text."""
    lines = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("mentors × mentees", "who"):
        lines.add_column(name, no_wrap=True)
    for name in ("seconds", "CPU s", "peak MB", "left out", "total score", "worst pair"):
        lines.add_column(name, justify="right", no_wrap=True)
    company: Company | None = None
    for one in outcomes:
        if company is not None and one.company != company:
            lines.add_section()
        shown = "" if one.company == company else str(one.company)
        company = one.company
        if not one.seconds:
            lines.add_row(shown, one.name, f"more than {one.limit:,.0f}" if one.limit else "–")
            continue
        lines.add_row(
            shown,
            one.name,
            *(number(statistics.median(each)) for each in (one.seconds, one.cpu_seconds)),
            f"{statistics.median(one.peak_mb):,.0f}",
            f"{one.left_out:,} ({one.left_out / max(1, one.coverable):.1%})",
            f"{one.total:,.4f}",
            f"{one.worst:.2f}",
        )
    return as_text(lines)


def as_text(table: Table) -> str:
    """A table as lines, to be told after a row's own."""
    console = Console(file=io.StringIO(), width=_WIDTH)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return "\n" + console.file.getvalue().rstrip()
