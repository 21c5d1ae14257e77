"""What is wrong, and what to do: problem documents (RFC 9457), and how they are described."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import asyncpg
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from shared.database import TRANSIENT, TooLarge

log = structlog.get_logger()

_MOST_FIELDS_TOLD = 20
"""The answer to a body full of unknown fields must not outgrow the body."""


class Problem(Exception):  # noqa: N818 - RFC 9457's word
    """An answer that says what is wrong with which field, and what to do (RFC 9457)."""

    def __init__(
        self, status: int, field: str | None, detail: str, *, remedy: str | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.field = field
        self.detail = detail
        self.remedy = remedy

    def document(self) -> dict[str, Any]:
        """The problem document's members."""
        return problem_document(self.status, self.detail, field=self.field, remedy=self.remedy)


def problem_document(status: int, detail: str, **members: Any) -> dict[str, Any]:
    """A problem document with the members that have a value."""
    document = {"type": "about:blank", "title": _TITLES.get(status, "Error"), "status": status}
    present = {name: value for name, value in members.items() if value is not None}
    return document | {"detail": detail} | present


_TITLES = {
    400: "Bad request",
    401: "Not authenticated",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    410: "Gone",
    413: "Too large",
    422: "Not valid",
    500: "Internal error",
    503: "Not available",
}


def problem_response(document: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    """An answer with a problem document as its body."""
    return JSONResponse(
        document, document["status"], headers=headers, media_type="application/problem+json"
    )


def add_problem_answers(app: FastAPI) -> None:
    """Answer every error of the app with a problem document."""

    async def problem(_: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else None
        return problem_response(error.document(), headers)

    async def http_error(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return problem_response(problem_document(error.status_code, str(error.detail)))

    async def not_valid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        errors = [
            {
                "field": ".".join(str(part) for part in e["loc"][1:]) or str(e["loc"][0]),
                "detail": e["msg"].removeprefix("Value error, "),
            }
            for e in error.errors()[:_MOST_FIELDS_TOLD]
        ]
        detail = "; ".join(f"{e['field']}: {e['detail']}" for e in errors[:5])
        document = problem_document(
            422, detail, errors=errors, field=errors[0]["field"], remedy="Correct the fields named."
        )
        return problem_response(document)

    async def too_large(_: Request, error: Exception) -> Response:
        return problem_response(problem_document(413, str(error), remedy="Send less at once."))

    async def away(_: Request, error: Exception) -> Response:
        # The driver's own may be a mistake of ours as well, so that it tells where it was.
        ours = isinstance(error, asyncpg.InterfaceError)
        log.warning("request_failed", error=type(error).__name__, exc_info=error if ours else None)
        # Lost at the commit, the work may have been done all the same.
        document = problem_document(
            503,
            "The database cannot do this now.",
            remedy="Try again after a second; a POST with the same Idempotency-Key acts once.",
        )
        return problem_response(document, {"Retry-After": "1"})

    async def failed(_: Request, error: Exception) -> Response:
        log.error("request_failed", error=type(error).__name__, exc_info=error)
        return problem_response(
            problem_document(500, "The request failed on our side.", remedy="Try again later.")
        )

    app.add_exception_handler(Problem, problem)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(RequestValidationError, not_valid)
    app.add_exception_handler(TooLarge, too_large)
    for kind in TRANSIENT:
        app.add_exception_handler(kind, away)
    app.add_exception_handler(Exception, failed)


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


_REFUSALS = {
    401: _problem("No token, or one that is not valid."),
    403: _problem("The token's roles do not allow this."),
    404: _problem("There is no such thing that you may see."),
    409: _problem("A rule forbids it as things stand; `remedy` says what to do."),
    422: _problem("A value is not valid; `field` and `errors` name it."),
    503: _problem("The database or the issuer of tokens is away; try again later."),
}


def refusals(*, without: Collection[int] = ()) -> dict[int | str, dict[str, Any]]:
    """Answers as `/openapi.json` has them, by status; `without` those that cannot be."""
    return {status: told for status, told in _REFUSALS.items() if status not in without}
