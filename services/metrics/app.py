"""Composition root: settings to ASGI app."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from fastapi import FastAPI

from services.metrics.api import router
from services.metrics.domain.definitions import BASES
from services.metrics.handlers import handlers
from services.metrics.jobs import measure_when_told
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
        jobs=[
            Job(
                f"measure-{basis}",
                partial(
                    measure_when_told, basis=basis, at_most_seconds=settings.measure_every_seconds
                ),
                # It waits by itself; the job's own rhythm is only for what fails.
                every_seconds=0.005,
            )
            for basis in BASES
        ],
        migrations=Path(__file__).parent / "migrations",
    )
