"""Who we are to Kafka: the arguments of every client that connects, made from the settings."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import time
from collections.abc import Callable
from typing import IO, Any
from urllib.error import HTTPError
from urllib.parse import quote_plus, urlencode
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

import structlog
from aiokafka.abc import AbstractTokenProvider
from aiokafka.conn import AIOKafkaConnection, OAuthAuthenticator
from aiokafka.errors import KafkaError
from faststream.security import (
    BaseSecurity,
    SASLOAuthBearer,
    SASLPlaintext,
    SASLScram256,
    SASLScram512,
)

from shared.settings import KafkaSettings

log = structlog.get_logger()

_TIMEOUT_SECONDS = 10.0
_LARGEST_ANSWER = 1_000_000
# Of a token's life: what is left then must do for the connections made with it.
_RENEW_AFTER = 0.75
_BY_PASSWORD = {
    "PLAIN": SASLPlaintext,
    "SCRAM-SHA-256": SASLScram256,
    "SCRAM-SHA-512": SASLScram512,
}


def client_arguments(kafka: KafkaSettings) -> dict[str, Any]:
    """What an aiokafka client must be told to be let in, besides the servers."""
    arguments: dict[str, Any] = {"security_protocol": kafka.security_protocol}
    if kafka.encrypted:
        arguments["ssl_context"] = kafka.tls_context()
    if kafka.sasl_mechanism is not None:
        arguments["sasl_mechanism"] = kafka.sasl_mechanism
    if kafka.sasl_mechanism == "OAUTHBEARER":
        arguments["sasl_oauth_token_provider"] = _token_provider(kafka)
    elif kafka.password is not None:
        arguments["sasl_plain_username"] = kafka.username
        arguments["sasl_plain_password"] = kafka.password.get_secret_value()
    return arguments


def broker_arguments(kafka: KafkaSettings) -> dict[str, Any]:
    """The same for FastStream's broker, which wants most of it as an object."""
    given = client_arguments(kafka)
    context = given.get("ssl_context")
    if kafka.sasl_mechanism is None:
        return {"security": BaseSecurity(context)}
    if kafka.sasl_mechanism == "OAUTHBEARER":
        provider = given["sasl_oauth_token_provider"]
        return {"security": SASLOAuthBearer(context), "sasl_oauth_token_provider": provider}
    by_password = _BY_PASSWORD[kafka.sasl_mechanism]
    user, password = given["sasl_plain_username"], given["sasl_plain_password"]
    return {"security": by_password(user, password, context)}


def described(kafka: KafkaSettings) -> str:
    """How these settings log in, for a log line: no secret in it."""
    if kafka.sasl_mechanism == "OAUTHBEARER":
        return f"{kafka.security_protocol}, a token for {kafka.oauth_client_id}"
    if kafka.sasl_mechanism is not None:
        return f"{kafka.security_protocol}, {kafka.sasl_mechanism} as {kafka.username}"
    shown = kafka.certificate_file
    return f"{kafka.security_protocol}, {f'certificate {shown.name}' if shown else 'no login'}"


class NoToken(KafkaError):  # type: ignore[misc]  # noqa: N818 - named by the fact
    """The issuer gave no token; clients take it for a broker out of reach and try again."""


class TokenRefused(KafkaError):  # type: ignore[misc]  # noqa: N818 - named by the fact
    """The broker does not take the token that the issuer gave."""


class _HearsNo(OAuthAuthenticator):  # type: ignore[misc]
    """Reads the broker's answer to a token, which the client takes for a yes whatever it says.

    Then the next message is lost, and the log tells of missing metadata.
    """

    async def step(self, payload: bytes | None) -> tuple[bytes, bool] | None:
        """The next message of the handshake. Raises TokenRefused."""
        if payload:
            # RFC 7628, 3.2.2: nothing, or the reason as JSON.
            raise TokenRefused(f"the broker answered {payload[:200].decode(errors='replace')}")
        answer: tuple[bytes, bool] | None = await super().step(payload)
        return answer


def _hear_refusals() -> None:
    """Have every connection of this process that shows a token read the answer."""
    AIOKafkaConnection.authenticator_oauth = lambda connection: _HearsNo(
        sasl_oauth_token_provider=connection._sasl_oauth_token_provider  # noqa: SLF001
    )


class ClientCredentials(AbstractTokenProvider):  # type: ignore[misc]
    """Tokens from an OIDC issuer by the client-credentials grant (RFC 6749, 4.4).

    One is used until three quarters of its life are over, and to its end if no new one is given.
    """

    def __init__(
        self,
        url: str,
        client_id: str,
        client_secret: str,
        *,
        scope: str | None = None,
        context: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._basic = _basic(client_id, client_secret)
        self._form = {"grant_type": "client_credentials", **({"scope": scope} if scope else {})}
        # No redirects: the secret is for this URL only.
        self._opener = build_opener(HTTPSHandler(context=context), _StayHere())
        self._clock = clock
        self._lock = asyncio.Lock()
        self._token: str | None = None
        self._renew_at = self._ends_at = 0.0

    async def token(self) -> str:
        """A token that has not expired. Raises NoToken."""
        async with self._lock:
            if self._token is None or self._clock() >= self._renew_at:
                await self._renew()
            assert self._token is not None
            return self._token

    async def _renew(self) -> None:
        asked_at = self._clock()
        try:
            token, lifetime = await asyncio.to_thread(self._ask)
        except NoToken as error:
            if self._token is None or self._clock() >= self._ends_at:
                self._token = None
                raise
            log.warning("token_not_renewed", reason=str(error))
            return
        self._token = token
        self._renew_at, self._ends_at = asked_at + lifetime * _RENEW_AFTER, asked_at + lifetime

    def _ask(self) -> tuple[str, float]:
        """A new token and for how many seconds it is good."""
        request = Request(  # noqa: S310 - the settings allow https, and http to this machine
            self._url,
            data=urlencode(self._form).encode(),
            headers={"Authorization": self._basic, "Accept": "application/json"},
        )
        try:
            with self._opener.open(request, timeout=_TIMEOUT_SECONDS) as response:
                answer = json.loads(response.read(_LARGEST_ANSWER))
            return str(answer["access_token"]), float(answer.get("expires_in", 0))
        except HTTPError as error:
            raise NoToken(f"{self._url} answered {error.code}{_error_code(error)}") from None
        except OSError as error:
            raise NoToken(f"{self._url} cannot be reached: {error}") from None
        except (ValueError, TypeError, KeyError, AttributeError):
            raise NoToken(f"{self._url} answered something else than a token") from None


def _token_provider(kafka: KafkaSettings) -> ClientCredentials:
    secret = kafka.oauth_client_secret
    if not (kafka.oauth_token_url and kafka.oauth_client_id and secret):
        raise AssertionError("the settings were checked when they were made")
    _hear_refusals()
    return ClientCredentials(
        kafka.oauth_token_url,
        kafka.oauth_client_id,
        secret.get_secret_value(),
        scope=kafka.oauth_scope,
        context=ssl.create_default_context(cafile=kafka.oauth_ca_file),
    )


def _basic(client_id: str, client_secret: str) -> str:
    both = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
    return f"Basic {base64.b64encode(both.encode()).decode()}"


def _error_code(error: HTTPError) -> str:
    """The issuer's word for what is wrong, such as ` (invalid_client)`; empty if it has none."""
    try:
        code = json.loads(error.read(_LARGEST_ANSWER))["error"]
    except (OSError, ValueError, TypeError, KeyError):
        return ""
    return f" ({code})" if isinstance(code, str) and code.isidentifier() else ""


class _StayHere(HTTPRedirectHandler):
    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> None:
        """Follow none."""
