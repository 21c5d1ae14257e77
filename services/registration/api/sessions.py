"""Sessions: moved, logged, confirmed, disputed and cancelled by their two sides."""

from __future__ import annotations

from uuid import UUID

from services.registration import meetings
from services.registration.api.answers import Participant, participant_id_of
from services.registration.api.views import Move, SessionLog, SessionView
from shared.http import Tx, new_router

router = new_router("sessions")


@router.patch("/sessions/{session_id}", summary="Move a session")
async def reschedule(session_id: UUID, body: Move, tx: Tx, who: Participant) -> SessionView:
    """Gives a booked session another time; both calendars follow."""
    return SessionView.of(
        await meetings.reschedule(
            tx, session_id, participant_id_of(who), body.starts_at, body.minutes
        )
    )


@router.post("/sessions/{session_id}/log", summary="Log a session")
async def log(session_id: UUID, body: SessionLog, tx: Tx, who: Participant) -> SessionView:
    """Says after its start what became of a booked session; the other side is asked to confirm."""
    return SessionView.of(
        await meetings.log(
            tx,
            session_id,
            participant_id_of(who),
            held=body.held,
            no_show_by=body.no_show_by,
        )
    )


@router.post("/sessions/{session_id}/confirmation", summary="Confirm a session")
async def confirm(session_id: UUID, tx: Tx, who: Participant) -> SessionView:
    """Agrees with what the other side logged: the session counts."""
    return SessionView.of(await meetings.confirm(tx, session_id, participant_id_of(who)))


@router.post("/sessions/{session_id}/dispute", summary="Dispute a session")
async def dispute(session_id: UUID, tx: Tx, who: Participant) -> SessionView:
    """Disagrees with what the other side logged: the session does not count."""
    return SessionView.of(await meetings.dispute(tx, session_id, participant_id_of(who)))


@router.post("/sessions/{session_id}/cancellation", summary="Cancel a session")
async def cancel(session_id: UUID, tx: Tx, who: Participant) -> SessionView:
    """Calls off a booked session before its start."""
    return SessionView.of(await meetings.cancel(tx, session_id, participant_id_of(who)))
