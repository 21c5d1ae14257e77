"""Topics read once more from their beginning, each partition up to where a service is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from deploy.local.process import StackError
from deploy.reading import end_offsets, partitions_of
from shared import kafka_client
from shared.envelope import Record
from shared.security import client_arguments
from shared.settings import KafkaSettings

_AT_ONCE = 2000


@dataclass
class History:
    """The partitions of some topics, and how far each was read."""

    kafka: KafkaSettings
    group: str
    consumer: Any
    begins: Mapping[TopicPartition, int]
    at: dict[TopicPartition, int]
    _stopped: set[TopicPartition] = field(default_factory=set)

    @classmethod
    @asynccontextmanager
    async def of(
        cls, kafka: KafkaSettings, topics: Collection[str], group: str
    ) -> AsyncIterator[History]:
        """At the beginning of these topics. Raises StackError when one does not exist."""
        kafka_client.harden()
        consumer = AIOKafkaConsumer(
            bootstrap_servers=kafka.bootstrap_servers,
            **client_arguments(kafka),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=8 * 1024 * 1024,
        )
        await consumer.start()
        try:
            partitions = await partitions_of(kafka.bootstrap_servers, sorted(topics))
            if missing := sorted(set(topics) - {partition.topic for partition in partitions}):
                raise StackError(f"there is no topic {', '.join(missing)}; nothing can be rebuilt")
            consumer.assign(partitions)
            begins = await consumer.beginning_offsets(partitions)
            yield cls(kafka, group, consumer, begins, dict(begins))
        finally:
            await consumer.stop()

    def incomplete(self, compacted: Collection[str]) -> list[str]:
        """Topics whose first records the broker has deleted by age."""
        gone = {tp.topic for tp, offset in self.begins.items() if offset > 0}
        return sorted(gone - set(compacted))

    async def ends(self) -> dict[TopicPartition, int]:
        """Where each partition ends now."""
        return await end_offsets(self.consumer, list(self.begins))

    async def committed(self) -> dict[TopicPartition, int]:
        """Before which offset the service has surely taken everything."""
        admin = AIOKafkaAdminClient(
            bootstrap_servers=self.kafka.bootstrap_servers, **client_arguments(self.kafka)
        )
        await admin.start()
        try:
            found = await admin.list_consumer_group_offsets(
                self.group, partitions=list(self.begins)
            )
        finally:
            await admin.close()
        return {tp: max(0, found[tp].offset) if tp in found else 0 for tp in self.begins}

    async def batches(
        self, ends: Mapping[TopicPartition, int]
    ) -> AsyncIterator[dict[TopicPartition, Sequence[Record]]]:
        """What lies between here and these ends, a few thousand records at a time.

        The caller says by `stop` where it took no more.
        """
        self._stopped.clear()
        for tp, offset in self.at.items():
            self.consumer.seek(tp, offset)
        while True:
            left = [tp for tp in self.at if tp not in self._stopped and self.at[tp] < ends[tp]]
            if not left:
                return
            fetched = await self.consumer.getmany(*left, timeout_ms=500, max_records=_AT_ONCE)
            yield {
                tp: [_record(each) for each in records if each.offset < ends[tp]]
                for tp, records in fetched.items()
            }
            for tp in left:
                if tp not in self._stopped:
                    # The position is past the gaps that compaction leaves, too.
                    self.at[tp] = min(await self.consumer.position(tp), ends[tp])

    def stop(self, partition: TopicPartition, offset: int) -> None:
        """Read no further than this offset for now: the service has not come there."""
        self._stopped.add(partition)
        self.at[partition] = offset


def _record(record: Any) -> Record:
    return Record(
        record.topic,
        record.partition,
        record.offset,
        record.key,
        record.value,
        tuple(record.headers),
    )
