"""What matching knows of programmes and people: values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal, TypeAlias
from uuid import UUID

Role: TypeAlias = Literal["mentor", "mentee"]
Approval: TypeAlias = Literal["automatic", "manager", "both"]


@dataclass(frozen=True, slots=True)
class Weights:
    """What each soft factor is worth; they sum to 100."""

    wants_covered: float = 35
    shared_interests: float = 15
    distance: float = 15
    mentor_wants_covered: float = 10
    time_overlap: float = 10
    waiting_time: float = 10
    level_gap: float = 5


@dataclass(frozen=True, slots=True)
class Programme:
    """The rules of one programme at one version."""

    programme_id: UUID
    version: int
    open: bool
    starts_on: date
    ends_on: date
    """First day after the programme."""
    min_level_gap: int = 2
    target_level_gap: int = 3
    mentor_capacity: int = 2
    mentee_capacity: int = 1
    different_department: bool = True
    min_overlap_minutes: int = 120
    training_required: bool = True
    approval: Approval = "both"
    proposal_expiry_days: int = 14
    silence_days: int = 97
    """Days without a sign of life after which a pair ends: warning and grace together."""
    score_floor: float = 0
    """No pair is to score less than this, in points from 0 to 100, while there is a choice."""
    stickiness: float = 0
    """What it is worth to keep to an earlier pair when all is decided anew, in points."""
    weights: Weights = field(default_factory=Weights)

    def capacity(self, role: Role) -> int:
        """The most living pairs that a person of this role may have."""
        return self.mentor_capacity if role == "mentor" else self.mentee_capacity

    def over_on(self, day: date) -> bool:
        """Whether the programme no longer runs on this day."""
        return not self.open or day >= self.ends_on


@dataclass(frozen=True, slots=True)
class Person:
    """A participant with what HR says of them, as one run or one check sees them."""

    participant_id: UUID
    employee_id: str
    role: Role
    status: str = "ready"
    withdrawn_by: str | None = None
    """For status withdrawn: `participant`, `manager`, or `employment` for a leaver."""
    consented: bool = True
    trained: bool = True
    employment: str | None = "active"
    """None: the employee's record is not known."""
    leaves_on: date | None = None
    level: int | None = None
    department: str | None = None
    division: str | None = None
    location: str | None = None
    country: str | None = None
    direct_managers: frozenset[str] = frozenset()
    """The line manager and the dotted-line managers."""
    managers: frozenset[str] = frozenset()
    """Everybody above, at any depth, by solid or dotted lines."""
    chain_known: bool = True
    """False: some manager's record is missing, or the chain runs in a circle."""
    languages: frozenset[str] = frozenset()
    offers: Mapping[str, int] = field(default_factory=dict)
    """Topic → proficiency 1 to 5; the broader topics of what was offered are offered too."""
    offered_as: Mapping[str, str] = field(default_factory=dict)
    """Offered topic → the person's own word for it, where that is another one."""
    near: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    """Topic that is not offered → the offered one that is taken as near to it, and how near in
    percent."""
    wants: Mapping[str, int] = field(default_factory=dict)
    """Topic → priority 1 (first) to 3."""
    interests: frozenset[str] = frozenset()
    midnight: int = 0
    """When a day begins where the person works, in minutes after midnight UTC."""
    works_from: int = 540
    """Start of the working day in minutes after midnight UTC; may lie outside [0, 1440)."""
    works_until: int = 1020
    seats: int = 1
    """The most living pairs that this person may have."""
    taken: int = 0
    """Seats taken by living pairs, proposals included."""
    blocks: frozenset[str] = frozenset()
    met: frozenset[str] = frozenset()
    """Everybody whom this person was ever proposed to or paired with."""
    waiting_since: datetime | None = None
    orphaned: bool = False
    """Lost a partner who left, and waits for the next one."""

    @property
    def free_seats(self) -> int:
        """How many more pairs this person may have."""
        return max(0, self.seats - self.taken)

    @property
    def employed(self) -> bool:
        """Whether HR knows the person as active now."""
        return self.employment == "active"

    @property
    def left(self) -> bool:
        """Whether employment is over."""
        return self.employment == "left"

    def ready(self, programme: Programme) -> bool:
        """Whether the person may be paired as far as they themselves are concerned."""
        trained = self.trained or not programme.training_required
        return self.status == "ready" and self.consented and trained

    def waits(self, programme: Programme) -> bool:
        """Whether the person is ready and has no partner."""
        return self.taken == 0 and self.ready(programme)
