"""Everyone's mailbox: the folder of `.eml` files, read as it grows."""

from __future__ import annotations

import base64
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32
from email.utils import parseaddr, parsedate_to_datetime
from pathlib import Path

_NAME = re.compile(r"^(\d+)-(.+)\.eml$")
_LINK = re.compile(r"https?://[^\s<>\"']+/l/([A-Za-z0-9_.~=-]+)")


@dataclass(frozen=True)
class MailLink:
    """A one-click link found in a mail's text."""

    url: str
    action: str
    pair_id: str | None = None
    session_id: str | None = None
    programme_id: str | None = None


@dataclass(frozen=True)
class Mail:
    """One mail as a person would see it."""

    number: int
    kind: str
    to: str
    subject: str
    links: tuple[MailLink, ...]
    sent: datetime
    """Programme time, as the mail's date says."""

    def link(self, action: str) -> MailLink | None:
        """The first link of this action."""
        return next((link for link in self.links if link.action == action), None)


class Mailbox:
    """Watches a folder for mails that come from now on.

    Each is looked at once, and parsed only if its kind is of interest.
    """

    def __init__(self, folder: Path, interesting: frozenset[str]) -> None:
        self._folder = folder
        self._interesting = interesting
        # A folder that was used before holds the mails of another play.
        self._last = max((number for number, _, _ in self._found()), default=0)
        self.counts: Counter[str] = Counter()

    def new_mails(self) -> list[Mail]:
        """Mails of interesting kinds that came since the last look, in the order of arrival."""
        mails = []
        for number, name, kind in self._in_a_row():
            self._last = number
            self.counts[kind] += 1
            if kind in self._interesting:
                content = (self._folder / name).read_bytes()
                mails.append(parse_mail(content, number=number, kind=kind))
        return mails

    def _in_a_row(self) -> Iterator[tuple[int, str, str]]:
        """(number, file, kind) of the new mails up to the first number that is missing.

        A folder that grows while it is listed may show a mail without the one before it. The
        server numbers without gaps, so the missing one is there at the next look.
        """
        due = self._last + 1
        for number, name, kind in self._found():
            if number > due:
                return
            if number == due:
                yield number, name, kind
                due += 1

    def _found(self) -> list[tuple[int, str, str]]:
        try:
            names = os.listdir(self._folder)
        except FileNotFoundError:
            return []
        matches = (_NAME.match(name) for name in names)
        return sorted((int(match[1]), match[0], match[2]) for match in matches if match)


def parse_mail(content: bytes, *, number: int = 0, kind: str | None = None) -> Mail:
    """Recipient, subject and links of a mail."""
    # The old policy parses headers lazily: thousands of mails are read while the services work.
    message = BytesParser(policy=compat32).parsebytes(content)
    return Mail(
        number=number,
        kind=kind or str(message.get("X-Updraft-Kind", "")),
        to=parseaddr(str(message.get("To", "")))[1].lower(),
        subject=str(message.get("Subject", "")),
        links=tuple(_links(_text(message))),
        sent=_date(str(message.get("Date", ""))),
    )


def _date(text: str) -> datetime:
    try:
        return parsedate_to_datetime(text).astimezone(UTC)
    except ValueError:
        # A mail without a date came just now, for all that its reader can tell.
        return datetime.max.replace(tzinfo=UTC)


def _text(message: Message) -> str:
    for part in message.walk():
        if part.get_content_type() == "text/plain":
            payload = part.get_payload(decode=True)
            if isinstance(payload, bytes):
                return payload.decode(part.get_content_charset() or "utf-8", "replace")
    return ""


def _links(text: str) -> list[MailLink]:
    return [_read_link(match[0], match[1]) for match in _LINK.finditer(text)]


def _read_link(url: str, token: str) -> MailLink:
    """What a link is for, by its own claims; only the service can tell whether it is genuine."""
    try:
        part = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        return MailLink(
            url=url,
            action=str(claims["act"]),
            pair_id=claims.get("pair"),
            session_id=claims.get("ses"),
            programme_id=claims.get("prg"),
        )
    except (IndexError, KeyError, TypeError, ValueError):
        return MailLink(url=url, action="")
