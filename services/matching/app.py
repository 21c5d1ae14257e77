"""The service put together."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from fastapi import FastAPI

from services.matching import jobs
from services.matching.api import routers
from services.matching.handlers import handlers
from services.matching.runs import MatchRuns
from services.matching.settings import Settings
from services.matching.solver import Limits, Workers, solver, warm
from services.matching.store import runs as run_store
from shared.database import Database
from shared.service import Job, create_service

_FORGET_EVERY_SECONDS = 3600.0
_NEVER_AGAIN_SECONDS = 1e9


def create_app(settings: Settings | None = None) -> FastAPI:
    """The ASGI app of matching."""
    settings = settings or Settings()
    every = settings.poll_seconds
    limits = Limits(
        gap=settings.solve_gap,
        budget_seconds=settings.solve_budget_seconds,
        timeout_seconds=settings.solve_timeout_seconds,
        memory_mb=settings.solver_memory_mb,
    )
    workers = Workers(settings.kernel_cache)
    match_runs = MatchRuns(
        solver(settings.postgres.full_dsn(), "matching", limits, workers),
        workers,
        most=settings.solvers,
        debounce_seconds=settings.debounce_seconds,
        every_seconds=every,
    )
    daily = partial(jobs.schedule_daily_runs, run_at=settings.daily_run_at)
    forget = partial(run_store.forget_old_outcomes, keep_days=settings.keep_outcomes_days)

    async def warm_kernels(_: Database) -> None:
        await warm(settings.kernel_cache)

    return create_service(
        name="matching",
        settings=settings,
        handlers=handlers,
        routers=routers,
        jobs=[
            match_runs,
            Job("expire-proposals", jobs.expire_proposals, every_seconds=every),
            Job("complete-programmes", jobs.complete_programmes, every_seconds=every),
            Job("end-silent-pairs", jobs.end_silent_pairs, every_seconds=every),
            Job("daily-runs", daily, every_seconds=every),
            Job("forgotten-reviews", jobs.cancel_forgotten_reviews, every_seconds=every),
            Job("forget-outcomes", forget, every_seconds=_FORGET_EVERY_SECONDS),
            *(
                [Job("warm-kernels", warm_kernels, every_seconds=_NEVER_AGAIN_SECONDS)]
                if settings.warm_kernels
                else []
            ),
        ],
        migrations=Path(__file__).parent / "migrations",
        # Runs wait for more news by themselves, and a guard may come a moment later.
        longest_rest_seconds=0.1,
    )
