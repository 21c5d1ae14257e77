"""Bearer tokens: OIDC JWTs, verified against the issuer's published keys."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Literal, TypeAlias

import jwt

from shared.settings import AuthSettings

RoleName: TypeAlias = Literal["participant", "programme_manager", "hr_system", "auditor"]
_ALGORITHMS = ["RS256", "ES256", "EdDSA"]


class TokenRefused(Exception):  # noqa: N818 - named by the fact
    """The token is not one of ours, or is no longer valid; the message may be told."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: the token's subject, roles, and employee id where it is a person."""

    subject: str
    roles: frozenset[str]
    employee_id: str | None


class TokenVerifier:
    """Checks signature, issuer, audience and validity of bearer tokens, in real time."""

    def __init__(self, settings: AuthSettings) -> None:
        self._settings = settings
        self._keys = jwt.PyJWKClient(settings.jwks_url, cache_keys=True, lifespan=300, timeout=5)

    async def verify(self, token: str) -> Principal:
        """The principal of a token. Raises TokenRefused, or OSError when keys can't be fetched."""
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in _ALGORITHMS:
                raise TokenRefused("The token's algorithm is not accepted.")
            # The client fetches keys with blocking I/O when its cache is cold.
            key = await asyncio.to_thread(self._keys.get_signing_key_from_jwt, token)
            claims = jwt.decode(
                token,
                key,
                # Another algorithm than the key's own is a forgery, not a failure of ours.
                algorithms=[key.algorithm_name],
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                options={"require": ["exp", "iat", "sub", "aud", "iss"]},
            )
        except jwt.PyJWKClientConnectionError as error:
            raise OSError("The issuer's keys cannot be fetched.") from error
        except (jwt.InvalidTokenError, jwt.PyJWKClientError) as error:
            raise TokenRefused("The token is not valid; get a new one from the issuer.") from error
        roles = claims.get("roles", [])
        employee_id = claims.get("employee_id")
        return Principal(
            subject=str(claims["sub"]),
            roles=frozenset(r for r in roles if isinstance(r, str))
            if isinstance(roles, list)
            else frozenset(),
            employee_id=employee_id if isinstance(employee_id, str) and employee_id else None,
        )
