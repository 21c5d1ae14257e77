"""Composition root: settings, handlers, jobs and routers make the service."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI

from services.registration.api import ROUTERS, add_rule_answers
from services.registration.directory_jobs import apply_due_changes
from services.registration.handlers import handlers, pairs
from services.registration.programmes import close_programmes_that_are_over
from services.registration.settings import Settings
from shared.links import LinkSigner
from shared.service import Job, create_service

__all__ = ["create_app", "pairs"]


def create_app(settings: Settings | None = None) -> FastAPI:
    """The registration service. Raises ValueError without a long enough secret for links."""
    settings = settings or Settings()
    signer = LinkSigner(settings.links.secret.get_secret_value())
    app = create_service(
        name="registration",
        settings=settings,
        handlers=handlers,
        routers=ROUTERS,
        jobs=[
            Job("due-changes", apply_due_changes, settings.job_seconds),
            Job("programmes-over", close_programmes_that_are_over, settings.job_seconds),
        ],
        migrations=Path(__file__).parent / "migrations",
    )
    app.state.links = signer
    add_rule_answers(app)
    return app
