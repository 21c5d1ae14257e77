"""HTTP in: who asks, one transaction per request, and idempotent POSTs."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response, Security
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared import tracing
from shared.auth import Principal, RoleName, TokenRefused
from shared.clock import Clock
from shared.database import Database, Transaction
from shared.problems import Problem, problem_response, refusals

__all__ = [
    "BodyLimit",
    "Now",
    "Principal",
    "TransactionRoute",
    "Tx",
    "new_router",
    "require",
]

_LONGEST_KEY = 200


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
                await problem_response(problem.document())(scope, receive, send)
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


def new_router(tag: str, *, without: Collection[int] = ()) -> APIRouter:
    """A router of such routes, which may answer any problem but those of some statuses."""
    return APIRouter(route_class=TransactionRoute, tags=[tag], responses=refusals(without=without))


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


_BEARER = HTTPBearer(
    # The route has looked at the token by then; this one is for the description.
    auto_error=False,
    bearerFormat="JWT",
    description="An OIDC token with `roles`, and `employee_id` where it is a person.",
)


def require(*roles: RoleName) -> Callable[[Request, object], Principal]:
    """A dependency: the principal, who must have one of the roles. Raises Problem 401 or 403."""

    def principal_with_role(
        request: Request,
        _: Annotated[object, Security(_BEARER)],
    ) -> Principal:
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
