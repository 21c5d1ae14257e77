"""Our engine on an instance in its canonical form, as the service's worker reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import UUID

from services.matching.domain import engine, problem
from services.matching.domain.instance import Instance, from_canonical, instance
from services.matching.domain.market import Proof, proof
from services.matching.domain.people import Person, Programme
from services.matching.domain.problem import all_pairs
from services.matching.domain.result import Result
from tests.bench.peers.stopwatch import Stopwatch, contend, peak_mb

EXPLAINING = "pairs and explanations"
"""The stage from which only the answer is written."""


class Recorder:
    """What happened when in a run of the engine."""

    def __init__(self) -> None:
        self._watch = Stopwatch()
        self.stages: list[tuple[str, dict[str, float]]] = []
        """What had gone by when each began; a stage ends with the next."""
        self.gaps: list[tuple[float, float]] = []
        """Seconds, and the gap that was proven by then."""

    def note(self, stage: str) -> None:
        """A stage begins."""
        self.stages.append((stage, self._watch.read()))

    def prove(self, gap: float) -> None:
        """A gap is proven."""
        self.gaps.append((self._watch.read()["seconds"], gap))

    def told(self, doing: str, share: float) -> None:
        """Hear of the engine's progress."""
        if share == 0:
            self.note(doing)

    def until(self, stage: str) -> dict[str, float]:
        """What had gone by when a stage began."""
        return next(gone for name, gone in self.stages if name == stage)

    def spent(self) -> dict[str, dict[str, float]]:
        """Seconds and processor seconds of each stage, all its turns together."""
        total: dict[str, dict[str, float]] = {}
        for (name, begin), (_, end) in pairwise(self.stages):
            spent = total.setdefault(name, {"turns": 0})
            spent["turns"] += 1
            for of in begin:
                spent[of] = spent.get(of, 0.0) + end[of] - begin[of]
        return total


def solved(given: Instance, gap: float) -> tuple[Result, Recorder]:
    """Solve and note what happened when."""
    # A worker has asked first whether anything changed since the last run; it hashes all there is.
    assert given.state_hash
    recorder = Recorder()
    with _watched(recorder):
        recorder.note("arrays of people")
        result = engine.solve(given, gap=gap, told=recorder.told)
    recorder.note("end")
    return result, recorder


@contextmanager
def _watched(recorder: Recorder) -> Iterator[None]:
    """Hear of each proof, and of the moment from which only the answer is written."""
    search = engine._search

    def proving(*given: Any) -> Proof:
        proven = proof(*given)
        recorder.prove(proven.gap)
        return proven

    def searching(*given: Any) -> Any:
        found = search(*given)
        recorder.note(EXPLAINING)
        return found

    with patch.object(engine, "proof", proving), patch.object(engine, "_search", searching):
        yield


def warm_up() -> None:
    """Have all code loaded, and kernels compiled where they never ran."""
    usual = problem.MOST_IN_A_TABLE
    for most in (usual, -1):
        problem.MOST_IN_A_TABLE = most
        engine.solve(_a_few())
    problem.MOST_IN_A_TABLE = usual


def _a_few() -> Instance:
    """Made by hand: to load what makes companies takes memory that a run does not need."""
    programme = Programme(UUID(int=0), 1, True, date(2026, 3, 1), date(2026, 9, 1))
    people = [
        Person(
            UUID(int=number),
            f"E{number}",
            "mentee" if number % 2 else "mentor",
            level=1 + number % 7,
            department=f"D{number % 5}",
            languages=frozenset({"en"}),
            offers={"ai": 1 + number % 5},
            wants={"ai": 1},
            interests=frozenset({"chess"}),
        )
        for number in range(110)
    ]
    return instance(programme, people, datetime(2026, 3, 1, tzinfo=UTC))


def pair(task: dict[str, Any]) -> dict[str, Any]:
    """Solve to the task's gap."""
    given = from_canonical(Path(task["instance"]).read_bytes())
    peak_of_reading = peak_mb()
    warm_up()
    result, recorder = solved(given, task["gap"])
    # What the others do too, though they get the scores; explanations come on top.
    answer = recorder.until(EXPLAINING) | {
        # Before anything is done that is not part of the run.
        "peak_mb": peak_mb(),
        "peak_mb of reading": peak_of_reading,
        "with explanations": recorder.until("end"),
        "stages": recorder.spent(),
        "gaps": recorder.gaps,
        "certificate": asdict(result.certificate),
    }
    ids = [[str(match.mentee_id), str(match.mentor_id)] for match in result.matches]
    if "pairs" in task:
        Path(task["pairs"]).write_text(json.dumps(ids))
    else:
        answer["pairs by id"] = ids
    if task.get("time a pass"):
        answer["pass"] = _pass(given)
    return answer


def _pass(given: Instance) -> dict[str, float]:
    """All pairs scored once, and the best of each person kept."""
    pairs = all_pairs(given)
    watch = Stopwatch()
    pairs.candidates()
    return watch.read()


if __name__ == "__main__":
    contend(pair)
