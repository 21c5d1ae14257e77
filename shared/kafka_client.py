"""What the Kafka client gives up at, and a service must not.

Header names that are not UTF-8: the client decodes them strictly, deep in its fetcher, and then
delivers nothing of that partition any more. Kafka itself does not look at names, so any producer
can do this to a reader.

Connections that break while they are written to: the event loop, uvloop, says so by an error that
the client does not expect. It ends the client's task that keeps its place in the group: the service
would read nothing any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException, KafkaConnectionError
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy


class _Tolerant(bytes):
    """Bytes whose parts decode whatever they hold; what is not UTF-8 becomes `\\xff`."""

    def __getitem__(self, key: Any) -> Any:
        part = super().__getitem__(key)
        return _Tolerant(part) if isinstance(part, bytes) else part

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:  # noqa: ARG002
        """Never fails."""
        return super().decode(encoding, "backslashreplace")


class _TolerantBatch(_DefaultRecordBatchPy):  # type: ignore[misc]
    def __iter__(self) -> Any:
        super().__iter__()
        self._buffer: Any = _Tolerant(self._buffer)
        return self


class _Batch:
    """A batch that is read fast, and from the first bad header name on, tolerantly."""

    def __init__(self, batch: Any, data: bytes) -> None:
        self._batch = batch
        self._data = data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[Any]:
        delivered = 0
        try:
            for record in self._batch:
                yield record
                delivered += 1
        except (UnicodeDecodeError, CorruptRecordException):
            for number, record in enumerate(_TolerantBatch(self._data)):
                if number >= delivered:
                    yield record


class _Records(_MemoryRecordsPy):  # type: ignore[misc]
    def next_batch(self) -> Any:
        data = self._next_slice
        batch = super().next_batch()
        return batch if data is None else _Batch(batch, bytes(data))


_send = AIOKafkaConnection.send


def _send_or_break(connection: Any, request: Any, expect_response: bool = True) -> Any:
    try:
        return _send(connection, request, expect_response)
    except RuntimeError as error:
        connection.close(reason=CloseReason.CONNECTION_BROKEN)
        raise KafkaConnectionError(
            f"Connection at {connection.host}:{connection.port} broken: {error}"
        ) from error


def harden() -> None:
    """Have all clients of this process go on where they would give up."""
    fetcher.MemoryRecords = _Records
    AIOKafkaConnection.send = _send_or_break
