"""One-click links from mails: GET shows a page with one button, only POST acts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from services.registration import links, pages
from services.registration.domain.employment import Contact
from services.registration.domain.participation import has_topics
from services.registration.domain.rules import Overtaken, RuleBroken
from services.registration.links import LinkUsed, NotForThisPerson, NotYetKnown, Subject
from services.registration.pages import Page, Texts
from services.registration.store import directory, people
from shared.database import Transaction
from shared.http import TransactionRoute, Tx
from shared.links import Link, LinkRefused, LinkSigner

_PAGE: dict[str, Any] = {"content": {"text/html": {}}}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    403: _PAGE | {"description": "The link was forged, cut off, or is not this person's."},
    409: _PAGE | {"description": "The question was settled otherwise, or a rule says no."},
    410: _PAGE | {"description": "The link has expired, or was used."},
    503: _PAGE | {"description": "The news has not arrived here; try again after `Retry-After`."},
}
_LONGEST_FORM = 4096

router = APIRouter(route_class=TransactionRoute, tags=["links"], responses=_REFUSALS)


@router.get("/l/{token}", response_class=HTMLResponse, summary="Show what a link would do")
async def show(token: str, tx: Tx, request: Request) -> HTMLResponse:
    """A page with one button. Changes nothing, however often it is fetched."""

    async def ask(link: Link, texts: Texts, contact: Contact | None) -> Page:
        subject = await links.rehearse(tx, link)
        agreement = None
        if subject.action == "enrol" and subject.programme is not None:
            agreement = subject.programme.programme.agreement_version
        names = await _names(tx, subject, texts, contact)
        return texts.question(subject.action, names, agreement)

    return await _answer(token, tx, request, ask)


@router.post("/l/{token}", response_class=HTMLResponse, summary="Do what a link says")
async def use(token: str, tx: Tx, request: Request) -> HTMLResponse:
    """Acts once; all links of the same question are used up with it."""
    agreement = await _shown_agreement(request)

    async def do(link: Link, texts: Texts, contact: Contact | None) -> Page:
        subject = await links.act(tx, link, agreement=agreement)
        names = await _names(tx, subject, texts, contact)
        return texts.thanks(subject.action, names, *_still_missing(subject, texts))

    return await _answer(token, tx, request, do)


async def _answer(
    token: str,
    tx: Transaction,
    request: Request,
    step: Callable[[Link, Texts, Contact | None], Awaitable[Page]],
) -> HTMLResponse:
    """The page of a step, or the friendly page that says why nothing was done."""
    signer: LinkSigner = request.app.state.links
    texts = pages.texts(_preferred_language(request))
    try:
        link = signer.read(token, tx.now)
    except LinkRefused as refused:
        if refused.expired:
            return _html(texts.refusal("expired"), 410)
        return _html(texts.refusal("forged"), 403)
    contact = await directory.contact(tx.connection, link.employee_id)
    if contact is not None:
        texts = pages.texts(contact.locale)
    try:
        return _html(await step(link, texts, contact), 200)
    except LinkUsed:
        return _html(texts.refusal("used"), 410)
    except NotForThisPerson:
        return _html(texts.refusal("foreign"), 403)
    except NotYetKnown:
        return _html(texts.refusal("not_yet"), 503, {"Retry-After": "2"})
    except RuleBroken as broken:
        state = "overtaken" if isinstance(broken, Overtaken) else "refused"
        return _html(texts.refusal(state, broken.reason, broken.remedy), 409)


def _still_missing(subject: Subject, texts: Texts) -> list[str]:
    """What a person who joined or was trained must still do before they can be paired."""
    one = subject.participant
    if subject.action not in ("enrol", "complete_training") or one is None:
        return []
    if has_topics(one.role, one.profile):
        return []
    return [texts.plain("topics_to_offer" if one.role == "mentor" else "topics_to_learn")]


async def _names(
    tx: Transaction, subject: Subject, texts: Texts, contact: Contact | None
) -> dict[str, object]:
    """What a page may call by name."""
    names: dict[str, object] = {
        "programme": "Updraft",
        "agreement": "",
        "counterpart": texts.plain("someone"),
        "topics": texts.plain("no_topics"),
        "score": subject.score,
        "starts_at": "",
        "minutes": "",
    }
    if subject.programme is not None:
        names["programme"] = subject.programme.programme.name
        names["agreement"] = subject.programme.programme.agreement_version
    if subject.pair is not None:
        others = {subject.pair.mentor_employee_id, subject.pair.mentee_employee_id}
        others.discard(subject.employee_id)
        known = await people.names(tx.connection, others)
        if known:
            names["counterpart"] = " + ".join(sorted(known.values()))
        if subject.pair.topics:
            names["topics"] = ", ".join(subject.pair.topics)
    if subject.session is not None:
        zone = contact.timezone if contact is not None else "UTC"
        names["starts_at"] = _local(subject.session.starts_at, zone)
        names["minutes"] = subject.session.minutes
    return names


def _local(moment: datetime, zone: str) -> str:
    return f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d, %H:%M} ({zone})"


def _preferred_language(request: Request) -> str:
    """The browser's first language: all that is known before the link is read."""
    first = request.headers.get("accept-language", "en").split(",")[0]
    return first.split(";")[0].strip()[:35] or "en"


async def _shown_agreement(request: Request) -> str | None:
    """The agreement version in the page's form; None when a client posts without the page."""
    if len(await request.body()) > _LONGEST_FORM:
        return None
    form = await request.form()
    shown = form.get("agreement")
    return shown if isinstance(shown, str) else None


def _html(page: Page, status: int, more: dict[str, str] | None = None) -> HTMLResponse:
    return HTMLResponse(pages.render(page), status, headers=pages.HEADERS | (more or {}))
