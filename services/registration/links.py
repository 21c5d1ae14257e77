"""What a signed one-click link does, for whom, and once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from uuid import UUID

from services.registration import answering, exchange, meetings, participation
from services.registration.domain.pairs import Answerer, Pair
from services.registration.domain.participation import Participant
from services.registration.domain.rules import RuleBroken, Unknown
from services.registration.domain.sessions import Session
from services.registration.store import links as used_links
from services.registration.store import pairs, participants, programmes, sessions
from services.registration.store.programmes import StoredProgramme
from shared.database import Transaction
from shared.links import Link


class LinkUsed(Exception):  # noqa: N818 - named by the fact
    """A link of this question acted before; `action` says which."""

    def __init__(self, action: str) -> None:
        super().__init__(action)
        self.action = action


class NotYetKnown(Exception):  # noqa: N818
    """The link is good, but what it is about has not reached us yet; it will in a moment."""


class NotForThisPerson(Exception):  # noqa: N818
    """The link is signed, but what it names has nothing to do with its person."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a link is about, as far as its page tells."""

    action: str
    employee_id: str
    programme: StoredProgramme | None = None
    pair: Pair | None = None
    session: Session | None = None
    participant: Participant | None = None
    score: int | None = None


@dataclass(frozen=True, slots=True)
class _Step:
    """What an action needs to know, and what it does."""

    find: Callable[[Transaction, Link], Awaitable[Subject]]
    act: Callable[[Transaction, Subject], Awaitable[object]]


async def act(tx: Transaction, link: Link, *, agreement: str | None = None) -> Subject:
    """Do what the link says, and use up all links of its question.

    `agreement` is the version that the page showed; None: not told. Raises LinkUsed, NotYetKnown,
    NotForThisPerson, or RuleBroken when the question was overtaken; then nothing is changed.
    """
    async with tx.savepoint():
        if not await used_links.use(tx.connection, link.group, link.action, tx.now):
            raise LinkUsed(await used_links.used_action(tx.connection, link.group) or link.action)
        subject = await _subject(tx, link)
        if agreement is not None and subject.action == "enrol":
            _check_agreement(subject, agreement)
        done = await _STEPS[subject.action].act(tx, subject)
    return replace(subject, participant=done) if isinstance(done, Participant) else subject


class _Rehearsed(Exception):  # noqa: N818
    """Takes everything back."""


async def rehearse(tx: Transaction, link: Link) -> Subject:
    """What the link would do now; changes nothing. Raises what `act` would raise."""
    try:
        async with tx.savepoint():
            subject = await act(tx, link)
            raise _Rehearsed
    except _Rehearsed:
        return subject


async def _subject(tx: Transaction, link: Link) -> Subject:
    named = _name_and_score(link.action)
    if named is None:
        raise NotForThisPerson
    name, score = named
    found = await _STEPS[name].find(tx, link)
    programme_id = link.programme_id
    for about in (found.participant, found.session, found.pair):
        programme_id = about.programme_id if about is not None else programme_id
    stored = None
    if programme_id is not None:
        stored = await programmes.programme(tx.connection, programme_id)
    return Subject(
        action=name,
        employee_id=link.employee_id,
        programme=stored,
        pair=found.pair,
        session=found.session,
        participant=found.participant,
        score=score,
    )


def _name_and_score(action: str) -> tuple[str, int | None] | None:
    if action in _STEPS and action not in _SCORES:
        return action, None
    kind, _, digits = action.partition("_")
    if kind in _SCORES and digits.isascii() and digits.isdigit() and int(digits) in _SCORES[kind]:
        return kind, int(digits)
    return None


def _check_agreement(subject: Subject, shown: str) -> None:
    if subject.programme is not None:
        in_force = subject.programme.programme.agreement_version
        if shown != in_force:
            raise RuleBroken(
                "agreement_version",
                "The agreement has changed since you opened this page.",
                "Open the link again, and read the new version.",
            )


async def _proposal(tx: Transaction, link: Link) -> Subject:
    """The pair to answer for, locked, whose turn it is or was."""
    pair = await _pair(tx, link.pair_id, lock=True)
    if await _answerer(tx, pair, link.employee_id) not in pair.asked:
        raise NotYetKnown
    return Subject(link.action, link.employee_id, pair=pair)


async def _answerer(tx: Transaction, pair: Pair, employee_id: str) -> Answerer:
    role = pair.role_of(employee_id)
    if role is not None:
        return role
    stored = await programmes.programme(tx.connection, pair.programme_id)
    if stored is None or stored.programme.manager_employee_id != employee_id:
        raise NotForThisPerson
    return "manager"


async def _formed_pair(tx: Transaction, link: Link) -> Subject:
    pair = await _pair(tx, link.pair_id)
    if pair.role_of(link.employee_id) is None:
        raise NotForThisPerson
    if pair.created_at is None:
        raise NotYetKnown
    session = None
    if link.session_id is not None:
        session = await sessions.session(tx.connection, link.session_id)
        if session is None or session.pair_id != pair.pair_id:
            raise NotForThisPerson
    return Subject(link.action, link.employee_id, pair=pair, session=session)


async def _pair(tx: Transaction, pair_id: UUID | None, *, lock: bool = False) -> Pair:
    if pair_id is None:
        raise NotForThisPerson
    pair = await pairs.pair(tx.connection, pair_id, lock=lock)
    if pair is None:
        # Matching told notifications and us at once; the mail was faster.
        raise NotYetKnown
    return pair


async def _own_session(tx: Transaction, link: Link) -> Subject:
    if link.session_id is None:
        raise NotForThisPerson
    try:
        session, _ = await meetings.own_session(tx, link.session_id, link.employee_id)
    except Unknown:
        raise NotForThisPerson from None
    if link.pair_id not in (None, session.pair_id):
        raise NotForThisPerson
    pair = await pairs.pair(tx.connection, session.pair_id)
    return Subject(link.action, link.employee_id, pair=pair, session=session)


async def _own_participation(tx: Transaction, link: Link) -> Subject:
    """The participation named, or the newest of the person in the programme named."""
    if link.participant_id is not None:
        one = await participants.participant(tx.connection, link.participant_id)
    elif link.programme_id is not None:
        theirs = await participants.participants_of_employee(tx.connection, link.employee_id)
        in_programme = [each for each in theirs if each.programme_id == link.programme_id]
        one = in_programme[-1] if in_programme else None
    else:
        one = None
    if (
        one is None
        or one.employee_id != link.employee_id
        or link.programme_id not in (None, one.programme_id)
    ):
        raise NotForThisPerson
    return Subject(link.action, link.employee_id, participant=one)


async def _accept(tx: Transaction, subject: Subject) -> None:
    await _answer(tx, subject, "accept")


async def _decline(tx: Transaction, subject: Subject) -> None:
    await _answer(tx, subject, "decline")


async def _answer(tx: Transaction, subject: Subject, choice: answering.Choice) -> None:
    assert subject.pair is not None
    by = await _answerer(tx, subject.pair, subject.employee_id)
    await answering.answer(tx, subject.pair, by, choice)


async def _log_session(tx: Transaction, subject: Subject) -> None:
    assert subject.session is not None
    await meetings.log(
        tx, subject.session.session_id, subject.employee_id, held=True, no_show_by=None
    )


async def _confirm_session(tx: Transaction, subject: Subject) -> None:
    assert subject.session is not None
    await meetings.confirm(tx, subject.session.session_id, subject.employee_id)


async def _dispute_session(tx: Transaction, subject: Subject) -> None:
    assert subject.session is not None
    await meetings.dispute(tx, subject.session.session_id, subject.employee_id)


async def _cancel_session(tx: Transaction, subject: Subject) -> None:
    assert subject.session is not None
    await meetings.cancel(tx, subject.session.session_id, subject.employee_id)


async def _pulse(tx: Transaction, subject: Subject) -> None:
    assert subject.pair is not None
    assert subject.score is not None
    await exchange.give_feedback(
        tx,
        subject.pair.pair_id,
        subject.employee_id,
        kind="pulse",
        score=subject.score,
        session_id=subject.session.session_id if subject.session else None,
    )


async def _nps(tx: Transaction, subject: Subject) -> None:
    assert subject.pair is not None
    assert subject.score is not None
    await exchange.give_feedback(
        tx, subject.pair.pair_id, subject.employee_id, kind="nps", score=subject.score
    )


async def _enrol(tx: Transaction, subject: Subject) -> Participant:
    assert subject.participant is not None
    return await participation.enrol_by_invitation(
        tx, subject.participant.programme_id, subject.employee_id
    )


async def _decline_invitation(tx: Transaction, subject: Subject) -> None:
    assert subject.participant is not None
    await participation.decline_invitation(tx, subject.participant.participant_id)


async def _complete_training(tx: Transaction, subject: Subject) -> Participant:
    assert subject.participant is not None
    return await participation.complete_training(tx, subject.participant.participant_id)


_SCORES = {"pulse": range(1, 6), "nps": range(11)}
_STEPS = {
    "accept": _Step(_proposal, _accept),
    "decline": _Step(_proposal, _decline),
    "log_session": _Step(_own_session, _log_session),
    "confirm_session": _Step(_own_session, _confirm_session),
    "dispute_session": _Step(_own_session, _dispute_session),
    "cancel_session": _Step(_own_session, _cancel_session),
    "pulse": _Step(_formed_pair, _pulse),
    "nps": _Step(_formed_pair, _nps),
    "enrol": _Step(_own_participation, _enrol),
    "decline_invitation": _Step(_own_participation, _decline_invitation),
    "complete_training": _Step(_own_participation, _complete_training),
}
