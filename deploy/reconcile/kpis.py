"""The main KPIs of a programme, computed once more from its events in the plainest way.

By the definitions that `GET /programmes/{id}/kpis` tells, and by nothing else.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from typing import TypeVar
from uuid import UUID

from deploy.reconcile.topics import Topics
from shared.catalogue import (
    EmployeeUpdated,
    FeedbackGiven,
    GoalFact,
    NotificationFact,
    NotificationFailed,
    NotificationSent,
    PairFact,
    ParticipantFact,
    ProgrammeFact,
    SessionFact,
)

Figure = tuple[float, float, float | None]
"""Numerator, denominator and value."""

Expected = dict[str, Figure]
"""Figures by KPI."""

_DAY = timedelta(days=1)
S = TypeVar("S", EmployeeUpdated, ParticipantFact, PairFact)


class Recount:
    """One programme as of a moment."""

    def __init__(self, topics: Topics, programme_id: UUID, now: datetime) -> None:
        self.now = now
        mine = [one for one in topics.of(ProgrammeFact) if one.programme_id == programme_id]
        self.rules = max(mine, key=lambda one: one.version)
        closings = [one.changed_at for one in mine if one.status == "closed"]
        end = datetime.combine(self.rules.ends_on, time(), UTC)
        self.then = min(now, min([end, *closings]) - timedelta(microseconds=1))
        """The moment as of which states are told: at the latest the programme's last."""
        people = topics.of(EmployeeUpdated)
        self.people = _as_of(people, "employee_id", "effective_from", self.then)
        of_mine = [one for one in topics.of(ParticipantFact) if one.programme_id == programme_id]
        self.participations = of_mine
        self.participants = _as_of(of_mine, "participant_id", "changed_at", self.then)
        pairs = [one for one in topics.of(PairFact) if one.programme_id == programme_id]
        self.pairs = _as_of(pairs, "pair_id", "changed_at", now)
        self.pairs_then = _as_of(pairs, "pair_id", "changed_at", self.then)
        sessions: dict[UUID, SessionFact] = {}
        for one in topics.of(SessionFact):
            known = sessions.get(one.session_id)
            if one.programme_id == programme_id and (not known or known.version < one.version):
                sessions[one.session_id] = one
        self.sessions = list(sessions.values())
        self.feedback = {
            one.feedback_id: one
            for one in topics.of(FeedbackGiven)
            if one.programme_id == programme_id and one.given_at <= now
        }.values()
        self.goals: dict[UUID, bool] = {}
        for goal in topics.of(GoalFact):
            if goal.programme_id == programme_id and goal.set_at <= now:
                reached = goal.reached_at is not None and goal.reached_at <= now
                self.goals[goal.goal_id] = self.goals.get(goal.goal_id, False) or reached
        self.outcomes = {
            one.notification_id: one
            for one in topics.of(NotificationFact)
            if one.programme_id == programme_id and one.owed_at <= now
        }.values()

    def all(self) -> Expected:
        """Every KPI that is computed here."""
        return {
            "participation_rate": self._participation_rate(),
            "match_rate": self._match_rate(),
            "leader_coverage": self._leader_coverage(),
            "proposal_acceptance": self._proposal_acceptance(),
            "first_session_14d": self._first_session(),
            "cadence_adherence": self._cadence_adherence(),
            "stalled_pairs": self._stalled_pairs(),
            "completion_rate": self._completion_rate(),
            "satisfaction": _share(
                [one.score for one in self.feedback if one.kind == "pulse"],
            ),
            "nps": self._nps(),
            "goal_attainment": _share(list(self.goals.values())),
            "cross_department_share": _share([one.cross_department for one in self._created()]),
            "notification_delivery_rate": self._delivery(),
            **self._cancellations(),
            **self._time_to_match(),
        }

    def _eligible(self) -> tuple[set[str], set[str]]:
        """Who could be a mentor, and who a mentee."""
        rules, audience = self.rules, self.rules.audience
        admitted = [
            one
            for one in self.people
            if one.status == "active"
            and one.department in (audience.departments or [one.department])
            and (not audience.countries or one.country in audience.countries)
            and (self.then.date() - one.start_date).days >= audience.min_tenure_days
        ]
        juniors = [one for one in admitted if one.job_level <= audience.mentor_max_level]
        seniors = [one for one in admitted if one.job_level >= audience.mentee_min_level]
        top = max((one.job_level for one in seniors), default=0)
        bottom = min((one.job_level for one in juniors), default=0)
        gap = rules.min_level_gap
        return (
            {one.employee_id for one in juniors if one.job_level + gap <= top},
            {one.employee_id for one in seniors if one.job_level - gap >= bottom},
        )

    def _participation_rate(self) -> Figure:
        mentors, mentees = self._eligible()
        ready = {
            one.employee_id
            for one in self.participations
            if one.ready_at is not None and one.ready_at <= self.then
        }
        return _share([one in ready for one in mentors | mentees])

    def _match_rate(self) -> Figure:
        paired = set()
        for pair in self.pairs_then:
            if pair.status == "active":
                paired |= {pair.mentor_id, pair.mentee_id}
        waiting = [one for one in self.participants if one.status in ("ready", "paused")]
        return _share([one.participant_id in paired for one in waiting])

    def _leader_coverage(self) -> Figure:
        _, seniors = self._eligible()
        led = {one.mentee_employee_id for one in self.pairs_then if one.status == "active"}
        return _share([one in led for one in seniors])

    def _proposal_acceptance(self) -> Figure:
        lost = [one for one in self.pairs if one.status in ("declined", "expired")]
        formed = len(self._created())
        return _ratio(formed, formed + len(lost))

    def _first_session(self) -> Figure:
        due = [one for one in self._created() if self._age(one) >= 14 * _DAY]
        met = {
            (one.pair_id, pair.pair_id)
            for pair in due
            for one in self._held()
            if one.pair_id == pair.pair_id and one.starts_at - self._since(pair) <= 14 * _DAY
        }
        return _ratio(len(met), len(due))

    def _cadence_adherence(self) -> Figure:
        held = Counter(one.pair_id for one in self._held() if one.starts_at <= self.then)
        shares = []
        for pair in self.pairs_then:
            if pair.created_at is None:
                continue
            end = pair.closed_at or (pair.paused_at if pair.status == "paused" else self.then)
            active = (end or self.then) - pair.created_at - pair.paused_days * _DAY
            due = active // (self.rules.cadence_days * _DAY)
            if due >= 1:
                shares.append(min(1.0, held[pair.pair_id] / due))
        return _share(shares)

    def _stalled_pairs(self) -> Figure:
        silence = 2 * self.rules.cadence_days * _DAY
        last: dict[UUID, datetime] = {}
        for one in self._held():
            last[one.pair_id] = max(one.starts_at, last.get(one.pair_id, one.starts_at))
        booked = {
            one.pair_id
            for one in self.sessions
            if one.status == "scheduled" and one.starts_at > self.now
        }
        active = [one for one in self.pairs if one.status == "active"]
        quiet = [
            one
            for one in active
            if one.pair_id not in booked
            and self._age(one) >= silence
            and self.now - last.get(one.pair_id, self._since(one)) >= silence
        ]
        return len(quiet), len(active), len(quiet)

    def _completion_rate(self) -> Figure:
        completed = sum(one.status == "completed" for one in self.pairs)
        ended = sum(one.status == "ended" and one.reason != "leaver" for one in self.pairs)
        return _ratio(completed, completed + ended)

    def early_ends(self) -> Expected:
        """By reason instead of by KPI."""
        created = self._created()
        reasons = Counter(one.reason for one in created if one.status == "ended" and one.reason)
        return {reason: _ratio(count, len(created)) for reason, count in reasons.items()}

    def _nps(self) -> Figure:
        scores = [one.score for one in self.feedback if one.kind == "nps"]
        net = sum(score >= 9 for score in scores) - sum(score <= 6 for score in scores)
        return net, len(scores), 100 * net / len(scores) if scores else None

    def _delivery(self) -> Figure:
        sent = sum(isinstance(one, NotificationSent) for one in self.outcomes)
        failed = sum(isinstance(one, NotificationFailed) for one in self.outcomes)
        return _ratio(sent, sent + failed)

    def _cancellations(self) -> Expected:
        """Rate, the seniors' share, and no-shows."""
        off = [
            one
            for one in self.sessions
            if one.cancelled_by in ("mentor", "mentee")
            and one.cancelled_at is not None
            and one.cancelled_at <= self.now
        ]
        come = [
            one
            for one in self.sessions
            if one.scheduled_by and one.status != "cancelled" and one.starts_at <= self.now
        ]
        told = [one.held for one in come if one.status in ("logged", "confirmed")]
        return {
            "cancellation_rate": _ratio(len(off), len(off) + len(come)),
            "senior_cancel_share": _share([one.cancelled_by == "mentee" for one in off]),
            "no_show_rate": _share([held is False for held in told if held is not None]),
        }

    def _time_to_match(self) -> Expected:
        """Median and 90th percentile."""
        ready: dict[UUID, set[datetime]] = defaultdict(set)
        for one in self.participations:
            if one.ready_at is not None:
                ready[one.participant_id].add(one.ready_at)
        waits = []
        for pair in self._created():
            created = self._since(pair)
            sides = [
                [moment for moment in ready[one] if moment <= created]
                for one in (pair.mentor_id, pair.mentee_id)
            ]
            if all(sides):
                waits.append((created - max(map(max, sides))) / _DAY)
        waits.sort()
        return {
            "time_to_match_p50": (sum(waits), len(waits), _quantile(waits, 0.5)),
            "time_to_match_p90": (sum(waits), len(waits), _quantile(waits, 0.9)),
        }

    def _created(self) -> list[PairFact]:
        return [one for one in self.pairs if one.created_at and one.created_at <= self.now]

    def _held(self) -> list[SessionFact]:
        return [one for one in self.sessions if one.held and one.status in ("logged", "confirmed")]

    def _since(self, pair: PairFact) -> datetime:
        assert pair.created_at is not None
        return pair.created_at

    def _age(self, pair: PairFact) -> timedelta:
        return self.now - self._since(pair)


def _as_of(events: Iterable[S], key: str, since: str, moment: datetime) -> list[S]:
    """The highest version of each thing that had begun by the moment."""
    newest: dict[object, S] = {}
    for event in events:
        if getattr(event, since) <= moment:
            known = newest.get(getattr(event, key))
            if known is None or known.version < event.version:
                newest[getattr(event, key)] = event
    return list(newest.values())


def _share(hits: list[bool] | list[int] | list[float]) -> Figure:
    return _ratio(sum(hits), len(hits))


def _ratio(numerator: float, denominator: float) -> Figure:
    return numerator, denominator, numerator / denominator if denominator else None


def _quantile(ordered: list[float], share: float) -> float | None:
    if not ordered:
        return None
    rank = share * (len(ordered) - 1)
    low = int(rank)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] * (1 - (rank - low)) + ordered[high] * (rank - low)
