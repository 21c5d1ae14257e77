"""How endpoints are described, who may ask, and how broken rules are answered (RFC 9457)."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response, Security
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer

from services.registration.domain.rules import Invalid, RuleBroken, Unknown
from shared.http import Principal, Problem, TransactionRoute, require

_BEARER = HTTPBearer(
    auto_error=False,
    bearerFormat="JWT",
    description="An OIDC token with `roles`, and `employee_id` where it is a person.",
)

_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong, in a sentence."},
        "field": {"type": "string", "description": "The field that is wrong."},
        "remedy": {"type": "string", "description": "What to do about it."},
        "errors": {
            "type": "array",
            "description": "For 422: each field that is wrong.",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}


def _problem(description: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {"application/problem+json": {"schema": _PROBLEM}},
    }


PROBLEMS: dict[int | str, dict[str, Any]] = {
    401: _problem("No token, or one that is not valid."),
    403: _problem("The token's roles do not allow this."),
    404: _problem("There is no such thing that you may see."),
    409: _problem("A rule forbids it as things stand; `remedy` says what to do."),
    422: _problem("A value is not valid; `field` and `errors` name it."),
}


def secured_router(tag: str) -> APIRouter:
    """A router whose endpoints need a token and answer problems."""
    return APIRouter(
        route_class=TransactionRoute,
        tags=[tag],
        responses=PROBLEMS,
        dependencies=[Security(_BEARER)],
    )


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
        document = Problem(
            _status(error), error.field, error.reason, remedy=error.remedy
        ).document()
        return JSONResponse(document, document["status"], media_type="application/problem+json")

    app.add_exception_handler(RuleBroken, broken)


def _status(error: RuleBroken) -> int:
    if isinstance(error, Unknown):
        return 404
    return 422 if isinstance(error, Invalid) else 409
