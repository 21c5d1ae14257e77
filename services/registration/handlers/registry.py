"""The one registry that every handler module of registration adds to."""

from __future__ import annotations

from shared.consumer import Handlers

handlers = Handlers()
