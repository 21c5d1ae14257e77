"""A signed link is what was signed, for its time, and nothing else."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.links import Link, LinkRefused, LinkSigner

SECRET = "s" * 40
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
uuids = st.uuids()
links = st.builds(
    Link,
    action=st.sampled_from(["accept", "decline", "pulse_5"]),
    employee_id=st.text(min_size=1, max_size=64).filter(lambda t: t.isprintable()),
    group=uuids,
    expires_at=st.integers(1, 10**6).map(lambda s: NOW + timedelta(seconds=s)),
    pair_id=st.none() | uuids,
    session_id=st.none() | uuids,
    programme_id=st.none() | uuids,
    participant_id=st.none() | uuids,
)


def link(action: str = "accept") -> Link:
    return Link(
        action=action,
        employee_id="E1",
        group=UUID(int=1),
        expires_at=NOW + timedelta(days=1),
        pair_id=UUID(int=2),
    )


@given(links)
def test_a_link_reads_back_as_it_was_signed(signed: Link) -> None:
    signer = LinkSigner(SECRET)
    assert signer.read(signer.sign(signed), NOW) == signed


def test_a_link_ends_at_its_time() -> None:
    signer = LinkSigner(SECRET)
    token = signer.sign(link())
    signer.read(token, NOW + timedelta(days=1, seconds=-1))
    with pytest.raises(LinkRefused) as refused:
        signer.read(token, NOW + timedelta(days=1))
    assert refused.value.expired


def test_another_secret_another_action_or_no_signature_is_refused() -> None:
    signer = LinkSigner(SECRET)
    head, body, tail = signer.sign(link("decline")).split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    stretched = base64.urlsafe_b64encode(json.dumps(claims | {"act": "accept"}).encode())
    unsigned = jwt.encode(claims, None, algorithm="none")
    forged = [
        LinkSigner("t" * 40).sign(link()),
        f"{head}.{stretched.decode().rstrip('=')}.{tail}",
        f"{head}.{body}.",
        unsigned,
        jwt.encode(claims | {"aud": "updraft"}, SECRET, algorithm="HS256"),
        jwt.encode({k: v for k, v in claims.items() if k != "exp"}, SECRET, algorithm="HS256"),
        jwt.encode(claims | {"jti": "no uuid"}, SECRET, algorithm="HS256"),
        jwt.encode(claims | {"exp": 10**30}, SECRET, algorithm="HS256"),
        jwt.encode(claims | {"act": ["accept"]}, SECRET, algorithm="HS256"),
        "",
        "a.b.c",
    ]
    for token in forged:
        with pytest.raises(LinkRefused):
            signer.read(token, NOW)


def test_a_short_secret_is_refused_with_the_settings_name() -> None:
    with pytest.raises(ValueError, match="UPDRAFT_LINKS__SECRET"):
        LinkSigner("short")
