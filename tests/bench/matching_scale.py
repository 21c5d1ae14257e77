"""Row `scale`: what nobody else pairs, and pairing again when somebody leaves. Only by its name.

- 10,000 × 10,000, one seat each: people to proven pairs, against scipy's dense assignment alone,
  handed its matrix. *As costs* is scipy handed the matrix so that it needs no copy.
- 50,000 × 50,000 with seats for several: the time until a gap is certified and until the proof, in
  passes. A pass scores all pairs once and keeps the best of each person; it is timed in the same
  run, at its beginning and after its end, and the mean counts. The same scoring by numpy is that of
  one block of 1,024 mentees, times as many blocks as there are.
- 70,000 mentors × 30,000 mentees: the proof.
- One mentor of the 50,000 leaves, and everybody else keeps their pairs; a hundred leave, and all is
  decided anew to the gap that runs of so many ask for, with and without a bonus for what was.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.matching.solver import warm
from tests.bench.figures import Comparison, Series, Target, at_least, at_most
from tests.bench.matching_cases import Case, Company, Outcome, compared, prepare, run
from tests.bench.report import Row
from tests.bench.rounds import Plan

_CERTIFIED = 0.0005
_STICKINESS = 10
"""Points for a pair that was."""
_LEAVERS = 100
_STEPS = 9


async def measure(plan: Plan) -> Row:
    """Measure the row; each figure once, for it takes minutes."""
    with tempfile.TemporaryDirectory(prefix="updraft-bench-") as folder:
        return await _Ladder(plan, Path(folder)).row()


@dataclass
class _Ladder:
    """One size after the other."""

    plan: Plan
    folder: Path
    series: list[Series] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    steps: int = 0

    async def row(self) -> Row:
        self._step("compiling the loops, once")
        # In a process of its own, whose memory is no run's.
        await warm(None)
        await self._against_scipy()
        await self._many()
        await self._pyramid()
        return Row("scale", self.series, self.comparisons, self.notes, details=self.details)

    def _figure(self, name: str, unit: str, value: float) -> Series:
        made = Series(name, unit, [value])
        self.series.append(made)
        return made

    def _compare(self, ours: Series, other: Series, target: Target | None = None) -> None:
        self.comparisons.append(Comparison(ours, other, target))

    def _step(self, what: str) -> None:
        self.plan.says(what)
        self.plan.advance(self.steps / _STEPS)
        self.steps += 1

    async def _against_scipy(self) -> None:
        size = self.plan.either(10_000, 600)
        company = Company(size, size)
        self._step(f"a company of {company}")
        case = await prepare(company, self.folder / "single")
        outcomes = {}
        for name, contender, more in (
            ("ours", "matching_ours", {"gap": 0.0}),
            ("scipy's dense assignment", "matching_plain", {"way": "dense"}),
            ("scipy's, as costs", "matching_plain", {"way": "dense, as costs"}),
        ):
            self._step(f"{company}: {name}")
            answer = await run(contender, case.folder, dict(case.task) | more)
            outcome = outcomes[name] = Outcome(name, company)
            outcome.add(answer, case, 0)
            self.details[f"{company}: {name}"] = {
                key: answer[key] for key in ("stages", "gaps", "certificate") if key in answer
            }
        self.notes.append(compared(list(outcomes.values())))
        self.details["outcomes"] = [one.plain() for one in outcomes.values()]
        ours = outcomes.pop("ours")
        seconds = self._figure(f"ours, {company}", "s", ours.seconds[0])
        memory = self._figure(f"ours, {company}, peak memory", "MB", ours.peak_mb[0])
        for name, other in outcomes.items():
            first = name.endswith("assignment")
            self._compare(
                seconds,
                self._figure(f"{name}, {company}", "s", other.seconds[0]),
                at_most(1 / 4) if first else None,
            )
            self._compare(
                memory,
                self._figure(f"{name}, {company}, peak memory", "MB", other.peak_mb[0]),
                at_most(1 / 5) if first else None,
            )

    async def _many(self) -> None:
        size = self.plan.either(50_000, 1_500)
        company = Company(size, size, single_seats=False)
        self._step(f"{company} with seats for several")
        case = await prepare(company, self.folder / "several", scores=False)
        pairs = str(case.folder / "pairs.json")
        answer = await run(
            "matching_ours",
            case.folder,
            dict(case.task) | {"gap": 0.0, "pairs": pairs, "time a pass": True},
        )
        self._note_run(company, answer)
        first = answer["stages"]["candidates"]
        once = (first["seconds"] + answer["pass"]["seconds"]) / 2
        one_pass = self._figure(f"one pass, {company}", "s", once)
        certified = next(at for at, gap in answer["gaps"] if gap <= _CERTIFIED)
        self._compare(
            self._figure(f"gap ≤ {_CERTIFIED:.2%}, {company}", "s", certified), one_pass, at_most(7)
        )
        proven = self._figure(f"proof, {company}", "s", answer["seconds"])
        self._compare(proven, one_pass, at_most(12))
        self._compare(
            self._figure(f"peak memory, {company}", "MB", answer["peak_mb"]),
            self._figure("1.2 GB", "MB", 1200),
            at_most(1),
        )
        self._step("numpy on one block")
        block = await run("matching_blocks", case.folder, {**case.task, "times": 3})
        self.details["numpy blocks"] = block
        self._compare(
            self._figure(f"numpy in blocks, {company}", "s", block["seconds"]),
            one_pass,
            at_least(20),
        )
        await self._leavers(case, pairs, answer)

    async def _leavers(self, case: Case, pairs: str, cold: Mapping[str, Any]) -> None:
        task = {**case.task, "pairs": pairs, "gap": 0.0, "stickiness": 0}
        self._step("one mentor leaves")
        one = await run("matching_again", case.folder, task | {"leavers": 1, "keep": True})
        self.details["one leaves"] = one
        for upto, again, first in (
            ("to the proof", one["until the proof"]["seconds"], cold["seconds"]),
            ("with explanations", one["seconds"], cold["with explanations"]["seconds"]),
        ):
            self._compare(
                self._figure(f"one leaves, {upto}", "s", again),
                self._figure(f"the cold run, {upto}", "s", first),
                at_most(1 / 30),
            )
        changed = []
        for stickiness in (0, _STICKINESS):
            self._step(f"{_LEAVERS} leave, a bonus of {stickiness} for pairs that were")
            found = await run(
                "matching_again",
                case.folder,
                task
                | {
                    "leavers": _LEAVERS,
                    "keep": False,
                    "stickiness": stickiness,
                    # What a run of so many people asks for; a bonus leaves much to prove.
                    "gap": _CERTIFIED,
                },
            )
            name = f"{_LEAVERS} leave, bonus {stickiness}: others who change"
            self.details[name] = found
            changed.append(self._figure(name, "pairs", found["changed"]))
        self._compare(changed[1], changed[0], at_most(0.05))

    async def _pyramid(self) -> None:
        company = Company(
            self.plan.either(70_000, 2_100), self.plan.either(30_000, 900), single_seats=False
        )
        self._step(f"{company} with seats for several")
        case = await prepare(company, self.folder / "pyramid", scores=False)
        answer = await run(
            "matching_ours",
            case.folder,
            dict(case.task) | {"gap": 0.0, "pairs": str(case.folder / "pairs.json")},
        )
        self._note_run(company, answer)
        self._figure(f"proof, {company}", "s", answer["seconds"])
        self._figure(f"peak memory, {company}", "MB", answer["peak_mb"])

    def _note_run(self, company: Company, answer: Mapping[str, Any]) -> None:
        self.details[str(company)] = dict(answer)
        said = answer["certificate"]
        gaps = ", ".join(f"{at:.1f} s {gap:.3%}" for at, gap in answer["gaps"])
        spent = ", ".join(
            f"{name} {stage['seconds']:.1f} s (CPU {stage['cpu_seconds']:.1f})"
            for name, stage in answer["stages"].items()
            if stage["seconds"]
        )
        self.notes.append(
            f"{company}: peak {answer['peak_mb']:,.0f} MB, "
            f"{answer['peak_mb of reading']:,.0f} MB when the instance was read"
        )
        self.notes.append(
            f"{company}: {said['stopped']}, {said['covered']:,} of {said['coverable']:,} mentees "
            f"served, score {said['total_score']:,.4f}; certified gap: {gaps}; {spent}"
        )
