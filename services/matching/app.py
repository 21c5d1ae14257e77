"""The service put together."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from fastapi import FastAPI

from services.matching import jobs
from services.matching.api import router
from services.matching.handlers import handlers
from services.matching.runs import carry_out_due_runs
from services.matching.settings import Settings
from services.matching.solver import solver
from shared.service import Job, create_service


def create_app(settings: Settings | None = None) -> FastAPI:
    """The ASGI app of matching."""
    settings = settings or Settings()
    every = settings.poll_seconds
    runs = partial(
        carry_out_due_runs,
        solve=solver(settings.solve_timeout_seconds),
        debounce_seconds=settings.debounce_seconds,
    )
    daily = partial(jobs.schedule_daily_runs, run_at=settings.daily_run_at)
    return create_service(
        name="matching",
        settings=settings,
        handlers=handlers,
        routers=[router],
        jobs=[
            Job("match-runs", runs, every_seconds=every),
            Job("expire-proposals", jobs.expire_proposals, every_seconds=every),
            Job("complete-programmes", jobs.complete_programmes, every_seconds=every),
            Job("end-silent-pairs", jobs.end_silent_pairs, every_seconds=every),
            Job("daily-runs", daily, every_seconds=every),
        ],
        migrations=Path(__file__).parent / "migrations",
    )
