import json
import stat
from datetime import UTC, datetime

import jwt
import pytest

from deploy.local.issuer import Issuer, SigningKey
from deploy.local.web import Request

URL = "http://127.0.0.1:9000"


@pytest.fixture
def key(tmp_path):
    return SigningKey.kept_in(tmp_path / "issuer.pem")


def ask(key, path, method="GET", body=b""):
    return Issuer(URL, key).answer(Request(method, path, {}, body))


def claims(key, token):
    return jwt.decode(
        token,
        jwt.PyJWK(key.public_jwk).key,
        algorithms=["ES256"],
        audience="updraft",
        issuer=URL,
        options={"require": ["exp", "iat", "sub", "aud", "iss"]},
    )


def test_the_key_is_kept_and_readable_by_its_owner_alone(tmp_path):
    file = tmp_path / "issuer.pem"
    first = SigningKey.kept_in(file)

    assert SigningKey.kept_in(file).public_jwk == first.public_jwk
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_discovery_document_leads_to_the_keys(key):
    found = json.loads(ask(key, "/.well-known/openid-configuration").body)
    keys = json.loads(ask(key, "/jwks.json").body)["keys"]

    assert found["issuer"] == URL
    assert found["jwks_uri"] == f"{URL}/jwks.json"
    assert keys == [key.public_jwk]
    assert "d" not in keys[0]


def test_a_token_says_who_and_expires_by_the_real_clock(key):
    body = json.dumps({"sub": "ada", "roles": ["participant"], "employee_id": "E1"}).encode()

    reply = ask(key, "/token", "POST", body)

    said = claims(key, json.loads(reply.body)["access_token"])
    assert (said["sub"], said["roles"], said["employee_id"]) == ("ada", ["participant"], "E1")
    assert 0 < said["exp"] - datetime.now(UTC).timestamp() <= 8 * 3600


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"roles": []}',
        b'{"sub": ""}',
        b'{"sub": 7}',
        b'{"sub": "a", "roles": ["root"]}',
        b'{"sub": "a", "roles": "participant"}',
        b'{"sub": "a", "employee_id": 7}',
        b'{"sub": "a", "expires_in": "x"}',
        b'{"sub": "a", "expires_in": 1e400}',
    ],
)
def test_a_request_that_makes_no_sense_is_refused(key, body):
    assert ask(key, "/token", "POST", body).status == 400


def test_it_says_that_it_is_for_local_use_only(key):
    assert b"this machine" in ask(key, "/").body
