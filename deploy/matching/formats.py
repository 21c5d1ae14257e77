"""The file formats of offline matching, as models; their JSON Schemas are made of these.

A line of people holds what HR and the participant say in the services, within the same limits.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from services.matching.domain.bottlenecks import Shortage
from services.matching.domain.changes import Kind
from services.matching.domain.result import Certificate, Stopped
from shared.catalogue import EmployeeId, MatchingWeights, Moment, Role, Text
from shared.catalogue.hr import Day as HrDay
from shared.catalogue.hr import TimeZone
from shared.catalogue.people import EmploymentStatus, ParticipantStatus

MOST_WORDS = 200
"""The most entries of a list in one line."""
MOST_PAIRS = 1_000_000
"""The most pairs that rules may name."""
_DEFAULT_LENGTH = timedelta(days=180)


def _rated(entries: Any, number: str, default: int, better: Callable[[int, int], int]) -> Any:
    """A list of topics with a number each as a mapping; the field's type judges the rest."""
    if not isinstance(entries, list):
        return entries
    found: dict[str, Any] = {}
    for entry in entries:
        topic = entry.get("topic") if isinstance(entry, dict) else None
        if not isinstance(topic, str):
            raise ValueError(f'send a list such as [{{"topic": "chess", "{number}": {default}}}]')
        for name in entry:
            if name not in ("topic", number):
                raise ValueError(f"{name[:50]!r} is never read; send topic and {number} alone")
        value: Any = entry.get(number, default)
        known: Any = found.get(topic)
        both = isinstance(value, int) and isinstance(known, int)
        found[topic] = better(value, known) if both else value
    return found


def _offers(entries: Any) -> Any:
    return _rated(entries, "proficiency", 3, max)


def _wants(entries: Any) -> Any:
    return _rated(entries, "priority", 2, min)


def _rated_schema(number: str, default: int, most: int) -> WithJsonSchema:
    rating = {"type": "integer", "minimum": 1, "maximum": most}
    topic = {"type": "string", "minLength": 1, "maxLength": 300}
    entry = {
        "type": "object",
        "properties": {"topic": topic, number: {**rating, "default": default}},
        "required": ["topic"],
        "additionalProperties": False,
    }
    mapping = {"type": "object", "propertyNames": topic, "additionalProperties": rating}
    return WithJsonSchema(
        {
            "anyOf": [
                {**mapping, "maxProperties": MOST_WORDS},
                {"type": "array", "items": entry, "maxItems": MOST_WORDS},
            ]
        }
    )


Offers = Annotated[
    dict[Text, Annotated[int, Field(ge=1, le=5)]],
    Field(max_length=MOST_WORDS),
    BeforeValidator(_offers),
    _rated_schema("proficiency", 3, 5),
]
Wants = Annotated[
    dict[Text, Annotated[int, Field(ge=1, le=3)]],
    Field(max_length=MOST_WORDS),
    BeforeValidator(_wants),
    _rated_schema("priority", 2, 3),
]
# The check that comes first hands over a text that is not JSON any more.
Day = Annotated[HrDay, Strict(False)]


def _clock_time(given: Any) -> Any:
    if isinstance(given, str) and not re.fullmatch(_CLOCK_TIME, given):
        raise ValueError("is no time of day; send a time from 00:00 to 23:59, such as 09:00")
    return given


_CLOCK_TIME = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"
ClockTime = Annotated[str, StringConstraints(pattern=_CLOCK_TIME), BeforeValidator(_clock_time)]


def _language(given: Any) -> Any:
    if isinstance(given, str) and not re.match(_LANGUAGE, given.strip()):
        raise ValueError("is no language code; send codes of two or three letters, such as en")
    return given


_LANGUAGE = r"^[A-Za-z]{2,3}$"
Language = Annotated[
    str,
    StringConstraints(strip_whitespace=True, pattern=_LANGUAGE),
    BeforeValidator(_language),
]
Words = Annotated[tuple[Text, ...], Field(max_length=MOST_WORDS)]
Ids = Annotated[tuple[EmployeeId, ...], Field(max_length=10_000)]


# Beyond this a computer's whole numbers run over when prices are added.
Price = Annotated[int, Field(ge=-(2**60), le=2**60)]


class _Format(BaseModel):
    model_config = ConfigDict(
        frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class PersonLine(_Format):
    """One participant, or an employee who only matters as a manager (role null).

    An employee who is mentor and mentee has two lines. Interests and languages are compared
    without regard to case and spacing; topics go by every name that the vocabulary knows of them.
    No protected attribute is ever read.
    """

    model_config = ConfigDict(extra="allow")

    id: EmployeeId
    """The participant, unique per role."""
    role: Role | None
    """Mentor (junior, teaches), mentee (senior, learns), or null."""
    employee_id: EmployeeId | None = None
    """The employee, as managers, blocks and met name them; `id` unless given."""
    level: Annotated[int, Field(ge=0, le=100)] | None = None
    """Seniority, higher is more senior; participants must have it."""
    department: Text | None = None
    """Where the person works."""
    division: Text | None = None
    """Part of the organisation above the department."""
    location: Text | None = None
    """Site or city."""
    country: Text | None = None
    """Country of work."""
    manager_id: EmployeeId | None = None
    """Employee id of the manager, who needs a line too; null: none."""
    dotted_line_manager_ids: Annotated[tuple[EmployeeId, ...], Field(max_length=50)] = ()
    """Employee ids of further managers, who need lines too."""
    languages: Annotated[tuple[Language, ...], Field(max_length=MOST_WORDS)] = ("en",)
    """ISO 639 codes; several codes of one language are the same."""
    offers: Offers = Field(default_factory=dict)
    """What the person can teach: topic to proficiency, 1 (basic) to 5 (expert)."""
    wants: Wants = Field(default_factory=dict)
    """What the person wants to learn: topic to priority, 1 (first) to 3."""
    interests: Words = ()
    """What the person likes."""
    timezone: TimeZone = "UTC"
    """IANA time zone of the working hours."""
    works_from: ClockTime = "09:00"
    """Local time at which work begins on weekdays."""
    works_until: ClockTime = "17:00"
    """Local time at which work ends, later than `works_from`."""
    capacity: Annotated[int, Field(ge=1, le=10)] = 1
    """The most pairs that the person takes; the programme's capacity is a limit too."""
    blocks: Ids = ()
    """Employee ids with whom the person must never be paired."""
    met: Ids = ()
    """Employee ids with whom the person was paired or proposed before."""
    status: ParticipantStatus = "ready"
    """Only who is ready is paired; who is enrolled becomes so by consent and training."""
    consented: bool = True
    """Whether the person agreed to take part."""
    trained: bool = True
    """Whether the person completed the training."""
    employment: EmploymentStatus = "active"
    """Only active employees are paired."""
    leaves_on: Day | None = None
    """The known last day of employment."""
    waiting_since: Moment | None = None
    """Since when the person has waited for a partner."""
    orphaned: bool = False
    """Lost a partner who left: comes first."""

    @model_validator(mode="after")
    def _makes_sense(self) -> PersonLine:
        if self.role is not None and self.level is None:
            raise ValueError("level: is missing; a mentor or mentee must have one")
        if self.works_until <= self.works_from:
            raise ValueError("works_until: is not after works_from; send start before end")
        return self


class NamedPair(_Format):
    """A mentor and a mentee by their ids."""

    model_config = ConfigDict(extra="ignore")

    mentor_id: EmployeeId
    """The mentor's `id`."""
    mentee_id: EmployeeId
    """The mentee's `id`."""


NamedPairs = Annotated[tuple[NamedPair, ...], Field(max_length=MOST_PAIRS)]


class Weights(MatchingWeights):
    """What each soft factor is worth; they sum to 100."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Rules(_Format):
    """The programme: whom it pairs, when, and what counts."""

    model_config = ConfigDict(extra="forbid")

    starts_on: Day
    """First day of the programme."""
    ends_on: Day | None = None
    """First day after the programme; 180 days after its start unless given."""
    as_of: Moment | None = None
    """The moment from which waiting time is counted back; the start's midnight UTC unless given."""
    min_level_gap: Annotated[int, Field(ge=1, le=50)] = 2
    """Levels by which a mentee must at least be more senior than the mentor."""
    target_level_gap: Annotated[int, Field(ge=1, le=50)] = 3
    """Levels between the two that are best."""
    mentor_capacity: Annotated[int, Field(ge=1, le=10)] = 2
    """Most mentees of one mentor."""
    mentee_capacity: Annotated[int, Field(ge=1, le=10)] = 1
    """Most mentors of one mentee."""
    different_department: bool | None = None
    """Whether the two must work in different departments; unless given: yes if any line of people
    names a department."""
    min_overlap_minutes: Annotated[int, Field(ge=0, le=1440)] = 120
    """Minutes of a working day that the two must have in common."""
    training_required: bool = True
    """Whether people must complete the training before they are paired."""
    weights: Weights = Weights()
    """How the score is made up."""
    near_topics: bool = False
    """Whether words that the vocabulary does not know count as near to others by their meaning, for
    half at most; needs the extra `near`."""
    score_floor: Annotated[float, Field(ge=0, le=100)] = 0
    """Points that as many pairs as can are to reach, if need be at the cost of the others: little
    more than the worst pair has lifts the worst."""
    stickiness: Annotated[float, Field(ge=0, le=100)] = 0
    """What it is worth, in points, to keep to one of the `previous` pairs."""
    locked: NamedPairs = ()
    """Pairs to be formed whatever else is."""
    apart: NamedPairs = ()
    """Pairs never to be formed."""
    previous: NamedPairs = ()
    """Pairs of an earlier run that may be formed again."""
    gap: Annotated[float, Field(ge=0, le=1)] | None = None
    """How far from the optimum the result may be, as a share of the objective; null: the engine's
    default for the number of people."""
    seconds: Annotated[float, Field(gt=0, le=86_400)] | None = None
    """Time after which the best result found is taken, with the gap that is proven; null: none."""

    @model_validator(mode="after")
    def _ends_after_its_start(self) -> Rules:
        if self.ends_on is not None and self.ends_on <= self.starts_on:
            raise ValueError("ends_on: is not after starts_on; send the first day after the end")
        if self.ends_on is None and self.starts_on > date.max - _DEFAULT_LENGTH:
            raise ValueError("starts_on: leaves no days to run; send a day of this century")
        return self

    @property
    def end(self) -> date:
        """First day after the programme."""
        return self.ends_on or self.starts_on + _DEFAULT_LENGTH

    @property
    def moment(self) -> datetime:
        """The moment of the run."""
        return self.as_of or datetime.combine(self.starts_on, time(), UTC)


class Part(_Format):
    """What one soft factor adds to a score."""

    factor: str
    """The factor, as the weights name it."""
    weight: float
    """The most points that it can add."""
    value: Annotated[float, Field(ge=0, le=1)]
    """How far it is fulfilled."""
    points: float
    """weight × value, to 1/10,000."""
    detail: str
    """The same in words."""


class Instead(_Format):
    """The next best counterpart of one side of a pair."""

    id: str
    """The counterpart."""
    score: float
    """What the two would score."""
    cost: float | None
    """Points that the programme would lose at least; null: somebody would be left out for it."""


class PairLine(_Format):
    """One pair; the best comes first."""

    mentor_id: str
    """The mentor's `id`."""
    mentee_id: str
    """The mentee's `id`."""
    score: Annotated[float, Field(ge=0, le=100)]
    """The sum of the breakdown's points."""
    breakdown: tuple[Part, ...]
    """What each soft factor adds."""
    topics: tuple[str, ...]
    """What the mentor offers and the mentee wants, most wanted first."""
    instead_for_mentee: Instead | None = None
    """The mentee's next best mentor."""
    instead_for_mentor: Instead | None = None
    """The mentor's next best mentee."""


class ChangeOut(_Format):
    """One change of the input with which a new run serves somebody."""

    kind: Kind
    """What kind of change it is."""
    field: str
    """Of the participant or, for the kinds `department` and `level`, of the rules."""
    before: str | int | bool | None
    """What it is now; hours as minutes after midnight UTC; null for what is added to a list."""
    after: str | int | bool | None
    """What it would be."""
    id: str | None
    """Whose field it is: the participant's or, for the kind `seat`, a counterpart's; null: the
    rules'."""
    via: int
    """Counterparts who become possible by it and have a seat left, at once or once others move."""
    words: str
    """The same in words."""


class _Outlook(_Format):
    """What would serve somebody."""

    id: str
    """The participant."""
    role: Role
    """Mentor or mentee."""
    changes: tuple[ChangeOut, ...] = ()
    """Each alone serves the participant, the smallest first; none: no single one is known."""


class UnmatchedLine(_Outlook):
    """Somebody who is ready and has no partner."""

    reasons: dict[str, Annotated[int, Field(ge=1)]]
    """Rule to the number of counterparts that it keeps away; `capacity`: taken by others."""
    bottleneck: str | None = None
    """The rule at which the nearest counterparts fail."""
    nearest: int = 0
    """How many counterparts fail at it."""


Missing = Literal["status", "consent", "training", "employment"]
"""What keeps somebody from being paired at all."""


class NotReadyLine(_Outlook):
    """Somebody who is not ready; who is ready and has no partner stands in unmatched.jsonl."""

    missing: tuple[Missing, ...]
    """What is missing now. `status`: it is invited, paused or withdrawn; `consent`; `training`,
    where the programme requires it; `employment`: it is not active."""


class BottleneckOut(_Format):
    """Something that many need of the other side and few there have."""

    kind: Shortage
    """What there is too little of."""
    name: str
    """The topic, the languages, or the hours in UTC; empty for seats."""
    role: Role
    """Of those who need it."""
    people: int
    """How many need it."""
    seats: int
    """How many partners they have room for."""
    offered: int
    """For how many partners those have room who have it."""
    left_out: int
    """How many of those who need it have no partner."""
    words: str
    """The same in words."""


class BottlenecksFile(_Format):
    """What the programme is short of, the worst first."""

    bottlenecks: tuple[BottleneckOut, ...]
    """Where one side needs more than the other has."""
    not_examined: tuple[Kind, ...]
    """Changes that were not looked for: the run was too large for it, or is not proven."""


class PriceLine(_Format):
    """What one more seat of a participant would bring: these prices prove the bound."""

    id: str
    """The participant."""
    role: Role
    """Mentor or mentee."""
    price: Price
    """In units of 1/10,000 point."""


class RefusedLock(NamedPair):
    """A locked pair that was not formed."""

    rule: str
    """The hard rule that forbids it."""


class CertificateFile(_Format):
    """How good the pairs are, and how good any could be; all worth in points."""

    model_config = ConfigDict(extra="forbid")

    objective: float
    """What the pairs are worth: their scores, and what the rules' `score_floor` and `stickiness`
    add to them."""
    bound: float
    """More than this no pairs are worth that serve as many people while the locked pairs stay."""
    gap: float
    """1 − objective ÷ bound; 0 is a proof, 1 where it is not even proven who can be served."""
    covered: int
    """Mentees who have a partner now."""
    coverable: int
    """More than this no pairs could serve while the locked pairs stay."""
    covered_mentors: int
    """Mentors who have a partner now."""
    coverable_mentors: int
    """More than this no pairs that serve as many mentees could serve while the locked ones stay."""
    pairs: int
    """The number of pairs."""
    total_score: float
    """The sum of the pairs' scores."""
    worst_score: float | None
    """The lowest of them."""
    mentors: int
    """How many mentors were in the file."""
    mentees: int
    """How many mentees were in the file."""
    refused_locks: tuple[RefusedLock, ...] = ()
    """Locked pairs that a hard rule forbids."""
    rules_version: int
    """Of the programme."""
    input_hash: str
    """SHA-256 of what was decided by: the same input has the same hash, in any order of lines."""
    asked_gap: float
    """The gap with which the engine was to be content."""
    stopped: Stopped
    """What ended the search."""
    passes: int
    """How often all pairs were looked at."""
    seconds: float
    """How long the engine took."""
    peak_memory_mb: float
    """The most memory that the process ever had."""


class FoundPair(_Format):
    """A pair that a run of the matching service found."""

    mentor_id: UUID
    """The mentor's participant id."""
    mentee_id: UUID
    """The mentee's participant id."""
    score: Annotated[float, Field(ge=0, le=100)]
    """How well the two fit."""


class FoundPrices(_Format):
    """What one more seat of each participant would bring, in units of 1/10,000 point."""

    mentees: dict[UUID, Price]
    """By participant id."""
    mentors: dict[UUID, Price]
    """By participant id."""


class EvidenceFile(_Format):
    """What the matching service answers to `GET /match-runs/{id}/certificate`."""

    run_id: UUID
    """The run."""
    programme_id: UUID
    """Its programme."""
    certificate: Certificate
    """How good the pairs are, and how good any could be."""
    erased: bool
    """Whether somebody in the input was erased since, so that it is not kept."""
    input: str | None
    """What was decided by: the canonical text, gzip, base64."""
    prices: str | None
    """The prices: JSON, gzip, base64."""
    matches: tuple[FoundPair, ...]
    """The pairs, best first."""
