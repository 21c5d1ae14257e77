"""Mails are found once, and their links are understood."""

from __future__ import annotations

from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from uuid import UUID

from deploy.demo.mailbox import Mailbox, parse_mail
from shared.links import Link, LinkSigner

PAIR = UUID("018f0000-0000-7000-8000-000000000001")
GROUP = UUID("018f0000-0000-7000-8000-000000000002")


def proposal(text: str = "Sag ja: {accept}\noder nein: {decline}\n") -> bytes:
    signer = LinkSigner("x" * 40)
    urls = {
        action: "http://127.0.0.1:8001/l/"
        + signer.sign(Link(action, "A1", GROUP, datetime(2026, 2, 1, tzinfo=UTC), pair_id=PAIR))
        for action in ("accept", "decline")
    }
    message = EmailMessage()
    message["To"] = "Léonie Grandval <Leonie@alderline.example>"
    message["Subject"] = "A proposal"
    message["X-Updraft-Kind"] = "proposal"
    # Long lines and umlauts make the parts quoted-printable or base64, as real mails are.
    message.set_content(text.format(**urls) + "ü" * 200)
    message.add_alternative(f"<a href='{urls['accept']}'>ja</a>", subtype="html")
    return message.as_bytes()


def test_the_links_of_a_mail_say_what_they_do_and_for_which_pair() -> None:
    mail = parse_mail(proposal())
    assert mail.kind == "proposal"
    assert mail.to == "leonie@alderline.example"
    assert [link.action for link in mail.links] == ["accept", "decline"]
    link = mail.link("accept")
    assert link is not None
    assert link.pair_id == str(PAIR)
    assert link.url.startswith("http://127.0.0.1:8001/l/")


def test_a_link_that_is_not_ours_has_no_action() -> None:
    mail = parse_mail(proposal("See http://elsewhere.example/l/abc.def.ghi"))
    assert [link.action for link in mail.links] == [""]
    assert mail.link("accept") is None


def test_each_mail_is_seen_once_and_only_interesting_ones_are_parsed(tmp_path: Path) -> None:
    mailbox = Mailbox(tmp_path, frozenset({"proposal"}))
    assert mailbox.new_mails() == []
    (tmp_path / "000002-proposal.eml").write_bytes(proposal())
    (tmp_path / "000001-digest.eml").write_bytes(b"not even a mail")
    (tmp_path / ".000003-proposal.eml.part").write_bytes(b"half of")
    assert [mail.number for mail in mailbox.new_mails()] == [2]
    assert mailbox.new_mails() == []
    assert mailbox.counts == {"proposal": 1, "digest": 1}


def test_a_folder_that_is_not_there_yet_holds_no_mails(tmp_path: Path) -> None:
    assert Mailbox(tmp_path / "later", frozenset()).new_mails() == []


def test_a_mail_that_the_listing_missed_is_read_at_the_next_look(tmp_path: Path) -> None:
    mailbox = Mailbox(tmp_path, frozenset({"proposal"}))
    for number in (1, 2, 4):
        (tmp_path / f"{number:06d}-proposal.eml").write_bytes(proposal())
    assert [mail.number for mail in mailbox.new_mails()] == [1, 2]
    assert mailbox.new_mails() == []
    (tmp_path / "000003-proposal.eml").write_bytes(proposal())
    assert [mail.number for mail in mailbox.new_mails()] == [3, 4]
    assert mailbox.counts == {"proposal": 4}


def test_numbers_are_compared_as_numbers(tmp_path: Path) -> None:
    (tmp_path / "999998-digest.eml").write_bytes(b"of an earlier play")
    mailbox = Mailbox(tmp_path, frozenset({"proposal"}))
    for number in (1_000_000, 999_999):
        (tmp_path / f"{number:06d}-proposal.eml").write_bytes(proposal())
    assert [mail.number for mail in mailbox.new_mails()] == [999_999, 1_000_000]
    assert mailbox.counts == {"proposal": 2}
