"""Participants: their profile, training, breaks and withdrawal."""

from __future__ import annotations

from uuid import UUID

from services.registration import participation
from services.registration.api.answers import (
    Participant,
    ParticipantOrManager,
    ParticipantOrOverseer,
    oversees,
    person,
)
from services.registration.api.views import ParticipantView, ProfileChange, profile_with
from services.registration.domain.participation import Withdrawer
from services.registration.domain.rules import Unknown
from services.registration.store import participants
from shared.database import Transaction
from shared.http import Principal, Tx, new_router

router = new_router("participants")


async def _check_own(tx: Transaction, participant_id: UUID, who: Principal) -> bool:
    """Whether the participation is the principal's own. Raises Unknown for another's.

    Overseers are let through to another's; the endpoint's roles say who that may be.
    """
    one = await participants.participant(tx.connection, participant_id)
    own = one is not None and one.employee_id == person(who)
    if one is None or not (own or oversees(who)):
        raise Unknown("participant")
    return own


@router.get("/participants/{participant_id}", summary="Show a participation")
async def show_participant(
    participant_id: UUID, tx: Tx, who: ParticipantOrOverseer
) -> ParticipantView:
    """Status, profile and milestones."""
    await _check_own(tx, participant_id, who)
    one = await participants.participant(tx.connection, participant_id)
    assert one is not None
    return ParticipantView.of(one, viewer=person(who))


@router.patch("/participants/{participant_id}", summary="Change your profile")
async def change_profile(
    participant_id: UUID, body: ProfileChange, tx: Tx, who: Participant
) -> ParticipantView:
    """Changes what is sent. The capacity cannot go below the number of your living pairs."""
    await _own_only(tx, participant_id, who)
    changed = await participation.change_profile(
        tx,
        participant_id,
        lambda profile: profile_with(profile, body),
        body.agreement_version,
    )
    return ParticipantView.of(changed, viewer=person(who))


@router.post("/participants/{participant_id}/training-completion", summary="Complete the training")
async def complete_training(
    participant_id: UUID, tx: Tx, who: ParticipantOrManager
) -> ParticipantView:
    """Records the training; you become ready when nothing else is missing. Twice is once."""
    await _check_own(tx, participant_id, who)
    return ParticipantView.of(
        await participation.complete_training(tx, participant_id), viewer=person(who)
    )


@router.post("/participants/{participant_id}/pause", summary="Take a break")
async def pause(participant_id: UUID, tx: Tx, who: Participant) -> ParticipantView:
    """Your living pairs pause with you. Twice is once."""
    await _own_only(tx, participant_id, who)
    return ParticipantView.of(await participation.pause(tx, participant_id), viewer=person(who))


@router.post("/participants/{participant_id}/resume", summary="End a break")
async def resume(participant_id: UUID, tx: Tx, who: Participant) -> ParticipantView:
    """You are ready again where nothing is missing. Twice is once."""
    await _own_only(tx, participant_id, who)
    return ParticipantView.of(await participation.resume(tx, participant_id), viewer=person(who))


@router.post("/participants/{participant_id}/withdrawal", summary="Leave the programme")
async def withdraw(participant_id: UUID, tx: Tx, who: ParticipantOrManager) -> ParticipantView:
    """Ends the participation and its living pairs; a programme manager may end another's."""
    own = await _check_own(tx, participant_id, who)
    by: Withdrawer = "participant" if own else "manager"
    return ParticipantView.of(
        await participation.withdraw(tx, participant_id, by), viewer=person(who)
    )


async def _own_only(tx: Transaction, participant_id: UUID, who: Principal) -> None:
    if not await _check_own(tx, participant_id, who):
        raise Unknown("participant")
