"""Settings of matching."""

from __future__ import annotations

from datetime import time

from pydantic import Field

from shared.settings import ServiceSettings


class Settings(ServiceSettings):
    """What only matching needs."""

    daily_run_at: time = time(6)
    """Programme time (UTC) of each programme's daily run."""
    debounce_seconds: float = Field(default=1.0, ge=0)
    """Real seconds that a run waits for more changes, so that a wave of them is one run."""
    solve_timeout_seconds: float = Field(default=600.0, gt=0)
    poll_seconds: float = Field(default=0.25, gt=0)
    """Real seconds between looks for work that is due."""
