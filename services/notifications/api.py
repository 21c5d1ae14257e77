"""HTTP in: what was mailed, and the pages that end mails."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from urllib.parse import parse_qs
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from services.notifications.domain.kinds import OPTIONAL
from services.notifications.mails.compose import UNSUBSCRIBE_ACTION
from services.notifications.mails.pages import Choice, page
from services.notifications.store import messages, projections
from shared.http import Now, Principal, TransactionRoute, Tx, require
from shared.links import Link, LinkRefused, LinkSigner
from shared.problems import refusals

router = APIRouter(route_class=TransactionRoute)

ALL = "*"
_LARGEST_FORM = 4096
_PAGE_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
}


class KindCount(BaseModel):
    """How many messages of a kind are in a state."""

    kind: str
    state: str
    count: int


class NotificationCounts(BaseModel):
    """What a programme mailed, or owes, or did not send."""

    programme_id: UUID
    total: dict[str, int]
    """Messages by state."""
    kinds: list[KindCount]


@router.get(
    "/programmes/{programme_id}/notifications",
    tags=["notifications"],
    responses=refusals(without=(404, 409)),
)
async def count_notifications(
    programme_id: UUID,
    tx: Tx,
    _: Annotated[Principal, Depends(require("programme_manager", "auditor"))],
) -> NotificationCounts:
    """Count a programme's messages by kind and state."""
    counts = await messages.counts_of_programme(tx, programme_id)
    total: dict[str, int] = dict.fromkeys(("owed", "sent", "failed", "suppressed"), 0)
    for _kind, state, count in counts:
        total[state] += count
    kinds = [KindCount(kind=kind, state=state, count=count) for kind, state, count in counts]
    return NotificationCounts(programme_id=programme_id, total=total, kinds=kinds)


@router.get("/u/{token}", tags=["unsubscribe"], response_class=HTMLResponse)
async def show_unsubscribe_page(token: str, request: Request, tx: Tx, now: Now) -> HTMLResponse:
    """Show what can be unsubscribed; changes nothing, because mail scanners follow links."""
    link = _read(request, token, now)
    if link is None:
        return _refusal()
    locale = await projections.locale_of(tx, link.employee_id)
    return _answer(page("ask", locale, (Choice("this"), Choice("all"))))


@router.post("/u/{token}", tags=["unsubscribe"], response_class=HTMLResponse)
async def unsubscribe(token: str, request: Request, tx: Tx, now: Now) -> HTMLResponse:
    """Unsubscribe from the link's kind, with `scope=all` from all that is optional; `undo` too.

    A mail client's one-click request (RFC 8058) carries neither and ends the link's kind.
    """
    link = _read(request, token, now)
    if link is None:
        return _refusal()
    form = await _form(request)
    kind = ALL if form.get("scope") == "all" else link.action.removeprefix(UNSUBSCRIBE_ACTION)
    locale = await projections.locale_of(tx, link.employee_id)
    if "undo" in form:
        await projections.subscribe_again(tx, link.employee_id, [kind])
        return _answer(page("undone", locale, ()))
    await projections.unsubscribe(tx, link.employee_id, kind)
    undo = Choice("undo", scope="all" if kind == ALL else "this", undo=True)
    return _answer(page("done", locale, (undo,)))


def _read(request: Request, token: str, now: datetime) -> Link | None:
    signer: LinkSigner = request.app.state.signer
    try:
        link = signer.read(token, now)
    except LinkRefused:
        return None
    known = {f"{UNSUBSCRIBE_ACTION}{kind}" for kind in OPTIONAL}
    return link if link.action in known else None


async def _form(request: Request) -> dict[str, str]:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST_FORM:
            return {}
    fields = parse_qs(body.decode("latin-1"))
    return {name: values[0] for name, values in fields.items()}


def _answer(html: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(html, status, headers=_PAGE_HEADERS)


def _refusal() -> HTMLResponse:
    return _answer(page("refused", "en", ()), 410)
