"""HTTP in: who asks, one transaction per request, idempotent POSTs, and problem documents."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Annotated, Any

import structlog
from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared import tracing
from shared.auth import Principal, RoleName, TokenRefused
from shared.clock import Clock
from shared.database import Database, TooLarge, Transaction

log = structlog.get_logger()

__all__ = [
    "BodyLimit",
    "Now",
    "Principal",
    "Problem",
    "TransactionRoute",
    "Tx",
    "add_problem_answers",
    "require",
]

_LONGEST_KEY = 200
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


def _problem_response(document: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    return JSONResponse(
        document, document["status"], headers=headers, media_type="application/problem+json"
    )


def add_problem_answers(app: FastAPI) -> None:
    """Answer every error of the app with a problem document."""

    async def problem(_: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else None
        return _problem_response(error.document(), headers)

    async def http_error(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _problem_response(problem_document(error.status_code, str(error.detail)))

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
        return _problem_response(document)

    async def too_large(_: Request, error: Exception) -> Response:
        return _problem_response(problem_document(413, str(error), remedy="Send less at once."))

    async def failed(_: Request, error: Exception) -> Response:
        log.error("request_failed", error=type(error).__name__, exc_info=error)
        return _problem_response(
            problem_document(500, "The request failed on our side.", remedy="Try again later.")
        )

    app.add_exception_handler(Problem, problem)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(RequestValidationError, not_valid)
    app.add_exception_handler(TooLarge, too_large)
    app.add_exception_handler(Exception, failed)


class BodyLimit:
    """Answers 413 to a request whose body is larger than `most_bytes`, however it is sent."""

    def __init__(self, app: ASGIApp, most_bytes: int = 1024 * 1024) -> None:
        self._app = app
        self._most_bytes = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body, and hand it on if it is small enough."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = b""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self._most_bytes:
                problem = Problem(
                    413, "body", f"Larger than {self._most_bytes} bytes.", remedy="Send less."
                )
                await _problem_response(problem.document())(scope, receive, send)
                return
        whole: Message = {"type": "http.request", "body": body, "more_body": False}

        async def replayed() -> Message:
            nonlocal whole
            if whole:
                message, whole = whole, {}
                return message
            return await receive()

        await self._app(scope, replayed, send)


async def _authenticate(request: Request) -> Principal | None:
    """The principal of the Authorization header; None without one. Raises Problem 401."""
    header = request.headers.get("authorization")
    if header is None:
        return None
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Problem(401, "Authorization", "Not a bearer token.", remedy="Send `Bearer <token>`.")
    try:
        principal: Principal = await request.app.state.tokens.verify(token.strip())
    except TokenRefused as error:
        raise Problem(
            401, "Authorization", str(error), remedy="Get a new token from the issuer."
        ) from None
    except OSError:
        raise Problem(
            503, "Authorization", "Tokens cannot be checked now.", remedy="Try again later."
        ) from None
    return principal


class TransactionRoute(APIRoute):
    """Runs each request in one transaction, committed before the answer leaves.

    A POST with an `Idempotency-Key` stores its answer in that transaction, a refusal (4xx) too; the
    same request again gets the same answer without acting, another request with the key gets 422.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's handler."""
        answer = super().get_route_handler()

        async def handle(request: Request) -> Response:
            principal = await _authenticate(request)
            request.state.principal = principal
            database: Database = request.app.state.database
            async with database.transaction() as tx:
                request.state.tx = tx
                parent = request.headers.get("traceparent")
                span = tx.span(f"{request.method} {self.path}", "SERVER", parent)
                tx.traceparent = tracing.traceparent(span, parent)
                key = request.headers.get("idempotency-key")
                if request.method != "POST" or key is None:
                    return await answer(request)
                # Without a token the endpoint refuses; the key must not reveal others' answers.
                return await _once(tx, principal, key, request, answer)

        return handle


async def _once(
    tx: Transaction,
    principal: Principal | None,
    key: str,
    request: Request,
    answer: Callable[[Request], Awaitable[Response]],
) -> Response:
    if principal is None:
        return await answer(request)
    if not 0 < len(key) <= _LONGEST_KEY:
        raise Problem(
            422,
            "Idempotency-Key",
            "Empty or too long.",
            remedy=f"Send 1 to {_LONGEST_KEY} characters.",
        )
    # Who lost a role since must not get the answer that the role was given.
    where = (request.method, request.url.path, request.url.query)
    asked = (*where, *sorted(principal.roles), principal.employee_id)
    digest = hashlib.sha256(repr(asked).encode())
    digest.update(await request.body())
    # The unique row makes a second request with the key wait for the first one's commit.
    claimed = await tx.connection.fetchval(
        "INSERT INTO idempotency (subject, key, request) VALUES ($1, $2, $3)"
        " ON CONFLICT DO NOTHING RETURNING true",
        principal.subject,
        key,
        digest.digest(),
    )
    if claimed:
        try:
            async with tx.savepoint():
                response = await answer(request)
        except Exception as error:
            response = await _refusal(request, error)
        await tx.connection.execute(
            "UPDATE idempotency SET status = $3, content_type = $4, body = $5"
            " WHERE subject = $1 AND key = $2",
            principal.subject,
            key,
            response.status_code,
            response.headers.get("content-type"),
            bytes(response.body),
        )
        return response
    stored = await tx.connection.fetchrow(
        "SELECT request, status, content_type, body FROM idempotency"
        " WHERE subject = $1 AND key = $2",
        principal.subject,
        key,
    )
    if stored is None or stored["request"] != digest.digest():
        raise Problem(
            422, "Idempotency-Key", "Used before for another request.", remedy="Send a new key."
        )
    return Response(
        stored["body"],
        stored["status"],
        headers={"Idempotency-Replayed": "true"},
        media_type=stored["content_type"],
    )


async def _refusal(request: Request, error: Exception) -> Response:
    """The app's answer of 4xx to an error; raises the error where it has none.

    It is kept as any other answer: were the key free again, a copy of the request that hangs on
    its way could act after its sender was refused and gave up.
    """
    handlers = request.app.exception_handlers
    handler = next(
        (
            handlers[kind]
            for kind in type(error).__mro__
            if kind in handlers and kind is not Exception
        ),
        None,
    )
    if handler is not None:
        response: Response = await handler(request, error)
        if 400 <= response.status_code < 500:
            return response
    raise error


def _transaction(request: Request) -> Transaction:
    tx: Transaction = request.state.tx
    return tx


def _clock_now(request: Request) -> Any:
    clock: Clock = request.app.state.clock
    return clock.now()


Tx = Annotated[Transaction, Depends(_transaction)]
"""The request's transaction."""

Now = Annotated[Any, Depends(_clock_now)]
"""Programme time, UTC."""


def require(*roles: RoleName) -> Callable[[Request], Principal]:
    """A dependency: the principal, who must have one of the roles. Raises Problem 401 or 403."""

    def principal_with_role(request: Request) -> Principal:
        principal: Principal | None = getattr(request.state, "principal", None)
        if principal is None:
            raise Problem(401, "Authorization", "No token.", remedy="Send `Bearer <token>`.")
        if not principal.roles.intersection(roles):
            raise Problem(
                403,
                "Authorization",
                "Your roles do not allow this.",
                remedy=f"It needs one of: {', '.join(roles)}.",
            )
        if principal.employee_id is None and principal.roles.intersection(roles) == {"participant"}:
            raise Problem(
                403,
                "Authorization",
                "The token names no person.",
                remedy="A participant's token needs the claim employee_id.",
            )
        return principal

    return principal_with_role
