"""Events in: keep the newest state of what mails depend on, and owe the messages it leads to."""

from __future__ import annotations

from collections.abc import Sequence

from services.notifications.domain.digest_week import next_monday
from services.notifications.domain.facts import Pair, Participant, Session
from services.notifications.domain.messages import (
    owed_for_pair,
    owed_for_participant,
    owed_for_session,
)
from services.notifications.store import messages, projections, situations
from services.notifications.store.projections import newest
from shared.catalogue import (
    ContactUpdated,
    EmployeeUpdated,
    FeedbackGiven,
    GoalReached,
    KpiMeasured,
    MatchRunCompleted,
    PairFact,
    ParticipantFact,
    ProgrammeFact,
    SessionFact,
)
from shared.database import Transaction
from shared.handlers import Handlers

handlers = Handlers()


@handlers.batch(ContactUpdated)
async def remember_contacts(events: Sequence[ContactUpdated], tx: Transaction) -> None:
    """Keep addresses; what waited for one can go."""
    changed = await projections.remember_contacts(tx, newest(events, "employee_id"))
    await messages.wake_messages_to(tx, sorted(changed))


@handlers.tombstones(ContactUpdated.TOPIC)
async def forget_contacts(keys: Sequence[str], tx: Transaction) -> None:
    """Erase people; what we owed them is not sent."""
    await projections.forget_contacts(tx, keys)
    await messages.suppress_all_to(tx, keys, "erased")


@handlers.batch(EmployeeUpdated)
async def remember_employees(events: Sequence[EmployeeUpdated], tx: Transaction) -> None:
    """Keep who works here; nobody who left is mailed."""
    await projections.remember_employees(tx, newest(events, "employee_id"))


@handlers.batch(ProgrammeFact)
async def apply_programme_rules(events: Sequence[ProgrammeFact], tx: Transaction) -> None:
    """Keep the rules; ask managers about proposals that came before we knew who they are."""
    programmes = newest(events, "programme_id")
    changed = await projections.remember_programmes(
        tx, programmes, first_digest_at=next_monday(tx.now)
    )
    await projections.look_again_at_programmes(tx, sorted(changed))
    managers = {p.programme_id: p.manager_employee_id for p in programmes}
    waiting = await situations.proposals_awaiting_manager(tx, sorted(changed))
    await messages.owe(
        tx,
        [owed for pair in waiting for owed in owed_for_pair(pair, managers[pair.programme_id])],
    )


@handlers.batch(ParticipantFact)
async def invite_and_welcome(events: Sequence[ParticipantFact], tx: Transaction) -> None:
    """Owe an invitation to those invited and a welcome to those who joined."""
    latest = newest(events, "participant_id")
    changed = await projections.remember_participants(tx, latest)
    await messages.owe(
        tx,
        [
            owed
            for event in latest
            if event.participant_id in changed
            for owed in owed_for_participant(_participant(event))
        ],
    )


@handlers.batch(PairFact)
async def tell_about_pairs(events: Sequence[PairFact], tx: Transaction) -> None:
    """Owe what the two, or their manager, are told about the state that a pair came to."""
    latest = newest(events, "pair_id")
    changed = await projections.remember_pairs(tx, events)
    programmes = await situations.programmes_of(tx, {event.programme_id for event in latest})
    owed = []
    for event in latest:
        if event.pair_id in changed:
            programme = programmes.get(event.programme_id)
            manager = None if programme is None else programme.rules.manager_employee_id
            owed += owed_for_pair(_pair(event), manager)
    await messages.owe(tx, owed)


@handlers.batch(SessionFact)
async def tell_about_sessions(events: Sequence[SessionFact], tx: Transaction) -> None:
    """Owe calendar entries and requests to confirm; have the nudge rules look at the pairs."""
    latest = newest(events, "session_id")
    changed = await projections.remember_sessions(tx, events)
    changes = [event for event in latest if event.session_id in changed]
    await projections.look_again_at_pairs(tx, sorted({event.pair_id for event in changes}))
    await messages.owe(
        tx, [owed for event in changes for owed in owed_for_session(_session(event), tx.now)]
    )


@handlers.batch(FeedbackGiven)
async def remember_pulses(events: Sequence[FeedbackGiven], tx: Transaction) -> None:
    """Keep who gave their pulse, so that nobody is asked again."""
    pulses = [e for e in events if e.kind == "pulse" and e.session_id is not None]
    await projections.remember_pulses(tx, pulses)


@handlers.batch(GoalReached)
async def celebrate_goals(events: Sequence[GoalReached], tx: Transaction) -> None:
    """Keep goals reached; the nudge rules make a recognition of them."""
    await projections.remember_goals(tx, events)
    await projections.look_again_at_pairs(tx, sorted({event.pair_id for event in events}))


@handlers.batch(KpiMeasured)
async def remember_kpis(events: Sequence[KpiMeasured], tx: Transaction) -> None:
    """Keep the figures of whole programmes for the digest."""
    whole = [e for e in events if e.dimension == "all" and e.period.kind == "programme"]
    await projections.remember_kpis(tx, whole)


@handlers.batch(MatchRunCompleted)
async def remember_match_runs(events: Sequence[MatchRunCompleted], tx: Transaction) -> None:
    """Keep how many people wait for a partner, for the digest."""
    await projections.remember_match_runs(tx, events)


def _participant(event: ParticipantFact) -> Participant:
    return Participant(
        participant_id=event.participant_id,
        programme_id=event.programme_id,
        employee_id=event.employee_id,
        role=event.role,
        status=event.status,
        invited_at=event.invited_at,
        enrolled_at=event.enrolled_at,
    )


def _pair(event: PairFact) -> Pair:
    return Pair(
        pair_id=event.pair_id,
        programme_id=event.programme_id,
        mentor_employee_id=event.mentor_employee_id,
        mentee_employee_id=event.mentee_employee_id,
        status=event.status,
        awaiting=event.awaiting,
        asked_at=event.asked_at,
        created_at=event.created_at,
        reason=event.reason,
        left_by=event.left_by,
    )


def _session(event: SessionFact) -> Session:
    return Session(
        session_id=event.session_id,
        pair_id=event.pair_id,
        programme_id=event.programme_id,
        mentor_employee_id=event.mentor_employee_id,
        mentee_employee_id=event.mentee_employee_id,
        version=event.version,
        status=event.status,
        starts_at=event.starts_at,
        minutes=event.minutes,
        logged_by=event.logged_by,
        logged_at=event.logged_at,
        held=event.held,
    )
