"""Settings of metrics."""

from __future__ import annotations

from pydantic import Field

from shared.settings import ServiceSettings


class Settings(ServiceSettings):
    """What metrics can be told besides what every service can."""

    measure_every_seconds: float = Field(default=3.0, gt=0)
    """Real seconds between two looks for programmes whose KPIs are out of date, where no commit of
    facts tells of it before: KPIs change by time alone."""
