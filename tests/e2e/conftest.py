"""One running stack for all end-to-end tests, and journeys that run on it side by side."""

from __future__ import annotations

import asyncio
import functools
import logging
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from deploy.local.stack import KAFKAS, Stack
from tests.conftest import KafkaOfOnesOwn
from tests.e2e.company import Company
from tests.e2e.mailbox import Mailbox

log = logging.getLogger(__name__)

START = datetime(2027, 3, 1, 8, tzinfo=UTC)
SECONDS_PER_DAY = 1.5
# As in production, only more impatient: nobody here waits for a wave of changes to end.
SETTINGS = {
    "UPDRAFT_DEBOUNCE_SECONDS": "0.4",
    "UPDRAFT_MEASURE_EVERY_SECONDS": "0.5",
}


@pytest.fixture(scope="session")
def broker_of_stack(
    pytestconfig: pytest.Config, kafka_of_ones_own: KafkaOfOnesOwn
) -> Iterator[dict[str, Any]]:
    """How the stack is told which broker to run, or to use."""
    choice = pytestconfig.option.kafka
    if choice in KAFKAS:
        settings = SETTINGS | {"UPDRAFT_KAFKA__SESSION_SECONDS": "6"}
        yield {"kafka": choice, "environment": settings}
        return
    with kafka_of_ones_own() as kafka:
        theirs = {
            "UPDRAFT_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "UPDRAFT_KAFKA__SESSION_SECONDS": str(kafka.session_seconds),
        }
        yield {"environment": SETTINGS | theirs}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def company(
    request: pytest.FixtureRequest, broker_of_stack: dict[str, Any]
) -> AsyncIterator[Company]:
    """The stack with a fast clock, and the company that uses it."""
    # Not pytest's own folder: for root that is closed to the user that Postgres runs as.
    folder = Path(tempfile.mkdtemp(prefix="updraft-e2e-"))
    failed_before = request.session.testsfailed
    try:
        async with (
            Stack(
                folder,
                start=START,
                speed=86_400 / SECONDS_PER_DAY,
                tell=log.info,
                **broker_of_stack,
            ) as stack,
            httpx.AsyncClient(timeout=20) as http,
        ):
            producer = AIOKafkaProducer(
                bootstrap_servers=stack.bootstrap_servers,
                enable_idempotence=False,
                acks="all",
                max_request_size=8 * 1024 * 1024,
            )
            await producer.start()
            try:
                yield Company(stack, http, producer, Mailbox(stack.mails_dir))
            finally:
                await producer.stop()
    finally:
        if request.session.testsfailed > failed_before:
            log.warning("logs and mails are kept in %s", folder)
        else:
            shutil.rmtree(folder)


Journey = Callable[[Company], Awaitable[None]]
Outcomes = dict[Journey, "asyncio.Task[None]"]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def outcomes(request: pytest.FixtureRequest, company: Company) -> AsyncIterator[Outcomes]:
    """All journeys that this run wants, on their way since the first one was asked for."""
    wanted = [getattr(item, "obj", None) for item in request.session.items]
    tasks: Outcomes = {}
    for test in wanted:
        journey = getattr(test, "journey", None)
        if journey is not None:
            tasks[journey] = asyncio.create_task(journey(company), name=journey.__name__)
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)


def side_by_side(journey: Journey) -> Callable[[Outcomes], Awaitable[None]]:
    """A test that is one of the journeys: they share nothing but the stack, so none waits."""

    @functools.wraps(journey)
    async def test(outcomes: Outcomes) -> None:
        await outcomes[journey]

    # pytest must see the wrapper's own argument.
    del test.__wrapped__
    test.__annotations__ = {}
    test.journey = journey
    return test
