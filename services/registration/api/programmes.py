"""Programmes: opened, changed and closed by programme managers; invitations and enrolment."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query, Request, Response
from pydantic import BaseModel

from services.registration import participation, programmes
from services.registration.api.answers import (
    Manager,
    Overseer,
    Participant,
    ParticipantOrOverseer,
    oversees,
    participant_id_of,
)
from services.registration.api.views import (
    ChangeProgramme,
    Enrolment,
    Invitations,
    InvitationsView,
    InvitedView,
    OpenProgramme,
    ParticipantView,
    ProgrammeView,
    RefusedView,
    profile_with,
)
from services.registration.domain.employment import Employee
from services.registration.domain.participation import Profile, Status, default_profile
from services.registration.domain.programmes import Programme
from services.registration.domain.rules import Unknown
from services.registration.store import participants as participant_rows
from services.registration.store import programmes as programme_rows
from shared.catalogue import ProgrammeRules
from shared.http import Tx, new_router

router = new_router("programmes")


@router.post("/programmes", status_code=201, summary="Open a programme")
async def open_programme(
    body: OpenProgramme,
    tx: Tx,
    who: Manager,  # noqa: ARG001
    answer: Response,
) -> ProgrammeView:
    """Opens a programme for participants. `Location` names it."""
    stored = await programmes.open_programme(tx, ProgrammeRules(**dict(body)))
    answer.headers["Location"] = f"/programmes/{stored.programme.programme_id}"
    return ProgrammeView.of(stored)


@router.get("/programmes", summary="List programmes")
async def list_programmes(tx: Tx, who: ParticipantOrOverseer) -> list[ProgrammeView]:
    """Newest first. A participant sees those that are open to all, and their own."""
    if oversees(who):
        found = await programme_rows.programmes(tx.connection)
    else:
        found = await programme_rows.visible_programmes(tx.connection, participant_id_of(who))
    return [ProgrammeView.of(stored) for stored in found]


@router.get("/programmes/{programme_id}", summary="Show a programme")
async def show_programme(programme_id: UUID, tx: Tx, who: ParticipantOrOverseer) -> ProgrammeView:
    """The programme's rules, version and status."""
    if oversees(who):
        stored = await programme_rows.programme(tx.connection, programme_id)
    else:
        visible = await programme_rows.visible_programmes(tx.connection, participant_id_of(who))
        stored = next((one for one in visible if one.programme.programme_id == programme_id), None)
    if stored is None:
        raise Unknown("programme")
    return ProgrammeView.of(stored)


@router.patch("/programmes/{programme_id}", summary="Change a programme")
async def change_programme(
    programme_id: UUID,
    body: ChangeProgramme,
    tx: Tx,
    who: Manager,  # noqa: ARG001
) -> ProgrammeView:
    """Changes the rules that are sent; an object such as `audience` is replaced whole.

    The version rises. Readiness and capacity of the participants follow the new rules. A
    programme that is closed or over refuses.
    """

    def change(rules: ProgrammeRules) -> ProgrammeRules:
        assert isinstance(body, BaseModel)
        sent = {name: getattr(body, name) for name in body.model_fields_set}
        return rules.model_copy(update=sent)

    return ProgrammeView.of(await programmes.change_programme(tx, programme_id, change))


@router.post("/programmes/{programme_id}/close", summary="Close a programme")
async def close_programme(programme_id: UUID, tx: Tx, who: Manager) -> ProgrammeView:  # noqa: ARG001
    """Ends the programme now; its living pairs complete or end. Closing twice changes nothing."""
    return ProgrammeView.of(await programmes.close_programme(tx, programme_id))


@router.post("/programmes/{programme_id}/invitations", summary="Invite people")
async def invite(
    programme_id: UUID,
    body: Invitations,
    tx: Tx,
    who: Manager,  # noqa: ARG001
) -> InvitationsView:
    """Invites everybody who may take the role; the others are named with the reason."""
    invited, refused = await participation.invite(tx, programme_id, body.role, body.employee_ids)
    return InvitationsView(
        invited=[
            InvitedView(employee_id=one.employee_id, participant_id=one.participant_id)
            for one in invited
        ],
        refused=[
            RefusedView(employee_id=employee_id, reason=reason) for employee_id, reason in refused
        ],
    )


@router.get("/programmes/{programme_id}/participants", summary="List participants")
async def list_participants(
    programme_id: UUID,
    tx: Tx,
    who: Overseer,  # noqa: ARG001
    request: Request,
    answer: Response,
    status: Annotated[Status | None, Query(description="Only those of this status.")] = None,
    after: Annotated[UUID | None, Query(description="Only those after this participant.")] = None,
    limit: Annotated[int, Query(ge=1, le=5000, description="At most so many.")] = 1000,
) -> list[ParticipantView]:
    """By participant id. Where there are more, the `Link` header names the next page."""
    if await programme_rows.programme(tx.connection, programme_id) is None:
        raise Unknown("programme")
    found = await participant_rows.participants_of_programme(
        tx.connection, programme_id, status=status, after=after, limit=limit
    )
    if len(found) == limit:
        following = request.url.include_query_params(after=str(found[-1].participant_id))
        answer.headers["Link"] = f'<{following.path}?{following.query}>; rel="next"'
    return [ParticipantView.of(one, viewer=None) for one in found]


@router.post("/programmes/{programme_id}/participants", status_code=201, summary="Enrol")
async def enrol(
    programme_id: UUID, body: Enrolment, tx: Tx, who: Participant, answer: Response
) -> ParticipantView:
    """Enrols you, by consent to the programme's agreement.

    You must be in active service, belong to the audience, and have somebody far enough above or
    below you to be paired with. A person takes one role per programme; an invite-only programme
    needs an invitation.
    """
    employee_id = participant_id_of(who)

    def profile(programme: Programme, employee: Employee, locale: str) -> Profile:
        return profile_with(default_profile(programme, employee, locale, body.role), body)

    joined = await participation.enrol(
        tx, programme_id, employee_id, body.role, body.agreement_version, profile
    )
    answer.headers["Location"] = f"/participants/{joined.participant_id}"
    return ParticipantView.of(joined, viewer=employee_id)
