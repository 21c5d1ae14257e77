"""Mails say the right thing to the right person, in their language, and cannot be abused."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from html.parser import HTMLParser
from typing import Any
from uuid import UUID

import pytest
from icalendar import Calendar
from jinja2 import Environment, meta

from services.notifications.domain.facts import Session
from services.notifications.domain.kinds import ESSENTIAL, OPTIONAL, Kind
from services.notifications.domain.letter import Digest, Kpi, Letter
from services.notifications.domain.messages import Owed, question_key
from services.notifications.domain.release import Contact
from services.notifications.mails.compose import Sender, Unmailable, compose, message_id
from services.notifications.mails.language import LANGUAGES, catalogue, language_of
from services.notifications.mails.pages import Choice, page
from shared.links import LinkSigner

NOW = datetime(2026, 3, 5, 13, tzinfo=UTC)
SIGNER = LinkSigner("a secret that is long enough to sign links")
SENDER = Sender(
    signer=SIGNER,
    links_base="https://door.example.org",
    unsubscribe_base="https://mail.example.org",
    from_name="Updraft",
    from_address="updraft@example.org",
)
JUNIOR = Contact("junior", "Ana Silva", "Ana", "ana@example.org", "en-GB", "Europe/London")
SENIOR = Contact("senior", "Bö Kraft", "Bö", "bo@example.org", "de-DE", "Europe/Berlin")
BOSS = Contact("boss", "Cléo Roux", "Cléo", "cleo@example.org", "fr-FR", "Europe/Paris")
PEOPLE = {"mentor": JUNIOR, "mentee": SENIOR, "manager": BOSS, "sponsor": BOSS}
SESSION = Session(
    UUID(int=3), UUID(int=1), UUID(int=2), "junior", "senior", 2, "scheduled",
    NOW + timedelta(days=2), 45,
)  # fmt: skip
RECIPIENTS = {
    Kind.DIGEST: ("manager",),
    Kind.PROPOSAL: ("mentor", "mentee", "manager"),
    Kind.PROPOSAL_REMINDER: ("mentor", "mentee", "manager"),
    Kind.TWO_CANCELLATIONS: ("mentee", "sponsor"),
}
MAILS = [
    (kind, recipient) for kind in Kind for recipient in RECIPIENTS.get(kind, ("mentor", "mentee"))
]


def letter(kind: Kind, recipient: str = "mentor", **changes: Any) -> Letter:
    to = PEOPLE[recipient]
    made = Letter(
        notification_id=UUID(int=9),
        message=Owed(
            kind=kind,
            employee_id=to.employee_id,
            recipient=recipient,  # type: ignore[arg-type]
            key=f"{kind}:{recipient}",
            programme_id=UUID(int=2),
            participant_id=UUID(int=4),
            pair_id=UUID(int=1),
            session_id=UUID(int=3),
            about_at=NOW,
        ),
        now=NOW,
        to=to,
        programme="Fresh & Bold",
        mentor=JUNIOR,
        mentee=SENIOR,
        topics=("AI", "video"),
        session=SESSION,
        answer_by=NOW + timedelta(days=10),
        digest=Digest((("ready", 12),), 4, 1, 2, 3, 5, 6, (Kpi("match_rate", 0.52, "ratio"),)),
    )
    return replace(made, **changes)


def mail_of(made: Letter) -> EmailMessage:
    """The mail as a receiver reads it from the wire."""
    parsed = message_from_bytes(compose(made, SENDER).as_bytes(), policy=default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def text_of(mail: EmailMessage, subtype: str = "plain") -> str:
    part = mail.get_body((subtype,))
    assert part is not None
    content: str = part.get_content()
    return content


def actions_of(mail: EmailMessage) -> list[str]:
    tokens = re.findall(r"https://door\.example\.org/l/(\S+)", text_of(mail))
    return [SIGNER.read(token, NOW).action for token in tokens]


class _Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.links: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize(("kind", "recipient"), MAILS)
@pytest.mark.parametrize("locale", ["en-US", "de-CH", "fr-CA", "ja-JP", "nonsense"])
def test_every_mail_can_be_read_in_every_language(kind: Kind, recipient: str, locale: str) -> None:
    to = replace(PEOPLE[recipient], locale=locale)
    mail = mail_of(letter(kind, recipient, to=to))
    text, html = text_of(mail), text_of(mail, "html")
    tags = _Tags(html)
    assert tags.open == []
    assert to.given_name is not None
    for body in (text, html):
        assert to.given_name in body
        assert "{{" not in body
        assert "None" not in body
    assert set(re.findall(r"https://\S+", text)) == set(tags.links)
    assert mail["X-Updraft-Kind"] == kind
    assert mail["X-Updraft-Notification-Id"] == str(UUID(int=9))
    assert mail["To"].addresses[0].addr_spec == to.email
    assert mail["Subject"]
    expected = locale[:2] if locale[:2] in LANGUAGES else "en"
    assert mail["Content-Language"] == expected
    assert f'<html lang="{expected}">' in html


def test_all_languages_have_the_same_texts_with_the_same_variables() -> None:
    def shape(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: shape(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [shape(inner) for inner in value]
        return meta.find_undeclared_variables(Environment(autoescape=True).parse(value))

    shapes = [shape(catalogue(language)) for language in LANGUAGES]
    # The digest says its day in the subject, and so on: compared as sets of variables per text.
    for other in shapes[1:]:
        assert other.keys() == shapes[0].keys()
        for section, texts in shapes[0].items():
            assert other[section].keys() == texts.keys(), section
            for name, variables in texts.items():
                if name == "paragraphs":
                    ours = set().union(*variables)
                    assert set().union(*other[section][name]) == ours, section
                else:
                    assert other[section][name] == variables, (section, name)


HOSTILE = "<script>alert(1)</script>\"'&{{ 7*7 }}"


@pytest.mark.parametrize(("kind", "recipient"), MAILS)
def test_names_and_titles_are_text_never_markup(kind: Kind, recipient: str) -> None:
    evil = Contact("x", HOSTILE, HOSTILE, "x@example.org", "en", "UTC")
    mail = mail_of(
        letter(
            kind, recipient, to=evil, mentor=evil, mentee=evil, programme=HOSTILE, topics=(HOSTILE,)
        )
    )
    html = text_of(mail, "html")
    assert "script" not in _Tags(html).seen
    assert "49" not in re.sub(r'href="[^"]*"|style="[^"]*"', "", html)
    assert "&lt;script&gt;" in html
    assert "<script>" in text_of(mail)


def test_a_line_break_in_a_name_adds_no_header() -> None:
    evil = replace(JUNIOR, name="Ana\r\nBcc: all@example.org", given_name="Ana\r\nBcc: x")
    mail = mail_of(letter(Kind.PROPOSAL, to=evil, mentee=evil, programme="P\r\nBcc: y"))
    assert mail["Bcc"] is None
    assert "\n" not in mail["Subject"]


@pytest.mark.parametrize(
    "address", ["", "nobody", "a@b@c", "a b@example.org", "a@example.org\r\nBcc: x@example.org"]
)
def test_an_address_that_is_none_is_refused_without_being_told(address: str) -> None:
    with pytest.raises(Unmailable) as refused:
        compose(letter(Kind.PROPOSAL, to=replace(JUNIOR, email=address)), SENDER)
    assert str(refused.value) == "bad address"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Kind.INVITATION, ["enrol", "decline_invitation"]),
        (Kind.PROPOSAL, ["accept", "decline"]),
        (Kind.PROPOSAL_REMINDER, ["accept", "decline"]),
        (Kind.SESSION_SCHEDULED, ["cancel_session"]),
        (Kind.SESSION_LOG_REQUEST, ["log_session"]),
        (Kind.SESSION_CONFIRM_REQUEST, ["confirm_session", "dispute_session"]),
        (Kind.FEEDBACK_REQUEST, [f"pulse_{n}" for n in range(1, 6)]),
        (Kind.PROGRAMME_COMPLETED, [f"nps_{n}" for n in range(11)]),
        (Kind.PAIR_ENDED, []),
    ],
)
def test_a_mail_offers_just_the_actions_of_its_question(kind: Kind, expected: list[str]) -> None:
    assert actions_of(mail_of(letter(kind))) == expected


def test_the_welcome_asks_for_the_training_only_while_it_is_open() -> None:
    assert actions_of(mail_of(letter(Kind.WELCOME, training_open=True))) == ["complete_training"]
    assert actions_of(mail_of(letter(Kind.WELCOME))) == []


def test_links_name_person_and_subject_and_one_question_has_one_group() -> None:
    mail = mail_of(letter(Kind.PROPOSAL, "mentee"))
    links = [SIGNER.read(t, NOW) for t in re.findall(r"/l/(\S+)", text_of(mail))]
    assert len({link.group for link in links}) == 1
    for link in links:
        assert (link.employee_id, link.pair_id) == ("senior", UUID(int=1))
        assert link.expires_at == NOW + timedelta(days=10)


def test_a_reminder_asks_the_same_question_as_the_proposal() -> None:
    def group(made: Letter) -> UUID:
        token = re.findall(r"/l/(\S+)", text_of(mail_of(made)))[0]
        return SIGNER.read(token, NOW).group

    proposal = letter(Kind.PROPOSAL)
    asked = replace(proposal.message, key=question_key(UUID(int=1), "mentor"))
    reminder = letter(Kind.PROPOSAL_REMINDER)
    assert group(replace(proposal, message=asked)) == group(reminder)
    assert group(reminder) != group(letter(Kind.PROPOSAL_REMINDER, "mentee"))


@pytest.mark.parametrize("kind", sorted(OPTIONAL - {Kind.DIGEST}))
def test_optional_mails_can_be_ended_with_one_click(kind: Kind) -> None:
    mail = mail_of(letter(kind, "mentee"))
    address = mail["List-Unsubscribe"].strip("<>")
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    link = SIGNER.read(address.rpartition("/")[2], NOW + timedelta(days=300))
    assert (link.action, link.employee_id) == (f"unsubscribe:{kind}", "senior")
    assert address in text_of(mail)


@pytest.mark.parametrize("kind", sorted(ESSENTIAL))
def test_essential_mails_offer_no_end(kind: Kind) -> None:
    mail = mail_of(letter(kind))
    assert mail["List-Unsubscribe"] is None
    assert "/u/" not in text_of(mail)


def test_the_same_message_sent_twice_has_the_same_message_id() -> None:
    first = mail_of(letter(Kind.STALLED))
    again = mail_of(letter(Kind.STALLED, now=NOW + timedelta(hours=3)))
    assert first["Message-ID"] == again["Message-ID"] == message_id("stalled:mentor", "example.org")
    assert first["Message-ID"] != mail_of(letter(Kind.STALLED, "mentee"))["Message-ID"]


@pytest.mark.parametrize(
    ("kind", "method", "status"),
    [
        (Kind.SESSION_SCHEDULED, "REQUEST", "CONFIRMED"),
        (Kind.SESSION_CANCELLED, "CANCEL", "CANCELLED"),
    ],
)
def test_the_calendar_entry_can_be_read_back(kind: Kind, method: str, status: str) -> None:
    mail = mail_of(letter(kind))
    parts = {part.get_content_type(): part for part in mail.walk()}
    calendar_part = parts["text/calendar"]
    assert calendar_part["Content-Type"].params["method"] == method
    calendar = Calendar.from_ical(calendar_part.get_payload(decode=True))
    assert parts["application/ics"].get_payload(decode=True) == calendar_part.get_payload(
        decode=True
    )
    assert calendar["METHOD"] == method
    (event,) = calendar.walk("VEVENT")
    assert str(event["UID"]) == str(SESSION.session_id)
    assert event["SEQUENCE"] == SESSION.version
    assert event["DTSTART"].dt == SESSION.starts_at
    assert event["DTEND"].dt == SESSION.ends_at
    assert str(event["STATUS"]) == status
    assert str(event["ORGANIZER"]) == "mailto:updraft@example.org"
    assert {str(a) for a in event["ATTENDEE"]} == {
        "mailto:ana@example.org",
        "mailto:bo@example.org",
    }


def test_a_hostile_name_breaks_no_calendar_entry() -> None:
    evil = replace(JUNIOR, name='"; X-EVIL=1:mailto:x\\,\u2028 Z')
    mail = mail_of(letter(Kind.SESSION_SCHEDULED, to=evil, mentor=evil))
    part = next(p for p in mail.walk() if p.get_content_type() == "text/calendar")
    (event,) = Calendar.from_ical(part.get_payload(decode=True)).walk("VEVENT")
    assert "mailto:ana@example.org" in {str(a) for a in event["ATTENDEE"]}
    assert all("X-EVIL" not in a.params for a in event["ATTENDEE"])


def test_dates_stand_in_the_readers_zone_language_and_habit() -> None:
    at = datetime(2026, 3, 29, 12, tzinfo=UTC)
    session = replace(SESSION, starts_at=at)

    def when(locale: str, zone: str) -> str:
        to = replace(JUNIOR, locale=locale, timezone=zone)
        return text_of(mail_of(letter(Kind.SESSION_REMINDER, to=to, session=session)))

    assert "Sonntag, 29. März 2026, 14:00 (MESZ)" in when("de-DE", "Europe/Berlin")
    assert "dimanche 29 mars 2026, 14:00" in when("fr-FR", "Europe/Paris")
    assert "Sunday, March 29, 2026, 8:00\u202fAM (EDT)" in when("en-US", "America/New_York")
    assert "Sunday, 29 March 2026, 13:00 (BST)" in when("en-GB", "Europe/London")


def test_a_language_that_we_do_not_speak_becomes_english_with_the_readers_dates() -> None:
    from zoneinfo import ZoneInfo

    stockholm = language_of("sv-SE", ZoneInfo("Europe/Stockholm"))
    assert stockholm.code == "en"
    assert "14:00" in stockholm.moment(datetime(2026, 3, 29, 12, tzinfo=UTC))
    assert language_of("", ZoneInfo("UTC")).code == "en"


@pytest.mark.parametrize(
    ("locale", "line"),
    [
        ("en", "Waiting for a partner: 1 mentor, 2 mentees"),
        ("de", "1 Mentor, 2 Mentees"),
        ("fr", "En attente d'un binôme\N{NO-BREAK SPACE}: 1 mentor, 2 mentorés"),
    ],
)
def test_numbers_and_colons_are_written_as_the_language_does(locale: str, line: str) -> None:
    made = letter(Kind.DIGEST, "manager", to=replace(BOSS, locale=locale))
    assert made.digest is not None
    waiting = replace(made.digest, mentors_waiting=1, mentees_waiting=2)
    assert line in text_of(mail_of(replace(made, digest=waiting)))


@pytest.mark.parametrize(
    ("locale", "search", "asked"),
    [
        ("en", "We are now looking", "at least one topic"),
        ("de", "Wir suchen jetzt", "mindestens ein Thema"),
        ("fr", "Nous cherchons maintenant", "au moins un thème"),
    ],
)
def test_a_welcome_promises_no_search_to_whom_a_topic_is_missing(
    locale: str, search: str, asked: str
) -> None:
    to = replace(JUNIOR, locale=locale)
    complete = text_of(mail_of(letter(Kind.WELCOME, to=to)))
    assert search in complete
    assert asked not in complete
    missing = text_of(mail_of(letter(Kind.WELCOME, to=to, profile_open=True)))
    assert asked in missing
    assert search not in missing


def test_the_digest_holds_the_weeks_numbers() -> None:
    english = replace(BOSS, locale="en-GB")
    text = text_of(mail_of(letter(Kind.DIGEST, "manager", to=english)))
    assert "Participants: 12 ready" in text
    assert "Active pairs: 4" in text
    assert "Sessions held this week: 3" in text
    assert "Waiting for a partner: 5 mentors, 6 mentees" in text
    assert "Participants with a partner: 52" in text


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("recipient", ["mentee", "sponsor"])
def test_words_about_cancellations_never_name_who_cancelled(language: str, recipient: str) -> None:
    to = replace(PEOPLE[recipient], locale=language)
    mail = mail_of(letter(Kind.TWO_CANCELLATIONS, recipient, to=to))
    # The junior's name may stand beside "with", but nothing is said about what the junior did.
    assert not re.search(
        r"Ana Silva (has |have |hat |haben |a )?(cancel|abgesagt|annul)", text_of(mail)
    )


def test_without_a_name_the_mail_still_greets() -> None:
    nameless = replace(JUNIOR, name=None, given_name=None)
    text = text_of(mail_of(letter(Kind.PAIR_CREATED, to=nameless, mentee=None)))
    assert text.startswith("Hello,")
    assert "your mentoring partner" in text


@pytest.mark.parametrize("locale", ["en", "de", "fr", "xx"])
@pytest.mark.parametrize("name", ["ask", "done", "undone", "refused"])
def test_pages_are_whole_in_every_language(locale: str, name: str) -> None:
    html = page(name, locale, (Choice("this"), Choice("all"), Choice("undo", undo=True)))
    assert _Tags(html.replace("<input", "<meta")).open == []
