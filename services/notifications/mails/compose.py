"""A letter becomes a mail: subject, text and HTML, one-click links, calendar entry, headers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from markupsafe import Markup

from services.notifications.domain.kinds import OPTIONAL, Kind
from services.notifications.domain.letter import Letter
from services.notifications.domain.messages import question_key
from services.notifications.domain.quiet_hours import zone_of
from services.notifications.domain.release import Contact
from services.notifications.mails.calendar import Method, calendar_entry
from services.notifications.mails.language import HTML, PLAIN, Language, language_of
from shared.links import Link, LinkSigner

UNSUBSCRIBE_ACTION = "unsubscribe:"

BUTTONS: dict[Kind, tuple[str, ...]] = {
    Kind.INVITATION: ("enrol", "decline_invitation"),
    Kind.PROPOSAL: ("accept", "decline"),
    Kind.PROPOSAL_REMINDER: ("accept", "decline"),
    Kind.SESSION_SCHEDULED: ("cancel_session",),
    Kind.SESSION_REMINDER: ("cancel_session",),
    Kind.SESSION_LOG_REQUEST: ("log_session",),
    Kind.SESSION_CONFIRM_REQUEST: ("confirm_session", "dispute_session"),
}
"""The actions that a mail offers; the first is what we hope for."""
SCALES: dict[Kind, tuple[str, range]] = {
    Kind.FEEDBACK_REQUEST: ("pulse", range(1, 6)),
    Kind.PROGRAMME_COMPLETED: ("nps", range(11)),
}
CALENDAR: dict[Kind, Method] = {
    Kind.SESSION_SCHEDULED: "REQUEST",
    Kind.SESSION_CANCELLED: "CANCEL",
}
_SECONDARY = frozenset({"decline_invitation", "decline", "dispute_session", "cancel_session"})


class Unmailable(Exception):  # noqa: N818 - named by the fact
    """The recipient's address cannot stand in a mail; the message never says it."""


@dataclass(frozen=True)
class Sender:
    """Who the mails are from, and where their links lead."""

    signer: LinkSigner
    links_base: str
    unsubscribe_base: str
    from_name: str
    from_address: str
    valid: timedelta = timedelta(days=30)
    unsubscribe_valid: timedelta = timedelta(days=365)

    def link(self, letter: Letter, action: str) -> str:
        """The address of a one-click link of this letter."""
        message = letter.message
        token = self.signer.sign(
            Link(
                action=action,
                employee_id=message.employee_id,
                group=group_of(letter, action),
                expires_at=letter.answer_by or letter.now + self.valid,
                pair_id=message.pair_id,
                session_id=message.session_id,
                programme_id=message.programme_id,
                participant_id=message.participant_id,
            )
        )
        return f"{self.links_base}/l/{token}"

    def unsubscribe_link(self, letter: Letter) -> str:
        """The address where the recipient ends mails of this kind."""
        token = self.signer.sign(
            Link(
                action=f"{UNSUBSCRIBE_ACTION}{letter.message.kind}",
                employee_id=letter.message.employee_id,
                group=uuid5(NAMESPACE_URL, f"unsubscribe:{letter.message.key}"),
                expires_at=letter.now + self.unsubscribe_valid,
            )
        )
        return f"{self.unsubscribe_base}/u/{token}"

    @property
    def domain(self) -> str:
        """The domain of Message-IDs."""
        return self.from_address.rpartition("@")[2]


def group_of(letter: Letter, action: str) -> UUID:
    """The question that a link answers; a reminder and a mail sent twice ask the same one."""
    message = letter.message
    question = message.key
    if message.kind is Kind.PROPOSAL_REMINDER and message.pair_id is not None:
        question = question_key(message.pair_id, message.recipient)
    elif action == "cancel_session":
        version = letter.session.version if letter.session else 0
        question = f"cancel:{message.session_id}:{version}:{message.recipient}"
    return uuid5(NAMESPACE_URL, f"updraft:{question}")


def message_id(key: str, domain: str) -> str:
    """The Message-ID of an idempotency key: a mail sent twice can be told as one."""
    return f"<{hashlib.sha256(key.encode()).hexdigest()[:40]}@{domain}>"


def compose(letter: Letter, sender: Sender) -> EmailMessage:
    """The whole mail. Raises Unmailable."""
    language = language_of(letter.to.locale, zone_of(letter.to.timezone))
    values = _values(letter, language)
    section = language.section(letter.message.kind, letter.message.recipient)
    subject = _one_line(language.fill(section.subject, values))
    unsubscribe_url = sender.unsubscribe_link(letter) if letter.message.kind in OPTIONAL else None
    frame = _frame(letter, sender, language) | {
        "subject": subject,
        "unsubscribe_url": unsubscribe_url,
        "programme": values["programme"],
    }
    mail = EmailMessage(policy=SMTP)
    _address_mail(mail, letter, sender, subject, unsubscribe_url)
    plain = {
        "heading": language.fill(section.heading, values),
        "paragraphs": _paragraphs(language, section.paragraphs, values, html=False),
    }
    mail.set_content(PLAIN.get_template("layout.txt").render(frame | plain), cte="quoted-printable")
    rich = {
        "heading": _markup(language.fill(section.heading, values, html=True)),
        "paragraphs": _paragraphs(language, section.paragraphs, values, html=True),
    }
    body = HTML.get_template("layout.html").render(frame | rich)
    mail.add_alternative(body, subtype="html", cte="quoted-printable")
    if letter.message.kind in CALENDAR and letter.session is not None:
        _attach_calendar(mail, letter, sender, language)
    # After the bodies: setting one drops the content headers before it.
    mail["Content-Language"] = language.code
    return mail


def _address_mail(
    mail: EmailMessage,
    letter: Letter,
    sender: Sender,
    subject: str,
    unsubscribe_url: str | None,
) -> None:
    try:
        recipient = Address(_one_line(letter.to.name or ""), addr_spec=letter.to.email or "")
    except (ValueError, HeaderParseError, IndexError):
        raise Unmailable("bad address") from None
    mail["From"] = Address(sender.from_name, addr_spec=sender.from_address)
    mail["To"] = recipient
    mail["Subject"] = subject
    mail["Date"] = format_datetime(letter.now)
    mail["Message-ID"] = message_id(letter.message.key, sender.domain)
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Updraft-Kind"] = str(letter.message.kind)
    mail["X-Updraft-Notification-Id"] = str(letter.notification_id)
    if unsubscribe_url is not None:
        mail["List-Unsubscribe"] = f"<{unsubscribe_url}>"
        mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"


def _attach_calendar(
    mail: EmailMessage, letter: Letter, sender: Sender, language: Language
) -> None:
    assert letter.session is not None
    method = CALENDAR[letter.message.kind]
    fallback = language.text("common", "partner")
    entry = calendar_entry(
        letter.session,
        method=method,
        summary=language.text(
            "common",
            "calendar",
            mentor=_name(letter.mentor, fallback),
            mentee=_name(letter.mentee, fallback),
        ),
        organizer=(sender.from_name, sender.from_address),
        attendees=[person for person in (letter.mentor, letter.mentee) if person is not None],
        now=letter.now,
    )
    # Mail clients with a calendar act on the alternative part, the others offer the file.
    mail.add_alternative(
        entry, "text", "calendar", cte="base64", params={"method": method, "charset": "utf-8"}
    )
    mail.add_attachment(entry, "application", "ics", filename="session.ics")


def _values(letter: Letter, language: Language) -> dict[str, Any]:
    """What catalogue texts may mention."""
    fallback = language.text("common", "partner")
    values: dict[str, Any] = {
        "programme": letter.programme or language.text("common", "programme"),
        "partner": _name(letter.partner, fallback),
        "mentor": _name(letter.mentor, fallback),
        "mentee": _name(letter.mentee, fallback),
        "training": letter.training_open,
        "profile": letter.profile_open,
        "cadence_days": letter.cadence_days,
        "minutes": letter.session_minutes,
        "silence_end_days": letter.silence_end_days,
        "when": "",
        "held": True,
        "day": "",
    }
    if letter.session is not None:
        values["when"] = language.moment(letter.session.starts_at)
        values["held"] = letter.session.held is not False
        values["minutes"] = letter.session.minutes
    if letter.message.about_at is not None:
        values["day"] = language.day(letter.message.about_at - timedelta(days=1))
    return values


def _frame(letter: Letter, sender: Sender, language: Language) -> dict[str, Any]:
    """What surrounds the texts of every mail."""
    name = letter.to.given_name or letter.to.name
    programme = letter.programme or language.text("common", "programme")
    return {
        "lang": language.code,
        "greeting": language.text("common", "greeting", name=name)
        if name
        else language.text("common", "greeting_nameless"),
        "colon": language.text("common", "colon"),
        "closing": language.text("common", "closing"),
        "why": language.text("common", "why", programme=programme),
        "optional": language.text("common", "optional"),
        "unsubscribe": language.text("common", "unsubscribe"),
        "facts": _facts(letter, language),
        "buttons": _buttons(letter, sender, language),
        "scale": _scale(letter, sender, language),
    }


def _buttons(letter: Letter, sender: Sender, language: Language) -> list[dict[str, Any]]:
    actions = BUTTONS.get(letter.message.kind, ())
    if letter.message.kind is Kind.WELCOME and letter.training_open:
        actions = ("complete_training",)
    return [
        {
            "label": language.text("buttons", action),
            "url": sender.link(letter, action),
            "primary": action not in _SECONDARY,
        }
        for action in actions
    ]


def _scale(letter: Letter, sender: Sender, language: Language) -> dict[str, Any] | None:
    if letter.message.kind not in SCALES:
        return None
    name, numbers = SCALES[letter.message.kind]
    return {
        "label": language.text("buttons", name),
        "choices": [(n, sender.link(letter, f"{name}_{n}")) for n in numbers],
    }


def _facts(letter: Letter, language: Language) -> list[tuple[str, str]]:
    """The small table of a mail: (label, value)."""
    match letter.message.kind:
        case Kind.PROPOSAL | Kind.PROPOSAL_REMINDER:
            facts = _people(letter, language) + _topics(letter, language)
            if letter.answer_by is not None:
                facts.append(("answer_by", language.moment(letter.answer_by)))
        case Kind.PAIR_CREATED:
            facts = _people(letter, language) + _topics(letter, language)
            facts.append(("cadence", _rhythm(letter, language)))
        case Kind.SESSION_SCHEDULED | Kind.SESSION_CANCELLED | Kind.SESSION_REMINDER:
            facts = _people(letter, language) + _time(letter, language)
        case Kind.RECOGNITION | Kind.MIDPOINT | Kind.PROGRAMME_COMPLETED:
            facts = [("sessions", str(letter.sessions_held))]
            if letter.goals_reached:
                facts.append(("goals", str(letter.goals_reached)))
        case Kind.DIGEST:
            return _digest(letter, language)
        case _:
            facts = []
    return [(language.text("facts", name), value) for name, value in facts]


def _people(letter: Letter, language: Language) -> list[tuple[str, str]]:
    fallback = language.text("common", "partner")
    if letter.message.recipient in ("mentor", "mentee"):
        return [("partner", _name(letter.partner, fallback))]
    return [("mentor", _name(letter.mentor, fallback)), ("mentee", _name(letter.mentee, fallback))]


def _topics(letter: Letter, language: Language) -> list[tuple[str, str]]:
    return [("topics", language.enumerate(letter.topics))] if letter.topics else []


def _rhythm(letter: Letter, language: Language) -> str:
    return language.text("values", "every_days", count=letter.cadence_days)


def _time(letter: Letter, language: Language) -> list[tuple[str, str]]:
    if letter.session is None:
        return []
    minutes = language.text("values", "minutes", count=letter.session.minutes)
    return [("when", language.moment(letter.session.starts_at)), ("minutes", minutes)]


def _digest(letter: Letter, language: Language) -> list[tuple[str, str]]:
    digest = letter.digest
    if digest is None:
        return []
    people = [f"{count} {language.text('status', status)}" for status, count in digest.participants]
    facts = [
        ("participants", ", ".join(people) or "0"),
        ("active_pairs", str(digest.active_pairs)),
        ("held", str(digest.sessions_held)),
        ("stalled", str(digest.stalled_pairs)),
        ("open_proposals", str(digest.open_proposals)),
    ]
    if digest.mentors_waiting is not None:
        waiting = language.text(
            "values", "waiting", mentors=digest.mentors_waiting, mentees=digest.mentees_waiting
        )
        facts.append(("waiting", waiting))
    rows = [(language.text("facts", name), value) for name, value in facts]
    return rows + [
        (language.text("kpi", kpi.name), language.figure(kpi.value, kpi.unit))
        for kpi in digest.kpis
        if language.has("kpi", kpi.name)
    ]


def _paragraphs(
    language: Language, sources: tuple[str, ...], values: dict[str, Any], *, html: bool
) -> list[str]:
    filled = (language.fill(source, values, html=html).strip() for source in sources)
    return [_markup(text) if html else text for text in filled if text]


def _markup(text: str) -> str:
    """Text that the HTML environment has escaped already."""
    return Markup(text)  # noqa: S704 - rendered with autoescape from a trusted catalogue text


def _name(person: Contact | None, fallback: str) -> str:
    return (person.name or fallback) if person is not None else fallback


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
