"""Where commands write."""

from __future__ import annotations

from rich.console import Console

_FILE_WIDTH = 250


def console(*, stderr: bool = False) -> Console:
    """A console that folds what it writes to its terminal; to a file it writes whole lines."""
    made = Console(stderr=stderr, emoji=False)
    return made if made.is_terminal else Console(stderr=stderr, emoji=False, width=_FILE_WIDTH)
