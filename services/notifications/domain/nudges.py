"""Nudges: the moments at which a pair's situation calls for a reminder, and to whom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from services.notifications.domain.facts import SIDES, Goal, Pair, Recipient, Rules, Session
from services.notifications.domain.kinds import Kind
from services.notifications.domain.messages import Owed, session_message, stamp

LOG_REQUEST_TO_MENTEE = timedelta(days=2)
"""The mentor is asked first; when nothing was logged for so long, the mentee is asked."""
REQUESTS_LAPSE = timedelta(days=30)
"""Nobody remembers a meeting that is longer ago."""
UNLOGGED_GRACE = timedelta(days=7)
"""So long a booked session that nobody has logged yet counts as a sign of life."""
MIDPOINT_LAPSES = timedelta(days=14)
CELEBRATIONS_LAPSE = timedelta(days=14)
MILESTONES = (3, 6)
"""Sessions held that are worth a word; six in six months is the dose that practice advises."""
CANCELLATIONS_TO_SENIOR = 2
CANCELLATIONS_TO_SPONSOR = 3


@dataclass(frozen=True)
class Situation:
    """All that the nudge rules look at for one pair."""

    pair: Pair
    rules: Rules
    sessions: tuple[Session, ...] = ()
    goals: tuple[Goal, ...] = ()

    @property
    def held(self) -> list[Session]:
        """Sessions that took place, oldest first."""
        return sorted((s for s in self.sessions if s.took_place), key=lambda s: s.starts_at)

    @property
    def quiet_since(self) -> datetime | None:
        """Since when nothing happened: the last session's end, the creation, or a pause's end."""
        starts = [m for m in (self.pair.created_at, self.pair.active_since) if m is not None]
        return max([*starts, *(s.ends_at for s in self.held)], default=None)

    @property
    def booked_until(self) -> datetime | None:
        """The end of the latest booking of which nobody has said yet what became of it."""
        return max((s.ends_at for s in self.sessions if s.status == "scheduled"), default=None)

    @property
    def cancelled_in_a_row(self) -> list[Session]:
        """The sessions that people called off since the last one held, oldest first."""
        last = max((s.starts_at for s in self.held), default=None)
        called_off = [
            s
            for s in self.sessions
            if s.status == "cancelled"
            and s.cancelled_by in SIDES
            and s.cancelled_at is not None
            and (last is None or s.starts_at > last)
        ]
        return sorted(called_off, key=lambda s: s.cancelled_at or s.starts_at)


@dataclass(frozen=True)
class Occasion:
    """A message that is due from `at` on and pointless from `until` on."""

    at: datetime
    until: datetime | None
    message: Owed


def due_nudges(situation: Situation, now: datetime) -> list[Owed]:
    """The messages whose moment has come and has not passed."""
    return [
        occasion.message
        for occasion in occasions(situation)
        if occasion.at <= now and (occasion.until is None or now < occasion.until)
    ]


def next_look(situation: Situation, now: datetime) -> datetime | None:
    """The next moment at which another nudge comes due if nothing else happens."""
    return min((o.at for o in occasions(situation) if o.at > now), default=None)


def occasions(situation: Situation) -> Iterator[Occasion]:
    """Every nudge that the present situation leads to, each with its moment."""
    if situation.pair.status == "proposed":
        yield from _unanswered(situation)
        return
    if situation.pair.created_at is None:
        return
    if situation.pair.status in ("active", "paused", "completed"):
        yield from _around_sessions(situation)
        yield from _celebrations(situation)
    if situation.pair.status == "active":
        yield from _silence(situation)
        yield from _cancellations(situation)
        yield from _midpoint(situation)


def _unanswered(situation: Situation) -> Iterator[Occasion]:
    pair, rules = situation.pair, situation.rules
    if pair.awaiting is None or pair.asked_at is None:
        return
    asked = (
        rules.manager_employee_id if pair.awaiting == "manager" else pair.employee(pair.awaiting)
    )
    if asked is None:
        return
    waits = sorted(set(rules.proposal_unanswered))
    for wait, following in zip(waits, [*waits[1:], None], strict=True):
        yield Occasion(
            at=pair.asked_at + wait,
            until=None if following is None else pair.asked_at + following,
            message=_pair_message(
                situation,
                Kind.PROPOSAL_REMINDER,
                pair.awaiting,
                asked,
                f"{pair.awaiting}:{wait.days}",
            ),
        )


def _around_sessions(situation: Situation) -> Iterator[Occasion]:
    rules = situation.rules
    for session in situation.sessions:
        if session.status == "scheduled":
            yield from _reminder(session, rules)
            yield from _log_requests(session)
        elif session.took_place:
            yield from _feedback_requests(session, rules)


def _reminder(session: Session, rules: Rules) -> Iterator[Occasion]:
    at = session.starts_at - rules.reminder_before
    if session.booked_at is None or session.booked_at >= at:
        # Booked at short notice: the invitation itself is the reminder.
        return
    for role in SIDES:
        message = session_message(session, Kind.SESSION_REMINDER, role)
        yield Occasion(at, session.starts_at, message)


def _log_requests(session: Session) -> Iterator[Occasion]:
    until = session.ends_at + REQUESTS_LAPSE
    to_mentor = session_message(session, Kind.SESSION_LOG_REQUEST, "mentor")
    to_mentee = session_message(session, Kind.SESSION_LOG_REQUEST, "mentee")
    yield Occasion(session.ends_at, until, to_mentor)
    yield Occasion(session.ends_at + LOG_REQUEST_TO_MENTEE, until, to_mentee)


def _feedback_requests(session: Session, rules: Rules) -> Iterator[Occasion]:
    at = session.ends_at + rules.feedback_after
    for role in SIDES:
        if role not in session.pulses:
            message = Owed(
                kind=Kind.FEEDBACK_REQUEST,
                employee_id=session.employee(role),
                recipient=role,
                # Without the version: a confirmation after the log is no second occasion.
                key=f"{Kind.FEEDBACK_REQUEST}:{session.session_id}:{role}",
                programme_id=session.programme_id,
                pair_id=session.pair_id,
                session_id=session.session_id,
            )
            yield Occasion(at, at + REQUESTS_LAPSE, message)


def _silence(situation: Situation) -> Iterator[Occasion]:
    """The longer nothing happens, the clearer the word; only the clearest one due is sent."""
    since, rules = situation.quiet_since, situation.rules
    if since is None:
        return
    booked_until = situation.booked_until
    not_before = since if booked_until is None else booked_until + UNLOGGED_GRACE
    steps = [(2 * rules.cadence, Kind.STALLED), (rules.silence, Kind.SILENCE_WARNING)]
    if situation.held:
        steps.append((rules.cadence / 2, Kind.CADENCE_MISSED))
    else:
        steps.append((rules.no_first_session, Kind.NO_FIRST_SESSION))
    steps.sort(key=lambda step: step[0])
    ends = [since + wait for wait, _ in steps[1:]]
    for (wait, kind), until in zip(steps, [*ends, None], strict=True):
        at = max(since + wait, not_before)
        if until is None or at < until:
            for role in SIDES:
                message = _to_side(situation, kind, role, f"{stamp(since)}:{role}")
                yield Occasion(at, until, message)


def _cancellations(situation: Situation) -> Iterator[Occasion]:
    row = situation.cancelled_in_a_row
    if len(row) >= CANCELLATIONS_TO_SENIOR:
        second = row[CANCELLATIONS_TO_SENIOR - 1]
        yield Occasion(
            at=second.cancelled_at or second.starts_at,
            until=None,
            message=_to_side(
                situation,
                Kind.TWO_CANCELLATIONS,
                "mentee",
                f"{second.session_id}:mentee",
            ),
        )
    sponsor = situation.rules.sponsor_employee_id
    if len(row) >= CANCELLATIONS_TO_SPONSOR and sponsor not in (
        None,
        situation.pair.mentor_employee_id,
        situation.pair.mentee_employee_id,
    ):
        third = row[CANCELLATIONS_TO_SPONSOR - 1]
        yield Occasion(
            at=third.cancelled_at or third.starts_at,
            until=None,
            message=_pair_message(
                situation,
                Kind.TWO_CANCELLATIONS,
                "sponsor",
                sponsor,
                f"{third.session_id}:sponsor",
            ),
        )


def _midpoint(situation: Situation) -> Iterator[Occasion]:
    at = situation.rules.midpoint
    if situation.pair.created_at is not None and situation.pair.created_at < at:
        for role in SIDES:
            message = _to_side(situation, Kind.MIDPOINT, role, role)
            yield Occasion(at, at + MIDPOINT_LAPSES, message)


def _celebrations(situation: Situation) -> Iterator[Occasion]:
    for count in MILESTONES:
        if len(situation.held) >= count:
            at = situation.held[count - 1].ends_at
            yield from _recognition(situation, at, str(count))
    for goal in situation.goals:
        yield from _recognition(situation, goal.reached_at, f"goal:{goal.goal_id}")


def _recognition(situation: Situation, at: datetime, what: str) -> Iterator[Occasion]:
    for role in SIDES:
        message = _to_side(situation, Kind.RECOGNITION, role, f"{what}:{role}")
        yield Occasion(at, at + CELEBRATIONS_LAPSE, message)


def _to_side(
    situation: Situation,
    kind: Kind,
    role: Recipient,
    occasion: str,
) -> Owed:
    employee = situation.pair.employee("mentor" if role == "mentor" else "mentee")
    return _pair_message(situation, kind, role, employee, occasion)


def _pair_message(
    situation: Situation,
    kind: Kind,
    recipient: Recipient,
    employee_id: str | None,
    occasion: str,
) -> Owed:
    pair_id: UUID = situation.pair.pair_id
    return Owed(
        kind=kind,
        employee_id=employee_id or "",
        recipient=recipient,
        key=f"{kind}:{pair_id}:{occasion}",
        programme_id=situation.pair.programme_id,
        pair_id=pair_id,
    )
