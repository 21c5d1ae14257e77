"""Who may ask, and how broken rules are answered (RFC 9457)."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, FastAPI, Request, Response

from services.registration.domain.rules import Invalid, RuleBroken, Unknown
from shared.http import Principal, require
from shared.problems import Problem, problem_response

Participant = Annotated[Principal, Depends(require("participant"))]
Manager = Annotated[Principal, Depends(require("programme_manager"))]
Overseer = Annotated[Principal, Depends(require("programme_manager", "auditor"))]
ParticipantOrManager = Annotated[Principal, Depends(require("participant", "programme_manager"))]
ParticipantOrOverseer = Annotated[
    Principal, Depends(require("participant", "programme_manager", "auditor"))
]
HrOrAuditor = Annotated[Principal, Depends(require("hr_system", "auditor"))]


def person(who: Principal) -> str | None:
    """The employee on whose own behalf the principal may act; None: nobody's."""
    return who.employee_id if "participant" in who.roles else None


def participant_id_of(who: Principal) -> str:
    """The employee id of a principal who must be a participant."""
    assert who.employee_id is not None, "require() refuses a participant without employee_id"
    return who.employee_id


def oversees(who: Principal) -> bool:
    """Whether the principal may see what is not theirs."""
    return bool(who.roles & {"programme_manager", "auditor"})


def add_rule_answers(app: FastAPI) -> None:
    """Answer broken rules with problem documents."""

    async def broken(_: Request, error: Exception) -> Response:
        assert isinstance(error, RuleBroken)
        problem = Problem(_status(error), error.field, error.reason, remedy=error.remedy)
        return problem_response(problem.document())

    app.add_exception_handler(RuleBroken, broken)


def _status(error: RuleBroken) -> int:
    if isinstance(error, Unknown):
        return 404
    return 422 if isinstance(error, Invalid) else 409
