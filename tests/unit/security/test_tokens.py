"""A token is asked for once, renewed before it ends, and asked for nowhere but at the issuer."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from shared.security import ClientCredentials, NoToken
from tests.certificates import Authority
from tests.integration.security.issuer import TokenIssuer

SECRET = "top:se cret%"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.new("test")


@pytest.fixture
def issuer(tmp_path: Path, authority: Authority) -> Iterator[TokenIssuer]:
    tls = authority.issue("issuer").write(tmp_path)
    with TokenIssuer(tmp_path, {"metrics": SECRET}, tls) as serving:
        yield serving


class Tokens(ClientCredentials):
    """The provider with a clock to set."""

    def __init__(self, issuer: TokenIssuer, authority: Authority, **changed: str) -> None:
        self.now = 1000.0
        super().__init__(
            changed.get("url", f"{issuer.url}/token"),
            "metrics",
            changed.get("secret", SECRET),
            scope="kafka",
            context=ssl.create_default_context(cadata=authority.pem),
            clock=lambda: self.now,
        )


async def test_one_token_serves_many_connections(issuer: TokenIssuer, authority: Authority) -> None:
    tokens = Tokens(issuer, authority)
    given = await asyncio.gather(*(tokens.token() for _ in range(5)))
    assert len(set(given)) == 1
    assert issuer.given == ["metrics kafka"]


async def test_a_token_is_renewed_when_three_quarters_of_its_life_are_over(
    issuer: TokenIssuer, authority: Authority
) -> None:
    issuer.lifetime = timedelta(seconds=100)
    tokens = Tokens(issuer, authority)
    await tokens.token()
    tokens.now += 74
    await tokens.token()
    assert len(issuer.given) == 1
    tokens.now += 2
    await tokens.token()
    assert len(issuer.given) == 2


async def test_while_the_issuer_is_down_a_token_is_used_to_its_end(
    issuer: TokenIssuer, authority: Authority
) -> None:
    issuer.lifetime = timedelta(seconds=100)
    tokens = Tokens(issuer, authority)
    first = await tokens.token()
    issuer.down = True
    tokens.now += 90
    assert await tokens.token() == first
    tokens.now += 11
    with pytest.raises(NoToken, match=r"/token answered 503$"):
        await tokens.token()
    issuer.down = False
    await tokens.token()
    assert len(issuer.given) == 2


async def test_the_issuer_s_refusal_is_told_without_the_secret(
    issuer: TokenIssuer, authority: Authority
) -> None:
    with pytest.raises(NoToken, match=r"answered 401 \(invalid_client\)$") as refused:
        await Tokens(issuer, authority, secret="wrong").token()
    assert "wrong" not in str(refused.value)


async def test_the_secret_is_not_carried_on_to_another_address(
    issuer: TokenIssuer, authority: Authority
) -> None:
    with pytest.raises(NoToken, match=r"answered 302$"):
        await Tokens(issuer, authority, url=f"{issuer.url}/elsewhere").token()
    assert issuer.given == []


async def test_an_issuer_that_nobody_vouches_for_gets_no_secret(issuer: TokenIssuer) -> None:
    with pytest.raises(NoToken, match=r"cannot be reached: .*CERTIFICATE_VERIFY_FAILED"):
        await Tokens(issuer, Authority.new("somebody else")).token()
    assert issuer.given == []


@pytest.mark.parametrize(
    "answer", [{}, [], {"access_token": "x", "expires_in": "soon"}, {"token": "x"}]
)
async def test_an_answer_that_is_no_token_is_told(
    issuer: TokenIssuer,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    answer: dict[str, object],
) -> None:
    monkeypatch.setattr(issuer, "answer", lambda *_: (200, answer))
    with pytest.raises(NoToken, match="answered something else than a token"):
        await Tokens(issuer, authority).token()
