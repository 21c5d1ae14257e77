"""The Kafka client goes on where by itself it would give up."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvloop
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.coordination import FindCoordinatorRequest

from shared import kafka_client


def test_a_write_to_a_connection_that_the_loop_has_closed_is_a_broken_connection() -> None:
    async def write() -> None:
        server = await asyncio.start_server(lambda _, __: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        connection: Any = AIOKafkaConnection("127.0.0.1", port)
        connection._versions = {FindCoordinatorRequest.API_KEY: (0, 0)}
        connection._reader, connection._writer = await asyncio.open_connection("127.0.0.1", port)
        connection._read_task = asyncio.create_task(connection._reader.read())
        connection._writer.transport.abort()
        await asyncio.sleep(0.05)
        with pytest.raises(KafkaConnectionError):
            connection.send(FindCoordinatorRequest("group", 0))
        assert not connection.connected()
        server.close()

    kafka_client.harden()
    uvloop.run(write())
