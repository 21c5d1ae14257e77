"""The demo shows what its matching runs claim, and does not take the claims on trust."""

from __future__ import annotations

import base64
import gzip
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import UUID

from rich.console import Console

from deploy.demo.proof import show_proof, telling_runs
from services.matching.domain.engine import solve
from services.matching.domain.instance import canonical, instance
from services.matching.domain.people import Person, Programme
from shared.testing import ManualClock

NOW = ManualClock().now()
SHORTAGE = "3 mentees want ai and have 3 seats."


def _evidence(**tampered: float) -> dict[str, Any]:
    programme = Programme(UUID(int=1), 1, True, NOW.date(), NOW.date().replace(month=12))
    people = [
        Person(
            UUID(int=10 + number),
            f"p{number}",
            "mentee" if number % 2 else "mentor",
            level=7 if number % 2 else 2,
            department=f"d{number}",
            languages=frozenset({"en"}),
            **{"wants" if number % 2 else "offers": {"ai": 1}},  # type: ignore[arg-type]
        )
        for number in range(6)
    ]
    given = instance(programme, people, NOW)
    found = solve(given)
    prices = {
        side: {str(each): price for each, price in getattr(found.prices, side).items()}
        for side in ("mentees", "mentors")
    }
    return {
        "run_id": str(UUID(int=5)),
        "programme_id": str(UUID(int=1)),
        "certificate": asdict(found.certificate) | tampered,
        "erased": False,
        "input": base64.encodebytes(gzip.compress(canonical(given))).decode(),
        "prices": base64.encodebytes(gzip.compress(json.dumps(prices).encode())).decode(),
        "matches": [
            {
                "mentor_id": str(match.mentor_id),
                "mentee_id": str(match.mentee_id),
                "score": match.fit.score,
            }
            for match in found.matches
        ],
    }


def _run(number: int, pairs: int, *, verifiable: bool = True, **other: Any) -> dict[str, Any]:
    certificate = _evidence()["certificate"] | {"pairs": pairs}
    return {
        "run_id": str(UUID(int=number)),
        "requested_at": f"2026-01-{number:02d}T09:00:00Z",
        "trigger": "schedule",
        "certificate": certificate,
        "seconds": 0.25,
        "peak_memory_mb": 80.0,
        "verifiable": verifiable,
        "bottlenecks": [{"told": SHORTAGE}],
    } | other


class Office:
    def __init__(self, runs: list[dict[str, Any]], evidence: dict[str, Any]) -> None:
        self._runs, self._evidence = runs, evidence
        self.verified: list[str] = []

    async def as_manager(self, method: str, path: str, *, service: str) -> Any:
        assert (method, service) == ("GET", "matching")
        return self._runs

    async def as_auditor(self, path: str, *, service: str) -> Any:
        self.verified.append(path)
        return self._evidence


async def _shown(office: Office, folder: Path) -> tuple[list[str], str]:
    console = Console(width=150, record=True, file=io.StringIO())
    problems = await show_proof(console, office, "programme", folder)  # type: ignore[arg-type]
    return problems, console.export_text()


async def test_the_certificates_are_shown_and_the_largest_run_is_verified(tmp_path: Path) -> None:
    runs = [_run(1, 2), _run(2, 9, verifiable=False), _run(3, 3), _run(4, 0, certificate=None)]
    office = Office(runs, _evidence())
    problems, text = await _shown(office, tmp_path)
    assert problems == []
    assert office.verified == [f"/match-runs/{UUID(int=3)}/certificate"]
    assert "Matching runs: 3" in text
    assert "0, proven" in text
    assert "3 of 3" in text
    assert SHORTAGE in text
    assert "Verified from its input" in text


async def test_a_run_that_claims_too_much_is_a_problem(tmp_path: Path) -> None:
    office = Office([_run(3, 3)], _evidence(objective=1e6))
    problems, text = await _shown(office, tmp_path)
    assert problems
    assert "Verified" not in text


async def test_a_run_whose_evidence_is_broken_is_a_problem(tmp_path: Path) -> None:
    office = Office([_run(3, 3)], _evidence() | {"input": "no gzip"})
    (problem,), _ = await _shown(office, tmp_path)
    assert "cannot be verified" in problem


async def test_where_all_were_erased_nothing_is_claimed(tmp_path: Path) -> None:
    office = Office([_run(3, 3, verifiable=False)], _evidence())
    problems, text = await _shown(office, tmp_path)
    assert (problems, office.verified) == ([], [])
    assert "Verified" not in text


def test_the_runs_that_found_most_come_first() -> None:
    runs = [_run(number, number % 4) for number in range(1, 9)]
    assert [run["certificate"]["pairs"] for run in telling_runs(runs)] == [3, 3, 2, 2, 1]
