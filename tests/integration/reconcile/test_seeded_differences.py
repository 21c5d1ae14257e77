"""Four schemas, a broker and a mail folder that agree, and each way in which they may not."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer
from rich.console import Console

from deploy.reconcile import Place, report
from deploy.reconcile.command import show
from deploy.reconcile.schemas import AGGREGATES, SERVICES, read_schemas
from services.metrics.handlers import handlers
from services.metrics.jobs import measure_programmes
from shared.catalogue import (
    EmployeeUpdated,
    NotificationSent,
    PairFact,
    ParticipantFact,
    ProgrammeFact,
    SessionFact,
)
from shared.database import BACKBONE_MIGRATIONS, Database, migrate
from shared.relay import Relay
from shared.testing import ManualClock, deliver, record_of
from tests.conftest import SERVICES as SERVICE_FOLDERS
from tests.integration.metrics.programme_events import PROGRAMME, day, story, uuid

FACTS = {
    "employees": EmployeeUpdated,
    "programmes": ProgrammeFact,
    "participants": ParticipantFact,
    "pairs": PairFact,
    "sessions": SessionFact,
}


def address(postgres, database):
    return urlunsplit(urlsplit(postgres.superuser_dsn)._replace(path=f"/{database}"))


@pytest.fixture(scope="module")
def kafka(kafka_of_ones_own):
    """A broker of its own: what other tests publish would differ."""
    with kafka_of_ones_own() as started:
        yield started


@pytest.fixture(scope="module")
def agreeing(postgres, kafka):
    """The name of a database whose schemas agree with each other and with the topics."""
    asyncio.run(_agree(postgres, kafka))
    return "agreeing"


async def _agree(postgres, kafka):
    connection = await asyncpg.connect(postgres.superuser_dsn)
    await connection.execute("CREATE DATABASE agreeing")
    await connection.close()
    dsn = address(postgres, "agreeing")
    connection = await asyncpg.connect(dsn)
    for service in SERVICES:
        await connection.execute(f"CREATE SCHEMA {service}; SET search_path = {service}")
        folders = [BACKBONE_MIGRATIONS]
        if service == "metrics":
            folders.append(SERVICE_FOLDERS / "metrics" / "migrations")
        await migrate(connection, folders)
        if service != "metrics":
            await _copies(connection, service)
    await connection.close()
    database = await Database.connect(dsn, service="metrics", clock=ManualClock(), size=2)
    database.clock.set(day(20))
    await deliver(handlers, database, *story())
    await measure_programmes(database)
    await _publish(kafka, database)
    await database.close()


async def _copies(connection, service):
    """The tables that reconciliation reads, filled from the story."""
    for table, (key, _) in AGGREGATES.items():
        await connection.execute(
            f"CREATE TABLE {table} ({key} text PRIMARY KEY, version int, status text)"
        )
        newest = {}
        for event in story():
            if isinstance(event, FACTS[table]):
                newest[str(getattr(event, key))] = (event.version, event.status)
        await connection.executemany(
            f"INSERT INTO {table} VALUES ($1, $2, $3)",
            [(key, *state) for key, state in newest.items()],
        )
    if service == "notifications":
        await connection.execute(
            "CREATE TABLE messages (notification_id uuid PRIMARY KEY, state text, kind text,"
            " recorded_at timestamptz DEFAULT now(), unanswered boolean DEFAULT false)"
        )
        sent = [event for event in story() if isinstance(event, NotificationSent)]
        await connection.executemany(
            "INSERT INTO messages (notification_id, state, kind) VALUES ($1, 'sent', $2)",
            [(event.notification_id, event.kind) for event in sent],
        )


async def _publish(kafka, database):
    """What the services published: the story, and the measures that wait in metrics' outbox."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers)
    await producer.start()
    for event in story():
        one = record_of(event, now=day(20))
        await producer.send(one.topic, one.value, one.key, headers=list(one.headers))
    await producer.stop()
    relay = Relay(
        database, producer=lambda: AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers)
    )
    publishing = asyncio.create_task(relay.run())
    while await database.pool.fetchval("SELECT EXISTS (SELECT FROM outbox)"):
        await asyncio.sleep(0.02)
    relay.stop()
    await publishing


@pytest.fixture
async def place(postgres, kafka, agreeing, tmp_path):
    """A copy to spoil."""
    connection = await asyncpg.connect(postgres.superuser_dsn)
    await connection.execute("DROP DATABASE IF EXISTS spoilt WITH (FORCE)")
    await connection.execute("CREATE DATABASE spoilt TEMPLATE agreeing")
    await connection.close()
    for number, event in enumerate(e for e in story() if isinstance(e, NotificationSent)):
        mail = f"X-Updraft-Notification-Id: {event.notification_id}\r\n\r\nhello\r\n"
        (tmp_path / f"{number:06d}-proposal.eml").write_text(mail)
    return Place(address(postgres, "spoilt"), kafka.bootstrap_servers, tmp_path)


async def spoil(place, statement):
    connection = await asyncpg.connect(place.auditor_dsn)
    await connection.execute(statement)
    await connection.close()


async def differences(place):
    return [str(one) for one in (await report(place, within_seconds=1)).differences]


async def test_what_agrees_has_no_differences(place, capsys):
    found = await report(place, within_seconds=10)
    assert found.differences == []
    assert found.quiet
    counts = found.compared.counts
    assert counts["participants", "registration → notifications"] == 8
    assert counts["messages", "notifications → mails"] == 4
    assert counts["kpis", "topics → metrics"] >= 18
    assert counts["measures", "metrics → topic"] > 60
    show(found, Console())
    assert "No differences" in capsys.readouterr().out


PARTICIPANT, PAIR, SESSION = uuid("junior1"), uuid("pair1"), uuid("session1-10")


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (
            f"DELETE FROM matching.participants WHERE participant_id = '{PARTICIPANT}'",
            (
                f"participants {PARTICIPANT}: version 2 ready here, missing there"
                " (registration → matching)"
            ),
        ),
        (
            (
                f"UPDATE notifications.pairs SET version = 1, status = 'proposed'"
                f" WHERE pair_id = '{PAIR}'"
            ),
            (
                f"pairs {PAIR}: version 2 active here, version 1 proposed there"
                " (matching → notifications)"
            ),
        ),
        (
            f"UPDATE metrics.sessions SET status = 'disputed' WHERE session_id = '{SESSION}'",
            (
                f"sessions {SESSION}: version 3 confirmed here, version 3 disputed there"
                " (registration → metrics)"
            ),
        ),
        (
            "INSERT INTO registration.employees VALUES ('ghost', 1, 'active')",
            "employees ghost: version 1 active here, missing there (registration → topic)",
        ),
        (
            "UPDATE registration.programmes SET version = 2",
            (
                f"programmes {PROGRAMME}: version 2 open here, version 1 open there"
                " (registration → topic)"
            ),
        ),
        (
            (
                "UPDATE metrics.measures SET numerator = 7, value = 0.875 WHERE kpi = 'match_rate'"
                " AND period_kind = 'programme' AND dimension = 'all'"
            ),
            (
                f"kpis {PROGRAMME}|match_rate|programme:2026-01-05|all|all:"
                " 8 ÷ 8 = 1.0 by the events, 7.0 ÷ 8.0 = 0.875 by metrics (topics → metrics)"
            ),
        ),
        (
            (
                "UPDATE metrics.measures SET suppressed = true WHERE kpi = 'nps'"
                " AND period_kind = 'programme' AND dimension = 'all'"
            ),
            (
                f"measures {PROGRAMME}|nps|programme:2026-01-05|all|all:"
                " suppressed here, 0.0 ÷ 0.0 = None there (metrics → topic)"
            ),
        ),
        (
            "DELETE FROM metrics.measured",
            f"kpis {PROGRAMME}: was never measured (topics → metrics)",
        ),
        (
            (
                "INSERT INTO matching.outbox (id, aggregatetype, aggregateid) VALUES"
                f" ('{PAIR}', 'updraft.pairs', 'x')"
            ),
            "outbox : 1 events wait to be published (matching)",
        ),
        (
            (
                "INSERT INTO matching.parked (consumer, event_id, topic, part, off, headers, kind,"
                " attempts, holds, state, reason, parked_at) VALUES ('matching',"
                f" '{PAIR}', 'updraft.sessions', 0, 0, '[]', 'rejected', 1, true, 'parked',"
                " 'held: missing', now())"
            ),
            "parked updraft.sessions: held: missing: 1 records (matching)",
        ),
        (
            (
                "UPDATE notifications.messages SET state = 'failed' WHERE notification_id ="
                f" '{uuid('mail1-2')}'"
            ),
            f"messages {uuid('mail1-2')}: failed here, sent there (notifications → metrics)",
        ),
        (
            f"DELETE FROM metrics.notifications WHERE notification_id = '{uuid('mail2-2')}'",
            f"messages {uuid('mail2-2')}: sent here, not known there (notifications → metrics)",
        ),
        (
            (
                "UPDATE notifications.messages SET state = 'suppressed' WHERE notification_id ="
                f" '{uuid('mail1-2')}'"
            ),
            (
                f"messages {uuid('mail1-2')}: proposal was held back, but arrived"
                " (notifications → mails)"
            ),
        ),
    ],
)
async def test_a_seeded_difference_is_found(place, statement, expected):
    await spoil(place, statement)
    assert expected in await differences(place)


async def test_a_mail_held_back_after_a_lost_answer_may_lie_in_the_inbox(place):
    await spoil(
        place,
        "UPDATE notifications.messages SET state = 'suppressed', unanswered = true"
        f" WHERE notification_id = '{uuid('mail1-2')}'",
    )
    assert not [each for each in await differences(place) if "held back" in each]


async def test_a_lost_mail_and_one_nobody_owed_are_found(place):
    lost, *_ = sorted(place.mails_dir.glob("*.eml"))
    text = lost.read_text()
    lost.unlink()
    message = text.split()[1]
    (place.mails_dir / "000009-stray.eml").write_text("Subject: hi\r\n\r\nhello\r\n")
    found = await differences(place)
    assert (
        f"messages {message}: proposal was sent, no mail arrived (notifications → mails)" in found
    )
    assert "messages without id: 1 mails nobody owed (notifications → mails)" in found
    assert len(found) == 2


async def test_a_parked_hr_record_is_counted_and_no_difference(place):
    await spoil(
        place,
        "INSERT INTO registration.parked (consumer, event_id, topic, part, off, headers, kind,"
        " attempts, holds, state, reason, parked_at) VALUES ('registration',"
        f" '{PAIR}', 'hr.employees', 0, 0, '[]', 'unreadable', 1, false, 'parked',"
        " 'jobLevel: missing', now())",
    )
    found = await report(place, within_seconds=10)
    assert found.differences == []
    assert found.compared.counts["parked", "registration"] == 1


async def test_the_auditor_reads_the_real_tables(postgres):
    """The queries fit the migrations of all four services."""
    connection = await asyncpg.connect(postgres.superuser_dsn)
    await connection.execute("DROP DATABASE IF EXISTS audited WITH (FORCE)")
    await connection.execute("CREATE DATABASE audited")
    await connection.close()
    dsn = address(postgres, "audited")
    connection = await asyncpg.connect(dsn)
    for service in SERVICES:
        await connection.execute(f"CREATE SCHEMA {service}; SET search_path = {service}")
        await migrate(connection, [BACKBONE_MIGRATIONS, SERVICE_FOLDERS / service / "migrations"])
    await connection.close()
    schemas = await read_schemas(dsn)
    assert set(schemas.copies) == {(service, table) for service in SERVICES for table in AGGREGATES}
    assert sum(schemas.outboxes.values()) == 0
