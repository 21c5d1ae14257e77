"""The service put together."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from fastapi import FastAPI

from services.notifications.api import router
from services.notifications.handlers import handlers
from services.notifications.jobs import owe_digests, owe_nudges
from services.notifications.mails.compose import Sender
from services.notifications.sending import MailJob
from services.notifications.settings import Settings
from shared.links import LinkSigner
from shared.service import Job, create_service


def create_app(settings: Settings | None = None) -> FastAPI:
    """The ASGI app of notifications."""
    settings = settings or Settings()
    sender = sender_of(settings)
    mails = MailJob(settings.smtp, settings.mail, sender)
    app = create_service(
        name="notifications",
        settings=settings,
        handlers=handlers,
        routers=[router],
        jobs=[
            Job("send-mails", mails.run, every_seconds=settings.jobs.send_seconds),
            Job("owe-nudges", owe_nudges, every_seconds=settings.jobs.nudge_seconds),
            Job("owe-digests", owe_digests, every_seconds=settings.jobs.digest_seconds),
        ],
        migrations=Path(__file__).parent / "migrations",
        # Mails take longer than that on their way.
        longest_rest_seconds=0.1,
    )
    app.state.signer = sender.signer
    return app


def sender_of(settings: Settings) -> Sender:
    """Who mails are from and where their links lead. Raises ValueError for a short secret."""
    return Sender(
        signer=LinkSigner(settings.links.secret.get_secret_value()),
        links_base=settings.links.base_url.rstrip("/"),
        unsubscribe_base=settings.unsubscribe_base,
        from_name=settings.mail.from_name,
        from_address=settings.mail.from_address,
        valid=timedelta(days=settings.links.valid_days),
        unsubscribe_valid=timedelta(days=settings.mail.unsubscribe_days),
    )
