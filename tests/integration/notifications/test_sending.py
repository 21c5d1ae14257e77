"""Mails leave at the right hour, one bad recipient or a dead server harms nothing else."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from aiosmtpd.controller import Controller
from structlog.testing import capture_logs

from services.notifications.sending import MailJob
from shared.testing import published

from .conftest import (
    PEOPLE,
    START,
    MailServer,
    Office,
    contact,
    created,
    employee,
    free_port,
    invited,
    programme,
)

DAY = timedelta(days=1)


async def invite(office: Office, count: int, **contact_changes: str) -> None:
    people = [f"p{number}" for number in range(count)]
    await office.tell(
        programme(),
        *(contact(name, **contact_changes) for name in people),
        *(invited(number, name) for number, name in enumerate(people)),
    )


async def settle(office: Office, job: MailJob | None = None) -> None:
    """Run the sender until its retries, which wait for some hundredths of a second, are over."""
    for _ in range(30):
        await (job or office.job).run(office.database)
        await asyncio.sleep(0.02)


async def test_a_sent_mail_is_recorded_and_told(office: Office) -> None:
    await invite(office, 3)
    await office.work()
    events = await published(office.database)
    assert len(office.server.mails) == 3
    ids = {str(event.notification_id) for event in events}  # type: ignore[attr-defined]
    assert ids == {mail["X-Updraft-Notification-Id"] for mail in office.server.mails}
    for event in events:
        assert event.TYPE == "updraft.notification.sent.v1"
        assert event.sent_at == START  # type: ignore[attr-defined]
        assert event.attempts == 1  # type: ignore[attr-defined]


async def test_a_mail_program_can_read_the_unsubscribe_link_as_it_stands(office: Office) -> None:
    await invite(office, 1)
    await office.work()
    head = office.server.raw[0].split(b"\r\n\r\n")[0].split(b"\r\n")
    [line] = [line for line in head if line.startswith(b"List-Unsubscribe:")]
    assert line.startswith(b"List-Unsubscribe: <http")
    assert line.endswith(b">")


async def test_connections_stay_open_between_mails(office: Office) -> None:
    await invite(office, 40)
    await office.work()
    assert len(office.server.mails) == 40
    assert office.server.connections <= office.settings.smtp.connections


async def test_a_refused_recipient_fails_alone(office: Office) -> None:
    office.server.refuse = {"p1@example.org"}
    await invite(office, 3)
    with capture_logs() as logs:
        await settle(office)
    states = Counter((await office.states()).values())
    assert states == {"sent": 2, "failed: refused 550": 1}
    told = [e.model_dump_json() for e in await published(office.database)]
    assert not any("@" in line for line in (*map(str, logs), *told))


async def test_an_address_that_is_none_fails_alone(office: Office) -> None:
    await invite(office, 2)
    await office.tell(contact("p0", 2, email="a@example.org\r\nBcc: b"), contact("p1", 2))
    await settle(office)
    assert sorted((await office.states()).values()) == ["failed: bad address", "sent"]


async def test_a_mail_put_off_by_the_server_is_tried_again(office: Office) -> None:
    office.server.defer = {"p1@example.org"}
    await invite(office, 3)
    await settle(office)
    assert Counter((await office.states()).values()) == {"sent": 2, "owed": 1}
    office.server.defer = set()
    await office.database.pool.execute("UPDATE messages SET next_attempt_at = '-infinity'")
    await settle(office)
    assert Counter((await office.states()).values()) == {"sent": 3}
    assert len(office.server.mails) == 3


async def test_a_server_that_drops_the_line_on_one_mail_stops_no_other(office: Office) -> None:
    office.server.drop = {"p1@example.org"}
    await invite(office, 12)
    await settle(office)
    assert Counter((await office.states()).values()) == {"sent": 11, "owed": 1}


async def test_a_mail_held_back_after_a_lost_answer_is_known_to_have_perhaps_arrived(
    office: Office,
) -> None:
    office.server.lose = {"p0@example.org"}
    office.server.defer = {"p1@example.org"}
    await invite(office, 2)
    await office.job.run(office.database)
    await office.tell(*(employee(f"p{n}", status="left") for n in range(2)))
    await office.database.pool.execute("UPDATE messages SET next_attempt_at = '-infinity'")
    await office.job.run(office.database)
    assert set((await office.states()).values()) == {"suppressed: recipient left"}
    assert await _perhaps_arrived(office) == {"p0"}


async def test_a_mail_that_was_on_the_wire_when_its_sender_died_has_perhaps_arrived(
    office: Office,
) -> None:
    await invite(office, 3)
    assert await office.job._claim(office.database) is not None
    # p0 is let go while the mail is on the wire, p1 after its sender is known to be gone.
    await office.tell(employee("p0", status="left"))
    await office.database.pool.execute("UPDATE messages SET claimed_until = clock_timestamp()")
    await office.tell(employee("p1", status="left"))
    await office.job.run(office.database)
    assert len(office.server.mails) == 1
    assert await _perhaps_arrived(office) == {"p0", "p1", "p2"}


async def test_a_mail_that_was_never_begun_has_surely_not_arrived(office: Office) -> None:
    job = office.another_sender(port=free_port())
    await invite(office, 2)
    await job.run(office.database)
    await job.close()
    assert await _perhaps_arrived(office) == set()


async def _perhaps_arrived(office: Office) -> set[str]:
    rows = await office.database.pool.fetch("SELECT employee_id FROM messages WHERE unanswered")
    return {row["employee_id"] for row in rows}


async def test_what_the_server_never_takes_is_given_up_by_age(office: Office) -> None:
    job = office.another_sender(give_up_seconds=0.05)
    office.server.defer = {"p0@example.org"}
    await invite(office, 1)
    await settle(office, job)
    await job.close()
    assert list((await office.states()).values()) == ["failed: gave up: answered 451"]
    (event,) = await published(office.database)
    assert event.attempts > 1  # type: ignore[attr-defined]


async def test_a_dead_server_loses_nothing_and_its_return_sends_all(office: Office) -> None:
    port = free_port()
    job = office.another_sender(port=port)
    await invite(office, 5)
    with capture_logs() as logs:
        await job.run(office.database)
        await job.run(office.database)
    assert [line["event"] for line in logs] == ["mail_server_unreachable"]
    assert Counter((await office.states()).values()) == {"owed": 5}
    back = MailServer(port)
    controller = Controller(back, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        for _ in range(100):
            await job.run(office.database)
            if len(back.mails) == 5:
                break
            await asyncio.sleep(0.05)
    finally:
        await job.close()
        controller.stop()
    assert Counter((await office.states()).values()) == {"sent": 5}


async def test_a_server_that_refuses_us_as_sender_fails_no_mail(office: Office) -> None:
    office.server.refuse_sender = True
    await invite(office, 2)
    await office.work()
    assert Counter((await office.states()).values()) == {"owed": 2}
    office.server.refuse_sender = False
    await asyncio.sleep(0.4)
    await office.work()
    assert Counter((await office.states()).values()) == {"sent": 2}


async def test_nobody_is_mailed_in_their_own_night(office: Office) -> None:
    zones = ("Europe/Berlin", "Asia/Tokyo", "America/Los_Angeles", "Pacific/Auckland")
    await office.tell(
        programme(),
        *(contact(f"p{n}", timezone=zone) for n, zone in enumerate(zones)),
        *(invited(n, f"p{n}") for n in range(len(zones))),
    )
    await office.work_through(2 * DAY, timedelta(hours=1))
    hours = {}
    for event in await published(office.database):
        zone = zones[int(event.employee_id[1:])]  # type: ignore[attr-defined]
        hours[zone] = event.sent_at.astimezone(_zone(zone)).hour  # type: ignore[attr-defined]
    assert len(hours) == len(zones)
    assert all(8 <= hour < 20 for hour in hours.values())


def _zone(name: str) -> object:
    from zoneinfo import ZoneInfo

    return ZoneInfo(name)


async def test_the_cap_spreads_optional_mails_over_days(office: Office) -> None:
    await office.tell(programme(), contact("ana"), *(invited(n, "ana") for n in range(7)))
    await office.work_through(4 * DAY, timedelta(hours=4))
    days = Counter(e.sent_at.date() for e in await published(office.database))  # type: ignore[attr-defined]
    assert sorted(days.values()) == [1, 3, 3]


async def test_two_senders_at_once_send_each_mail_once(office: Office) -> None:
    await invite(office, 60)
    other = office.another_sender()
    for _ in range(10):
        await asyncio.gather(office.job.run(office.database), other.run(office.database))
    await other.close()
    assert len(office.server.mails) == 60
    assert len({mail["Message-ID"] for mail in office.server.mails}) == 60


async def test_a_sender_that_died_after_its_claim_is_replaced_after_the_lease(
    office: Office,
) -> None:
    await invite(office, 2)
    claim = await office.job._claim(office.database)
    assert claim is not None
    await office.job.run(office.database)
    assert office.server.mails == []
    await office.database.pool.execute("UPDATE messages SET claimed_until = clock_timestamp()")
    await office.job.run(office.database)
    assert len(office.server.mails) == 2
    # The late sender comes back: its mails are duplicates that their Message-IDs give away,
    # and nothing is recorded or told twice.
    await office.job._deliver(office.database, claim)
    assert len({mail["Message-ID"] for mail in office.server.mails}) == 2
    assert len(await published(office.database)) == 2


async def test_stopping_in_the_middle_records_what_was_sent(office: Office) -> None:
    await invite(office, 50)
    task = asyncio.create_task(office.job.run(office.database))
    for _ in range(2000):
        if office.server.mails:
            break
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    mailed = len(office.server.mails)
    assert 0 < mailed < 50
    assert len(await published(office.database)) == mailed
    await settle(office)
    assert Counter((await office.states()).values()) == {"sent": 50}
    assert len(office.server.mails) == 50


async def test_a_pair_created_in_the_evening_is_told_in_the_morning(office: Office) -> None:
    office.clock.set(datetime(2026, 3, 28, 21, 30, tzinfo=UTC))
    berlin = [person.model_copy(update={"timezone": "Europe/Berlin"}) for person in PEOPLE]
    now = office.clock.now()
    await office.tell(programme(), *berlin, created(created_at=now, changed_at=now))
    await office.work()
    assert office.server.mails == []
    # The clocks went forward that night: eight in Berlin is six in UTC.
    await office.work(after=timedelta(hours=8, minutes=29))
    assert office.server.mails == []
    await office.work(after=timedelta(minutes=1))
    assert office.server.kinds == ["pair_created", "pair_created"]
