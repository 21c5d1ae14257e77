"""The sender: claims messages that are due, mails them, and records what became of each.

A claim and a record are short transactions; between them, with no transaction open, the mails go
out. A crash in between sends the mails of one claim again, with the same Message-IDs.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import chain
from uuid import UUID, uuid4

import structlog
from prometheus_client import Counter

from services.notifications.domain.ground import Known, has_ground
from services.notifications.domain.letter import Letter
from services.notifications.domain.quiet_hours import QuietHours
from services.notifications.domain.release import (
    Candidate,
    Contact,
    Defer,
    Fail,
    Send,
    Suppress,
    Verdict,
    verdict,
)
from services.notifications.mails.compose import Sender, Unmailable, compose
from services.notifications.settings import MailSettings, SmtpSettings
from services.notifications.smtp import Connection, NoAnswer, NotTaken, Refused, Unreachable
from services.notifications.store import messages
from services.notifications.store.circumstances import Circumstances, circumstances_of
from services.notifications.store.messages import Due
from shared.catalogue import Nudges
from shared.database import Database

log = structlog.get_logger()

MAILS = Counter("updraft_mails_total", "Mails tried, by outcome.", ["kind", "outcome"])

# Of a claim's time, so that nobody else claims what is on the wire.
_SEND_WITHIN = 0.75
_FINISH_WITHIN_SECONDS = 3.0
_ROUNDS_AT_ONCE = 20
_LONGEST_PAUSE_SECONDS = 30.0
_NOW = timedelta(0)


@dataclass(frozen=True)
class Claim:
    """Letters in this sender's hands; `now` is the moment at which they were released."""

    claim_id: UUID
    now: datetime
    letters: Sequence[Letter]
    due: dict[UUID, Due]


@dataclass
class Outcomes:
    """What became of the letters of a claim; a letter in none of these goes back untried."""

    sent: list[UUID] = field(default_factory=list)
    failed: dict[UUID, str] = field(default_factory=dict)
    retries: dict[UUID, timedelta] = field(default_factory=dict)
    unanswered: set[UUID] = field(default_factory=set)
    """Handed over, and the server did not say whether it took them."""
    stopped: bool = False
    """No further letter is begun."""


class MailJob:
    """Sends what is due; call `run` again and again."""

    def __init__(self, smtp: SmtpSettings, mail: MailSettings, sender: Sender) -> None:
        self._smtp = smtp
        self._mail = mail
        self._sender = sender
        self._connections = [Connection(smtp, sender.from_address) for _ in range(smtp.connections)]
        self._outages = 0
        self._pause_until = 0.0
        self._random = random.SystemRandom()

    async def run(self, database: Database) -> None:
        """Send until nothing is due, for a bounded number of rounds."""
        for _ in range(_ROUNDS_AT_ONCE):
            if time.monotonic() < self._pause_until:
                return
            claim = await self._claim(database)
            if claim is None:
                return
            await self._deliver(database, claim)

    async def close(self) -> None:
        """Hang up on the mail server."""
        for connection in self._connections:
            await connection.close()

    async def _claim(self, database: Database) -> Claim | None:
        """Decide about the next messages and claim those that go; None: nothing is due."""
        async with database.transaction() as tx:
            # One replica decides at a time, or two could exceed a person's daily cap together.
            if not await tx.try_lock("release mails"):
                return None
            due = await messages.due_messages(tx, self._smtp.batch)
            if not due:
                return None
            facts = await circumstances_of(tx, due)
            sent_on = await messages.mails_per_day(tx, due, (tx.now - timedelta(days=1)).date())
            verdicts = self._decide(due, facts, tx.now, sent_on)
            sends = {key: v for key, v in verdicts.items() if isinstance(v, Send)}
            settled = {key: v for key, v in verdicts.items() if isinstance(v, Suppress | Fail)}
            defers = {key: v for key, v in verdicts.items() if isinstance(v, Defer)}
            claim_id = uuid4()
            lease = timedelta(seconds=self._smtp.claim_seconds)
            await messages.settle(tx, settled)
            await messages.defer(tx, defers)
            await messages.claim(tx, sends, claim_id=claim_id, lease=lease)
            letters = [
                letter_of(each, facts, tx.now) for each in due if each.notification_id in sends
            ]
            return Claim(claim_id, tx.now, letters, {each.notification_id: each for each in due})

    def _decide(
        self,
        due: Sequence[Due],
        facts: Circumstances,
        now: datetime,
        sent_on: dict[tuple[str, date], int],
    ) -> dict[UUID, Verdict]:
        verdicts: dict[UUID, Verdict] = {}
        for each in due:
            decided = verdict(self._candidate(each, facts, now), now, sent_on)
            verdicts[each.notification_id] = decided
            if isinstance(decided, Send):
                key = (each.message.employee_id, decided.day)
                sent_on[key] = sent_on.get(key, 0) + 1
        return verdicts

    def _candidate(self, due: Due, facts: Circumstances, now: datetime) -> Candidate:
        message = due.message
        programme = facts.programmes.get(message.programme_id)
        nudges = Nudges() if programme is None else programme.nudges
        optional = {(message.employee_id, str(message.kind)), (message.employee_id, "*")}
        waited = now - due.owed_at >= timedelta(days=self._mail.address_wait_days)
        return Candidate(
            kind=message.kind,
            employee_id=message.employee_id,
            owed_at=due.owed_at,
            grounded=has_ground(message, _known(due, facts), now),
            programme_known=programme is not None,
            contact=facts.contacts.get(message.employee_id),
            employee_status=facts.employee_status.get(message.employee_id),
            unsubscribed=not optional.isdisjoint(facts.unsubscribed),
            quiet_hours=QuietHours(nudges.quiet_from, nudges.quiet_until),
            cap=nudges.mails_per_person_per_day,
            overdue=waited and due.recorded_seconds_ago >= self._mail.address_wait_seconds,
        )

    async def _deliver(self, database: Database, claim: Claim) -> None:
        outcomes = Outcomes()
        sending = asyncio.create_task(self._send_letters(claim, outcomes))
        try:
            await asyncio.wait({sending}, timeout=_SEND_WITHIN * self._smtp.claim_seconds)
        finally:
            # On the way out, too: mails on the wire are finished and recorded, or the restart
            # would send them again.
            outcomes.stopped = True
            await asyncio.wait({sending}, timeout=_FINISH_WITHIN_SECONDS)
            if sending.cancel():
                log.warning("mail_server_slow")
                await asyncio.wait({sending})
            await asyncio.shield(self._record(database, claim, outcomes))
        if not sending.cancelled():
            sending.result()

    async def _send_letters(self, claim: Claim, outcomes: Outcomes) -> None:
        # One after the other to one person: a booking is not to arrive before the pair it is for.
        by_person: defaultdict[str, list[Letter]] = defaultdict(list)
        for letter in claim.letters:
            by_person[letter.message.employee_id].append(letter)
        waiting = iter(by_person.values())
        connections = self._connections[: max(1, len(by_person))]
        await asyncio.gather(
            *(self._send_all(waiting, connection, claim, outcomes) for connection in connections)
        )

    async def _send_all(
        self,
        waiting: Iterator[Sequence[Letter]],
        connection: Connection,
        claim: Claim,
        outcomes: Outcomes,
    ) -> None:
        for letter in chain.from_iterable(waiting):
            try:
                await self._send(letter, connection, claim.due[letter.notification_id], outcomes)
            except Unreachable as error:
                self._pause(str(error))
                return
            if outcomes.stopped or time.monotonic() < self._pause_until:
                return

    async def _send(
        self, letter: Letter, connection: Connection, due: Due, outcomes: Outcomes
    ) -> None:
        """Send one letter and note its outcome. Raises Unreachable."""
        key, kind = letter.notification_id, str(letter.message.kind)
        try:
            mail = compose(letter, self._sender)
            outcomes.unanswered.add(key)
            await connection.send(letter.to.email or "", mail)
        except (Refused, Unmailable) as error:
            outcomes.failed[key] = str(error)
            MAILS.labels(kind, "refused").inc()
        except NoAnswer as error:
            self._try_later(due, str(error), outcomes)
            MAILS.labels(kind, "no answer").inc()
        except NotTaken as error:
            outcomes.unanswered.discard(key)
            self._try_later(due, str(error), outcomes)
            MAILS.labels(kind, "not taken").inc()
        except Unreachable:
            outcomes.unanswered.discard(key)
            raise
        except Exception as error:
            # A letter that cannot be written must not keep the others from going out.
            log.error("mail_not_written", kind=kind, notification=str(key), exc_info=error)
            self._try_later(due, "not written", outcomes)
        else:
            outcomes.sent.append(key)
            self._outages = 0
            MAILS.labels(kind, "sent").inc()

    def _try_later(self, due: Due, reason: str, outcomes: Outcomes) -> None:
        if due.trying_seconds >= self._smtp.give_up_seconds:
            outcomes.failed[due.notification_id] = f"gave up: {reason}"
            return
        doubled = self._smtp.retry_seconds * 2 ** min(due.attempts, 20)
        wait = min(self._smtp.retry_longest_seconds, doubled) * self._random.uniform(0.5, 1.5)
        outcomes.retries[due.notification_id] = timedelta(seconds=wait)

    def _pause(self, reason: str) -> None:
        if time.monotonic() < self._pause_until:
            return
        if self._outages == 0:
            log.warning("mail_server_unreachable", reason=reason)
        pause = min(_LONGEST_PAUSE_SECONDS, 0.25 * 2 ** min(self._outages, 10))
        self._outages += 1
        self._pause_until = time.monotonic() + pause * self._random.uniform(0.75, 1.25)

    async def _record(self, database: Database, claim: Claim, outcomes: Outcomes) -> None:
        known = {*outcomes.sent, *outcomes.failed, *outcomes.retries}
        for letter in claim.letters:
            key = letter.notification_id
            if key not in known:
                self._put_back(claim.due[key], outcomes)
        async with database.transaction() as tx:
            await messages.record_sent(
                tx, outcomes.sent, claim_id=claim.claim_id, sent_at=claim.now
            )
            await messages.record_failed(tx, outcomes.failed, claim_id=claim.claim_id)
            await messages.record_retries(
                tx, outcomes.retries, outcomes.unanswered, claim_id=claim.claim_id
            )

    def _put_back(self, due: Due, outcomes: Outcomes) -> None:
        """The server is away, not the mail at fault: the pause of the job is wait enough."""
        if due.trying_seconds >= self._smtp.give_up_seconds:
            outcomes.failed[due.notification_id] = "gave up: mail server unreachable"
        else:
            outcomes.retries[due.notification_id] = _NOW


def _known(due: Due, facts: Circumstances) -> Known:
    message = due.message
    programme = facts.programmes.get(message.programme_id)
    place = facts.places.get(message.participant_id) if message.participant_id else None
    session = facts.sessions.get(message.session_id) if message.session_id else None
    told = message.session_id is not None and (
        (message.session_id, message.employee_id) in facts.calendar_entries
    )
    return Known(
        programme_status=None if programme is None else programme.status,
        manager_employee_id=None if programme is None else programme.rules.manager_employee_id,
        participant=None if place is None else place.participant,
        pair=facts.pairs.get(message.pair_id) if message.pair_id else None,
        session=session,
        situation=facts.situations.get(message.pair_id) if message.pair_id else None,
        calendar_entry_sent=told,
    )


def letter_of(due: Due, facts: Circumstances, now: datetime) -> Letter:
    """The letter of a message whose recipient is known."""
    message = due.message
    programme = facts.programmes.get(message.programme_id)
    place = facts.places.get(message.participant_id) if message.participant_id else None
    session = facts.sessions.get(message.session_id) if message.session_id else None
    pair = facts.pairs.get(message.pair_id) if message.pair_id else None
    details = facts.details.get(message.pair_id) if message.pair_id else None
    situation = facts.situations.get(message.pair_id) if message.pair_id else None
    couple = pair or session
    to = facts.contacts[message.employee_id]
    rules = Nudges() if programme is None else programme.nudges
    training_open = profile_open = False
    if programme is not None and place is not None:
        training_open = programme.training_required and not place.trained
        profile_open = place.participant.status == "enrolled" and not training_open
    return Letter(
        notification_id=due.notification_id,
        message=message,
        now=now,
        to=to,
        programme=None if programme is None else programme.name,
        cadence_days=30 if programme is None else programme.cadence_days,
        session_minutes=60 if programme is None else programme.session_minutes,
        silence_end_days=rules.silence_end_days,
        training_open=training_open,
        profile_open=profile_open,
        mentor=_contact(facts, couple.mentor_employee_id if couple else None),
        mentee=_contact(facts, couple.mentee_employee_id if couple else None),
        topics=() if details is None else details.topics,
        answer_by=details.expires_at
        if details is not None and pair is not None and pair.status == "proposed"
        else None,
        session=session,
        sessions_held=0 if situation is None else len(situation.held),
        goals_reached=0 if situation is None else len(situation.goals),
        digest=facts.digests.get(due.notification_id),
    )


def _contact(facts: Circumstances, employee_id: str | None) -> Contact | None:
    return None if employee_id is None else facts.contacts.get(employee_id)
