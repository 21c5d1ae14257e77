"""A mail server that can misbehave, people to mail, and the sender under test."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any
from uuid import UUID

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from pydantic import SecretStr

from services.notifications.app import sender_of
from services.notifications.handlers import handlers
from services.notifications.jobs import owe_digests, owe_nudges
from services.notifications.sending import MailJob
from services.notifications.settings import JobSettings, MailSettings, Settings, SmtpSettings
from shared.catalogue import (
    ContactUpdated,
    EmployeeUpdated,
    Event,
    PairCreated,
    PairProposed,
    ParticipantInvited,
    ProgrammeOpened,
    SessionScheduled,
)
from shared.database import Database
from shared.settings import LinkSettings
from shared.testing import deliver

SECRET = "a secret that is long enough to sign links"
START = datetime(2026, 1, 5, 10, tzinfo=UTC)
PROGRAMME = UUID(int=2)
PAIR = UUID(int=1)
SESSION = UUID(int=3)


@dataclass
class MailServer:
    """Keeps what it takes; `refuse`, `defer` and `drop` name addresses that it treats so.

    `lose` names those whose mail it takes without saying so.
    """

    port: int
    mails: list[EmailMessage] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    refuse: set[str] = field(default_factory=set)
    defer: set[str] = field(default_factory=set)
    drop: set[str] = field(default_factory=set)
    lose: set[str] = field(default_factory=set)
    refuse_sender: bool = False
    connections: int = 0

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        hostname: str,
        responses: list[str],
    ) -> list[str]:
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.refuse_sender:
            return "550 5.7.1 you may not send"
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refuse:
            return f"550 5.1.1 {address} is unknown"
        if address in self.defer:
            return "451 4.7.1 later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        if self.drop.intersection(envelope.rcpt_tos):
            assert server.transport is not None
            server.transport.abort()
            return "421 bye"
        mail = message_from_bytes(envelope.content, policy=default)
        assert isinstance(mail, EmailMessage)
        self.raw.append(envelope.content)
        self.mails.append(mail)
        if self.lose.intersection(envelope.rcpt_tos):
            assert server.transport is not None
            server.transport.abort()
        return "250 taken"

    def to(self, address: str) -> list[str]:
        """The kinds of the mails to an address, in order."""
        return [
            str(mail["X-Updraft-Kind"])
            for mail in self.mails
            if mail["To"].addresses[0].addr_spec == address
        ]

    @property
    def kinds(self) -> list[str]:
        """The kinds of all mails, sorted."""
        return sorted(str(mail["X-Updraft-Kind"]) for mail in self.mails)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    server = MailServer(free_port())
    controller = Controller(server, hostname="127.0.0.1", port=server.port)
    controller.start()
    yield server
    controller.stop()


@dataclass
class Office:
    """The service under test, without Kafka and HTTP."""

    database: Database
    server: MailServer
    settings: Settings
    job: MailJob

    @property
    def clock(self) -> Any:
        return self.database.clock

    async def tell(self, *events: Event) -> None:
        assert await deliver(handlers, self.database, *events) == []

    async def work(self, *, after: timedelta = timedelta(0)) -> None:
        """Let time pass, then let every job do what is due."""
        self.clock.set(self.clock.now() + after)
        await owe_nudges(self.database)
        await owe_digests(self.database)
        await self.job.run(self.database)

    async def work_through(self, span: timedelta, step: timedelta) -> None:
        """Live through a span of programme time in steps."""
        end = self.clock.now() + span
        while self.clock.now() < end:
            await self.work(after=step)

    async def states(self) -> dict[str, str]:
        """State by idempotency key, with the reason where there is one."""
        rows = await self.database.pool.fetch("SELECT * FROM messages")
        return {
            row["idempotency_key"]: row["state"] + (f": {row['reason']}" if row["reason"] else "")
            for row in rows
        }

    def another_sender(self, **smtp: Any) -> MailJob:
        """A second replica's sender, or one with other settings."""
        changed = self.settings.smtp.model_copy(update=smtp)
        return MailJob(changed, self.settings.mail, sender_of(self.settings))


@pytest.fixture
def settings(mail_server: MailServer) -> Settings:
    return Settings(
        links=LinkSettings(secret=SecretStr(SECRET), base_url="https://door.example.org"),
        smtp=SmtpSettings(port=mail_server.port, retry_seconds=0.01, timeout_seconds=5),
        mail=MailSettings(from_address="updraft@example.org", address_wait_seconds=0),
        jobs=JobSettings(),
    )


@pytest.fixture
async def office(
    database_for: Callable[[str], Awaitable[Database]], mail_server: MailServer, settings: Settings
) -> AsyncIterator[Office]:
    database = await database_for("notifications")
    database.clock.set(START)  # type: ignore[attr-defined]
    job = MailJob(settings.smtp, settings.mail, sender_of(settings))
    made = Office(database, mail_server, settings, job)
    yield made
    await job.close()
    await asyncio.sleep(0)


def contact(employee_id: str, version: int = 1, **changes: Any) -> ContactUpdated:
    values: dict[str, Any] = {
        "employee_id": employee_id,
        "version": version,
        "given_name": employee_id.title(),
        "display_name": f"{employee_id.title()} Doe",
        "email": f"{employee_id}@example.org",
    }
    return ContactUpdated(**values | changes)


def employee(employee_id: str, version: int = 1, status: str = "active") -> EmployeeUpdated:
    return EmployeeUpdated(
        employee_id=employee_id,
        version=version,
        status=status,
        job_level=3,
        department="IT",
        start_date=date(2020, 1, 1),
        effective_from=START,
    )


def programme(version: int = 1, **changes: Any) -> ProgrammeOpened:
    values: dict[str, Any] = {
        "programme_id": PROGRAMME,
        "version": version,
        "status": "open",
        "changed_at": START,
        "name": "Fresh Views",
        "starts_on": START.date(),
        "manager_employee_id": "boss",
        "sponsor_employee_id": "sponsor",
    }
    return ProgrammeOpened(**values | changes)


def invited(number: int, employee_id: str, version: int = 1, **changes: Any) -> ParticipantInvited:
    values: dict[str, Any] = {
        "participant_id": UUID(int=100 + number),
        "programme_id": PROGRAMME,
        "employee_id": employee_id,
        "role": "mentor",
        "status": "invited",
        "version": version,
        "invited_at": START,
        "changed_at": START,
    }
    return ParticipantInvited(**values | changes)


def pair(event_type: type[Event], status: str, version: int, **changes: Any) -> Any:
    values: dict[str, Any] = {
        "pair_id": PAIR,
        "programme_id": PROGRAMME,
        "mentor_id": UUID(int=101),
        "mentee_id": UUID(int=102),
        "mentor_employee_id": "junior",
        "mentee_employee_id": "senior",
        "status": status,
        "version": version,
        "topics": ("AI",),
        "proposed_at": START,
        "changed_at": START,
    }
    return event_type(**values | changes)


def proposed(awaiting: str = "mentee", version: int = 1, **changes: Any) -> Any:
    values = {"awaiting": awaiting, "asked_at": START, "expires_at": START + timedelta(days=14)}
    return pair(PairProposed, "proposed", version, **values | changes)


def created(version: int = 3, **changes: Any) -> Any:
    return pair(PairCreated, "active", version, **{"created_at": START} | changes)


def session(event_type: type[Event], status: str, version: int, **changes: Any) -> Any:
    values: dict[str, Any] = {
        "session_id": SESSION,
        "pair_id": PAIR,
        "programme_id": PROGRAMME,
        "mentor_employee_id": "junior",
        "mentee_employee_id": "senior",
        "status": status,
        "version": version,
        "starts_at": START + timedelta(days=5),
        "minutes": 60,
        "changed_at": START,
    }
    return event_type(**values | changes)


def scheduled(version: int = 1, **changes: Any) -> Any:
    return session(SessionScheduled, "scheduled", version, **changes)


PEOPLE = tuple(contact(name) for name in ("junior", "senior", "boss", "sponsor"))
