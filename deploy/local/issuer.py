"""A local OIDC issuer: it mints a token for whoever asks, so it is for this machine only.

Run as `python -m deploy.local.issuer --port N --key FILE`. In production, point
`UPDRAFT_AUTH__ISSUER` and `UPDRAFT_AUTH__JWKS_URL` at your identity provider instead.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from deploy.local.web import Reply, Request, json_reply, serve

ROLES = ("participant", "programme_manager", "hr_system", "auditor")
AUDIENCE = "updraft"
_LIFETIME = timedelta(hours=8)
_NOTICE = "A local issuer for trying Updraft out: it trusts everybody on this machine."


@dataclass(frozen=True)
class SigningKey:
    """The issuer's ES256 key."""

    private: ec.EllipticCurvePrivateKey

    @classmethod
    def kept_in(cls, file: Path) -> SigningKey:
        """The key in the file (mode 0600); made there if it is new."""
        if not file.exists():
            pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            with os.fdopen(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as out:
                out.write(pem)
        key = serialization.load_pem_private_key(file.read_bytes(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{file} does not hold an elliptic-curve key; remove it")
        return cls(key)

    @property
    def public_jwk(self) -> dict[str, str]:
        """The public half as a JSON Web Key; its id is the RFC 7638 thumbprint."""
        numbers = self.private.public_key().public_numbers()
        core = {
            "crv": "P-256",
            "kty": "EC",
            "x": _base64url(numbers.x.to_bytes(32, "big")),
            "y": _base64url(numbers.y.to_bytes(32, "big")),
        }
        digest = sha256(json.dumps(core, sort_keys=True, separators=(",", ":")).encode()).digest()
        return {**core, "kid": _base64url(digest), "use": "sig", "alg": "ES256"}

    def mint(
        self,
        issuer: str,
        subject: str,
        roles: Sequence[str] = (),
        employee_id: str | None = None,
        *,
        lifetime: timedelta = _LIFETIME,
    ) -> str:
        """A bearer token that says who somebody is; it expires by the real clock."""
        now = datetime.now(UTC)
        claims: dict[str, Any] = {
            "iss": issuer,
            "aud": AUDIENCE,
            "sub": subject,
            "roles": list(roles),
            "iat": now,
            "nbf": now,
            "exp": now + lifetime,
        }
        if employee_id is not None:
            claims["employee_id"] = employee_id
        headers = {"kid": self.public_jwk["kid"]}
        return jwt.encode(claims, self.private, algorithm="ES256", headers=headers)


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Issuer:
    """The pages of the issuer at `url`."""

    def __init__(self, url: str, key: SigningKey) -> None:
        self._url = url
        self._key = key

    def answer(self, request: Request) -> Reply:
        """Discovery document, key set, and tokens for the asking."""
        match (request.method, request.path):
            case ("GET", "/.well-known/openid-configuration"):
                return json_reply(self._discovery())
            case ("GET", "/jwks.json"):
                return json_reply({"keys": [self._key.public_jwk]})
            case ("POST", "/token"):
                return self._token(request.body)
            case ("GET", "/"):
                return Reply(
                    f"{_NOTICE}\nPOST /token {{sub, roles, employee_id}}\n".encode(),
                    "text/plain; charset=utf-8",
                )
        return json_reply({"error": "not_found"}, 404)

    def _discovery(self) -> dict[str, Any]:
        return {
            "issuer": self._url,
            "jwks_uri": f"{self._url}/jwks.json",
            "token_endpoint": f"{self._url}/token",
            "id_token_signing_alg_values_supported": ["ES256"],
            "response_types_supported": ["token"],
            "subject_types_supported": ["public"],
            "scopes_supported": ["openid"],
            "claims_supported": ["iss", "aud", "sub", "exp", "roles", "employee_id"],
            "service_documentation": _NOTICE,
        }

    def _token(self, body: bytes) -> Reply:
        try:
            asked = json.loads(body)
            subject, roles = asked["sub"], asked.get("roles", [])
            employee_id = asked.get("employee_id")
            lifetime = timedelta(seconds=float(asked.get("expires_in", _LIFETIME.total_seconds())))
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
            return _refusal("send JSON {sub, roles, employee_id}")
        if not isinstance(subject, str) or not subject:
            return _refusal("sub: must be a text that is not empty")
        if not isinstance(roles, list) or not set(map(str, roles)) <= set(ROLES):
            return _refusal(f"roles: must be a list of some of {', '.join(ROLES)}")
        if employee_id is not None and not isinstance(employee_id, str):
            return _refusal("employee_id: must be a text")
        token = self._key.mint(self._url, subject, roles, employee_id, lifetime=lifetime)
        return json_reply(
            {
                "access_token": token,
                "token_type": "Bearer",
                "expires_in": int(lifetime.total_seconds()),
            }
        )


def _refusal(description: str) -> Reply:
    return json_reply({"error": "invalid_request", "error_description": description}, 400)


def main() -> None:
    """Serve until SIGTERM."""
    arguments = argparse.ArgumentParser(description=_NOTICE)
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--key", type=Path, required=True)
    given = arguments.parse_args()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    signal.signal(signal.SIGINT, lambda *_: ended.set())
    url = f"http://127.0.0.1:{given.port}"
    print(_NOTICE, flush=True)
    server = serve(given.port, Issuer(url, SigningKey.kept_in(given.key)).answer)
    ended.wait()
    server.shutdown()


if __name__ == "__main__":
    main()
