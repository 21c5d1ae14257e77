"""Header names that are not UTF-8: the Kafka client gives up on their partition, we read on.

The client decodes header names strictly, deep in its fetcher, and then delivers nothing of that
partition any more. Kafka itself does not look at names, so any producer can do this to a reader.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
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


def tolerate_header_names() -> None:
    """Make all consumers of this process deliver records whatever their header names hold."""
    fetcher.MemoryRecords = _Records
