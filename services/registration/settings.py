"""Settings of registration."""

from __future__ import annotations

from pydantic import Field

from shared.settings import ServiceSettings


class Settings(ServiceSettings):
    """What all services have, and how often registration looks at the calendar."""

    job_seconds: float = Field(default=0.5, gt=0)
    """Real seconds between two looks at what falls due: HR's announced changes, programmes over."""
