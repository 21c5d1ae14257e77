"""The one registry that every handler module of registration adds to."""

from __future__ import annotations

from shared.handlers import Handlers

handlers = Handlers()
