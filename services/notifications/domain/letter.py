"""Everything that one mail may mention."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.notifications.domain.facts import Session
from services.notifications.domain.messages import Owed
from services.notifications.domain.release import Contact


@dataclass(frozen=True)
class Kpi:
    """A figure for the digest."""

    name: str
    value: float
    unit: str


@dataclass(frozen=True)
class Digest:
    """A programme's week in numbers."""

    participants: tuple[tuple[str, int], ...] = ()
    """(status, people), in the order of the participants' life."""
    active_pairs: int = 0
    stalled_pairs: int = 0
    open_proposals: int = 0
    sessions_held: int = 0
    mentors_waiting: int | None = None
    mentees_waiting: int | None = None
    kpis: tuple[Kpi, ...] = ()


@dataclass(frozen=True)
class Letter:
    """One message with all that its text, links and calendar entry need."""

    notification_id: UUID
    message: Owed
    now: datetime
    to: Contact
    programme: str | None = None
    cadence_days: int = 30
    session_minutes: int = 60
    silence_end_days: int = 7
    training_open: bool = False
    """The programme wants training, and this person has not completed it."""
    profile_open: bool = False
    """No training is missing, yet this person is not ready: their profile wants completing."""
    mentor: Contact | None = None
    mentee: Contact | None = None
    topics: tuple[str, ...] = ()
    answer_by: datetime | None = None
    session: Session | None = None
    sessions_held: int = 0
    goals_reached: int = 0
    digest: Digest | None = None

    @property
    def partner(self) -> Contact | None:
        """The counterpart of a recipient who is one of the two."""
        return self.mentee if self.message.recipient == "mentor" else self.mentor
