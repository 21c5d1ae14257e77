"""After all journeys, in this order: services are killed, everything is told again, all agree."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from deploy.local.broker import topics
from deploy.local.postgres import SERVICES
from deploy.local.process import free_port
from deploy.reading import count_records, end_offsets
from deploy.reconcile import reconcile
from shared.catalogue import KpiMeasured
from tests.e2e.company import Company, Person, cast, wait_until
from tests.e2e.conftest import Outcomes

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.asyncio(loop_scope="session")]

# What services note about their own work; all other tables hold what the company sees.
BOOKKEEPING = {"outbox", "inbox", "journal", "idempotency", "migrations", "stale", "measured"}
# Figures that days make, without any news; reconciliation recounts them.
MADE_BY_DAYS = ("first_session_14d", "response_rate", "cadence_adherence", "stalled_pairs")
LARGEST_RESIDENT_BYTES = 150_000_000


async def test_a_journey_goes_on_though_every_service_is_killed_once_on_its_way(
    company: Company, outcomes: Outcomes
) -> None:
    # The others hold that no service restarts.
    await asyncio.gather(*outcomes.values(), return_exceptions=True)
    stack = company.stack
    restarts = stack.restarts
    people = cast("Joy")
    await company.hire(people.everybody)
    programme = await company.open_programme("Rough weather", people)
    joined = await company.enrol_all(people, programme)

    kill(company, "registration", "metrics")
    await asyncio.gather(*(train(company, one) for one in (*people.seniors, *people.juniors)))
    asked = [await company.mail(one, "proposal") for one in people.seniors]
    kill(company, "matching", "notifications")
    for mail in asked:
        await company.click(mail, "accept")
    for one in people.juniors:
        await company.click(await company.mail(one, "proposal"), "accept")
    pairs = [await company.pair_of(one, programme, "active") for one in people.seniors]
    for pair in pairs:
        mentor = people.person(pair["mentor_employee_id"])
        mentee = people.person(pair["mentee_employee_id"])
        session_id = await company.meet(mentor, pair["pair_id"])
        await company.asked_by(mentor, "POST", f"/sessions/{session_id}/log", body={"held": True})
        question = await company.mail(mentee, "session_confirm_request", about=session_id)
        await company.click(question, "confirm_session")
    await company.wait_for_kpi(programme, "match_rate", numerator=4, denominator=4)
    await company.wait_for_kpi(programme, "no_show_rate", numerator=0, denominator=2)

    assert {name: stack.restarts[name] - restarts[name] for name in SERVICES} == dict.fromkeys(
        SERVICES, 1
    )
    assert len(joined) == len({pair["pair_id"] for pair in pairs}) * 2
    for one in (*people.seniors, *people.juniors):
        mails = company.mailbox.find(one.email)
        ids = Counter((mail.kind, mail.message["Message-ID"]) for mail in mails)
        # A mail may come twice when its sender dies, then as the same mail.
        assert Counter(kind for kind, _ in ids)["pair_created"] == 1
        assert Counter(kind for kind, _ in ids)["proposal"] == 1
    assert await stack.drained(30)


def kill(company: Company, *services: str) -> None:
    for service in services:
        os.kill(company.stack.pid(service), signal.SIGKILL)


async def train(company: Company, person: Person) -> None:
    await company.click(await company.mail(person, "welcome"), "complete_training")


async def test_the_programmes_close_and_everybody_is_thanked(company: Company) -> None:
    await close_programmes(company)

    completed = await company.events("updraft.pairs", "updraft.pair.completed.v1")
    assert completed
    thanked = [mail for mail in company.mailbox.all() if mail.kind == "programme_completed"]
    assert len(thanked) == 2 * len(completed)
    for mail in thanked:
        assert mail.links.keys() == {f"nps_{n}" for n in range(11)}
    await company.click(thanked[0], "nps_9")


async def close_programmes(company: Company) -> None:
    """Let what is open come to its end, so that days alone bring nothing new."""
    for programme in company.programmes:
        await company.ask("POST", f"/programmes/{programme}/close", token=company.manager)
    assert await company.stack.drained(60)
    for programme in company.programmes:
        await nothing_owed(company, programme)


async def nothing_owed(company: Company, programme: str) -> None:
    async def look() -> bool:
        counts = await company.ask(
            "GET",
            f"/programmes/{programme}/notifications",
            token=company.manager,
            service="notifications",
        )
        return counts["total"]["owed"] == 0

    await wait_until(look, f"every mail of programme {programme} to be settled")


async def test_everything_told_three_times_and_read_again_by_fresh_groups_changes_nothing(
    company: Company,
) -> None:
    await close_programmes(company)
    before = await settled(company)
    told = await every_record(company)

    async with fresh_groups(company, "-again"):
        for _ in range(2):
            sent = [
                await company.producer.send(
                    topic, record.value, key=record.key, headers=list(record.headers)
                )
                for topic, records in told.items()
                for record in records
            ]
            await asyncio.gather(*sent)
        assert await company.stack.drained(60), "the repetitions were not read in time"
        await read_to_the_end(company, "-again")
        after = await settled(company)

    assert before.changes(after, told) == []


@dataclass(frozen=True)
class Everything:
    """All that the company could notice."""

    tables: dict[str, Counter[str]]
    mails: int
    events: dict[str, int]

    def changes(self, after: Everything, told: Collection[str] = ()) -> list[str]:
        """What is not as it was; each record of the topics `told` counts three times."""
        found = [
            f"{sign} {table}: {row}"
            for table, rows in self.tables.items()
            for sign, some in (
                ("new in", after.tables[table] - rows),
                ("gone from", rows - after.tables[table]),
            )
            for row in some
        ]
        for topic, count in self.events.items():
            expected = count * 3 if topic in told else count
            if after.events[topic] != expected:
                found.append(f"{after.events[topic]} events in {topic}, not {expected}")
        if after.mails != self.mails:
            found.append(f"{after.mails} mails, not {self.mails}")
        return found


async def settled(company: Company) -> Everything:
    """Everything, once it is the same twice in a row: the clock has nothing left to do."""
    now = await everything(company)
    changed: list[str] = []

    async def look() -> bool:
        nonlocal now, changed
        await asyncio.sleep(1)
        # A busy machine may leave metrics at rest for longer than this second.
        done = await all_measured(company) and await company.stack.drained(10)
        before, now = now, await everything(company)
        changed = before.changes(now)
        return done and not changed

    try:
        await wait_until(look, "a second in which nothing changes")
    except AssertionError as error:
        raise AssertionError(f"{error}; the last changes were {changed[:10]}") from None
    return now


async def all_measured(company: Company) -> bool:
    connection = await asyncpg.connect(company.stack.auditor_dsn)
    try:
        return not await connection.fetchval(
            "SELECT EXISTS (SELECT FROM metrics.stale JOIN metrics.programmes USING (programme_id))"
        )
    finally:
        await connection.close()


async def everything(company: Company) -> Everything:
    connection = await asyncpg.connect(company.stack.auditor_dsn)
    try:
        tables = await connection.fetch(
            """
            SELECT table_schema, table_name FROM information_schema.tables
            WHERE table_type = 'BASE TABLE' AND table_schema = ANY($1) AND table_name <> ALL($2)
            """,
            list(SERVICES),
            list(BOOKKEEPING),
        )
        rows = {}
        for schema, table in tables:
            texts = await connection.fetch(f'SELECT t::text FROM "{schema}"."{table}" AS t')
            rows[f"{schema}.{table}"] = Counter(
                text for (text,) in texts if not any(kpi in text for kpi in MADE_BY_DAYS)
            )
    finally:
        await connection.close()
    assert len(rows) > 40
    names = [topic.name for topic in topics() if topic.name != KpiMeasured.TOPIC]
    counts = await count_records(company.stack.bootstrap_servers, names)
    return Everything(rows, len(company.mailbox.all()), counts)


async def every_record(company: Company) -> dict[str, list[Any]]:
    """The records of all topics that services read, with headers and all."""
    names = [topic.name for topic in topics() if set(topic.readers) & set(SERVICES)]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=company.stack.bootstrap_servers,
        enable_auto_commit=False,
        max_partition_fetch_bytes=8 * 1024 * 1024,
    )
    await consumer.start()
    told: dict[str, list[Any]] = {name: [] for name in names}
    try:
        partitions = partitions_of(names)
        consumer.assign(partitions)
        ends = await end_offsets(consumer, partitions)
        await consumer.seek_to_beginning(*partitions)

        async def look() -> bool:
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                for record in batch:
                    told[record.topic].append(record)
            return all([await consumer.position(tp) >= end for tp, end in ends.items()])

        await wait_until(look, "all topics to be read", every_seconds=0)
    finally:
        await consumer.stop()
    assert all(told[name] for name in ("hr.employees", "updraft.pairs", "updraft.sessions"))
    return told


def partitions_of(names: Sequence[str]) -> list[TopicPartition]:
    return [
        TopicPartition(topic.name, number)
        for topic in topics()
        if topic.name in names
        for number in range(topic.partitions)
    ]


@asynccontextmanager
async def fresh_groups(company: Company, suffix: str) -> AsyncIterator[None]:
    """A second replica of each service, as the stack runs it but for its consumer group."""
    replicas = []
    try:
        for service in SERVICES:
            first = psutil.Process(company.stack.pid(service))
            environment = first.environ() | {
                "UPDRAFT_KAFKA__GROUP_SUFFIX": suffix,
                "UPDRAFT_HTTP__PORT": str(free_port()),
            }
            log = company.stack.logs_dir / f"{service}{suffix}.log"
            replicas.append(start(first.cmdline(), environment, log, first.cwd()))
        yield
        assert [replica.poll() for replica in replicas] == [None] * len(replicas)
    finally:
        for replica in replicas:
            replica.terminate()
        for replica in replicas:
            try:
                replica.wait(timeout=10)
            except subprocess.TimeoutExpired:
                replica.kill()
                replica.wait()


def start(
    command: Sequence[str], environment: Mapping[str, str], log: Path, folder: str
) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(
            command, env=dict(environment), stdout=output, stderr=output, cwd=folder
        )


async def read_to_the_end(company: Company, suffix: str) -> None:
    """Wait until the groups have committed all that there is."""
    servers = company.stack.bootstrap_servers
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, enable_auto_commit=False)
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await consumer.start()
    await admin.start()
    try:
        for service in SERVICES:
            names = [topic.name for topic in topics() if service in topic.readers]
            partitions = partitions_of(names)
            consumer.assign(partitions)

            async def look(
                service: str = service, partitions: list[TopicPartition] = partitions
            ) -> bool:
                ends = await end_offsets(consumer, partitions)
                done = await admin.list_consumer_group_offsets(
                    service + suffix, partitions=partitions
                )
                return all(tp in done and done[tp].offset >= end for tp, end in ends.items() if end)

            await wait_until(look, f"{service} to read all its topics again")
    finally:
        await admin.close()
        await consumer.stop()


async def test_services_stay_small_and_log_no_error(company: Company) -> None:
    for service in SERVICES:
        assert company.stack.rss(service) < LARGEST_RESIDENT_BYTES
        log = (company.stack.logs_dir / f"{service}.log").read_text()
        assert [line for line in log.splitlines() if '"level": "error"' in line] == []


async def test_schemas_topics_mails_and_kpis_agree(company: Company) -> None:
    assert await reconcile(company.stack) == []
