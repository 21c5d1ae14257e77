"""Events in: HR's records, and the life of pairs."""

from __future__ import annotations

from services.registration.handlers import hr, pairs
from services.registration.handlers.registry import handlers

__all__ = ["handlers", "hr", "pairs"]
