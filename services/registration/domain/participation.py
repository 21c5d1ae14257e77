"""A person in a programme: who may join, and how the status moves.

invited → enrolled → ready → paused → withdrawn. `ready` is computed: consent to the programme's
present agreement, a topic to be paired by, and training where the programme asks for it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from typing import Literal
from uuid import UUID

from services.registration.domain.employment import Employee
from services.registration.domain.programmes import Programme, Role, check_runs
from services.registration.domain.rules import Invalid, Overtaken, RuleBroken

Status = Literal["invited", "enrolled", "ready", "paused", "withdrawn"]
Withdrawer = Literal["participant", "manager", "employment"]
_HIGHEST_LEVEL = 100


@dataclass(frozen=True, slots=True)
class Offer:
    """A topic that someone can teach; proficiency 1 (basic) to 5 (expert)."""

    topic: str
    proficiency: int = 3


@dataclass(frozen=True, slots=True)
class Want:
    """A topic that someone wants to learn; priority 1 (first) to 3."""

    topic: str
    priority: int = 2


@dataclass(frozen=True, slots=True)
class Profile:
    """What a participant says about themself."""

    topics_offered: tuple[Offer, ...] = ()
    topics_wanted: tuple[Want, ...] = ()
    interests: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    timezone: str = "UTC"
    works_from: time = time(9)
    works_until: time = time(17)
    capacity: int = 1
    blocks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Participant:
    """The whole state of one participation; `version` rises with each change."""

    participant_id: UUID
    programme_id: UUID
    employee_id: str
    role: Role
    status: Status
    version: int
    changed_at: datetime
    profile: Profile = field(default_factory=Profile)
    agreement_version: str | None = None
    invited_at: datetime | None = None
    enrolled_at: datetime | None = None
    trained_at: datetime | None = None
    ready_at: datetime | None = None
    withdrawn_at: datetime | None = None
    withdrawn_by: Withdrawer | None = None


@dataclass(frozen=True, slots=True)
class Counterparts:
    """Who would do as a counterpart: the audience, at these levels, both included."""

    lowest_level: int
    highest_level: int
    hired_until: date
    departments: tuple[str, ...]
    countries: tuple[str, ...]


def counterparts(programme: Programme, role: Role, job_level: int, today: date) -> Counterparts:
    """The people with whom somebody of this role and level could be paired."""
    audience = programme.audience
    lowest, highest = 0, _HIGHEST_LEVEL
    if role == "mentor":
        lowest = max(job_level + programme.min_level_gap, audience.mentee_min_level)
    else:
        highest = min(job_level - programme.min_level_gap, audience.mentor_max_level)
    days = min(audience.min_tenure_days, today.toordinal() - 1)
    return Counterparts(
        # No level is outside of these, and the store's integers end somewhere.
        lowest_level=min(lowest, _HIGHEST_LEVEL + 1),
        highest_level=max(highest, -1),
        hired_until=today - timedelta(days=days),
        departments=audience.departments,
        countries=audience.countries,
    )


def check_eligible(programme: Programme, employee: Employee, role: Role, today: date) -> None:
    """Raises RuleBroken with the first rule that keeps an employee out of a role."""
    audience = programme.audience
    if employee.status != "active":
        raise RuleBroken(
            "employee_id",
            "Only employees in active service can take part.",
            "Join after the start of work or after the leave.",
        )
    if employee.leaves_on is not None and employee.leaves_on <= programme.starts_on:
        raise RuleBroken(
            "employee_id",
            "Employment ends before the programme starts.",
            "Choose a programme that starts earlier.",
        )
    if audience.departments and employee.department not in audience.departments:
        raise RuleBroken(
            "employee_id",
            "The programme is for other departments.",
            "Choose a programme for your department, or ask its manager to widen this one.",
        )
    if audience.countries and employee.country not in audience.countries:
        raise RuleBroken(
            "employee_id",
            "The programme is for other countries.",
            "Choose a programme for your country, or ask its manager to widen this one.",
        )
    if (today - employee.start_date).days < audience.min_tenure_days:
        raise RuleBroken(
            "employee_id",
            f"The programme asks for {audience.min_tenure_days} days with the company.",
            "Join once you have been here that long.",
        )
    if role == "mentor" and employee.job_level > audience.mentor_max_level:
        raise RuleBroken(
            "role",
            f"Mentors are at most at level {audience.mentor_max_level} here.",
            "Join as a mentee.",
        )
    if role == "mentee" and employee.job_level < audience.mentee_min_level:
        raise RuleBroken(
            "role",
            f"Mentees are at least at level {audience.mentee_min_level} here.",
            "Join as a mentor.",
        )


def no_counterpart(programme: Programme, role: Role) -> RuleBroken:
    """The rule that is broken when nobody is far enough above or below."""
    side, other = ("above", "mentee") if role == "mentor" else ("below", "mentor")
    return RuleBroken(
        "role",
        f"Nobody at least {programme.min_level_gap} levels {side} could take part.",
        f"Join as a {other}, or ask the programme's manager for a smaller level gap.",
    )


def check_consent(programme: Programme, agreement_version: str | None) -> None:
    """Raises Invalid unless the consent is to the programme's present agreement."""
    if agreement_version != programme.agreement_version:
        raise Invalid(
            "agreement_version",
            f"The agreement in force is version {programme.agreement_version}.",
            "Read it, and send its version.",
        )


def check_profile(
    programme: Programme,
    employee_id: str,
    role: Role,
    profile: Profile,
    living_pairs: int = 0,
) -> None:
    """Raises Invalid or RuleBroken for a profile that cannot be served."""
    limit = programme.capacity_limit(role)
    if not 1 <= profile.capacity <= max(limit, living_pairs):
        raise Invalid(
            "capacity",
            f"A {role} of this programme may have 1 to {limit} pairs.",
            "Send a number in that range.",
        )
    if profile.capacity < living_pairs:
        raise RuleBroken(
            "capacity",
            f"There are {living_pairs} living pairs already.",
            f"Send at least {living_pairs}, or end a pair first.",
        )
    if profile.works_from >= profile.works_until:
        raise Invalid("working_hours", "They end before they start.", "Send start before end.")
    if not profile.languages:
        raise Invalid("languages", "A pair needs a common language.", "Send at least one, e.g. en.")
    if employee_id in profile.blocks:
        raise Invalid("blocks", "Nobody can block themself.", "Leave your own id out.")


def has_topics(role: Role, profile: Profile) -> bool:
    """Whether the profile names a topic that a pair in this role can be formed by."""
    return bool(profile.topics_offered if role == "mentor" else profile.topics_wanted)


def check_topics(role: Role, profile: Profile) -> None:
    """Raises Invalid for a profile without a topic for its role."""
    if has_topics(role, profile):
        return
    if role == "mentor":
        raise Invalid(
            "topics_offered", "A mentor teaches something.", "Send at least one topic to offer."
        )
    raise Invalid(
        "topics_wanted", "A mentee learns something.", "Send at least one topic you want."
    )


def default_profile(programme: Programme, employee: Employee, locale: str, role: Role) -> Profile:
    """A profile from what HR knows, for people who join by one click.

    Without known skills a mentor offers, and a mentee always wants, what the programme is about.
    Where the programme names nothing either, the profile has no topics yet.
    """
    offers = tuple(Offer(skill) for skill in employee.skills)
    if role == "mentor" and not offers:
        offers = tuple(Offer(topic, proficiency=2) for topic in programme.focus_topics)
    wants = programme.focus_topics if role == "mentee" else ()
    return Profile(
        topics_offered=offers[:30],
        topics_wanted=tuple(Want(topic) for topic in wants[:30]),
        interests=tuple(employee.interests)[:50],
        languages=(re.split("[-_]", locale)[0].lower(),),
        timezone=employee.timezone,
    )


def invite(
    programme: Programme,
    employee_id: str,
    role: Role,
    earlier: Sequence[Participant],
    *,
    participant_id: UUID,
    now: datetime,
) -> Participant:
    """A new invitation. Raises RuleBroken for somebody who takes part or said no."""
    check_runs(programme, now.date())
    for one in earlier:
        if one.status == "invited" and one.role == role:
            raise RuleBroken("employee_id", "Is invited already.", "Nothing to do.")
        if one.status != "withdrawn":
            raise RuleBroken(
                "employee_id",
                f"Takes part as a {one.role} already.",
                "A person takes one role per programme.",
            )
        if one.withdrawn_by == "participant":
            raise RuleBroken(
                "employee_id",
                "Said no to this programme.",
                "They can still come back by enrolling themself.",
            )
    return Participant(
        participant_id=participant_id,
        programme_id=programme.programme_id,
        employee_id=employee_id,
        role=role,
        status="invited",
        version=1,
        changed_at=now,
        invited_at=now,
    )


def enrol(
    programme: Programme,
    employee: Employee,
    role: Role,
    profile: Profile,
    agreement_version: str | None,
    earlier: Sequence[Participant],
    *,
    participant_id: UUID,
    now: datetime,
    topics_later: bool = False,
) -> Participant:
    """A person who joins, by invitation or of their own accord.

    `earlier` are this person's participations in the programme, oldest first. With
    `topics_later` the profile may still be without topics; who has none is not ready. Raises
    RuleBroken or Invalid.
    """
    check_runs(programme, now.date())
    living = next((one for one in earlier if one.status != "withdrawn"), None)
    if living is not None and living.status != "invited":
        raise RuleBroken(
            "role",
            f"You take part as a {living.role} already.",
            "Change that participation, or withdraw from it first.",
        )
    if living is not None and living.role != role:
        raise RuleBroken(
            "role", f"You are invited as a {living.role}.", f"Join as a {living.role}."
        )
    if living is None and earlier and earlier[-1].withdrawn_by == "manager":
        raise RuleBroken(
            "programme_id",
            "The programme's manager ended your participation.",
            "Ask the manager for an invitation.",
        )
    invited = any(one.invited_at is not None and one.role == role for one in earlier)
    if programme.enrolment == "invite_only" and not invited:
        raise RuleBroken(
            "programme_id",
            f"The programme is by invitation, and you are not invited as a {role}.",
            "Ask the programme's manager for an invitation.",
        )
    check_consent(programme, agreement_version)
    check_eligible(programme, employee, role, now.date())
    check_profile(programme, employee.employee_id, role, profile)
    if not topics_later:
        check_topics(role, profile)
    joined = living or Participant(
        participant_id=participant_id,
        programme_id=programme.programme_id,
        employee_id=employee.employee_id,
        role=role,
        status="invited",
        version=0,
        changed_at=now,
    )
    joined = replace(joined, profile=profile, agreement_version=agreement_version, enrolled_at=now)
    return _changed(programme, joined, now)


def change_profile(
    programme: Programme,
    participant: Participant,
    profile: Profile,
    agreement_version: str | None,
    living_pairs: int,
    now: datetime,
) -> Participant:
    """The participant with another profile, or with consent to the present agreement."""
    check_runs(programme, now.date())
    _check_joined(participant)
    if agreement_version is not None:
        check_consent(programme, agreement_version)
    check_profile(programme, participant.employee_id, participant.role, profile, living_pairs)
    if has_topics(participant.role, participant.profile):
        # Who joined by one click without topics may still change everything else.
        check_topics(participant.role, profile)
    agreed = agreement_version or participant.agreement_version
    changed = replace(participant, profile=profile, agreement_version=agreed)
    return participant if changed == participant else _changed(programme, changed, now)


def complete_training(programme: Programme, participant: Participant, now: datetime) -> Participant:
    """The participant, trained. Training done before stays as it was."""
    check_runs(programme, now.date())
    _check_joined(participant)
    if participant.trained_at is not None:
        return participant
    return _changed(programme, replace(participant, trained_at=now), now)


def pause(programme: Programme, participant: Participant, now: datetime) -> Participant:
    """The participant takes a break."""
    check_runs(programme, now.date())
    _check_joined(participant)
    if participant.status == "paused":
        return participant
    return replace(participant, status="paused", version=participant.version + 1, changed_at=now)


def resume(programme: Programme, participant: Participant, now: datetime) -> Participant:
    """The break is over: ready again, or enrolled where something is missing."""
    check_runs(programme, now.date())
    _check_joined(participant)
    if participant.status != "paused":
        return participant
    return _changed(programme, replace(participant, status="enrolled"), now)


def withdraw(participant: Participant, by: Withdrawer, now: datetime) -> Participant:
    """The participant, gone from the programme for good. Idempotent."""
    if participant.status == "withdrawn":
        return participant
    return replace(
        participant,
        status="withdrawn",
        version=participant.version + 1,
        changed_at=now,
        withdrawn_at=now,
        withdrawn_by=by,
    )


def decline_invitation(participant: Participant, now: datetime) -> Participant:
    """An invitation answered by no. Raises Overtaken when it was answered otherwise."""
    if participant.status != "invited":
        raise invitation_answered()
    return withdraw(participant, "participant", now)


def invitation_answered() -> Overtaken:
    """The rule that is broken by a second answer to an invitation."""
    return Overtaken(
        "participant_id",
        "This invitation was answered before.",
        "To leave a programme that you joined, withdraw from it.",
    )


def gone(participant: Participant, now: datetime, *, erased: bool) -> Participant:
    """The participation of a person who left the company, or was erased."""
    return forget(participant, now) if erased else withdraw(participant, "employment", now)


def forget(participant: Participant, now: datetime) -> Participant:
    """What is left of the participation of an erased person: no word of theirs."""
    gone = withdraw(participant, "employment", now)
    return replace(gone, profile=Profile(), version=participant.version + 1, changed_at=now)


def apply_programme(
    programme: Programme, participant: Participant, living_pairs: int, now: datetime
) -> Participant:
    """The participant under changed rules: readiness and capacity follow them."""
    if participant.status in ("invited", "withdrawn"):
        return participant
    limit = max(programme.capacity_limit(participant.role), living_pairs)
    profile = participant.profile
    if profile.capacity > limit:
        profile = replace(profile, capacity=limit)
    changed = replace(participant, profile=profile)
    if changed == participant and _status(programme, changed) == participant.status:
        return participant
    return _changed(programme, changed, now)


def _check_joined(participant: Participant) -> None:
    if participant.status == "invited":
        raise RuleBroken(
            "participant_id", "The invitation is not accepted yet.", "Enrol in the programme first."
        )
    if participant.status == "withdrawn":
        raise RuleBroken(
            "participant_id", "The participation has ended.", "Enrol in the programme again."
        )


def _status(programme: Programme, participant: Participant) -> Status:
    if participant.status == "paused":
        return "paused"
    consents = participant.agreement_version == programme.agreement_version
    trained = participant.trained_at is not None or not programme.training_required
    known = has_topics(participant.role, participant.profile)
    return "ready" if consents and trained and known else "enrolled"


def _changed(programme: Programme, participant: Participant, now: datetime) -> Participant:
    """The next version, its status computed; `ready_at` moves only when readiness begins."""
    status = _status(programme, participant)
    begins = status == "ready" and participant.status != "ready"
    return replace(
        participant,
        status=status,
        version=participant.version + 1,
        changed_at=now,
        ready_at=now if begins else participant.ready_at,
    )
