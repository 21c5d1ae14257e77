"""What people, programme managers and HR do to participations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

from services.registration import facts
from services.registration.domain import participation as rules
from services.registration.domain.employment import Employee
from services.registration.domain.participation import Participant, Profile
from services.registration.domain.programmes import Programme, Role, check_runs
from services.registration.domain.rules import Invalid, RuleBroken, Unknown
from services.registration.store import directory, feedback, participants, people, programmes
from shared.catalogue import (
    Event,
    ParticipantEnrolled,
    ParticipantFact,
    ParticipantInvited,
    ParticipantPaused,
    ParticipantResumed,
    ParticipantWithdrawn,
    ProfileChanged,
    TrainingCompleted,
)
from shared.database import Transaction
from shared.ids import new_id


def ends_participation(before: Employee | None, after: Employee) -> bool:
    """Whether a person left or was erased between these two states."""
    if after.status != "left" and not after.erased:
        return False
    return before is None or (before.status, before.erased) != (after.status, after.erased)


async def end_participations(
    tx: Transaction, departures: Sequence[tuple[Employee, Event | None]]
) -> None:
    """Withdraw people who left from every programme; forget the words of erased ones.

    `departures`: each state in which somebody left or was erased, in order, and its cause.
    """
    ids = {employee.employee_id for employee, _ in departures}
    if not ids:
        return
    theirs = await participants.participants_of_employees(tx.connection, ids)
    ended: dict[UUID, Participant] = {}
    for employee, cause in departures:
        for one in theirs[employee.employee_id]:
            before = ended.get(one.participant_id, one)
            after = rules.gone(before, tx.now, erased=employee.erased)
            if after is not before:
                ended[one.participant_id] = after
                tx.publish(facts.participant_fact(ParticipantWithdrawn, after), cause=cause)
    erased = [employee.employee_id for employee, _ in departures if employee.erased]
    if erased:
        await feedback.forget_words(tx.connection, erased)
    await participants.save(tx.connection, list(ended.values()))


async def invite(
    tx: Transaction, programme_id: UUID, role: Role, employee_ids: Sequence[str]
) -> tuple[list[Participant], list[tuple[str, str]]]:
    """Invite people; returns the invited participants, and (employee id, reason) of the others."""
    stored = await programmes.programme_in_force(tx.connection, programme_id)
    if stored is None:
        raise Unknown("programme")
    programme = stored.programme
    check_runs(programme, tx.now.date())
    wanted = sorted(set(employee_ids))
    earlier = await _lock_people(tx, programme_id, wanted)
    employees = await directory.employees(tx.connection, wanted)
    counterparts: dict[int, bool] = {}
    invited: list[Participant] = []
    refused: list[tuple[str, str]] = []
    for employee_id in wanted:
        try:
            await _check_eligible(tx, programme, employees.get(employee_id), role, counterparts)
            invited.append(
                rules.invite(
                    programme,
                    employee_id,
                    role,
                    earlier[employee_id],
                    participant_id=new_id(tx.now),
                    now=tx.now,
                )
            )
        except RuleBroken as broken:
            refused.append((employee_id, f"{broken.reason} {broken.remedy}"))
    await _save(tx, ParticipantInvited, invited)
    return invited, refused


async def enrol(
    tx: Transaction,
    programme_id: UUID,
    employee_id: str,
    role: Role,
    agreement_version: str | None,
    profile: Callable[[Programme, Employee, str], Profile],
    *,
    topics_later: bool = False,
) -> Participant:
    """Enrol a person; `profile` makes theirs of the programme, HR's record and the locale.

    With `topics_later` they may name their topics afterwards.
    """
    stored = await programmes.programme_in_force(tx.connection, programme_id)
    if stored is None:
        raise Unknown("programme")
    programme = stored.programme
    earlier = await _lock_people(tx, programme_id, [employee_id])
    if programme.enrolment == "invite_only" and not earlier[employee_id]:
        raise Unknown("programme")
    known = await directory.employee(tx.connection, employee_id)
    employee = await _check_eligible(tx, programme, known, role, {})
    locale = await people.locale(tx.connection, employee_id)
    joined = rules.enrol(
        programme,
        employee,
        role,
        profile(programme, employee, locale),
        agreement_version,
        earlier[employee_id],
        participant_id=new_id(tx.now),
        now=tx.now,
        topics_later=topics_later,
    )
    await _check_blocks(tx, joined.profile)
    await _save(tx, ParticipantEnrolled, [joined])
    return joined


async def enrol_by_invitation(tx: Transaction, programme_id: UUID, employee_id: str) -> Participant:
    """Enrol an invited person with a profile from the directory, by one click.

    A click says nothing of topics: where nobody knows any, they are named later.
    """
    theirs = await participants.participants_of_employee(tx.connection, employee_id)
    stored = await programmes.programme(tx.connection, programme_id)
    invited = next(
        (one for one in theirs if one.programme_id == programme_id and one.status == "invited"),
        None,
    )
    if stored is None:
        raise Unknown("programme")
    if invited is None:
        raise rules.invitation_answered()
    role = invited.role

    def profile(programme: Programme, employee: Employee, locale: str) -> Profile:
        return rules.default_profile(programme, employee, locale, role)

    agreement = stored.programme.agreement_version
    return await enrol(tx, programme_id, employee_id, role, agreement, profile, topics_later=True)


async def decline_invitation(tx: Transaction, participant_id: UUID) -> Participant:
    """Answer an invitation by no."""
    participant, _ = await _to_change(tx, participant_id)
    declined = rules.decline_invitation(participant, tx.now)
    await _save(tx, ParticipantWithdrawn, [declined])
    return declined


async def change_profile(
    tx: Transaction,
    participant_id: UUID,
    change: Callable[[Profile], Profile],
    agreement_version: str | None,
) -> Participant:
    """Change a profile, or consent to the present agreement."""
    participant, programme = await _to_change(tx, participant_id)
    living = await participants.living_pairs(tx.connection, [participant_id])
    changed = rules.change_profile(
        programme,
        participant,
        change(participant.profile),
        agreement_version,
        living[participant_id],
        tx.now,
    )
    await _check_blocks(tx, changed.profile)
    return await _save_if_changed(tx, ProfileChanged, participant, changed)


async def complete_training(tx: Transaction, participant_id: UUID) -> Participant:
    """Record that the programme's training was completed."""
    participant, programme = await _to_change(tx, participant_id)
    changed = rules.complete_training(programme, participant, tx.now)
    return await _save_if_changed(tx, TrainingCompleted, participant, changed)


async def pause(tx: Transaction, participant_id: UUID) -> Participant:
    """Begin a break."""
    participant, programme = await _to_change(tx, participant_id)
    changed = rules.pause(programme, participant, tx.now)
    return await _save_if_changed(tx, ParticipantPaused, participant, changed)


async def resume(tx: Transaction, participant_id: UUID) -> Participant:
    """End a break."""
    participant, programme = await _to_change(tx, participant_id)
    changed = rules.resume(programme, participant, tx.now)
    return await _save_if_changed(tx, ParticipantResumed, participant, changed)


async def withdraw(tx: Transaction, participant_id: UUID, by: rules.Withdrawer) -> Participant:
    """Leave a programme, or be taken out of it by its manager."""
    participant, _ = await _to_change(tx, participant_id)
    changed = rules.withdraw(participant, by, tx.now)
    return await _save_if_changed(tx, ParticipantWithdrawn, participant, changed)


async def programme_changed(tx: Transaction, programme: Programme) -> None:
    """Bring readiness and capacity of all participants in line with changed rules."""
    joined = await participants.joined_participants(tx.connection, programme.programme_id)
    living = await participants.living_pairs(tx.connection, [one.participant_id for one in joined])
    changed = [
        after
        for one in joined
        if (after := rules.apply_programme(programme, one, living[one.participant_id], tx.now))
        != one
    ]
    await _save(tx, ProfileChanged, changed)


async def _lock_people(
    tx: Transaction, programme_id: UUID, employee_ids: Sequence[str]
) -> dict[str, list[Participant]]:
    """Decide alone on these people's part in a programme; returns their participations."""
    # Employment first: whoever records a departure locks in this order too.
    await people.hold_employment(tx.connection, employee_ids)
    await participants.lock_memberships(tx.connection, programme_id, employee_ids)
    return await participants.participations(tx.connection, programme_id, employee_ids)


async def _check_eligible(
    tx: Transaction,
    programme: Programme,
    employee: Employee | None,
    role: Role,
    counterparts: dict[int, bool],
) -> Employee:
    """The employee who may take the role. Raises RuleBroken otherwise.

    `counterparts` remembers for which job levels there is a counterpart.
    """
    if employee is None:
        raise RuleBroken(
            "employee_id", "HR has not told us of this person.", "Ask HR, and check the id."
        )
    today = tx.now.date()
    rules.check_eligible(programme, employee, role, today)
    level = employee.job_level
    if level not in counterparts:
        counterparts[level] = await participants.counterpart_exists(
            tx.connection, rules.counterparts(programme, role, level, today)
        )
    if not counterparts[level]:
        raise rules.no_counterpart(programme, role)
    return employee


async def _check_blocks(tx: Transaction, profile: Profile) -> None:
    unknown = await people.unknown_employees(tx.connection, profile.blocks)
    if unknown:
        raise Invalid(
            "blocks",
            f"Nobody has the id {unknown[0]}.",
            "Send employee ids, or leave unknown ones out.",
        )


async def _to_change(tx: Transaction, participant_id: UUID) -> tuple[Participant, Programme]:
    """The locked participant and the programme. Raises Unknown."""
    known = await participants.participant(tx.connection, participant_id)
    if known is None:
        raise Unknown("participant")
    # The programme first: whoever changes its rules locks in this order too.
    stored = await programmes.programme_in_force(tx.connection, known.programme_id)
    locked = await participants.participant(tx.connection, participant_id, lock=True)
    assert stored is not None
    assert locked is not None
    return locked, stored.programme


async def _save_if_changed(
    tx: Transaction, fact: type[ParticipantFact], before: Participant, after: Participant
) -> Participant:
    if after is not before:
        await _save(tx, fact, [after])
    return after


async def _save(
    tx: Transaction, fact: type[ParticipantFact], changed: Sequence[Participant]
) -> None:
    await participants.save(tx.connection, changed)
    for one in changed:
        tx.publish(facts.participant_fact(fact, one))
