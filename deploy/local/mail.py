"""A mail server that delivers to a folder: every mail is kept as .eml and shown on a web page.

Run as `python -m deploy.local.mail --smtp-port N --http-port N --folder DIR`. To see how senders
cope, mail to `…+refused@…` is refused for good, and mail to `…+later@…` once for the moment.
"""

from __future__ import annotations

import argparse
import html
import itertools
import re
import signal
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from email import message_from_binary_file, policy
from email.message import EmailMessage
from email.parser import BytesHeaderParser
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from deploy.local.web import Reply, Request, json_reply, serve

_PER_PAGE = 100
_FILE_NAME = re.compile(r"^(\d{6,})-([a-z0-9_-]+)\.eml$")
_NEVER_RUN = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; "
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
)
_PAGE_POLICY = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    )
}


@dataclass(frozen=True)
class Mail:
    """One mail of the folder, without its content."""

    number: int
    kind: str
    file: str
    to: str
    subject: str
    date: str


class Mailbox:
    """The folder of mails, with a list of them in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._mails = {mail.number: mail for mail in map(self._read, self._files())}
        self._numbers = itertools.count(max(self._mails, default=0) + 1)

    def _files(self) -> Iterable[Path]:
        return sorted(path for path in self.folder.iterdir() if _FILE_NAME.match(path.name))

    def _read(self, path: Path) -> Mail:
        with path.open("rb") as file:
            headers = BytesHeaderParser(policy=policy.compat32).parse(file)
        return _described(path.name, headers)

    def keep(self, content: bytes, recipients: Iterable[str]) -> Mail:
        """Store a mail; a file appears under its name only when it is whole."""
        headers = BytesHeaderParser(policy=policy.compat32).parsebytes(content)
        kind = re.sub(r"[^a-z0-9_]+", "-", str(headers.get("X-Updraft-Kind", "mail")).lower())
        with self._lock:
            name = f"{next(self._numbers):06d}-{kind.strip('-')[:40] or 'mail'}.eml"
            draft = self.folder / f".{name}.part"
            # Whom it was delivered to, which the headers need not tell.
            envelope = "".join(f"X-RcptTo: {_one_line(to)}\r\n" for to in recipients)
            draft.write_bytes(envelope.encode() + content)
            draft.rename(self.folder / name)
            mail = _described(name, headers, ", ".join(map(_one_line, recipients)))
            self._mails[mail.number] = mail
        return mail

    def find(self, *, to: str = "", kind: str = "", after: int = 0) -> list[Mail]:
        """Mails whose recipient contains `to`, of one kind if given; newest first."""
        with self._lock:
            mails = list(self._mails.values())
        wanted = to.strip().lower()
        return [
            mail
            for mail in reversed(mails)
            if mail.number > after and wanted in mail.to.lower() and kind in ("", mail.kind)
        ]

    def kinds(self) -> list[str]:
        """The kinds of mail that there are."""
        with self._lock:
            return sorted({mail.kind for mail in self._mails.values()})

    def open(self, number: int) -> tuple[Mail, EmailMessage] | None:
        """A mail with its content; None if there is no such mail."""
        mail = self._mails.get(number)
        if mail is None:
            return None
        with (self.folder / mail.file).open("rb") as file:
            return mail, message_from_binary_file(file, policy=policy.default)


def _one_line(text: str) -> str:
    return re.sub(r"[\r\n]+", " ", text)


def _described(name: str, headers: Any, to: str | None = None) -> Mail:
    match = _FILE_NAME.match(name)
    if match is None:
        raise ValueError(f"{name}: not a file of the mailbox")
    envelope = headers.get_all("X-RcptTo") or [headers.get("To", "")]
    return Mail(
        number=int(match[1]),
        kind=match[2],
        file=name,
        to=to if to is not None else ", ".join(map(str, envelope)),
        subject=_decoded(headers.get("Subject", "")),
        date=_date(str(headers.get("Date", ""))),
    )


def _decoded(value: Any) -> str:
    from email.header import decode_header, make_header

    try:
        return _one_line(str(make_header(decode_header(str(value)))))
    except (ValueError, LookupError):
        return _one_line(str(value))


def _date(text: str) -> str:
    try:
        return parsedate_to_datetime(text).isoformat(sep=" ", timespec="minutes")
    except (ValueError, TypeError):
        return _one_line(text)


class Sink:
    """What the SMTP server does with a mail: keep it."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._put_off: set[str] = set()

    async def handle_RCPT(  # noqa: N802 - the library's name
        self,
        server: Any,  # noqa: ARG002
        session: Any,  # noqa: ARG002
        envelope: Any,
        address: str,
        options: list[str],  # noqa: ARG002
    ) -> str:
        """Accept everybody but those made to fail."""
        local_part = address.rpartition("@")[0]
        if local_part.endswith("+refused"):
            return "550 5.1.1 No such mailbox (this address is made to fail)"
        if local_part.endswith("+later") and address not in self._put_off:
            self._put_off.add(address)
            return "451 4.2.1 Try again later (this address is made to fail once)"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - the library's name
        self,
        server: Any,  # noqa: ARG002
        session: Any,  # noqa: ARG002
        envelope: Any,
    ) -> str:
        """Keep the mail."""
        mail = self._mailbox.keep(envelope.original_content, list(envelope.rcpt_tos))
        return f"250 OK kept as {mail.number}"


class Pages:
    """The mailbox as web pages: a list, one mail, its HTML, its attachments, its source."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    def answer(self, request: Request) -> Reply:
        """Answer a GET request."""
        if request.method not in ("GET", "HEAD"):
            return _text("only GET\n", 405)
        if request.path == "/":
            return self._list(request.query)
        if request.path == "/mails.json":
            return self._json(request.query)
        match = re.fullmatch(r"/mails/(\d{1,9})(?:/(html|source|part/(\d{1,3})))?", request.path)
        found = self._mailbox.open(int(match[1])) if match else None
        if match is None or found is None:
            return _text("there is no such mail\n", 404)
        mail, message = found
        if match[2] is None:
            return _page(f"{mail.subject} · mail {mail.number}", _mail_page(mail, message))
        if match[2] == "html":
            return _html_part(message)
        if match[2] == "source":
            return Reply((self._mailbox.folder / mail.file).read_bytes(), "text/plain")
        return _attachment(message, int(match[3]))

    def _json(self, query: dict[str, str]) -> Reply:
        after = query.get("after", "0")
        mails = self._mailbox.find(
            to=query.get("to", ""),
            kind=query.get("kind", ""),
            after=int(after) if after.isdecimal() else 0,
        )
        return json_reply([asdict(mail) for mail in mails])

    def _list(self, query: dict[str, str]) -> Reply:
        to, kind = query.get("to", ""), query.get("kind", "")
        asked = query.get("page", "1")
        mails = self._mailbox.find(to=to, kind=kind)
        pages = max(1, -(-len(mails) // _PER_PAGE))
        page = min(max(1, int(asked) if asked.isdecimal() else 1), pages)
        shown = mails[(page - 1) * _PER_PAGE : page * _PER_PAGE]
        options = "".join(
            f"<option{' selected' if known == kind else ''}>{html.escape(known)}</option>"
            for known in self._mailbox.kinds()
        )
        rows = "".join(_row(mail) for mail in shown)
        older = _page_link("older", to, kind, page + 1) if page < pages else ""
        newer = _page_link("newer", to, kind, page - 1) if page > 1 else ""
        content = (
            f"<h1>Mails</h1><form><label>To <input name=to value='{html.escape(to, quote=True)}'>"
            f"</label> <label>Kind <select name=kind><option value=''>all</option>{options}"
            f"</select></label> <button>Show</button> {len(mails)} mails</form>"
            f"<table><tr><th>No.<th>Date<th>To<th>Kind<th>Subject</tr>{rows}</table>"
            f"<p>{newer} {older}</p>"
        )
        return _page("Mails", content)


def _row(mail: Mail) -> str:
    kind = html.escape(mail.kind)
    return (
        f"<tr><td>{mail.number}<td>{html.escape(mail.date)}<td>{html.escape(mail.to)}"
        f"<td><a href='/?kind={kind}'>{kind}</a>"
        f"<td><a href='/mails/{mail.number}'>{html.escape(mail.subject) or '(none)'}</a></tr>"
    )


def _page_link(label: str, to: str, kind: str, page: int) -> str:
    query = html.escape(urlencode({"to": to, "kind": kind, "page": page}), quote=True)
    return f"<a href='/?{query}'>{label}</a>"


def _mail_page(mail: Mail, message: EmailMessage) -> str:
    headers = "".join(
        f"<tr><th>{html.escape(name)}<td>{html.escape(str(value))}</tr>"
        for name, value in message.items()
    )
    text = message.get_body(preferencelist=("plain",))
    plain = _linked(_content(text)) if text is not None else "(no text part)"
    frame = ""
    if message.get_body(preferencelist=("html",)) is not None:
        frame = (
            f"<h2>HTML</h2><iframe title='HTML part' src='/mails/{mail.number}/html' "
            "sandbox='allow-popups allow-popups-to-escape-sandbox'></iframe>"
        )
    attached = "".join(
        f"<li><a href='/mails/{mail.number}/part/{index}'>"
        f"{html.escape(part.get_filename() or part.get_content_type())}</a></li>"
        for index, part in enumerate(message.walk())
        if _is_attachment(part)
    )
    return (
        f"<p><a href='/'>all mails</a> · <a href='/mails/{mail.number}/source'>source</a></p>"
        f"<h1>{html.escape(mail.subject)}</h1><table>{headers}</table>"
        f"{f'<h2>Attachments</h2><ul>{attached}</ul>' if attached else ''}"
        f"<h2>Text</h2><pre>{plain}</pre>{frame}"
    )


def _is_attachment(part: Any) -> bool:
    return not part.is_multipart() and part.get_content_type() not in ("text/plain", "text/html")


def _content(part: Any) -> str:
    try:
        return str(part.get_content())
    except (LookupError, ValueError):
        return bytes(part.get_payload(decode=True) or b"").decode(errors="replace")


def _linked(text: str) -> str:
    """Text made safe for HTML, with its web addresses as links."""
    return re.sub(
        r"https?://[^\s<>&\"']+(?:&amp;[^\s<>&\"']+)*",
        lambda m: f"<a href='{m[0]}' target=_blank rel='noopener noreferrer'>{m[0]}</a>",
        html.escape(text, quote=False),
    )


def _html_part(message: EmailMessage) -> Reply:
    part = message.get_body(preferencelist=("html",))
    if part is None:
        return _text("this mail has no HTML part\n", 404)
    body = "<!doctype html><base target=_blank>" + _content(part)
    # The mail's own scripts, forms and remote pictures never run or load.
    return Reply(body.encode(), headers={"Content-Security-Policy": _NEVER_RUN})


def _attachment(message: EmailMessage, index: int) -> Reply:
    part = next(itertools.islice(message.walk(), index, None), None)
    if part is None or not _is_attachment(part):
        return _text("there is no such attachment\n", 404)
    name = re.sub(r"[^A-Za-z0-9._-]", "_", part.get_filename() or "attachment")
    body = bytes(part.get_payload(decode=True) or b"")
    return Reply(
        body,
        "application/octet-stream",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _text(text: str, status: int) -> Reply:
    return Reply(text.encode(), "text/plain; charset=utf-8", status)


def _page(title: str, content: str) -> Reply:
    style = (
        "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;"
        "color-scheme:light dark}table{border-collapse:collapse;width:100%}"
        "td,th{text-align:left;padding:.25rem .75rem .25rem 0;vertical-align:top;"
        "border-bottom:1px solid #8884;overflow-wrap:anywhere}pre{white-space:pre-wrap}"
        "iframe{width:100%;height:40rem;border:1px solid #8884;background:#fff}"
    )
    body = (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width'>"
        f"<title>{html.escape(title)}</title><style>{style}</style><body>{content}</body></html>"
    )
    return Reply(body.encode(), headers=_PAGE_POLICY)


def main() -> None:
    """Take mails and show them until SIGTERM."""
    from aiosmtpd.controller import Controller

    arguments = argparse.ArgumentParser(description="Keep mails in a folder and show them.")
    arguments.add_argument("--smtp-port", type=int, required=True)
    arguments.add_argument("--http-port", type=int, required=True)
    arguments.add_argument("--folder", type=Path, required=True)
    given = arguments.parse_args()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    signal.signal(signal.SIGINT, lambda *_: ended.set())
    mailbox = Mailbox(given.folder)
    smtp = Controller(
        Sink(mailbox), hostname="127.0.0.1", port=given.smtp_port, ident="updraft-local"
    )
    smtp.start()
    pages = serve(given.http_port, Pages(mailbox).answer)
    print("keeping mails", flush=True)
    ended.wait()
    pages.shutdown()
    smtp.stop()


if __name__ == "__main__":
    main()
