"""Every connection to Postgres is as safe as the settings ask, or there is none."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from deploy.local.postgres import PostgresServer
from shared.clock import Clock
from shared.database import Database
from shared.settings import PostgresSettings
from tests.certificates import Authority
from tests.integration.security.tls_door import TlsDoor


async def connect(dsn: str, **tls: Any) -> Database:
    settings = PostgresSettings.model_validate({"dsn": dsn, **tls})
    return await Database.connect(settings.full_dsn(), service="metrics", clock=Clock(), size=2)


async def answers(dsn: str, **tls: Any) -> bool:
    database = await connect(dsn, **tls)
    try:
        return bool(await database.pool.fetchval("SELECT true"))
    finally:
        await database.close()


async def test_the_pool_and_the_relay_s_connection_are_verified(door: TlsDoor) -> None:
    database = await connect(door.dsn(), sslmode="verify-full", ca_file=door.ca_file)
    try:
        assert await database.pool.fetchval("SELECT true")
        alone = await database.connect_alone("metrics-relay", silence_seconds=10)
        assert await alone.fetchval("SELECT true")
        await alone.close()
    finally:
        await database.close()
    assert door.ways == ["tls", "tls"]


async def test_a_server_that_another_authority_vouches_for_is_refused(
    door: TlsDoor, tmp_path: Path
) -> None:
    other = tmp_path / "other.pem"
    other.write_text(Authority.new("somebody else").pem)
    for sslmode in ("verify-ca", "verify-full"):
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(door.dsn(), sslmode=sslmode, ca_file=other)
    assert "clear" not in door.ways


async def test_only_verify_full_looks_at_the_server_s_name(door: TlsDoor) -> None:
    dsn = door.dsn(host="localhost")
    assert await answers(dsn, sslmode="verify-ca", ca_file=door.ca_file)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        await connect(dsn, sslmode="verify-full", ca_file=door.ca_file)


async def test_a_server_without_tls_is_refused_where_it_is_required(
    postgres: PostgresServer,
) -> None:
    with pytest.raises(ConnectionError, match="rejected SSL upgrade"):
        await connect(postgres.superuser_dsn, sslmode="require")
    assert await answers(postgres.superuser_dsn, sslmode="prefer")


async def test_without_the_setting_the_way_is_as_the_dsn_says(door: TlsDoor) -> None:
    assert await answers(door.dsn())
    assert await answers(door.dsn() + "?sslmode=disable")
    assert await answers(door.dsn(), sslmode="disable")
    assert door.ways == ["tls", "clear", "clear"]


async def test_a_server_that_asks_for_a_certificate_gets_ours(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    with TlsDoor(postgres, tmp_path, asks_for_certificate=True) as door:
        certificate, key = door.authority.issue("metrics").write(tmp_path, password="open")
        shown = {"certificate_file": certificate, "key_file": key, "key_password": "open"}
        trusted = {"sslmode": "verify-full", "ca_file": door.ca_file}
        assert await answers(door.dsn(), **trusted, **shown)
        # The server's word comes after the handshake, so that it may reach us or not.
        with pytest.raises((OSError, asyncpg.PostgresConnectionError)):
            await connect(door.dsn(), **trusted)
        assert door.ways == ["tls"]
