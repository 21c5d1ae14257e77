"""Nobody acts for somebody else: one-click links and bearer tokens, on the running services."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest

from deploy.local.postgres import SERVICES
from tests.e2e.company import Company, cast
from tests.e2e.conftest import side_by_side

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.asyncio(loop_scope="session")]

OPEN_TO_ALL = {"/livez", "/readyz", "/metrics", "/openapi.json"}


def b64(document: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


def parts_of(link: str) -> tuple[str, str, str, str, dict[str, Any]]:
    base, _, token = link.rpartition("/")
    head, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    return base, head, payload, signature, claims


@side_by_side
async def test_links_cannot_be_forged_stretched_reused_or_kept(company: Company) -> None:
    people = cast("Gil")
    await company.hire(people.everybody)
    programme = await company.open_programme("Signed", people, training_required=False)
    await company.enrol_all(people, programme)
    senior, other = people.seniors
    mail, others_mail = await asyncio.gather(
        *(company.mail(one, "proposal") for one in people.seniors)
    )
    others_pair = await company.pair_of(other, programme, "proposed")

    base, head, payload, signature, claims = parts_of(mail.links["decline"])
    _, _, _, accept_signature, accept_claims = parts_of(mail.links["accept"])
    forged = {
        "another signature": f"{head}.{payload}.{signature[::-1]}",
        "no signature": f"{head}.{payload}.",
        "no algorithm": f"{b64({'alg': 'none', 'typ': 'JWT'})}.{payload}.",
        "another secret": jwt.encode(claims, "s" * 40, algorithm="HS256"),
        "stretched to accept": f"{head}.{b64({**claims, 'act': 'accept'})}.{signature}",
        "stretched to another pair": (
            f"{head}.{b64({**accept_claims, 'pair': others_pair['pair_id']})}.{accept_signature}"
        ),
        "stretched to another person": (
            f"{head}.{b64({**accept_claims, 'sub': other.employee_id})}.{accept_signature}"
        ),
        "stretched in time": (f"{head}.{b64({**accept_claims, 'exp': 2**33})}.{accept_signature}"),
        "a bearer token": company.token("participant", person=senior),
        "nonsense": "abc",
    }
    for how, token in forged.items():
        for method in ("GET", "POST"):
            answer = await company.send(method, f"/l/{token}")
            assert answer.status_code == 403, f"{how}, {method}: {answer.status_code}"
    unsubscribe = await company.send(
        "POST",
        httpx.URL(f"{base}/{head}.{payload}.{signature}").path.replace("/l/", "/u/"),
        service="notifications",
    )
    assert unsubscribe.status_code >= 400, "a link to decline must not unsubscribe"

    # Looking changes nothing, however often; a mail scanner does it.
    for _ in range(3):
        page = await company.send("GET", httpx.URL(mail.links["accept"]).path)
        assert page.status_code == 200
    assert (await company.pair_of(senior, programme, "proposed"))["awaiting"] == "mentee"

    await company.click(mail, "accept")
    for action in ("accept", "decline"):
        await company.click(mail, action, expect=410)
    await company.click(others_mail, "decline")
    await company.click(others_mail, "accept", expect=410)
    await company.pair_of(other, programme, "not_formed")
    asked = await company.pair_of(senior, programme, "proposed")
    assert asked["awaiting"] == "mentor"


@side_by_side
async def test_a_link_dies_with_its_proposal(company: Company) -> None:
    people = cast("Hal", seniors=1, juniors=1)
    (senior,) = people.seniors
    await company.hire(people.everybody)
    programme = await company.open_programme(
        "Too late", people, training_required=False, proposal_expiry_days=8
    )
    await company.enrol_all(people, programme)
    mail = await company.mail(senior, "proposal")
    expires = datetime.fromtimestamp(parts_of(mail.links["accept"])[4]["exp"], UTC)

    await company.sleep_until(expires)

    await company.pair_of(senior, programme, "not_formed")
    await company.click(mail, "accept", expect=410)


@side_by_side
async def test_a_participant_sees_and_changes_nothing_of_others(company: Company) -> None:
    people = cast("Ida", seniors=1, juniors=2)
    (senior,) = people.seniors
    await company.hire(people.everybody)
    programme = await company.open_programme(
        "Private", people, training_required=False, approval="automatic"
    )
    joined = await company.enrol_all(people, programme)
    pair = await company.pair_of(senior, programme, "active")
    outsider = next(one for one in people.juniors if one.employee_id != pair["mentor_employee_id"])
    booked = await company.asked_by(
        senior,
        "POST",
        f"/pairs/{pair['pair_id']}/sessions",
        body={"starts_at": company.from_now(days=40)},
    )
    session_id = booked["session_id"]
    token = company.token("participant", person=outsider)
    at_pair, at_session = f"/pairs/{pair['pair_id']}", f"/sessions/{session_id}"
    at_participant = f"/participants/{joined[senior.employee_id]}"
    soon = company.from_now(days=1)

    hidden: list[tuple[str, str, Any]] = [
        ("GET", at_pair, None),
        ("POST", f"{at_pair}/answers", {"answer": "decline"}),
        ("POST", f"{at_pair}/sessions", {"starts_at": soon}),
        ("POST", f"{at_pair}/session-logs", {"started_at": soon, "minutes": 30}),
        ("POST", f"{at_pair}/feedback", {"kind": "nps", "score": 0}),
        ("POST", f"{at_pair}/goals", {"title": "Mine now"}),
        ("POST", f"{at_pair}/concerns", {"category": "other", "exit_requested": True}),
        ("PATCH", at_session, {"starts_at": soon}),
        ("POST", f"{at_session}/log", {"held": True}),
        ("POST", f"{at_session}/confirmation", None),
        ("POST", f"{at_session}/dispute", None),
        ("POST", f"{at_session}/cancellation", None),
        ("GET", at_participant, None),
        ("PATCH", at_participant, {"capacity": 1}),
        ("POST", f"{at_participant}/pause", None),
        ("POST", f"{at_participant}/withdrawal", None),
    ]
    for method, path, body in hidden:
        answer = await company.send(method, path, token=token, body=body)
        assert answer.status_code == 404, f"{method} {path}: {answer.status_code} {answer.text}"
    forbidden: list[tuple[str, str, str]] = [
        ("registration", "POST", f"/programmes/{programme}/close"),
        ("registration", "GET", f"/programmes/{programme}/participants"),
        ("registration", "GET", "/concerns"),
        ("registration", "GET", f"/hr/employees/{senior.employee_id}"),
        ("registration", "GET", "/hr/parked-records"),
        ("matching", "POST", f"/programmes/{programme}/match-runs"),
        ("metrics", "GET", f"/programmes/{programme}/kpis"),
        ("notifications", "GET", f"/programmes/{programme}/notifications"),
    ]
    for service, method, path in forbidden:
        answer = await company.send(method, path, token=token, service=service)
        assert answer.status_code == 403, f"{method} {path}: {answer.status_code} {answer.text}"
    for path in (f"{at_pair}/explanation", f"{at_participant}/explanation"):
        answer = await company.send("GET", path, token=token, service="matching")
        assert answer.status_code == 404

    seen = await company.me(senior)
    assert [one["version"] for one in seen["sessions"]] == [1]
    assert [one["status"] for one in seen["pairs"]] == ["active"]
    assert [one["version"] for one in seen["participants"]] == [1]


@side_by_side
async def test_every_endpoint_refuses_who_does_not_say_who_they_are(company: Company) -> None:
    tokens = {"no token": None, "nonsense": "abc", "another issuer's": foreign_token(company)}
    checked = 0
    for service in SERVICES:
        described = await company.ask("GET", "/openapi.json", service=service)
        for path, methods in described["paths"].items():
            if path in OPEN_TO_ALL or path.startswith(("/l/", "/u/")):
                continue
            place = path
            for name in (
                "employee_id",
                "programme_id",
                "participant_id",
                "pair_id",
                "session_id",
                "goal_id",
                "concern_id",
                "run_id",
            ):
                place = place.replace(f"{{{name}}}", str(uuid4()))
            assert "{" not in place, f"{path} has a parameter that this test does not know"
            for method in methods:
                for how, token in tokens.items():
                    answer = await company.send(
                        method.upper(), place, token=token, service=service, body={}
                    )
                    assert answer.status_code == 401, (
                        f"{service} {method} {path} with {how}: {answer.status_code}"
                    )
                    assert answer.headers["content-type"] == "application/problem+json"
                    checked += 1
    assert checked >= 90


def foreign_token(company: Company) -> str:
    """A token that is right in all but the key that signed it."""
    from cryptography.hazmat.primitives.asymmetric import rsa

    good = company.token("programme_manager")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    headers = jwt.get_unverified_header(good)
    content = jwt.decode(good, options={"verify_signature": False})
    return jwt.encode(content, key, algorithm="RS256", headers={"kid": headers.get("kid")})
