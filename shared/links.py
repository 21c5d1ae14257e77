"""Signed one-click links: what a mail's button may do, for whom, and until when.

A link is a JWT (HS256) whose key notifications and registration share. All links of one question
carry the same group id; registration lets a group act once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import jwt

_AUDIENCE = "updraft-link"
_SHORTEST_SECRET = 32


class LinkRefused(Exception):  # noqa: N818 - named by the fact
    """The token is not a link of ours, or its time is over; `expired` tells which."""

    def __init__(self, reason: str, *, expired: bool = False) -> None:
        super().__init__(reason)
        self.expired = expired


@dataclass(frozen=True, slots=True)
class Link:
    """One button: an action on a pair, a session or a participation, for one person."""

    action: str
    employee_id: str
    group: UUID
    """Shared by all links of one question; used once."""
    expires_at: datetime
    """Programme time."""
    pair_id: UUID | None = None
    session_id: UUID | None = None
    programme_id: UUID | None = None
    participant_id: UUID | None = None


class LinkSigner:
    """Signs and reads links with one secret of at least 32 bytes."""

    def __init__(self, secret: str) -> None:
        if len(secret.encode()) < _SHORTEST_SECRET:
            raise ValueError(
                f"UPDRAFT_LINKS__SECRET: shorter than {_SHORTEST_SECRET} bytes; set a random one"
            )
        self._secret = secret

    def sign(self, link: Link) -> str:
        """The token that stands in the link's address."""
        claims = {
            "aud": _AUDIENCE,
            "act": link.action,
            "sub": link.employee_id,
            "jti": str(link.group),
            "exp": int(link.expires_at.timestamp()),
        }
        for name, value in (
            ("pair", link.pair_id),
            ("ses", link.session_id),
            ("prg", link.programme_id),
            ("par", link.participant_id),
        ):
            if value is not None:
                claims[name] = str(value)
        return jwt.encode(claims, self._secret, algorithm="HS256")

    def read(self, token: str, now: datetime) -> Link:
        """The link behind a token, at programme time `now`. Raises LinkRefused."""
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=["HS256"],
                audience=_AUDIENCE,
                # Links live in programme time, which the library's own clock does not know.
                options={"require": ["exp", "jti", "sub", "aud"], "verify_exp": False},
            )
            link = Link(
                action=claims["act"],
                employee_id=claims["sub"],
                group=UUID(claims["jti"]),
                expires_at=datetime.fromtimestamp(claims["exp"], UTC),
                pair_id=_uuid(claims.get("pair")),
                session_id=_uuid(claims.get("ses")),
                programme_id=_uuid(claims.get("prg")),
                participant_id=_uuid(claims.get("par")),
            )
            if not (isinstance(link.action, str) and isinstance(link.employee_id, str)):
                raise TypeError
        except (jwt.InvalidTokenError, KeyError, ValueError, TypeError, OverflowError) as error:
            raise LinkRefused("This link is not valid.") from error
        if link.expires_at <= now:
            raise LinkRefused("This link has expired.", expired=True)
        return link


def _uuid(text: str | None) -> UUID | None:
    return None if text is None else UUID(text)
