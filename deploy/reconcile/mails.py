"""The mails that the local mail server kept: which message each belongs to, and nothing else."""

from __future__ import annotations

from collections import Counter
from email.parser import BytesHeaderParser
from pathlib import Path


def mails_by_message(folder: Path) -> Counter[str]:
    """How many mails there are per notification id; mails without one count under ``""``."""
    found: Counter[str] = Counter()
    parser = BytesHeaderParser()
    for path in folder.glob("*.eml"):
        with path.open("rb") as file:
            headers = parser.parse(file)
        found[str(headers.get("X-Updraft-Notification-Id", "")).strip()] += 1
    return found
