"""A company that uses Updraft: its people, its HR system and its programme manager.

Everything goes the way that it goes in life: HR records by Kafka, people by HTTP and by the links
in their mails. Nothing here looks into a database.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any, TypeVar
from uuid import uuid4

import httpx
from aiokafka import AIOKafkaProducer

from deploy.local.stack import Stack
from deploy.reading import read_records
from shared.catalogue import EmployeeRecorded
from tests.e2e.mailbox import Mail, Mailbox

T = TypeVar("T")

HR_TOPIC = EmployeeRecorded.TOPIC
PATIENCE_SECONDS = 60.0
"""How long anything may take on a busy machine; most things take a second or two."""


async def wait_until(
    look: Callable[[], Awaitable[T | None]],
    what: str,
    *,
    within_seconds: float = PATIENCE_SECONDS,
    every_seconds: float = 0.1,
) -> T:
    """What `look` finds once it is true; fails with what was awaited and what was seen last."""
    deadline = time.monotonic() + within_seconds
    while not (found := await look()):
        if time.monotonic() > deadline:
            raise AssertionError(
                f"waited {within_seconds:.0f} s in vain for: {what}; last seen: {found!r}"
            )
        await asyncio.sleep(every_seconds)
    return found


@dataclass(frozen=True)
class KafkaRecord:
    """A record for `hr.employees` as an HR platform sends it, good or broken."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


def hr_record(
    employee_id: str, value: Any, *, event_id: str | None = None, **headers: bytes
) -> KafkaRecord:
    """A CloudEvent in binary mode; `value` is bytes as they are, or a document; `headers` change.

    Whatever says nothing else has an id of its own.
    """
    body = value if isinstance(value, bytes) or value is None else json.dumps(value).encode()
    attributes = {
        "ce_specversion": b"1.0",
        "ce_id": (event_id or str(uuid4())).encode(),
        "ce_source": b"urn:hr:e2e",
        "ce_type": EmployeeRecorded.TYPE.encode(),
        "ce_time": datetime.now(UTC).isoformat().encode(),
        "content-type": b"application/json",
    }
    return KafkaRecord(employee_id.encode(), body, tuple((attributes | headers).items()))


@dataclass(frozen=True)
class Person:
    """An employee."""

    employee_id: str
    level: int
    department: str
    manager_id: str | None
    skills: tuple[str, ...] = ()
    locale: str = "en"
    timezone: str = "UTC"

    @property
    def name(self) -> str:
        """As mails say it."""
        given, _, family = self.employee_id.partition("-")
        return f"{given.title()} {family.title()}"

    @property
    def email(self) -> str:
        """Where their mails go."""
        return f"{self.employee_id.lower()}@example.org"

    def record(self, sequence: int = 1, **changes: Any) -> dict[str, Any]:
        """HR's full record of them."""
        given, _, family = self.name.partition(" ")
        return {
            "employeeId": self.employee_id,
            "sequence": sequence,
            "effectiveDate": "2027-01-01",
            "status": "active",
            "jobLevel": self.level,
            "department": self.department,
            "managerId": self.manager_id,
            "startDate": "2022-05-02",
            "name": {"givenName": given, "familyName": family},
            "displayName": self.name,
            "emails": [{"value": self.email, "primary": True}],
            "skills": list(self.skills),
            "locale": self.locale,
            "timezone": self.timezone,
            **changes,
        }


@dataclass(frozen=True)
class Cast:
    """The people of one journey: seniors in divisions of their own, juniors in the lab.

    The juniors report to a lead and a director, so that no senior is above them.
    """

    ceo: Person
    director: Person
    lead: Person
    seniors: tuple[Person, ...]
    juniors: tuple[Person, ...]

    @property
    def everybody(self) -> tuple[Person, ...]:
        """All of them, managers first."""
        return (self.ceo, self.director, self.lead, *self.seniors, *self.juniors)

    @property
    def departments(self) -> list[str]:
        """Where they work; nobody of another journey does."""
        return sorted({person.department for person in self.everybody})

    def person(self, employee_id: str) -> Person:
        """The one with this id."""
        return next(one for one in self.everybody if one.employee_id == employee_id)


def cast(
    prefix: str,
    *,
    seniors: int = 2,
    juniors: int = 2,
    locales: Sequence[str] = ("en",),
    timezones: Sequence[str] = ("UTC",),
) -> Cast:
    """People whose ids begin with `prefix`, so that journeys do not meet."""

    def where(number: int) -> dict[str, str]:
        return {
            "locale": locales[number % len(locales)],
            "timezone": timezones[number % len(timezones)],
        }

    ceo = Person(f"{prefix}-ceo", 10, f"{prefix} board", None)
    director = Person(f"{prefix}-director", 8, f"{prefix} lab", ceo.employee_id)
    lead = Person(f"{prefix}-lead", 5, f"{prefix} lab", director.employee_id)
    return Cast(
        ceo,
        director,
        lead,
        tuple(
            Person(f"{prefix}-senior{n}", 8, f"{prefix} division {n}", ceo.employee_id, **where(n))
            for n in range(1, seniors + 1)
        ),
        tuple(
            Person(f"{prefix}-junior{n}", 2, f"{prefix} lab", lead.employee_id, ("ai",), **where(n))
            for n in range(1, juniors + 1)
        ),
    )


@dataclass
class Company:
    """A running stack, seen from outside."""

    stack: Stack
    http: httpx.AsyncClient
    producer: AIOKafkaProducer
    mailbox: Mailbox
    programmes: list[str] = field(default_factory=list)
    """Those opened so far."""
    _tokens: dict[tuple[str, tuple[str, ...]], str] = field(default_factory=dict)

    # Who asks

    def token(self, *roles: str, person: Person | None = None) -> str:
        """A bearer token of the issuer."""
        subject = person.employee_id if person else "-".join(roles)
        known = self._tokens.get((subject, roles))
        if known is None:
            employee_id = person.employee_id if person else None
            known = self._tokens[subject, roles] = self.stack.token(subject, roles, employee_id)
        return known

    @cached_property
    def manager(self) -> str:
        """The programme manager's token."""
        return self.token("programme_manager")

    @cached_property
    def hr(self) -> str:
        """The HR system's token."""
        return self.token("hr_system")

    @cached_property
    def auditor(self) -> str:
        """The auditor's token."""
        return self.token("auditor")

    # HTTP

    async def send(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        service: str = "registration",
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        """One request; tried again while the service is away, as every good client does."""
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        if method == "POST":
            # So that a request whose answer was lost does not act twice.
            sent.setdefault("Idempotency-Key", str(uuid4()))
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return await self.http.request(
                    method, f"{self.stack.url(service)}{path}", json=body, headers=sent
                )
            except httpx.TransportError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.1)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        expect: int | Collection[int] = (200, 201, 202),
        **rest: Any,
    ) -> Any:
        """The answer's document; fails unless it has an expected status."""
        answer = await self.send(method, path, **rest)
        wanted = (expect,) if isinstance(expect, int) else expect
        assert answer.status_code in wanted, (
            f"{method} {path}: {answer.status_code} instead of {wanted}: {answer.text[:500]}"
        )
        return answer.json()

    async def asked_by(self, person: Person, method: str, path: str, **rest: Any) -> Any:
        """`ask` with a participant's token."""
        return await self.ask(method, path, token=self.token("participant", person=person), **rest)

    # HR

    async def publish(self, records: Iterable[KafkaRecord]) -> None:
        """Send records to `hr.employees`, in order."""
        sent = [
            await self.producer.send(
                HR_TOPIC, record.value, key=record.key, headers=list(record.headers)
            )
            for record in records
        ]
        await asyncio.gather(*sent)

    async def tell_hr(self, person: Person, *, sequence: int, **changes: Any) -> None:
        """HR's next word on a person."""
        record = person.record(sequence, **changes)
        await self.publish([hr_record(person.employee_id, record)])

    async def hire(self, people: Iterable[Person]) -> None:
        """Have HR record these people, and wait until registration and matching can rely on it."""
        people = list(people)
        await self.publish([hr_record(one.employee_id, one.record()) for one in people])
        for one in people:
            await self.employee(one.employee_id)

    async def employee(self, employee_id: str, *, version: int = 1) -> dict[str, Any]:
        """The person as registration holds them, from this version on."""

        async def look() -> dict[str, Any] | None:
            answer = await self.send("GET", f"/hr/employees/{employee_id}", token=self.hr)
            known = answer.status_code == 200 and answer.json()["version"] >= version
            return answer.json() if known else None

        return await wait_until(look, f"version {version} of {employee_id} in the directory")

    # Programmes

    def today(self) -> date:
        """The programme's day."""
        return self.stack.clock.now().date()

    def from_now(self, **span: float) -> str:
        """A moment of programme time to come, as HTTP takes it."""
        return (self.stack.clock.now() + timedelta(**span)).isoformat()

    async def open_programme(self, name: str, people: Cast, **rules: Any) -> str:
        """A programme for these people alone; returns its id."""
        opened = await self.ask(
            "POST",
            "/programmes",
            token=self.manager,
            body={
                "name": name,
                "starts_on": self.today().isoformat(),
                "focus_topics": ["ai"],
                "audience": {"departments": people.departments},
                # The smallest that the rules allow, so that few people make figures.
                "min_group_size": 2,
                "proposal_expiry_days": 60,
                # Mails at any hour; the journey of a pair keeps the quiet hours.
                "nudges": {"quiet_from": 0, "quiet_until": 0, "mails_per_person_per_day": 50},
                **rules,
            },
        )
        self.programmes.append(opened["programme_id"])
        return str(opened["programme_id"])

    async def enrol(self, person: Person, programme_id: str, role: str, **more: Any) -> Any:
        """Join a programme by the API; returns the participation."""
        topics = {"topics_offered": [{"topic": "ai"}]} if role == "mentor" else {}
        return await self.asked_by(
            person,
            "POST",
            f"/programmes/{programme_id}/participants",
            body={
                "role": role,
                "agreement_version": "1",
                "languages": ["en"],
                "working_hours": {"start": "06:00", "end": "20:00"},
                **topics,
                **more,
            },
        )

    async def enrol_all(self, people: Cast, programme_id: str) -> dict[str, str]:
        """Everybody in their role; returns the participant id of each employee."""
        joined = {}
        for role, group in (("mentor", people.juniors), ("mentee", people.seniors)):
            for one in group:
                participation = await self.enrol(one, programme_id, role)
                joined[one.employee_id] = participation["participant_id"]
        return joined

    # Mails

    async def mail(
        self, to: Person, kind: str, *, after: Mail | None = None, about: str | None = None
    ) -> Mail:
        """The first mail of this kind to a person, after another one, about a pair or session."""
        what = f"a mail {kind} to {to.email}" + (f" about {about}" if about else "")

        async def look() -> Mail | None:
            found = self.mailbox.find(to.email, kind, after=after)
            return next((m for m in found if about is None or m.is_about(about)), None)

        try:
            return await wait_until(look, what)
        except AssertionError as error:
            got = [f"{mail.number} {mail.kind}" for mail in self.mailbox.find(to.email)]
            raise AssertionError(f"{error}; they got {got}") from None

    async def click(self, mail: Mail, action: str, *, expect: int = 200) -> str:
        """Open the link of a mail and press the page's one button; returns the last page.

        A page that says that the news is still on its way is tried again, as it asks for.
        """
        return await self.follow(mail.links[action], expect=expect)

    async def follow(self, link: str, *, expect: int = 200) -> str:
        """GET and POST of a one-click link."""
        path = httpx.URL(link).path
        for method in ("GET", "POST"):
            page = await self._page(method, path)
            if method == "POST" or page.status_code != 200:
                break
            assert '<form method="post">' in page.text, "the page has no button"
        assert page.status_code == expect, f"{page.status_code} instead of {expect}: {page.text}"
        return page.text

    async def _page(self, method: str, path: str) -> httpx.Response:
        async def look() -> httpx.Response | None:
            page = await self.send(method, path)
            return None if page.status_code == 503 else page

        return await wait_until(look, f"{method} of a link to be answered")

    # Pairs

    async def me(self, person: Person) -> Any:
        """All that a person sees of theirs."""
        return await self.asked_by(person, "GET", "/me")

    async def pair_of(
        self, person: Person, programme_id: str, status: str, *, but: Collection[str] = ()
    ) -> Any:
        """The person's pair in this status, as they see it."""

        async def look() -> Any:
            seen = (await self.me(person))["pairs"]
            found = [p for p in seen if p["programme_id"] == programme_id]
            return next(
                (p for p in found if p["status"] == status and p["pair_id"] not in but), None
            )

        return await wait_until(look, f"a pair of {person.employee_id} that is {status}")

    async def session(self, person: Person, session_id: str, status: str) -> Any:
        """A session of a person once it has this status."""

        async def look() -> Any:
            seen = (await self.me(person))["sessions"]
            return next(
                (s for s in seen if s["session_id"] == session_id and s["status"] == status), None
            )

        return await wait_until(look, f"session {session_id} to be {status}")

    async def sleep_until(self, moment: datetime) -> None:
        """Wait until programme time reaches a moment."""
        clock = self.stack.clock
        await asyncio.sleep(max(0.0, clock.real_seconds(moment - clock.now())))

    async def meet(
        self, person: Person, pair_id: str, *, days: float = 0.1, minutes: int = 60
    ) -> str:
        """Book a session that begins in so many days, and wait until it has begun."""
        booked = await self.asked_by(
            person,
            "POST",
            f"/pairs/{pair_id}/sessions",
            body={"starts_at": self.from_now(days=days), "minutes": minutes},
        )
        await self.sleep_until(datetime.fromisoformat(booked["starts_at"]))
        return str(booked["session_id"])

    async def kpi(self, programme_id: str, name: str, group: str = "all") -> Any:
        """A KPI of the whole programme, or of one group; None while there is none."""
        answer = await self.send(
            "GET",
            f"/programmes/{programme_id}/kpis?kpi={name}&period=programme",
            token=self.auditor,
            service="metrics",
        )
        if answer.status_code == 404:
            return None
        assert answer.status_code == 200, answer.text
        return next((one for one in answer.json() if one["group"] == group), None)

    async def wait_for_kpi(self, programme_id: str, name: str, **wanted: float) -> Any:
        """The KPI once its figures are these."""
        seen: Any = None

        async def look() -> Any:
            nonlocal seen
            seen = await self.kpi(programme_id, name)
            right = seen is not None and all(seen[key] == value for key, value in wanted.items())
            return seen if right else None

        try:
            return await wait_until(look, f"{name} with {wanted}")
        except AssertionError as error:
            raise AssertionError(f"{error}; it was {seen}") from None

    # Topics, as BI reads them

    async def events(self, topic: str, event_type: str, **wanted: Any) -> list[dict[str, Any]]:
        """The data of the events of a type whose fields have these values."""
        return [
            record["data"]
            async for record in read_records(self.stack.bootstrap_servers, topic)
            if record["type"] == event_type
            and all(record["data"].get(name) == value for name, value in wanted.items())
        ]
