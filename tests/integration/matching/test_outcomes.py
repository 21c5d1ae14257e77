"""What a run leaves behind: its proof, what it can be verified by, and how long that is kept."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from typing import Any
from uuid import UUID

import httpx
import pytest

from services.matching.domain.instance import from_canonical
from services.matching.domain.result import Certificate, Prices
from services.matching.domain.verification import StatedPair, verify
from services.matching.store import runs as run_store
from tests.conftest import DatabaseFor
from tests.integration.matching.http import as_, client_of, manager
from tests.integration.matching.world import PROGRAMME, World, participant_id


@pytest.fixture
async def world(database_for: DatabaseFor) -> World:
    return World(await database_for("matching"))


@pytest.fixture
def http(world: World) -> httpx.AsyncClient:
    return client_of(world)


async def _run_of(http: httpx.AsyncClient) -> dict[str, Any]:
    answer = await http.get(f"/programmes/{PROGRAMME}/match-runs", headers=as_("auditor"))
    run: dict[str, Any] = answer.json()[0]
    return run


async def _evidence(http: httpx.AsyncClient, run_id: str) -> dict[str, Any]:
    answer = await http.get(f"/match-runs/{run_id}/certificate", headers=as_("auditor"))
    assert answer.status_code == 200, answer.text
    evidence: dict[str, Any] = answer.json()
    return evidence


def _unpacked(text: str) -> bytes:
    return gzip.decompress(base64.b64decode(text))


async def test_a_run_shows_its_proof(http: httpx.AsyncClient, world: World) -> None:
    await world.tell(
        world.programme(), world.mentor("junior"), world.mentee("senior"), world.mentee("other")
    )
    await world.run()
    run = await _run_of(http)
    certificate = run["certificate"]
    (pair,) = await world.pairs()
    assert certificate["objective"] == certificate["bound"] == pytest.approx(pair.score)
    assert (certificate["gap"], certificate["stopped"]) == (0, "proven")
    assert (certificate["covered"], certificate["coverable"]) == (1, 1)
    assert (certificate["covered_mentors"], certificate["coverable_mentors"]) == (1, 1)
    assert certificate["input_hash"] == run["input_hash"]
    assert certificate["rules_version"] == run["programme_version"] == 1
    assert run["seconds"] >= 0
    assert run["peak_memory_mb"] > 1
    assert run["verifiable"]
    assert (run["doing"], run["share"], run["failure"]) == (None, None, None)


async def test_the_evidence_is_the_input_that_was_hashed_with_pairs_and_prices(
    http: httpx.AsyncClient, world: World
) -> None:
    await world.tell(world.programme(), world.mentor("junior"), world.mentee("senior"))
    await world.run()
    run = await _run_of(http)
    evidence = await _evidence(http, run["run_id"])
    text = _unpacked(evidence["input"])
    assert hashlib.sha256(text).hexdigest() == run["input_hash"]
    given = from_canonical(text)
    assert [person.employee_id for person in given.mentors] == ["junior"]
    prices = json.loads(_unpacked(evidence["prices"]))
    assert set(prices["mentees"]) == {str(participant_id("senior"))}
    (pair,) = await world.pairs()
    assert evidence["matches"] == [
        {
            "mentor_id": str(participant_id("junior")),
            "mentee_id": str(participant_id("senior")),
            "score": pair.score,
        }
    ]
    assert evidence["certificate"] == run["certificate"]
    assert evidence["erased"] is False


async def test_a_run_is_verified_by_its_evidence_and_a_forged_one_is_not(
    http: httpx.AsyncClient, world: World
) -> None:
    await world.tell(world.programme())
    for number in range(4):
        await world.tell(world.mentor(f"j{number}"), world.mentee(f"s{number}"))
    await world.run()
    evidence = await _evidence(http, (await _run_of(http))["run_id"])
    assert _findings(evidence) == []
    evidence["certificate"]["bound"] += 1
    assert _findings(evidence) != []


def _findings(evidence: dict[str, Any]) -> list[str]:
    prices = {
        side: {UUID(each): price for each, price in of_side.items()}
        for side, of_side in json.loads(_unpacked(evidence["prices"])).items()
    }
    return verify(
        from_canonical(_unpacked(evidence["input"])),
        [
            StatedPair(UUID(each["mentor_id"]), UUID(each["mentee_id"]), each["score"])
            for each in evidence["matches"]
        ],
        Certificate(**evidence["certificate"]),
        Prices(**prices),
    )


@pytest.mark.parametrize("who", ["junior", "boss"])
async def test_when_somebody_in_it_is_erased_the_input_goes(
    http: httpx.AsyncClient, world: World, who: str
) -> None:
    await world.tell(
        world.programme(),
        world.employee("boss", job_level=5),
        world.mentor("junior"),
        world.employee("junior", manager_id="boss"),
        world.mentee("senior"),
    )
    await world.run()
    run = await _run_of(http)
    assert run["certificate"]["pairs"] == 1
    await world.tell(world.employee("stranger", status="left", erased=True))
    assert (await _run_of(http))["verifiable"]
    await world.tell(world.employee(who, status="left", erased=True))
    evidence = await _evidence(http, run["run_id"])
    assert (evidence["erased"], evidence["input"], evidence["prices"]) == (True, None, None)
    assert evidence["matches"] == ([] if who == "junior" else evidence["matches"])
    assert not (await http.get(f"/match-runs/{run['run_id']}", headers=manager())).json()[
        "verifiable"
    ]


async def test_an_erasure_while_a_run_solves_is_not_overlooked(
    http: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.tell(world.programme(), world.mentor("junior"), world.mentee("senior"))
    keep_outcome = run_store.keep_outcome

    async def later(*given: Any) -> None:
        await world.tell(world.employee("junior", status="left", erased=True))
        await keep_outcome(*given)

    monkeypatch.setattr(run_store, "keep_outcome", later)
    await world.run()
    row = await world.database.pool.fetchrow("SELECT input, mentions FROM run_archives")
    assert tuple(row or ()) == (None, [])
    assert await world.database.pool.fetchval("SELECT count(*) FROM run_pairs") == 0


async def test_outcomes_are_kept_for_so_many_days(http: httpx.AsyncClient, world: World) -> None:
    await world.tell(world.programme(), world.mentor("junior"), world.mentee("senior"))
    await world.run()
    run = await _run_of(http)
    pool = world.database.pool
    await pool.execute("UPDATE run_archives SET kept_at = kept_at - interval '9 days'")
    await run_store.forget_old_outcomes(world.database, keep_days=10)
    assert (await _run_of(http))["verifiable"]
    await run_store.forget_old_outcomes(world.database, keep_days=9)
    assert not (await _run_of(http))["verifiable"]
    assert await pool.fetchval("SELECT count(*) FROM run_pairs") == 0
    answer = await http.get(f"/match-runs/{run['run_id']}/certificate", headers=as_("auditor"))
    assert answer.status_code == 409
    assert answer.json()["detail"] == "The run was too long ago: what it found is no longer kept."


@pytest.mark.parametrize(
    ("state", "failure", "detail"),
    [
        ("requested", None, "The run has not begun yet."),
        ("running", None, "The run is not over yet."),
        ("cancelled", None, "The run was cancelled before it found anything."),
        ("failed", "It took too long", "The run failed: It took too long."),
        ("over", None, "The run had nothing to do: the programme was over."),
    ],
)
async def test_a_run_without_a_proof_says_why(
    http: httpx.AsyncClient, world: World, state: str, failure: str | None, detail: str
) -> None:
    await world.tell(world.programme(), world.mentor("junior"))
    run_id = (await _run_of(http))["run_id"]
    await world.database.pool.execute(
        "UPDATE match_runs SET state = $1, failure = $2", state, failure
    )
    for url, field in (
        (f"/match-runs/{run_id}/certificate", "run_id"),
        (f"/match-runs/compare?left={run_id}&right={run_id}", "left"),
    ):
        answer = await http.get(url, headers=as_("auditor"))
        told = answer.json()
        assert (answer.status_code, told["field"], told["detail"]) == (409, field, detail)


async def test_only_an_auditor_gets_what_a_run_decided_by(
    http: httpx.AsyncClient, world: World
) -> None:
    await world.tell(world.programme(), world.mentor("junior"), world.mentee("senior"))
    await world.run()
    url = f"/match-runs/{(await _run_of(http))['run_id']}/certificate"
    assert (await http.get(url, headers=manager())).status_code == 403
    assert (await http.get(url, headers=as_("participant:junior"))).status_code == 403
    assert (await http.get(f"/match-runs/{UUID(int=9)}/certificate", headers=as_("auditor"))
            ).status_code == 404  # fmt: skip


async def test_a_run_is_cancelled_once_and_proposes_nothing(
    http: httpx.AsyncClient, world: World
) -> None:
    await world.tell(world.programme(), world.mentor("junior"), world.mentee("senior"))
    run_id = (await _run_of(http))["run_id"]
    answer = await http.post(f"/match-runs/{run_id}/cancel", headers=manager())
    assert answer.json()["state"] == "cancelled"
    await world.run()
    assert await world.pairs() == []
    again = await http.post(f"/match-runs/{run_id}/cancel", headers=manager())
    assert again.status_code == 409
    assert again.json()["remedy"]


async def test_pairs_that_are_many_are_proposed_some_at_a_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.matching.runs._AT_ONCE", 2)
    await world.tell(world.programme())
    for number in range(5):
        await world.tell(world.mentor(f"j{number}"), world.mentee(f"s{number}"))
    await world.run()
    assert len(await world.pairs()) == 5
    row = await world.database.pool.fetchrow("SELECT state, proposed, dropped FROM match_runs")
    assert tuple(row or ()) == ("completed", 5, 0)
