"""Composition root: settings to ASGI app."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from fastapi import FastAPI

from services.metrics.api import router
from services.metrics.handlers import handlers
from services.metrics.jobs import measure_when_told
from services.metrics.settings import Settings
from shared.service import Job, create_service


def create_app(settings: Settings | None = None) -> FastAPI:
    """The metrics service."""
    settings = settings or Settings()
    measure = partial(measure_when_told, at_most_seconds=settings.measure_every_seconds)
    return create_service(
        name="metrics",
        settings=settings,
        handlers=handlers,
        routers=[router],
        # It waits by itself; the job's own rhythm is only for what fails.
        jobs=[Job("measure-programmes", measure, every_seconds=0.005)],
        migrations=Path(__file__).parent / "migrations",
    )
