"""Whatever a request holds, the answer is a problem that names the field, never a failure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

if TYPE_CHECKING:
    from tests.integration.registration.conftest import Company, Front

NASTY: list[Any] = [
    None,
    "a\u0000b",
    "\ud800",
    "x" * 100_000,
    "0001-01-01T00:00:00+14:00",
    "9999-12-31",
    -1,
    2**63,
    float("nan"),
    ["a\u0000b"],
    {"a\u0000b": 1},
    {"x": float("nan")},
    {"min_tenure_days": 10**30, "mentee_min_level": 10**30, "mentor_max_level": -(10**30)},
]

PROGRAMME = [
    "name", "goals", "kpi_targets", "focus_topics", "starts_on", "length_days", "cadence_days",
    "session_minutes", "enrolment", "audience", "min_level_gap", "target_level_gap",
    "mentor_capacity", "different_department", "min_overlap_minutes", "agreement_version",
    "approval", "score_floor", "stickiness", "weights", "nudges", "min_group_size",
    "sponsor_employee_id",
]  # fmt: skip
PROFILE = [
    "topics_offered", "topics_wanted", "interests", "languages", "timezone", "working_hours",
    "capacity", "blocks", "agreement_version",
]  # fmt: skip


def _requests(company: Company) -> list[tuple[str, str, str, dict[str, Any], list[str]]]:
    programme = f"/programmes/{company.programme['programme_id']}"
    pair = f"/pairs/{company.pair_id}"
    new = {"name": "New", "starts_on": "2026-02-01"}
    join = {"role": "mentor", "agreement_version": "1"}
    return [
        ("programme_manager", "POST", "/programmes", new, PROGRAMME),
        ("programme_manager", "PATCH", programme, {}, PROGRAMME),
        (
            "programme_manager",
            "POST",
            f"{programme}/invitations",
            {"role": "mentor", "employee_ids": ["other"]},
            ["role", "employee_ids"],
        ),
        ("other", "POST", f"{programme}/participants", join, ["role", *PROFILE]),
        ("junior", "PATCH", f"/participants/{company.junior['participant_id']}", {}, PROFILE),
        ("junior", "POST", f"{pair}/answers", {}, ["answer"]),
        ("junior", "POST", f"{pair}/sessions", {}, ["starts_at", "minutes"]),
        ("junior", "POST", f"{pair}/session-logs", {"minutes": 30}, ["started_at", "minutes"]),
        (
            "junior",
            "POST",
            f"{pair}/feedback",
            {"kind": "fit", "score": 3},
            ["kind", "score", "session_id", "topic", "comment"],
        ),
        ("junior", "POST", f"{pair}/goals", {"title": "One"}, ["title", "topic"]),
        (
            "junior",
            "POST",
            f"{pair}/concerns",
            {"category": "other", "exit_requested": False},
            ["category", "exit_requested", "text"],
        ),
    ]


async def test_no_body_makes_the_service_fail(front: Front, company: Company) -> None:
    for who, method, path, body, fields in _requests(company):
        token = who if who == "programme_manager" else f"participant:{who}"
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        for field in fields:
            for value in NASTY:
                answer = await front.http.request(
                    method, path, content=json.dumps(body | {field: value}), headers=headers
                )
                assert answer.status_code < 500, (path, field, value, answer.text)
                if not answer.is_success:
                    problem = answer.json()
                    assert problem["field"], (path, field, value)
                    assert problem["remedy"], (path, field, value)
                    assert len(answer.content) < 10_000, (path, field, value)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'"text"', b"[" * 100_000]
)
async def test_a_body_that_is_no_object_is_named(front: Front, content: bytes) -> None:
    headers = {
        "Authorization": "Bearer programme_manager",
        "Content-Type": "application/json",
    }
    answer = await front.http.post("/programmes", content=content, headers=headers)
    assert answer.status_code in (400, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "path",
    [
        "/participants/1",
        "/participants/%00",
        f"/participants/{UUID(int=7)}%00",
        "/pairs/None",
        "/hr/employees/%00",
        "/hr/employees/" + "x" * 70,
        "/hr/parked-records?limit=0",
        "/l/%00",
    ],
)
async def test_no_address_makes_the_service_fail(front: Front, path: str) -> None:
    token = "hr_system" if path.startswith("/hr") else "participant:junior"
    answer = await front.http.get(path, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code in (403, 404, 422), answer.text
