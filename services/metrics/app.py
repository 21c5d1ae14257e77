"""Composition root: settings to ASGI app."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI

from services.metrics.api import router
from services.metrics.handlers import handlers
from services.metrics.jobs import measure_programmes
from services.metrics.settings import Settings
from shared.service import Job, create_service


def create_app(settings: Settings | None = None) -> FastAPI:
    """The metrics service."""
    settings = settings or Settings()
    return create_service(
        name="metrics",
        settings=settings,
        handlers=handlers,
        routers=[router],
        jobs=[Job("measure-programmes", measure_programmes, settings.measure_every_seconds)],
        migrations=Path(__file__).parent / "migrations",
    )
