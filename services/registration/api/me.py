"""Everything of one person, in one answer."""

from __future__ import annotations

from services.registration.api.answers import Participant, participant_id_of
from services.registration.api.views import MeView, PairView, ParticipantView, SessionView
from services.registration.store import pairs, participants, people, sessions
from shared.http import Tx, new_router

router = new_router("me")


@router.get("/me", summary="Show all that is yours")
async def me(tx: Tx, who: Participant) -> MeView:
    """Your participations, the pairs that you know of, and their sessions."""
    employee_id = participant_id_of(who)
    seen = [
        (pair, role)
        for pair in await pairs.pairs_of_employee(tx.connection, employee_id)
        if (role := pair.role_of(employee_id)) is not None and pair.shown_to(role)
    ]
    names = await people.names(tx.connection, [pair.counterpart_of(role) for pair, role in seen])
    return MeView(
        employee_id=employee_id,
        participants=[
            ParticipantView.of(one, viewer=employee_id)
            for one in await participants.participants_of_employee(tx.connection, employee_id)
        ],
        pairs=[PairView.of(pair, role, names) for pair, role in seen],
        sessions=[
            SessionView.of(session)
            for session in await sessions.sessions_of_pairs(
                tx.connection, [pair.pair_id for pair, _ in seen]
            )
        ],
    )
