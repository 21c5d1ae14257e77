"""The folder in which the stack's mail server keeps every mail, as a mailbox to look into."""

from __future__ import annotations

import base64
import json
import os
import re
import time
from bisect import insort
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from itertools import chain
from pathlib import Path
from typing import Any

_FILE = re.compile(r"(\d{6,})-.*\.eml")
_LINK = re.compile(r"https?://\S+/l/([\w.-]+)")
_TICK_NS = 50_000_000


@dataclass(frozen=True)
class Mail:
    """One mail as its recipient has it."""

    number: int
    to: str
    kind: str
    message: EmailMessage = field(repr=False)

    @property
    def text(self) -> str:
        """The plain text part."""
        part = self.message.get_body(preferencelist=("plain",))
        assert part is not None
        return str(part.get_content())

    @property
    def html(self) -> str:
        """The HTML part."""
        part = self.message.get_body(preferencelist=("html",))
        assert part is not None
        return str(part.get_content())

    @property
    def sent_at(self) -> Any:
        """Programme time."""
        return parsedate_to_datetime(str(self.message["Date"]))

    @property
    def links(self) -> dict[str, str]:
        """One-click links by their action."""
        return {_claims(match[1])["act"]: match[0] for match in _LINK.finditer(self.text)}

    @property
    def calendar(self) -> str:
        """The calendar entry that mail programs act on."""
        found = [p for p in self.message.walk() if p.get_content_type() == "text/calendar"]
        assert len(found) == 1, "the mail has no calendar entry"
        return bytes(found[0].get_payload(decode=True)).decode()

    def is_about(self, what: str) -> bool:
        """Whether its links or its calendar entry name this pair or session."""
        named = [_claims(match[1]) for match in _LINK.finditer(self.text)]
        if any(what in (each.get("pair"), each.get("ses")) for each in named):
            return True
        return any(
            what in bytes(part.get_payload(decode=True)).decode()
            for part in self.message.walk()
            if part.get_content_type() == "text/calendar"
        )


class Mailbox:
    """All mails, read once each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: set[str] = set()
        self._by_address: dict[str, list[Mail]] = {}
        self._read_up_to = 0

    def all(self) -> list[Mail]:
        """Every mail, oldest first."""
        self._read()
        return sorted(chain.from_iterable(self._by_address.values()), key=_number)

    def find(self, to: str, kind: str = "", *, after: Mail | None = None) -> list[Mail]:
        """The mails to an address, of one kind if given, after another one; oldest first."""
        self._read()
        return [
            mail
            for mail in self._by_address.get(to, ())
            if kind in ("", mail.kind) and (after is None or mail.number > after.number)
        ]

    def _read(self) -> None:
        # Hundreds of visitors look many times a second: only what changed is read.
        changed = self._folder.stat().st_mtime_ns
        if changed == self._read_up_to:
            return
        for name in os.listdir(self._folder):
            match = _FILE.fullmatch(name)
            if match and name not in self._files:
                mail = _mail(int(match[1]), self._folder / name)
                self._files.add(name)
                insort(self._by_address.setdefault(mail.to, []), mail, key=_number)
        # What comes within the clock's next tick may leave the folder's time as it is.
        self._read_up_to = changed if time.time_ns() - changed > _TICK_NS else 0


def _number(mail: Mail) -> int:
    return mail.number


def _mail(number: int, path: Path) -> Mail:
    message = message_from_bytes(path.read_bytes(), policy=policy.default)
    assert isinstance(message, EmailMessage)
    return Mail(number, str(message["X-RcptTo"]), str(message["X-Updraft-Kind"]), message)


def _claims(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    document: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=="))
    return document
