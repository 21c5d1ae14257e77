"""What HR sends, made of a seed alone: versioned facts over many people, good, repeated and broken.

Each accepted record of a person names itself in their title, so that it can be found again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal
from uuid import UUID, uuid5

from deploy.demo.hr_platform import RawRecord, broken_records, raw
from shared.catalogue import EmployeeErased, EmployeeRecorded
from shared.envelope import Record, UnknownType, Unreadable, decode

Fate = Literal["applies", "again", "parked"]
TOPIC = EmployeeRecorded.TOPIC
BOSSES = 5
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_SPACE = UUID("5b8c2c7e-6f0e-4c58-9d53-0d0a7a3c5f21")
_BROKEN_AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class Sent:
    """A record and what must come of it."""

    record: RawRecord
    fate: Fate
    facts: Mapping[str, Any] | None = None
    """For one that applies: the person's columns in the directory from then on."""

    @property
    def ids(self) -> frozenset[UUID]:
        """The ids under which a reader may know it."""
        headers = tuple(self.record.headers)
        return ids_of(Record(TOPIC, 0, 0, self.record.key.encode(), self.record.value, headers))


def ids_of(record: Record) -> frozenset[UUID]:
    """The ids under which a record may be parked or applied."""
    try:
        identity = decode(record, _NEVER).identity
    except (Unreadable, UnknownType):
        return frozenset({record.fingerprint})
    return frozenset({record.fingerprint, identity})


@dataclass
class _Known:
    """A person as HR's last word has them."""

    employee_id: str
    sequence: int = 0
    data: dict[str, Any] = field(default_factory=dict)
    last: RawRecord | None = None
    accepted: list[RawRecord] = field(default_factory=list)
    announced: bool = False
    gone: bool = False


class HrStream:
    """Records without end; the same seed sends the same bytes, whenever it is run."""

    def __init__(self, seed: int, *, people: int, start: datetime) -> None:
        self._seed = seed
        self._dice = random.Random(f"{seed}/hr")
        self._start = start
        # Some days ago, so that no time zone makes it a future change.
        self._effective = start.date() - timedelta(days=3)
        names = [f"H{seed}-boss{n}" for n in range(BOSSES)]
        names += [f"H{seed}-{n:04d}" for n in range(people)]
        self._people = [_Known(name) for name in names]
        self._broken: list[RawRecord] = []
        self._refused: list[RawRecord] = []
        self._rounds = 0
        self._numbers = 0
        self._kinds: list[tuple[int, Callable[[_Known], Sent | None]]] = [
            (30, self._retitled),
            (12, self._promoted),
            (12, self._transferred),
            (8, self._in_full),
            (6, self._leaves_or_returns),
            (4, self._announced),
            (10, self._delivered_again),
            (3, self._sent_again),
            (6, self._stale),
            (3, self._id_reused),
            (3, self._unreadable),
            (1, self._erased),
        ]

    def next(self) -> Sent:
        """The next record."""
        weights = [weight for weight, _ in self._kinds]
        while True:
            if self._dice.random() < 0.05:
                return self._broken_alone()
            who = self._dice.choice(self._people)
            if not who.data:
                return self._hired(who)
            _, make = self._dice.choices(self._kinds, weights)[0]
            sent = None if who.gone else make(who)
            if sent is not None:
                return sent

    # Good ones

    def _hired(self, who: _Known) -> Sent:
        boss = f"H{self._seed}-boss"
        number = self._people.index(who)
        who.data = {
            "status": "active",
            "jobLevel": 9 if number < BOSSES else self._dice.randint(1, 7),
            "department": f"H{self._seed} department {self._dice.randrange(8)}",
            "managerId": None if number < BOSSES else f"{boss}{self._dice.randrange(BOSSES)}",
            "startDate": "2021-04-01",
            "name": {"givenName": "Load", "familyName": f"Number {number}"},
            "emails": [{"value": f"{who.employee_id.lower()}@load.example", "primary": True}],
            "timezone": "UTC",
            "locale": "en",
        }
        return self._good(who, "hired", {"recordType": "full", **who.data})

    def _retitled(self, who: _Known) -> Sent:
        return self._patch(who, "retitled", {})

    def _promoted(self, who: _Known) -> Sent:
        return self._patch(who, "promoted", {"jobLevel": 1 + who.data["jobLevel"] % 90})

    def _transferred(self, who: _Known) -> Sent:
        department = f"H{self._seed} department {self._dice.randrange(8)}"
        if "-boss" in who.employee_id:
            return self._patch(who, "transferred", {"department": department})
        manager = f"H{self._seed}-boss{self._dice.randrange(BOSSES)}"
        change = {"department": department, "managerId": manager}
        return self._patch(who, "transferred", change)

    def _in_full(self, who: _Known) -> Sent | None:
        # A full record clears what it does not name, so it would undo what was announced.
        if who.announced:
            return None
        return self._good(who, "told in full", {"recordType": "full", **who.data})

    def _leaves_or_returns(self, who: _Known) -> Sent:
        if who.data["status"] == "left":
            return self._patch(who, "returned", {"status": "active", "terminationDate": None})
        last_day = self._effective.isoformat()
        return self._patch(who, "left", {"status": "left", "terminationDate": last_day})

    def _announced(self, who: _Known) -> Sent | None:
        """Of each person one change is announced, of a field that nothing else touches."""
        if who.announced:
            return None
        who.announced = True
        day = self._start.date() + timedelta(days=self._dice.randint(5, 400))
        data = {"recordType": "patch", "location": f"Hall {who.sequence + 1}"}
        return self._numbered(who, "announced", data, effective=day, facts=_columns(who.data))

    def _erased(self, who: _Known) -> Sent | None:
        if "-boss" in who.employee_id:
            return None
        who.gone = True
        who.sequence += 1
        data = {"employeeId": who.employee_id, "sequence": who.sequence}
        record = self._record(who, data, "erased", type=EmployeeErased.TYPE)
        return Sent(record, "applies", {"erased": True})

    # Repeated ones

    def _delivered_again(self, who: _Known) -> Sent:
        record = self._dice.choice(who.accepted)
        return Sent(_named(record, "delivered again"), "again")

    def _sent_again(self, who: _Known) -> Sent | None:
        """The same record under a new event id: known by its sequence and content."""
        if who.last is None:
            return None
        return Sent(self._with_id(who.last, "sent again under a new id"), "again")

    # Broken ones

    def _stale(self, who: _Known) -> Sent | None:
        if who.sequence < 3:
            return None
        sequence = self._dice.randint(0, who.sequence - 1)
        data = {"recordType": "patch", "title": "must not be seen"}
        return Sent(self._dated(who, data, sequence, "stale sequence"), "parked")

    def _id_reused(self, who: _Known) -> Sent:
        sequence = who.sequence + 1000
        data = {"recordType": "patch", "title": "must not be seen"}
        record = self._dated(who, data, sequence, "id used before")
        earlier = dict(self._dice.choice(who.accepted).headers)
        headers = {**dict(record.headers), "ce_id": earlier["ce_id"]}
        return Sent(
            RawRecord(record.key, record.value, tuple(headers.items()), record.what), "parked"
        )

    def _unreadable(self, who: _Known) -> Sent:
        """Broken in itself, though of a person whose other records are good."""
        data = {"recordType": "patch", "jobLevel": "high", "title": "must not be seen"}
        return Sent(self._dated(who, data, who.sequence + 1000, "unreadable"), "parked")

    def _broken_alone(self) -> Sent:
        if self._refused and self._dice.random() < 0.1:
            again = self._dice.choice(self._refused)
            return Sent(_named(again, "broken one delivered again"), "again")
        if not self._broken:
            self._rounds += 1
            template = {"status": "active", "jobLevel": 3, "department": "Nowhere"}
            template |= {"startDate": "2021-04-01", "title": "must not be seen"}
            self._broken = broken_records(
                _BROKEN_AT_ONCE,
                template,
                seed=self._seed % 10**6 * 1000 + self._rounds,
                now=self._start,
            )
        record = self._broken.pop(0)
        if record.what == "broken record":
            self._refused.append(record)
            return Sent(record, "parked")
        return Sent(record, "applies", {"status": "pending", "job_level": 3})

    # How they are made

    def _patch(self, who: _Known, what: str, change: dict[str, Any]) -> Sent:
        who.data |= change
        return self._good(who, what, {"recordType": "patch", **change})

    def _good(self, who: _Known, what: str, data: dict[str, Any]) -> Sent:
        title = f"{what} {who.sequence + 1}"
        who.data["title"] = title
        facts = _columns(who.data)
        return self._numbered(
            who, what, {**data, "title": title}, effective=self._effective, facts=facts
        )

    def _numbered(
        self,
        who: _Known,
        what: str,
        data: dict[str, Any],
        *,
        effective: date,
        facts: Mapping[str, Any],
    ) -> Sent:
        who.sequence += 1
        record = self._dated(who, data, who.sequence, what, effective=effective)
        who.last = record
        who.accepted.append(record)
        return Sent(record, "applies", facts)

    def _dated(
        self,
        who: _Known,
        data: dict[str, Any],
        sequence: int,
        what: str,
        *,
        effective: date | None = None,
    ) -> RawRecord:
        day = (effective or self._effective).isoformat()
        whole = {"employeeId": who.employee_id, "sequence": sequence, "effectiveDate": day, **data}
        return self._record(who, whole, what)

    def _record(self, who: _Known, data: dict[str, Any], what: str, **attributes: str) -> RawRecord:
        record = raw(
            data, key=who.employee_id, event_id=self._event_id(), now=self._start, what=what
        )
        if not attributes:
            return record
        changed = {f"ce_{name}": value.encode() for name, value in attributes.items()}
        headers = {**dict(record.headers), **changed}
        return RawRecord(record.key, record.value, tuple(headers.items()), what)

    def _with_id(self, record: RawRecord, what: str) -> RawRecord:
        headers = {**dict(record.headers), "ce_id": self._event_id().encode()}
        return RawRecord(record.key, record.value, tuple(headers.items()), what)

    def _event_id(self) -> str:
        self._numbers += 1
        return str(uuid5(_SPACE, f"{self._seed}/{self._numbers}"))


def _columns(data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "title": data["title"],
        "status": data["status"],
        "job_level": data["jobLevel"],
        "department": data["department"],
        "manager_id": data["managerId"],
    }


def _named(record: RawRecord, what: str) -> RawRecord:
    return RawRecord(record.key, record.value, record.headers, what)
