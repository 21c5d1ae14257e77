from __future__ import annotations

from uuid import UUID, uuid4

import httpx
import pytest

from tests.conftest import DatabaseFor
from tests.integration.matching.http import as_, client_of
from tests.integration.matching.world import PROGRAMME, World, participant_id


@pytest.fixture
async def world(database_for: DatabaseFor) -> World:
    return World(await database_for("matching"))


@pytest.fixture
def http(world: World) -> httpx.AsyncClient:
    return client_of(world)


async def test_a_manager_starts_a_run_and_reads_its_result(
    http: httpx.AsyncClient, world: World
) -> None:
    await world.tell(world.programme(), world.mentor("junior"), world.mentee("senior"))
    url = f"/programmes/{PROGRAMME}/match-runs"
    key = as_("programme_manager") | {"Idempotency-Key": "once"}
    answer = await http.post(url, headers=key)
    assert answer.status_code == 202
    run_id = answer.json()["run_id"]
    assert (await http.post(url, headers=key)).json()["run_id"] == run_id
    await world.run()
    run = (await http.get(f"/match-runs/{run_id}", headers=as_("auditor"))).json()
    assert (run["state"], run["proposed"], run["trigger"]) == ("completed", 1, "manual")
    listed = (await http.get(url, headers=as_("auditor"))).json()
    assert [each["run_id"] for each in listed] == [run_id]


async def test_a_run_on_demand_happens_even_when_nothing_changed(
    http: httpx.AsyncClient, world: World
) -> None:
    await world.tell(world.programme(), world.mentor("junior"))
    url = f"/programmes/{PROGRAMME}/match-runs"
    for _ in range(2):
        await http.post(url, headers=as_("programme_manager"))
        await world.run()
    listed = (await http.get(url, headers=as_("programme_manager"))).json()
    assert [each["state"] for each in listed] == ["completed", "completed"]


async def test_whoever_has_a_partner_has_no_reasons(http: httpx.AsyncClient, world: World) -> None:
    await world.tell(world.programme(), world.mentee("senior"))
    await world.run()
    await world.tell(world.mentor("junior"))
    await world.run()
    url = f"/participants/{participant_id('senior')}/explanation"
    told = (await http.get(url, headers=as_("participant:senior"))).json()
    assert (told["waiting"], told["living_pairs"], told["reasons"]) == (False, 1, {})


ENDPOINTS = [
    ("POST", f"/programmes/{PROGRAMME}/match-runs", {"programme_manager"}),
    ("GET", f"/programmes/{PROGRAMME}/match-runs", {"programme_manager", "auditor"}),
    ("GET", f"/match-runs/{UUID(int=9)}", {"programme_manager", "auditor"}),
    ("POST", f"/match-runs/{UUID(int=9)}/cancel", {"programme_manager"}),
    ("GET", f"/match-runs/{UUID(int=9)}/certificate", {"auditor"}),
    ("GET", f"/match-runs/{UUID(int=9)}/pairs", {"programme_manager", "auditor"}),
    (
        "GET",
        f"/match-runs/compare?left={UUID(int=9)}&right={UUID(int=8)}",
        {"programme_manager", "auditor"},
    ),
    ("GET", f"/programmes/{PROGRAMME}/pair-locks", {"programme_manager", "auditor"}),
    (
        "DELETE",
        f"/programmes/{PROGRAMME}/pair-locks?mentor_id={UUID(int=9)}&mentee_id={UUID(int=8)}",
        {"programme_manager"},
    ),
    ("GET", f"/pairs/{UUID(int=9)}/explanation", {"participant:x", "programme_manager", "auditor"}),
    (
        "GET",
        f"/participants/{UUID(int=9)}/explanation",
        {"participant:x", "programme_manager", "auditor"},
    ),
]


@pytest.mark.parametrize(("method", "url", "allowed"), ENDPOINTS)
async def test_nobody_gets_in_without_the_right_token(
    http: httpx.AsyncClient, method: str, url: str, allowed: set[str]
) -> None:
    assert (await http.request(method, url)).status_code == 401
    assert (await http.request(method, url, headers=as_("forged"))).status_code == 401
    for token in ("participant:x", "programme_manager", "auditor", "hr_system"):
        answer = await http.request(method, url, headers=as_(token))
        assert answer.status_code == (404 if token in allowed else 403)
        assert answer.json()["status"] == answer.status_code


async def test_a_programme_that_is_over_has_no_runs(http: httpx.AsyncClient, world: World) -> None:
    await world.tell(world.programme(status="closed"))
    url = f"/programmes/{PROGRAMME}/match-runs"
    answer = await http.post(url, headers=as_("programme_manager"))
    assert answer.status_code == 409
    assert answer.json()["remedy"]
    unknown = f"/programmes/{uuid4()}/match-runs"
    assert (await http.post(unknown, headers=as_("programme_manager"))).status_code == 404


async def test_a_weight_alone_is_tried_with_the_programmes_others(
    http: httpx.AsyncClient, world: World
) -> None:
    own = {
        "wants_covered": 40, "shared_interests": 0, "distance": 20, "mentor_wants_covered": 10,
        "time_overlap": 10, "waiting_time": 10, "level_gap": 10,
    }  # fmt: skip
    await world.tell(world.programme(weights=own))
    url = f"/programmes/{PROGRAMME}/match-runs"

    async def tried(**weights: float) -> httpx.Response:
        return await http.post(
            url,
            params={"dry_run": True},
            json={"weights": weights},
            headers=as_("programme_manager"),
        )

    asked = await tried(distance=10, shared_interests=10)
    assert asked.status_code == 202, asked.text
    run = (await http.get(f"/match-runs/{asked.json()['run_id']}", headers=as_("auditor"))).json()
    assert run["changes"] == {"weights": own | {"distance": 10, "shared_interests": 10}}
    refused = await tried(distance=35)
    assert refused.status_code == 422
    told = refused.json()
    assert told["field"] == "weights"
    assert told["detail"] == (
        "They sum to 115, with wants_covered 40, shared_interests 0, mentor_wants_covered 10,"
        " time_overlap 10, waiting_time 10, level_gap 10 as the programme has them."
    )
    refused = await tried(**own | {"distance": 35})
    assert refused.json()["detail"] == "They sum to 115."


async def test_an_approval_without_a_body_is_of_all(http: httpx.AsyncClient, world: World) -> None:
    await world.tell(world.programme(), world.mentor("junior"), world.mentee("senior"))
    asked = await http.post(
        f"/programmes/{PROGRAMME}/match-runs",
        params={"review": True},
        headers=as_("programme_manager"),
    )
    await world.run()
    url = f"/match-runs/{asked.json()['run_id']}/approval"
    answer = await http.post(url, headers=as_("programme_manager"))
    assert (answer.status_code, answer.json().get("rejected")) == (202, 0)
    await world.run()
    assert len(await world.pairs()) == 1
