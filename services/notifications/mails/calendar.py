"""Calendar entries (RFC 5545, iTIP REQUEST and CANCEL) for booked sessions."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from icalendar import Calendar, vCalAddress
from icalendar import Event as CalendarEvent

from services.notifications.domain.facts import Session
from services.notifications.domain.release import Contact

Method = Literal["REQUEST", "CANCEL"]


def calendar_entry(
    session: Session,
    *,
    method: Method,
    summary: str,
    organizer: tuple[str, str],
    attendees: list[Contact],
    now: datetime,
) -> bytes:
    """The entry of a session; calendars replace it by UID when SEQUENCE is higher.

    `organizer` is (name, address): ours, so that a calendar takes our cancellation.
    """
    calendar = Calendar()
    calendar.add("prodid", "-//Updraft//Notifications//EN")
    calendar.add("version", "2.0")
    calendar.add("method", method)
    event = CalendarEvent()
    event.add("uid", str(session.session_id))
    event.add("sequence", session.version)
    event.add("dtstamp", now)
    event.add("dtstart", session.starts_at)
    event.add("dtend", session.ends_at)
    event.add("summary", summary)
    event.add("status", "CONFIRMED" if method == "REQUEST" else "CANCELLED")
    event.add("organizer", _address(organizer[1], {"CN": organizer[0]}), encode=False)
    for attendee in attendees:
        if attendee.email:
            event.add("attendee", _attendee(attendee, method), encode=False)
    calendar.add_component(event)
    return bytes(calendar.to_ical())


def _attendee(person: Contact, method: Method) -> vCalAddress:
    params = {"ROLE": "REQ-PARTICIPANT", "PARTSTAT": "NEEDS-ACTION"}
    if method == "REQUEST":
        params["RSVP"] = "TRUE"
    if person.name:
        params["CN"] = person.name
    return _address(person.email or "", params)


def _address(address: str, params: dict[str, str]) -> vCalAddress:
    entry = vCalAddress(f"mailto:{address}")
    for name, value in params.items():
        # A parameter value cannot hold a double quote, in no form of escaping.
        entry.params[name] = value.replace('"', "'")
    return entry
