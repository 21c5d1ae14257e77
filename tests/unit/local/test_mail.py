from email.message import EmailMessage

import pytest

from deploy.local.mail import Mailbox, Pages, Sink
from deploy.local.web import Request


def mail(*, to="ada@example.org", kind="invitation", text="Hello", html=None, ics=None) -> bytes:
    message = EmailMessage()
    message["To"] = to
    message["Subject"] = "Grüße <b>"
    message["Date"] = "Mon, 05 Jan 2026 09:00:00 +0100"
    message["X-Updraft-Kind"] = kind
    message.set_content(text)
    if html:
        message.add_alternative(html, subtype="html")
    if ics:
        message.add_attachment(ics.encode(), "text", "calendar", filename='a"b/../invite.ics')
    return message.as_bytes()


@pytest.fixture
def mailbox(tmp_path):
    return Mailbox(tmp_path / "mails")


def page(mailbox, path, method="GET", **query):
    return Pages(mailbox).answer(Request(method, path, query, b""))


def test_each_mail_is_kept_in_a_file_named_by_number_and_kind(mailbox):
    mailbox.keep(mail(kind="proposal"), ["ada@example.org"])
    mailbox.keep(mail(kind="digest"), ["ada@example.org"])

    names = sorted(path.name for path in mailbox.folder.iterdir())
    assert names == ["000001-proposal.eml", "000002-digest.eml"]


def test_a_kind_cannot_lead_out_of_the_folder(mailbox):
    kept = mailbox.keep(mail(kind="../../etc/passwd"), ["a@example.org"])

    assert kept.file == "000001-etc-passwd.eml"


def test_numbers_go_on_when_the_folder_is_opened_again(mailbox):
    mailbox.keep(mail(), ["a@example.org"])

    again = Mailbox(mailbox.folder)

    assert again.keep(mail(), ["b@example.org"]).number == 2
    assert [found.to for found in again.find()] == ["b@example.org", "a@example.org"]


def test_the_list_is_newest_first_and_can_be_filtered(mailbox):
    mailbox.keep(mail(kind="proposal"), ["ada@example.org"])
    mailbox.keep(mail(kind="digest"), ["ada@example.org"])
    mailbox.keep(mail(kind="digest"), ["bob@example.org"])

    assert [m.number for m in mailbox.find()] == [3, 2, 1]
    assert [m.number for m in mailbox.find(to="ADA@")] == [2, 1]
    assert [m.number for m in mailbox.find(to="ada", kind="digest")] == [2]
    assert [m.number for m in mailbox.find(after=2)] == [3]


def test_pages_escape_what_mails_say(mailbox):
    attack = "<script>alert(1)</script>"
    mailbox.keep(mail(to=f'"{attack}" <x@example.org>', text=attack), [f"{attack}@example.org"])

    for path in ("/", "/mails/1"):
        body = page(mailbox, path).body
        assert b"<script" not in body
        assert b"Gr\xc3\xbc\xc3\x9fe &lt;b&gt;" in body
    assert b"<script" not in page(mailbox, "/", to="'><script>", kind="<script>").body


def test_html_is_shown_where_nothing_of_it_can_run(mailbox):
    mailbox.keep(mail(html="<p>Hi<script>alert(1)</script>"), ["a@example.org"])

    reply = page(mailbox, "/mails/1/html")

    assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
    assert "sandbox" in reply.headers["Content-Security-Policy"]
    assert "allow-scripts" not in reply.headers["Content-Security-Policy"]
    assert b"sandbox='allow-popups" in page(mailbox, "/mails/1").body


def test_links_in_the_text_can_be_followed(mailbox):
    mailbox.keep(mail(text='Say yes: http://127.0.0.1:8000/l/abc?a=1&b="2'), ["a@example.org"])

    body = page(mailbox, "/mails/1").body

    assert b"<a href='http://127.0.0.1:8000/l/abc?a=1&amp;b=' target=_blank" in body


def test_attachments_are_downloaded_under_a_harmless_name(mailbox):
    mailbox.keep(mail(ics="BEGIN:VCALENDAR"), ["a@example.org"])
    body = page(mailbox, "/mails/1").body.decode()
    path = body.partition("/part/")[2].partition("'")[0]

    reply = page(mailbox, f"/mails/1/part/{path}")

    assert reply.body == b"BEGIN:VCALENDAR"
    assert reply.headers["Content-Disposition"] == 'attachment; filename="a_b_.._invite.ics"'


@pytest.mark.parametrize("path", ["/mails/2", "/mails/1/part/99", "/mails/x", "/../secrets.json"])
def test_what_is_not_there_is_not_found(mailbox, path):
    mailbox.keep(mail(), ["a@example.org"])

    assert page(mailbox, path).status == 404


def test_nothing_can_be_posted(mailbox):
    assert page(mailbox, "/", method="POST").status == 405


async def test_some_addresses_are_made_to_fail(mailbox):
    class Envelope:
        rcpt_tos: list[str] = []  # noqa: RUF012

    sink, envelope = Sink(mailbox), Envelope()

    async def answer(address):
        return (await sink.handle_RCPT(None, None, envelope, address, []))[:3]

    assert await answer("ada+refused@example.org") == "550"
    assert await answer("ada+later@example.org") == "451"
    assert await answer("ada+later@example.org") == "250"
    assert await answer("ada@example.org") == "250"
