"""What the topics say after the play: events by type, and whether any pair ever broke a rule."""

from __future__ import annotations

import bisect
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from deploy.local.broker import topics
from deploy.reading import raw_records
from shared.catalogue import (
    BY_TYPE,
    EmployeeUpdated,
    NotificationSent,
    PairFact,
    ParticipantFact,
    SessionFact,
)

_LIVING = ("active", "paused")


@dataclass
class Told:
    """Everything that was published, as far as the closing tables and checks need it."""

    by_topic: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    employees: dict[str, list[EmployeeUpdated]] = field(default_factory=lambda: defaultdict(list))
    participants: dict[str, ParticipantFact] = field(default_factory=dict)
    pairs: dict[str, list[PairFact]] = field(default_factory=lambda: defaultdict(list))
    sessions: dict[str, SessionFact] = field(default_factory=dict)
    mail_delays: list[timedelta] = field(default_factory=list)
    """How long proposals waited to be mailed, in programme time."""


async def read_topics(bootstrap_servers: str) -> Told:
    """Read all topics from the start to where they end now."""
    told = Told()
    async for record in raw_records(bootstrap_servers, [topic.name for topic in topics()]):
        _note(told, record.topic, dict(record.headers), record.value)
    return told


def _note(told: Told, topic: str, headers: Mapping[str, bytes], value: bytes | None) -> None:
    kind = headers.get("ce_type", b"").decode("utf-8", "replace") or "(no type)"
    told.by_topic[topic][kind if value is not None else "tombstone"] += 1
    event_type = BY_TYPE.get(kind)
    if value is None or event_type is None or topic == "hr.employees":
        return
    if issubclass(event_type, EmployeeUpdated):
        employee = event_type.model_validate_json(value)
        told.employees[employee.employee_id].append(employee)
    elif issubclass(event_type, PairFact):
        pair = event_type.model_validate_json(value)
        told.pairs[str(pair.pair_id)].append(pair)
    elif issubclass(event_type, ParticipantFact):
        participant = event_type.model_validate_json(value)
        known = told.participants.get(str(participant.participant_id))
        if known is None or known.version < participant.version:
            told.participants[str(participant.participant_id)] = participant
    elif issubclass(event_type, NotificationSent):
        sent = event_type.model_validate_json(value)
        if sent.kind == "proposal":
            told.mail_delays.append(sent.sent_at - sent.owed_at)
    elif issubclass(event_type, SessionFact):
        session = event_type.model_validate_json(value)
        before = told.sessions.get(str(session.session_id))
        if before is None or before.version < session.version:
            told.sessions[str(session.session_id)] = session


def formed_pairs(told: Told) -> list[PairFact]:
    """The newest state of every pair that both people agreed to."""
    newest = (max(facts, key=lambda fact: fact.version) for facts in told.pairs.values())
    return [fact for fact in newest if fact.created_at is not None]


def never_paired(told: Told) -> list[str]:
    """Participants who are ready and were in no pair, as participant ids in a fixed order."""
    paired = {str(side) for fact in formed_pairs(told) for side in (fact.mentor_id, fact.mentee_id)}
    return sorted(
        participant_id
        for participant_id, one in told.participants.items()
        if one.status == "ready" and participant_id not in paired
    )


def violations(told: Told, *, grace: timedelta) -> list[str]:
    """Every breach of a hard rule by a pair that lived, in plain words.

    The guard needs a moment to learn of a change: what was known `grace` before a pair was formed
    or closed must have been respected.
    """
    lives = [_Life(sorted(facts, key=lambda fact: fact.version)) for facts in told.pairs.values()]
    formed = [life for life in lives if life.created is not None]
    found = list(_repeated(lives))
    found += _over_capacity(formed, told.participants)
    history = _History(told.employees)
    for life in formed:
        found += _broken_rules(life, told.participants, history, grace)
    return found


@dataclass(frozen=True)
class _Life:
    """All states of one pair, oldest first."""

    facts: Sequence[PairFact]

    @property
    def last(self) -> PairFact:
        return self.facts[-1]

    @property
    def created(self) -> datetime | None:
        return self.last.created_at

    @property
    def closed(self) -> datetime | None:
        return None if self.last.status in _LIVING else self.last.closed_at

    @property
    def name(self) -> str:
        return f"pair {self.last.mentor_employee_id} → {self.last.mentee_employee_id}"


class _History:
    """Who had which record when, by the moment at which it both held and was known."""

    def __init__(self, employees: Mapping[str, list[EmployeeUpdated]]) -> None:
        self._states = {}
        for employee_id, states in employees.items():
            ordered = sorted(states, key=lambda state: state.version)
            moments = [max(s.effective_from, s.received_at or s.effective_from) for s in ordered]
            self._states[employee_id] = (moments, ordered)

    def at(self, employee_id: str, moment: datetime) -> EmployeeUpdated | None:
        """The record in force at a moment."""
        moments, states = self._states.get(employee_id, ([], []))
        index = bisect.bisect_right(moments, moment) - 1
        return states[index] if index >= 0 else None

    def chain(self, employee_id: str, moment: datetime) -> list[str]:
        """Managers above a person at a moment, nearest first."""
        above: list[str] = []
        record = self.at(employee_id, moment)
        while record is not None and record.manager_id and record.manager_id not in above:
            above.append(record.manager_id)
            record = self.at(record.manager_id, moment)
        return above


def _repeated(lives: Sequence[_Life]) -> Iterator[str]:
    seen: Counter[tuple[object, ...]] = Counter()
    for life in lives:
        key = (life.last.programme_id, life.last.mentor_employee_id, life.last.mentee_employee_id)
        seen[key] += 1
        if seen[key] == 2:
            yield f"{life.name}: proposed more than once"


def _over_capacity(
    formed: Sequence[_Life], participants: Mapping[str, ParticipantFact]
) -> Iterator[str]:
    by_person: dict[str, list[tuple[datetime, int]]] = defaultdict(list)
    for life in formed:
        for person in (str(life.last.mentor_id), str(life.last.mentee_id)):
            assert life.created is not None
            by_person[person].append((life.created, 1))
            if life.closed is not None:
                by_person[person].append((life.closed, -1))
    for person, changes in by_person.items():
        participant = participants.get(person)
        if participant is None:
            yield f"participant {person}: paired but unknown"
            continue
        living = highest = 0
        for _, change in sorted(changes):
            living += change
            highest = max(highest, living)
        if highest > participant.capacity:
            allowed = participant.capacity
            yield f"{participant.employee_id}: {highest} pairs at once, {allowed} allowed"


def _broken_rules(
    life: _Life, participants: Mapping[str, ParticipantFact], history: _History, grace: timedelta
) -> Iterator[str]:
    mentor, mentee = life.last.mentor_employee_id, life.last.mentee_employee_id
    assert life.created is not None
    moments = [life.created - grace]
    # A pair that the guard itself ended was rightly in breach when it closed.
    if life.closed is not None and life.last.reason is None:
        moments.append(max(life.created, life.closed - grace))
    for moment in moments:
        up, down = history.chain(mentor, moment), history.chain(mentee, moment)
        if mentee in up or mentor in down:
            yield f"{life.name}: in one reporting line on {moment.date()}"
        if up and down and up[0] == down[0]:
            yield f"{life.name}: same manager on {moment.date()}"
    one, other = (
        participants.get(str(life.last.mentor_id)),
        participants.get(str(life.last.mentee_id)),
    )
    if one is None or other is None:
        return
    if other.employee_id in one.blocks or one.employee_id in other.blocks:
        yield f"{life.name}: blocked"
    if not set(one.languages) & set(other.languages):
        yield f"{life.name}: no common language"
