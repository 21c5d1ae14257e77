"""What each KPI counts: one observation per person, pair, session or message of a period."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import floor
from uuid import UUID

from services.metrics.domain.facts import (
    ROLES,
    Crowd,
    EmployeeRow,
    PairRow,
    Person,
    Role,
    SessionRow,
    headcount,
)
from services.metrics.domain.guard import LIVING, open_violations
from services.metrics.domain.periods import TENURE_EDGES_DAYS, YEAR, View, landmark

FIRST_SESSION_WITHIN = timedelta(days=14)
ANSWER_WITHIN = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Observation:
    """One unit counted: what it adds to the numerator and to the denominator, and whom it shows.

    `people` has one entry per side: a pair shows a mentor and a mentee. `groups` names the group
    per dimension. `numerator` None: cannot be known yet. In a comparison a participant is
    (person, None) and somebody of the rest (None, person). All of a crowd are counted at once.
    """

    numerator: float | None
    denominator: float
    people: tuple[Person | None, ...]
    groups: Mapping[str, str] = field(default_factory=lambda: {"all": "all"})
    stratum: tuple[object, ...] = ()
    value: float | None = None
    """The figure itself, where it was counted at its source."""


def participation(view: View) -> Iterator[Observation]:
    """Each eligible employee: took part or not."""
    ever = {role: frozenset(view.ready_moments(role)) for role in ROLES}
    joined = ever["mentor"] | ever["mentee"]
    for one in view.eligible["mentor"] | view.eligible["mentee"]:
        groups = {"all": "all", "department": view.department(one)}
        yield Observation(one in joined, headcount(one), (one,), groups)
    for role in ROLES:
        for one in view.eligible[role]:
            yield Observation(one in ever[role], headcount(one), (one,), {"role": role})


def matched(view: View) -> Iterator[Observation]:
    """Each participant who is ready or paused: in an active pair or not."""
    active = [pair for pair in view.pairs if pair.status == "active"]
    paired = {one for pair in active for one in (pair.mentor_id, pair.mentee_id)}
    for one in view.participants:
        if one.status in ("ready", "paused"):
            groups = _person(view, one.employee_id, one.role)
            yield Observation(one.participant_id in paired, 1, (one.employee_id,), groups)


def leaders_covered(view: View) -> Iterator[Observation]:
    """Each eligible senior: in an active pair or not."""
    active = (pair for pair in view.pairs if pair.status == "active")
    covered = {pair.mentee_employee_id for pair in active}
    for one in view.eligible["mentee"]:
        groups = {"all": "all", "department": view.department(one)}
        yield Observation(one in covered, headcount(one), (one,), groups)


def waits_for_a_pair(view: View) -> Iterator[Observation]:
    """Each pair created: days since the later side's latest readiness."""
    for pair in view.facts.newest_pairs.values():
        if not view.covers(pair.created_at) or pair.created_at is None:
            continue
        ready = [
            _latest_ready(view, one, pair.created_at) for one in (pair.mentor_id, pair.mentee_id)
        ]
        known = [moment for moment in ready if moment]
        if len(known) == len(ready):
            yield Observation(_days(pair.created_at - max(known)), 1, *_of_pair(view, pair))


def proposals_decided(view: View) -> Iterator[Observation]:
    """Each proposal that came to an end: a pair, or a no, or no answer."""
    for pair in view.facts.newest_pairs.values():
        decided = pair.created_at or (
            pair.closed_at if pair.status in ("declined", "expired") else None
        )
        if view.covers(decided):
            yield Observation(pair.created_at is not None, 1, *_of_pair(view, pair))


def first_sessions(view: View) -> Iterator[Observation]:
    """Each pair created at least 14 days ago: met within 14 days or not."""
    first: dict[object, datetime] = {}
    for session in view.facts.sessions:
        if session.took_place:
            known = first.get(session.pair_id, session.starts_at)
            first[session.pair_id] = min(known, session.starts_at)
    for pair in view.facts.newest_pairs.values():
        if pair.created_at is None or not view.covers(pair.created_at):
            continue
        due = pair.created_at + FIRST_SESSION_WITHIN
        if due <= view.now:
            met = pair.pair_id in first and first[pair.pair_id] <= due
            yield Observation(met, 1, *_of_pair(view, pair))


def cadences_kept(view: View) -> Iterator[Observation]:
    """Each pair that was active for at least one cadence: the share of the meetings due."""
    held: dict[object, int] = {}
    for session in view.facts.sessions:
        if session.took_place and session.starts_at <= view.instant:
            held[session.pair_id] = held.get(session.pair_id, 0) + 1
    cadence = timedelta(days=view.facts.programme.cadence_days)
    for versions in view.facts.pairs:
        due = floor(_active_time(versions, view.instant) / cadence)
        if due:
            met = min(1.0, held.get(versions[-1].pair_id, 0) / due)
            yield Observation(met, 1, *_of_pair(view, versions[-1]))


def bookings_called_off(view: View) -> Iterator[Observation]:
    """Each booked session whose time has come or that a side called off: called off or not."""
    for session in view.facts.sessions:
        by_a_side = session.cancelled_by in ("mentor", "mentee")
        counts = by_a_side or (session.booked and session.status != "cancelled")
        if counts and view.covers(session.cancelled_at if by_a_side else session.starts_at):
            yield Observation(by_a_side, 1, *_of_session(view, session))


def cancellations_by_seniors(view: View) -> Iterator[Observation]:
    """Each session that a side called off: by the senior or by the junior."""
    for session in view.facts.sessions:
        if session.cancelled_by in ("mentor", "mentee") and view.covers(session.cancelled_at):
            senior = session.cancelled_by == "mentee"
            yield Observation(senior, 1, *_of_session(view, session))


def no_shows(view: View) -> Iterator[Observation]:
    """Each booked session of which a side told the outcome: somebody did not come, or all did."""
    for session in view.facts.sessions:
        told = session.took_place or session.missed
        if session.booked and told and view.covers(session.starts_at):
            yield Observation(session.missed, 1, *_of_session(view, session))


def stalled(view: View) -> Iterator[Observation]:
    """Each active pair: without a session in twice the cadence and none booked, or not."""
    silence = timedelta(days=2 * view.facts.programme.cadence_days)
    alive = {
        session.pair_id
        for session in view.facts.sessions
        if (session.took_place and session.starts_at > view.now - silence)
        or (session.status == "scheduled" and session.starts_at > view.now)
    }
    for pair in view.facts.newest_pairs.values():
        if pair.status == "active" and pair.created_at:
            quiet = pair.created_at <= view.now - silence and pair.pair_id not in alive
            yield Observation(quiet, 1, *_of_pair(view, pair))


def outcomes(view: View) -> Iterator[Observation]:
    """Each pair that completed, or ended for another reason than a leaver."""
    for pair in view.facts.newest_pairs.values():
        counts = pair.status == "completed" or (pair.status == "ended" and pair.reason != "leaver")
        if counts and view.covers(pair.closed_at):
            yield Observation(pair.status == "completed", 1, *_of_pair(view, pair))


def early_ends(view: View) -> Iterator[Observation]:
    """Each pair created, once per reason that occurred: ended for it or not.

    Only who ended for a reason is shown by its figure, so only they count towards its group size.
    """
    created = [pair for pair in view.facts.newest_pairs.values() if view.covers(pair.created_at)]
    ended = {
        pair.pair_id: pair.reason
        for pair in created
        if pair.status == "ended" and pair.reason and view.covers(pair.closed_at)
    }
    for reason in sorted(set(ended.values())):
        for pair in created:
            hit = ended.get(pair.pair_id) == reason
            people = (pair.mentor_employee_id, pair.mentee_employee_id) if hit else ()
            yield Observation(hit, 1, people, {"reason": reason})


def pulses(view: View) -> Iterator[Observation]:
    """Each pulse given, 1 to 5."""
    yield from _scores(view, "pulse")


def promoters(view: View) -> Iterator[Observation]:
    """Each answer to "would you recommend it": +1 for 9 and 10, -1 for 0 to 6."""
    for one in view.facts.feedback:
        if one.kind == "nps" and view.covers(one.given_at):
            sign = (one.score >= 9) - (one.score <= 6)
            groups = _person(view, one.by_employee_id, one.by)
            yield Observation(sign, 1, (one.by_employee_id,), groups)


def pulses_asked(view: View) -> Iterator[Observation]:
    """Each side of each session held at least 7 days ago: gave its pulse or not."""
    given = {(one.session_id, one.by) for one in view.facts.feedback if one.kind == "pulse"}
    for session in view.facts.sessions:
        due = session.starts_at + ANSWER_WITHIN <= view.now
        if session.took_place and due and view.covers(session.starts_at):
            for role in ROLES:
                person = _side(session, role)
                groups = _person(view, person, role)
                yield Observation((session.session_id, role) in given, 1, (person,), groups)


def goals(view: View) -> Iterator[Observation]:
    """Each goal set: reached or not."""
    for goal in view.facts.goals:
        pair = view.facts.newest_pairs.get(goal.pair_id)
        if pair and view.covers(goal.set_at):
            reached = goal.reached_at is not None and goal.reached_at <= view.now
            yield Observation(reached, 1, *_of_pair(view, pair))


def skills_gained(view: View) -> Iterator[Observation]:
    """Each person, pair and topic rated before and after: the difference."""
    ratings: dict[tuple[object, ...], dict[str, int]] = {}
    for one in sorted(view.facts.feedback, key=lambda one: one.given_at):
        if one.kind in ("skill_before", "skill_after") and view.covers(one.given_at):
            key = (one.pair_id, one.by, one.by_employee_id, one.topic)
            ratings.setdefault(key, {})[one.kind] = one.score
    for (_, role, person, _), scores in ratings.items():
        if len(scores) == 2:
            gain = scores["skill_after"] - scores["skill_before"]
            yield Observation(gain, 1, (str(person),), _person(view, str(person), str(role)))


def retained(view: View) -> Iterator[Observation]:
    """Each participant: still employed 12 months after becoming ready, or not."""
    for role, person, ready in _joiners(view):
        after = view.facts.employee_at(person, ready + YEAR)
        stayed = None if ready + YEAR > view.now else _employed(after)
        yield Observation(stayed, 1, (person,), {"all": "all", "role": role})


def promoted(view: View) -> Iterator[Observation]:
    """Each participant still employed after 12 months: at a higher level than when they joined."""
    for role, person, ready in _joiners(view):
        before = view.facts.employee_at(person, ready)
        after = view.facts.employee_at(person, ready + YEAR)
        groups = {"all": "all", "role": role}
        if ready + YEAR > view.now:
            yield Observation(None, 1, (person,), groups)
        elif before and after and _employed(after):
            yield Observation(after.job_level > before.job_level, 1, (person,), groups)


def retained_compared(view: View) -> Iterator[Observation]:
    """Each person who was eligible at the landmark: still employed 12 months later, or not."""
    divided_at = landmark(view.facts.programme)
    if divided_at > view.now:
        return
    then = View(view.facts, view.window, divided_at)
    joined = then.ready_moments()
    known_yet = divided_at + YEAR <= view.now
    for person in then.eligible["mentor"] | then.eligible["mentee"]:
        stayed, stratum = _followed(then, person, divided_at)
        people = (person, None) if person in joined else (None, person)
        yield Observation(stayed if known_yet else None, headcount(person), people, stratum=stratum)


def _followed(then: View, person: Person, since: datetime) -> tuple[int, tuple[object, ...]]:
    """How many were still employed a year later, and with whom they can be compared."""
    if isinstance(person, Crowd):
        return person.stayed, (person.job_level, person.department, person.tenure_band)
    known = then.employees[person]
    tenure = (since.date() - known.start_date).days
    band = sum(tenure >= edge for edge in TENURE_EDGES_DAYS)
    after = then.facts.employee_at(person, since + YEAR)
    return _employed(after), (known.job_level, known.department, band)


def orphans_recovered(view: View) -> Iterator[Observation]:
    """Each survivor of a leaver who found a new pair: days from the one to the other."""
    pairs = view.facts.newest_pairs.values()
    for lost in pairs:
        if lost.reason != "leaver" or lost.left_by is None:
            continue
        if lost.closed_at is None or lost.created_at is None:
            continue
        role: Role = "mentee" if lost.left_by == "mentor" else "mentor"
        survivor = lost.employee(role)
        following = [
            pair.created_at
            for pair in pairs
            if pair.employee(role) == survivor
            and pair.created_at is not None
            and lost.closed_at < pair.created_at <= view.now
        ]
        if following:
            days = _days(min(following) - lost.closed_at)
            yield Observation(days, 1, (survivor,), {"all": "all", "role": role})


def departments_crossed(view: View) -> Iterator[Observation]:
    """Each pair created: across departments or not."""
    for pair in view.facts.newest_pairs.values():
        if view.covers(pair.created_at):
            yield Observation(pair.cross_department, 1, *_of_pair(view, pair))


def seniors_back(view: View) -> Iterator[Observation]:
    """Each mentee of a programme that is over: enrolled as a mentee in a later one or not."""
    if view.now < view.facts.programme.ends_at:
        return
    for person in sorted(view.ready_moments("mentee")):
        yield Observation(person in view.facts.later_mentees, 1, (person,))


def hr_lags(view: View) -> Iterator[Observation]:
    """Each HR change that arrived: seconds from its record, or from its effect if that is later."""
    lags = view.lags
    if lags:
        yield Observation(lags.seconds, lags.changes, (), value=lags.p95)


def deliveries(view: View) -> Iterator[Observation]:
    """Each message that was to be sent: taken by the mail server or given up."""
    for one in view.facts.notifications:
        if one.outcome != "suppressed" and view.covers(one.owed_at):
            yield Observation(one.outcome == "sent", 1, (one.employee_id,))


def violations(view: View) -> Iterator[Observation]:
    """Each living pair: breaks a hard rule now, or not."""
    pairs = list(view.facts.newest_pairs.values())
    people = [versions[-1] for versions in view.facts.participants]
    employees = {versions[-1].employee_id: versions[-1] for versions in view.facts.employees}
    broken = open_violations(pairs, people, employees)
    for pair in pairs:
        if pair.status in LIVING:
            yield Observation(pair in broken, 1, *_of_pair(view, pair))


def _scores(view: View, kind: str) -> Iterator[Observation]:
    for one in view.facts.feedback:
        if one.kind == kind and view.covers(one.given_at):
            groups = _person(view, one.by_employee_id, one.by)
            yield Observation(one.score, 1, (one.by_employee_id,), groups)


def _person(view: View, employee_id: str, role: str) -> dict[str, str]:
    return {"all": "all", "department": view.department(employee_id), "role": role}


def _of_pair(view: View, pair: PairRow) -> tuple[tuple[str, str], dict[str, str]]:
    """The two people of a pair, and its groups: a pair counts where its senior works."""
    people = (pair.mentor_employee_id, pair.mentee_employee_id)
    return people, {"all": "all", "department": view.department(pair.mentee_employee_id)}


def _of_session(view: View, session: SessionRow) -> tuple[tuple[str, str], dict[str, str]]:
    people = (session.mentor_employee_id, session.mentee_employee_id)
    return people, {"all": "all", "department": view.department(session.mentee_employee_id)}


def _side(session: SessionRow, role: Role) -> str:
    return session.mentor_employee_id if role == "mentor" else session.mentee_employee_id


def _latest_ready(view: View, participant_id: UUID, until: datetime) -> datetime | None:
    versions = view.facts.participant_versions.get(participant_id, ())
    moments = [one.ready_at for one in versions if one.ready_at and one.ready_at <= until]
    return max(moments, default=None)


def _active_time(versions: Sequence[PairRow], until: datetime) -> timedelta:
    """How long a pair was active up to a moment, pauses left out."""
    total = timedelta()
    begun: datetime | None = None
    for one in versions:
        moment = min(one.changed_at, until)
        if begun is None and one.status == "active":
            begun = moment
        elif begun is not None and one.status != "active":
            total += moment - begun
            begun = None
    return total + (until - begun if begun is not None else timedelta())


def _joiners(view: View) -> Iterator[tuple[Role, str, datetime]]:
    """Each participant with the moment at which they first became ready."""
    for role in ROLES:
        for person, moments in sorted(view.ready_moments(role).items()):
            yield role, person, moments[0]


def _employed(employee: EmployeeRow | None) -> bool:
    return employee is not None and employee.status != "left"


def _days(span: timedelta) -> float:
    return span / timedelta(days=1)
