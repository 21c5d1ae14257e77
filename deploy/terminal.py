"""Where commands write."""

from __future__ import annotations

import os

from rich.console import Console

_FILE_WIDTH = 250


def console(*, stderr: bool = False) -> Console:
    """A console that folds what it writes to its terminal, or to COLUMNS; not so in a file."""
    made = Console(stderr=stderr, emoji=False)
    if made.is_terminal or "COLUMNS" in os.environ:
        return made
    return Console(stderr=stderr, emoji=False, width=_FILE_WIDTH)
