"""Settings of matching."""

from __future__ import annotations

from datetime import time
from pathlib import Path

from pydantic import Field, model_validator

from shared.settings import ServiceSettings


class Settings(ServiceSettings):
    """What only matching needs."""

    daily_run_at: time = time(6)
    """Programme time (UTC) of each programme's daily run."""
    debounce_seconds: float = Field(default=1.0, ge=0)
    """Real seconds that a run waits for more changes, so that a wave of them is one run."""
    solve_gap: float | None = Field(default=None, ge=0, le=1)
    """How far from the best is good enough; None: 0 up to 20,000 people, 0.0005 above."""
    solve_budget_seconds: float = Field(default=300.0, gt=0)
    """After which a run takes the best it has found, with the gap that is proven of it."""
    solve_timeout_seconds: float = Field(default=900.0, gt=0)
    """After which a run fails."""
    solvers: int = Field(default=2, ge=1, le=16)
    """Runs at the same time; each of another programme, in a process of its own."""
    solver_memory_mb: int = Field(default=6144, ge=512)
    """Address space of each of these processes; a run that needs more fails."""
    kernel_cache: Path | None = None
    """Folder for the engine's compiled kernels; None: beside the source where that is writable."""
    warm_kernels: bool = False
    """Compile the kernels when the service starts rather than in the first large run."""
    keep_outcomes_days: int = Field(default=90, ge=1)
    """Real days for which a run can be verified, and its drafts looked at."""
    min_group_size: int = Field(default=5, ge=2)
    """Smallest group whose coverage is shown."""
    poll_seconds: float = Field(default=0.25, gt=0)
    """Real seconds between looks for work that is due."""

    @model_validator(mode="after")
    def _budget_comes_first(self) -> Settings:
        if self.solve_budget_seconds >= self.solve_timeout_seconds:
            raise ValueError(
                "solve_budget_seconds: not less than solve_timeout_seconds; a run would fail before"
                " it may stop"
            )
        return self
