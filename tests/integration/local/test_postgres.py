"""The Postgres server of the local stack, by how long its data lives."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from deploy.local.postgres import start_postgres

GIGABYTE = 1024**3


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not pytest's own: for root that is closed to the user that Postgres runs as.
    made = Path(tempfile.mkdtemp(prefix="updraft-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


async def memory_for_tables(folder: Path, *, durable: bool) -> str:
    """What a new server says that it may take."""
    server = start_postgres(folder, durable=durable)
    try:
        connection = await asyncpg.connect(server.superuser_dsn)
        try:
            shown: str = await connection.fetchval("SHOW shared_buffers")
        finally:
            await connection.close()
    finally:
        server.stop()
        # Nobody needs the data of a server that lives for a test.
        server.durable = False
        server.discard()
    return shown


@pytest.mark.parametrize(
    ("machine", "taken"), [(0.25, "64MB"), (4, "512MB"), (16, "2GB"), (256, "2GB")]
)
async def test_a_server_that_keeps_its_data_may_take_an_eighth_of_the_memory_within_bounds(
    machine: float, taken: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = int(machine * GIGABYTE) // os.sysconf("SC_PAGE_SIZE")
    known = {"SC_PAGE_SIZE": os.sysconf("SC_PAGE_SIZE"), "SC_PHYS_PAGES": pages}
    monkeypatch.setattr(os, "sysconf", known.__getitem__)

    assert await memory_for_tables(folder, durable=True) == taken


async def test_a_server_for_a_while_takes_little_memory(folder: Path) -> None:
    assert await memory_for_tables(folder, durable=False) == "64MB"
