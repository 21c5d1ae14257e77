"""Every endpoint, asked without a token, with a bad one, in each role, and for another's things."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from services.registration.app import create_app
from services.registration.settings import Settings

if TYPE_CHECKING:
    from tests.integration.registration.conftest import Company, Front

ROLES = ("participant", "programme_manager", "hr_system", "auditor")
MANAGER, HR, AUDITOR = "programme_manager", "hr_system", "auditor"
PARTICIPANT = "participant"
OPEN_TO_ALL = {"/livez", "/readyz", "/l/{token}"}

ALLOWED: dict[tuple[str, str], set[str]] = {
    ("POST", "/programmes"): {MANAGER},
    ("GET", "/programmes"): {PARTICIPANT, MANAGER, AUDITOR},
    ("GET", "/programmes/{programme_id}"): {PARTICIPANT, MANAGER, AUDITOR},
    ("PATCH", "/programmes/{programme_id}"): {MANAGER},
    ("POST", "/programmes/{programme_id}/close"): {MANAGER},
    ("POST", "/programmes/{programme_id}/invitations"): {MANAGER},
    ("GET", "/programmes/{programme_id}/participants"): {MANAGER, AUDITOR},
    ("POST", "/programmes/{programme_id}/participants"): {PARTICIPANT},
    ("GET", "/participants/{participant_id}"): {PARTICIPANT, MANAGER, AUDITOR},
    ("PATCH", "/participants/{participant_id}"): {PARTICIPANT},
    ("POST", "/participants/{participant_id}/training-completion"): {PARTICIPANT, MANAGER},
    ("POST", "/participants/{participant_id}/pause"): {PARTICIPANT},
    ("POST", "/participants/{participant_id}/resume"): {PARTICIPANT},
    ("POST", "/participants/{participant_id}/withdrawal"): {PARTICIPANT, MANAGER},
    ("GET", "/me"): {PARTICIPANT},
    ("GET", "/pairs/{pair_id}"): {PARTICIPANT, MANAGER, AUDITOR},
    ("POST", "/pairs/{pair_id}/answers"): {PARTICIPANT, MANAGER},
    ("POST", "/pairs/{pair_id}/sessions"): {PARTICIPANT},
    ("POST", "/pairs/{pair_id}/session-logs"): {PARTICIPANT},
    ("POST", "/pairs/{pair_id}/feedback"): {PARTICIPANT},
    ("POST", "/pairs/{pair_id}/goals"): {PARTICIPANT},
    ("POST", "/pairs/{pair_id}/concerns"): {PARTICIPANT},
    ("POST", "/goals/{goal_id}/reached"): {PARTICIPANT},
    ("GET", "/concerns"): {MANAGER},
    ("POST", "/concerns/{concern_id}/resolution"): {MANAGER},
    ("PATCH", "/sessions/{session_id}"): {PARTICIPANT},
    ("POST", "/sessions/{session_id}/log"): {PARTICIPANT},
    ("POST", "/sessions/{session_id}/confirmation"): {PARTICIPANT},
    ("POST", "/sessions/{session_id}/dispute"): {PARTICIPANT},
    ("POST", "/sessions/{session_id}/cancellation"): {PARTICIPANT},
    ("GET", "/hr/employees/{employee_id}"): {HR, AUDITOR},
    ("GET", "/hr/parked-records"): {HR, AUDITOR},
}

BODIES: dict[str, Any] = {
    "/programmes": {"name": "Mine", "starts_on": "2026-02-01"},
    "/programmes/{programme_id}": {"name": "Mine"},
    "/programmes/{programme_id}/invitations": {"role": "mentor", "employee_ids": ["junior"]},
    "/programmes/{programme_id}/participants": {"role": "mentor", "agreement_version": "1"},
    "/participants/{participant_id}": {"capacity": 1},
    "/pairs/{pair_id}/answers": {"answer": "accept"},
    "/pairs/{pair_id}/sessions": {"starts_at": "2026-01-20T09:00:00Z"},
    "/pairs/{pair_id}/session-logs": {"started_at": "2026-01-05T09:00:00Z", "minutes": 60},
    "/pairs/{pair_id}/feedback": {"kind": "fit", "score": 3},
    "/pairs/{pair_id}/goals": {"title": "A goal"},
    "/pairs/{pair_id}/concerns": {"category": "other", "exit_requested": True},
    "/concerns/{concern_id}/resolution": {},
    "/sessions/{session_id}": {"starts_at": "2026-01-21T09:00:00Z"},
    "/sessions/{session_id}/log": {"held": True},
}


def _endpoints() -> Iterator[tuple[str, str]]:
    app = create_app(Settings.model_validate({"links": {"secret": "x" * 32}}))
    for path, methods in app.openapi()["paths"].items():
        if path not in OPEN_TO_ALL:
            yield from ((method.upper(), path) for method in methods)


ENDPOINTS = sorted(_endpoints())


async def _ids(front: Front, company: Company) -> dict[str, str]:
    """An id of junior's and senior's for each name in a path."""
    pair = f"/pairs/{company.pair_id}"
    booking = {"starts_at": (front.clock.advance(hours=1)).isoformat()}
    session = await front.post("junior", f"{pair}/sessions", booking)
    goal = await front.post("junior", f"{pair}/goals", {"title": "A goal"})
    body = {"category": "other", "exit_requested": False, "text": "A secret"}
    concern = await front.post("junior", f"{pair}/concerns", body)
    return {
        "programme_id": company.programme["programme_id"],
        "participant_id": company.junior["participant_id"],
        "pair_id": str(company.pair_id),
        "session_id": session["session_id"],
        "goal_id": goal["goal_id"],
        "concern_id": concern["concern_id"],
        "employee_id": "junior",
    }


async def _state(front: Front) -> tuple[Any, ...]:
    tables = ("programmes", "participants", "pairs", "answers", "sessions", "feedback", "goals",
              "concerns", "used_links", "outbox")  # fmt: skip
    rows = [
        await front.database.pool.fetch(
            f"SELECT to_jsonb(t)::text AS row FROM {table} t ORDER BY 1"
        )
        for table in tables
    ]
    return tuple(tuple(row["row"] for row in table) for table in rows)


def test_the_table_names_every_endpoint() -> None:
    assert set(ENDPOINTS) == set(ALLOWED)


async def test_no_endpoint_answers_without_a_valid_token(front: Front, company: Company) -> None:
    ids = await _ids(front, company)
    before = await _state(front)
    for method, path in ENDPOINTS:
        for headers in ({}, {"Authorization": "Bearer broken"}, {"Authorization": "Basic x"}):
            answer = await front.http.request(
                method, path.format(**ids), json=BODIES.get(path), headers=headers
            )
            assert answer.status_code == 401, (method, path, headers, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["www-authenticate"] == "Bearer"
    assert await _state(front) == before


async def test_no_endpoint_answers_a_role_that_is_not_its_own(
    front: Front, company: Company
) -> None:
    ids = await _ids(front, company)
    before = await _state(front)
    for (method, path), allowed in ALLOWED.items():
        for role in ROLES:
            if role in allowed:
                continue
            # Even a role that belongs to somebody of this very pair.
            answer = await front.http.request(
                method,
                path.format(**ids),
                json=BODIES.get(path),
                headers={"Authorization": f"Bearer {role}:junior"},
            )
            assert answer.status_code == 403, (method, path, role, answer.text)
    assert await _state(front) == before


async def test_another_participants_things_do_not_exist(front: Front, company: Company) -> None:
    ids = await _ids(front, company)
    strange = {name: str(uuid4()) for name in ids}
    before = await _state(front)
    for (method, path), allowed in ALLOWED.items():
        if PARTICIPANT not in allowed or "{" not in path or "programme_id" in path:
            continue
        answers = [
            await front.ask("other", method, path.format(**where), BODIES.get(path))
            for where in (ids, strange)
        ]
        assert [answer.status_code for answer in answers] == [404, 404], (method, path)
        # What exists and what does not must look the same.
        assert answers[0].json() == answers[1].json(), (method, path)
    assert await _state(front) == before


async def test_a_participants_token_without_a_person_is_refused(
    front: Front, company: Company
) -> None:
    ids = await _ids(front, company)
    for (method, path), allowed in ALLOWED.items():
        if PARTICIPANT in allowed:
            answer = await front.http.request(
                method,
                path.format(**ids),
                json=BODIES.get(path),
                headers={"Authorization": "Bearer participant"},
            )
            assert answer.status_code == 403, (method, path)


async def test_a_manager_changes_nothing_on_behalf_of_a_pair(
    front: Front, company: Company
) -> None:
    path = f"/pairs/{company.pair_id}/answers"
    answer = await front.ask("programme_manager", "POST", path, {"answer": "accept"})
    assert answer.status_code == 409


async def test_a_concern_is_seen_by_managers_alone_and_never_by_the_counterpart(
    front: Front, company: Company
) -> None:
    body = {"category": "safeguard", "exit_requested": True, "text": "A secret"}
    pair = f"/pairs/{company.pair_id}"
    receipt = await front.ask("junior", "POST", f"{pair}/concerns", body)
    assert "text" not in receipt.json()
    for path in (pair, "/me"):
        seen = await front.ask("senior", "GET", path)
        assert "concern" not in seen.text
        assert "safeguard" not in seen.text
    (concern,) = await front.get("programme_manager", "/concerns?unresolved=true")
    assert (concern["text"], concern["raised_by"]) == ("A secret", "mentor")
    # The counterpart runs the programme, too: not even then.
    as_both = {"Authorization": "Bearer programme_manager+participant:senior"}
    listed = await front.http.get("/concerns", headers=as_both)
    assert listed.json() == []
    resolution = f"/concerns/{concern['concern_id']}/resolution"
    refused = await front.http.post(resolution, json={}, headers=as_both)
    assert refused.status_code == 404
    for _ in range(2):
        resolved = await front.post("programme_manager", resolution, {"resolution": "Talked"})
    assert resolved["resolved_at"] is not None
    assert await front.get("programme_manager", "/concerns?unresolved=true") == []


async def test_hr_sees_names_and_an_auditor_does_not(front: Front, company: Company) -> None:
    seen = await front.get("hr_system", "/hr/employees/junior")
    assert seen["contact"]["display_name"] == "Junior"
    assert (await front.get("auditor", "/hr/employees/junior"))["contact"] is None
    assert (await front.ask("auditor", "GET", "/hr/employees/nobody")).status_code == 404


@pytest.mark.parametrize("role", ["hr_system", "auditor"])
async def test_parked_records_name_the_reason_and_not_the_content(front: Front, role: str) -> None:
    await front.database.pool.execute(
        "INSERT INTO parked (consumer, event_id, kind, topic, part, off, key, headers, payload,"
        " reason, attempts, holds, state, parked_at)"
        " VALUES ('registration', $1, 'unreadable', 'hr.employees', 1, 7, $2, '[]', $3, $4,"
        " 1, false, 'parked', now())",
        uuid4(),
        b"e\xff1",
        b'{"displayName": "Somebody"}',
        "jobLevel: must not be negative; send 0 or more",
    )
    answer = await front.ask(role, "GET", "/hr/parked-records")
    (record,) = answer.json()
    assert (record["partition"], record["offset"], record["key"]) == (1, 7, "e\\xff1")
    assert record["reason"].startswith("jobLevel")
    assert "Somebody" not in answer.text


def test_every_endpoint_documents_its_refusals() -> None:
    app = create_app(Settings.model_validate({"links": {"secret": "x" * 32}}))
    document = app.openapi()
    for method, path in ENDPOINTS:
        operation = document["paths"][path][method.lower()]
        assert {"401", "403", "404", "409", "422"} <= operation["responses"].keys(), path
        assert operation["security"], path
        assert operation["summary"], path
        assert operation["description"], path
