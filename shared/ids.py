"""Ids: UUIDv7, so that they sort by the time they were made."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import uuid_utils.compat


def new_id(now: datetime) -> UUID:
    """A fresh UUIDv7 that carries `now` with millisecond precision."""
    return uuid_utils.compat.uuid7(nanoseconds=int(now.timestamp() * 1000) * 1_000_000)
