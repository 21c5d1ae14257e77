"""Row `matching`: our engine and others on the same companies, from scores to pairs.

Everybody has one seat, as the others know it. They are handed ready-made scores; ours is handed
people, and its time is that of scoring them, of the search and of the proof. *With explanations*
is all that a run does: reasons, alternatives and the hash of its input come on top. Each runs in a
process of its own, with all code loaded beforehand, and peers in an environment of their own, for
two of them install a module of the same name. Left out are mentees who could have had a mentor.

`mentor-match` and scipy are handed a bonus for each pair that is allowed, which makes them serve as
many people as can be; what they maximise is then the same as ours.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.bench.figures import Comparison, Series, at_least
from tests.bench.matching_cases import HOUR, Case, Company, Outcome, compared, prepare, run
from tests.bench.peer_environment import peers_python
from tests.bench.report import Row
from tests.bench.rounds import Contender, Plan, interleaved

_SIZES = (100, 500, 1000)
_QUICK_SIZES = (100,)
_LIMIT_SECONDS = 120.0
_QUICK_LIMIT_SECONDS = 30.0

OURS = "ours"
WHOLE = "ours with explanations"
_MENTOR_MATCH = "mentor-match 7.0.1"
_STABLE = "matching 1.4.3, HospitalResident"
_PLAIN = {
    "scipy's dense assignment": "dense",
    "greedy, best pair first": "best first",
    "greedy, first come": "first come",
}
_PEERS = {_MENTOR_MATCH: "mentor_match", _STABLE: "hospital_resident"}


async def measure(plan: Plan) -> Row:
    """Measure the row."""
    plan.says("the libraries to compare with")
    peers = {name: peers_python(contender) for name, contender in _PEERS.items()}
    with tempfile.TemporaryDirectory(prefix="updraft-bench-") as folder:
        return await _Contest(plan, Path(folder), peers).row()


class _Contest:
    """Every contender on every company, round after round."""

    def __init__(self, plan: Plan, folder: Path, peers: Mapping[str, Path]) -> None:
        self._plan = plan
        self._folder = folder
        self._peers = peers
        self._sizes = _QUICK_SIZES if plan.quick else _SIZES
        self._limit = _QUICK_LIMIT_SECONDS if plan.quick else _LIMIT_SECONDS
        self._outcomes: dict[tuple[Company, str], Outcome] = {}
        self._stages: dict[str, Any] = {}

    async def row(self) -> Row:
        companies = [Company(size, size) for size in self._sizes]
        # What greedy ways cost where few fit together.
        companies.append(Company(self._sizes[-1], self._sizes[-1], hardened=True))
        series: dict[str, Series] = {}
        contenders: dict[str, Contender] = {}
        for place, company in enumerate(companies):
            self._plan.says(f"a company of {company}")
            case = await prepare(company, self._folder / str(place))
            peers = () if company.hardened else (_MENTOR_MATCH, _STABLE)
            for name in (OURS, *peers, *_PLAIN):
                contenders[f"{name}, {company}"] = self._contender(name, case)
                shown = (name, WHOLE) if name == OURS else (name,)
                for each in shown:
                    self._outcomes[company, each] = Outcome(each, company)
        largest = companies[len(self._sizes) - 1]
        notes = await interleaved(contenders, series, self._plan)
        for name in (OURS, WHOLE, *_PEERS, *_PLAIN):
            found = self._outcomes[largest, name]
            series[name] = Series(f"{name}, {largest}", "s", found.seconds)
        cpu = {
            name: Series(f"{name}, processor time", "s", self._outcomes[largest, name].cpu_seconds)
            for name in (OURS, _MENTOR_MATCH)
        }
        comparisons = [
            Comparison(series[_MENTOR_MATCH], series[OURS], at_least(100)),
            Comparison(series[_MENTOR_MATCH], series[WHOLE]),
            Comparison(cpu[_MENTOR_MATCH], cpu[OURS]),
            Comparison(series["scipy's dense assignment"], series[OURS]),
        ]
        return Row(
            "matching",
            [one for one in series.values() if one.figures],
            [one for one in comparisons if one.ours.figures],
            [*notes, compared(list(self._outcomes.values()))],
            details={
                "outcomes": [one.plain() for one in self._outcomes.values()],
                "stages of ours": self._stages,
            },
        )

    def _contender(self, name: str, case: Case) -> Contender:
        async def play(_: int) -> Mapping[str, float]:
            outcome = self._outcomes[case.company, name]
            if outcome.limit is not None:
                # It was too long once; what a second time would say is known.
                return {}
            task = dict(case.task)
            # Only the peers' times grow so fast that somebody must stop them.
            contender, peers, limit = "matching_ours", None, HOUR
            if name in _PLAIN:
                contender, task["way"] = "matching_plain", _PLAIN[name]
            elif name != OURS:
                contender, peers, limit = _PEERS[name], self._peers[name], self._limit
            else:
                task["gap"] = 0.0
            answer = await run(contender, case.folder, task, peers=peers, limit_seconds=limit)
            outcome.add(answer, case, limit)
            if name == OURS:
                self._outcomes[case.company, WHOLE].add(
                    answer | answer["with explanations"], case, limit
                )
                self._stages[str(case.company)] = answer["stages"]
            return {}

        return play
