"""HTTP in: one router per kind of thing."""

from __future__ import annotations

from fastapi import APIRouter

from services.registration.api import hr, link_pages, me, pairs, participants, programmes, sessions
from services.registration.api.answers import add_rule_answers

ROUTERS: tuple[APIRouter, ...] = (
    programmes.router,
    participants.router,
    me.router,
    pairs.router,
    sessions.router,
    hr.router,
    link_pages.router,
)

__all__ = ["ROUTERS", "add_rule_answers"]
