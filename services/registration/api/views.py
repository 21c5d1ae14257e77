"""What HTTP takes and shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    computed_field,
    create_model,
    model_validator,
)
from pydantic_core import PydanticCustomError

from services.registration.domain.concerns import Concern
from services.registration.domain.employment import Contact, Employee
from services.registration.domain.feedback import Feedback
from services.registration.domain.goals import Goal
from services.registration.domain.pairs import Pair
from services.registration.domain.participation import Offer, Participant, Profile, Want
from services.registration.domain.sessions import Session
from services.registration.store.programmes import StoredProgramme
from shared.catalogue import (
    EmployeeId,
    ProgrammeRules,
    Role,
    Text,
    TopicOffered,
    TopicWanted,
    WorkingHours,
)
from shared.catalogue.hr import TimeZone

Language = Annotated[
    str,
    Field(pattern=r"^[a-z]{2,3}$", description="Lower-case ISO 639 code.", examples=["en", "fr"]),
]
Words = Annotated[
    str,
    Field(min_length=1, max_length=4000, pattern=r"^[^\x00]*$"),
]


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("lies outside of the calendar; send a time of this century") from None


Instant = Annotated[AwareDatetime, AfterValidator(_in_utc)]
Minutes = Annotated[int, Field(ge=5, le=480, description="Length in minutes.")]


class Body(BaseModel):
    """A request body: a field that is not known is refused, so that a typo is noticed."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class View(BaseModel):
    """An answer's body."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


# Programmes


_PARTS = {
    name: field.annotation
    for name, field in ProgrammeRules.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
}
_UNKNOWN_RULE = PydanticCustomError(
    "unknown_rule",
    "is no rule of a programme; protected attributes such as age, gender or ethnicity are never"
    " used",
)


def _known_only(sent: Any) -> Any:
    """What was sent, if all of it is known: events pass over a rule in silence, requests do not."""
    unknown: list[tuple[str, ...]]
    unknown = [(name,) for name in _names(sent) if name not in ProgrammeRules.model_fields]
    for name, part in _PARTS.items():
        inner = _names(sent.get(name)) if isinstance(sent, Mapping) else ()
        unknown += [(name, each) for each in inner if each not in part.model_fields]
    if unknown:
        raise ValidationError.from_exception_data(
            "rules", [{"type": _UNKNOWN_RULE, "loc": place, "input": None} for place in unknown]
        )
    return sent


def _names(sent: Any) -> tuple[str, ...]:
    return tuple(map(str, sent)) if isinstance(sent, Mapping) else ()


class OpenProgramme(ProgrammeRules):
    """The rules of a new programme; everything but `name` and `starts_on` has a default."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    _known_only = model_validator(mode="before")(_known_only)

    kpi_targets: dict[Text, float] = Field(default_factory=dict, max_length=100)


ChangeProgramme: type[BaseModel] = create_model(
    "ChangeProgramme",
    __base__=Body,
    __doc__="The rules to change; what is absent stays.",
    __validators__={"known_only": model_validator(mode="before")(_known_only)},
    # The programme as it is fills what is absent, so a default here would only mislead.
    **{  # type: ignore[call-overload]
        name: (field.rebuild_annotation(), Field(default=None, validate_default=False))
        for name, field in OpenProgramme.model_fields.items()
    },
)


class ProgrammeView(ProgrammeRules):
    """A programme as it stands."""

    programme_id: UUID
    version: int
    status: Literal["open", "closed"]
    changed_at: datetime

    @computed_field  # type: ignore[prop-decorator]
    @property
    def ends_on(self) -> date:
        """First day after the programme."""
        return self.starts_on + timedelta(days=self.length_days)

    @classmethod
    def of(cls, stored: StoredProgramme) -> ProgrammeView:
        """A programme as HTTP shows it."""
        programme = stored.programme
        return cls(
            **dict(stored.rules),
            programme_id=programme.programme_id,
            version=programme.version,
            status=programme.status,
            changed_at=stored.changed_at,
        )


# Participants


class Invitations(Body):
    """Whom to invite, all in one role."""

    role: Role
    employee_ids: Annotated[list[EmployeeId], Field(min_length=1, max_length=1000)]


class InvitedView(View):
    """A person who was invited."""

    employee_id: str
    participant_id: UUID


class RefusedView(View):
    """A person who was not invited, and why."""

    employee_id: str
    reason: str


class InvitationsView(View):
    """What became of the invitations."""

    invited: list[InvitedView]
    refused: list[RefusedView]


Topics = Annotated[list[TopicOffered], Field(max_length=30)]
Wants = Annotated[list[TopicWanted], Field(max_length=30)]
Interests = Annotated[list[Text], Field(max_length=50)]
Languages = Annotated[list[Language], Field(min_length=1, max_length=20)]
Capacity = Annotated[int, Field(ge=1, le=10, description="The most pairs at once.")]
Blocks = Annotated[
    list[EmployeeId],
    Field(max_length=200, description="People never to be paired with; nobody else sees it."),
]


class Enrolment(Body):
    """Joining a programme; what is absent is taken from the HR directory where it knows it."""

    role: Role
    agreement_version: Text = Field(description="The version of the agreement you consent to.")
    topics_offered: Topics | None = None
    topics_wanted: Wants | None = None
    interests: Interests | None = None
    languages: Languages | None = None
    timezone: TimeZone | None = None
    working_hours: WorkingHours | None = None
    capacity: Capacity | None = None
    blocks: Blocks | None = None


class ProfileChange(Body):
    """What to change in a profile; what is absent or null stays."""

    agreement_version: Text | None = Field(
        default=None, description="Consent to the programme's present agreement."
    )
    topics_offered: Topics | None = None
    topics_wanted: Wants | None = None
    interests: Interests | None = None
    languages: Languages | None = None
    timezone: TimeZone | None = None
    working_hours: WorkingHours | None = None
    capacity: Capacity | None = None
    blocks: Blocks | None = None


def profile_with(profile: Profile, said: Enrolment | ProfileChange) -> Profile:
    """The profile after what somebody said; what they left out stays."""
    changes: dict[str, Any] = {}
    if said.topics_offered is not None:
        changes["topics_offered"] = _once(
            (one.topic, Offer(one.topic, one.proficiency)) for one in said.topics_offered
        )
    if said.topics_wanted is not None:
        changes["topics_wanted"] = _once(
            (one.topic, Want(one.topic, one.priority)) for one in said.topics_wanted
        )
    for name in ("interests", "languages", "blocks"):
        if (words := getattr(said, name)) is not None:
            changes[name] = _once((word, word) for word in words)
    for name in ("timezone", "capacity"):
        if (value := getattr(said, name)) is not None:
            changes[name] = value
    if said.working_hours is not None:
        changes["works_from"] = said.working_hours.start
        changes["works_until"] = said.working_hours.end
    return replace(profile, **changes)


def _once(named: Iterable[tuple[str, Any]]) -> tuple[Any, ...]:
    """The values in their order; the first of those with one name, whatever its case."""
    first: dict[str, Any] = {}
    for name, value in named:
        first.setdefault(name.casefold(), value)
    return tuple(first.values())


class ParticipantView(View):
    """A participation as it stands."""

    participant_id: UUID
    programme_id: UUID
    employee_id: str
    role: Role
    status: Literal["invited", "enrolled", "ready", "paused", "withdrawn"]
    version: int
    topics_offered: list[TopicOffered]
    topics_wanted: list[TopicWanted]
    interests: list[str]
    languages: list[str]
    timezone: str
    working_hours: WorkingHours
    capacity: int
    blocks: list[str] | None = Field(description="Null for everybody but the participant.")
    agreement_version: str | None
    invited_at: datetime | None
    enrolled_at: datetime | None
    trained_at: datetime | None
    ready_at: datetime | None
    withdrawn_at: datetime | None
    changed_at: datetime

    @classmethod
    def of(cls, one: Participant, viewer: str | None) -> ParticipantView:
        """A participation as HTTP shows it to an employee, or to an overseer (None)."""
        profile = one.profile
        return cls(
            participant_id=one.participant_id,
            programme_id=one.programme_id,
            employee_id=one.employee_id,
            role=one.role,
            status=one.status,
            version=one.version,
            topics_offered=[
                TopicOffered(topic=offer.topic, proficiency=offer.proficiency)
                for offer in profile.topics_offered
            ],
            topics_wanted=[
                TopicWanted(topic=want.topic, priority=want.priority)
                for want in profile.topics_wanted
            ],
            interests=list(profile.interests),
            languages=list(profile.languages),
            timezone=profile.timezone,
            working_hours=WorkingHours(start=profile.works_from, end=profile.works_until),
            capacity=profile.capacity,
            blocks=list(profile.blocks) if viewer == one.employee_id else None,
            agreement_version=one.agreement_version,
            invited_at=one.invited_at,
            enrolled_at=one.enrolled_at,
            trained_at=one.trained_at,
            ready_at=one.ready_at,
            withdrawn_at=one.withdrawn_at,
            changed_at=one.changed_at,
        )


# Pairs


class CounterpartView(View):
    """The other side of a pair."""

    employee_id: str
    name: str | None = Field(description="Null when HR has sent no name.")


class PairView(View):
    """A pair as one of its sides, or an overseer, may know it."""

    pair_id: UUID
    programme_id: UUID
    role: Role | None = Field(description="Your side; null for an overseer.")
    mentor_id: UUID
    mentee_id: UUID
    mentor_employee_id: str
    mentee_employee_id: str
    counterpart: CounterpartView | None
    status: str = Field(
        description="proposed, active, paused, completed, ended; to its sides a proposal that was "
        "declined or expired is `not_formed`, so that nobody learns who said no."
    )
    version: int
    awaiting: str | None = Field(description="Whose answer a proposal waits for.")
    topics: list[str]
    proposed_at: datetime
    expires_at: datetime | None
    created_at: datetime | None
    closed_at: datetime | None

    @classmethod
    def of(cls, pair: Pair, role: Role | None, names: Mapping[str, str]) -> PairView:
        """A pair as HTTP shows it to one of its sides, or to an overseer (None)."""
        counterpart = None
        if role is not None:
            other = pair.counterpart_of(role)
            counterpart = CounterpartView(employee_id=other, name=names.get(other))
        return cls(
            pair_id=pair.pair_id,
            programme_id=pair.programme_id,
            role=role,
            mentor_id=pair.mentor_id,
            mentee_id=pair.mentee_id,
            mentor_employee_id=pair.mentor_employee_id,
            mentee_employee_id=pair.mentee_employee_id,
            counterpart=counterpart,
            status=pair.status if role is None else pair.status_for_members(),
            version=pair.version,
            awaiting=pair.awaiting,
            topics=list(pair.topics),
            proposed_at=pair.proposed_at,
            expires_at=pair.expires_at,
            created_at=pair.created_at,
            closed_at=pair.closed_at,
        )


class AnswerBody(Body):
    """What is said to a proposal."""

    answer: Literal["accept", "decline"]


class AnswerView(View):
    """An answer that was recorded."""

    pair_id: UUID
    by: Literal["mentor", "mentee", "manager"]
    answer: Literal["accept", "decline"]
    answered_at: datetime


# Sessions


class Booking(Body):
    """A session to book."""

    starts_at: Instant
    minutes: Minutes | None = Field(default=None, description="Default: what the programme says.")


class Move(Body):
    """Another time for a booked session."""

    starts_at: Instant
    minutes: Minutes | None = Field(default=None, description="Default: as long as it was.")


class UnbookedSession(Body):
    """A session that was held without having been booked."""

    started_at: Instant
    minutes: Minutes


class SessionLog(Body):
    """What became of a booked session."""

    held: bool
    no_show_by: Role | None = Field(default=None, description="Only where it was not held.")


class SessionView(View):
    """A session as it stands."""

    session_id: UUID
    pair_id: UUID
    programme_id: UUID
    mentor_employee_id: str
    mentee_employee_id: str
    status: Literal["scheduled", "logged", "confirmed", "disputed", "cancelled"]
    version: int
    starts_at: datetime
    minutes: int
    scheduled_by: Role | None
    logged_by: Role | None
    logged_at: datetime | None
    held: bool | None
    no_show_by: Role | None
    confirmed_at: datetime | None
    disputed_at: datetime | None
    cancelled_by: Literal["mentor", "mentee", "system"] | None
    cancelled_at: datetime | None
    changed_at: datetime

    @classmethod
    def of(cls, session: Session) -> SessionView:
        """A session as HTTP shows it."""
        return cls.model_validate(session)


# Feedback, goals, concerns


class FeedbackBody(Body):
    """A number, and a comment that only registration ever holds."""

    kind: Literal["pulse", "nps", "fit", "skill_before", "skill_after"]
    score: Annotated[int, Field(description="pulse, fit and skills 1-5; nps 0-10.")]
    session_id: UUID | None = Field(default=None, description="For a pulse: the session.")
    topic: Text | None = Field(default=None, description="For a skill rating: the topic.")
    comment: Words | None = None


class FeedbackView(View):
    """Feedback that was recorded."""

    feedback_id: UUID
    pair_id: UUID
    by: Role
    kind: str
    score: int
    session_id: UUID | None
    topic: str | None
    comment: str | None
    given_at: datetime

    @classmethod
    def of(cls, given: Feedback) -> FeedbackView:
        """Feedback as HTTP shows it to its author."""
        return cls.model_validate(given)


class GoalBody(Body):
    """A goal to set."""

    title: Text
    topic: Text | None = None


class GoalView(View):
    """A goal as both sides of its pair see it."""

    goal_id: UUID
    pair_id: UUID
    set_by: Role
    title: str
    topic: str | None
    set_at: datetime
    reached_at: datetime | None

    @classmethod
    def of(cls, goal: Goal) -> GoalView:
        """A goal as HTTP shows it."""
        return cls.model_validate(goal)


class ConcernBody(Body):
    """A request for help or for a safe exit; the other side never learns of it."""

    category: Literal["no_fit", "conflict", "safeguard", "other"]
    exit_requested: bool = Field(
        description="True: the pair ends now, without fault, and is never formed again."
    )
    text: Words | None = None


class OwnConcernView(View):
    """The receipt for who raised a concern."""

    concern_id: UUID
    pair_id: UUID
    category: str
    exit_requested: bool
    raised_at: datetime

    @classmethod
    def of(cls, concern: Concern) -> OwnConcernView:
        """A concern as HTTP shows it to who raised it."""
        return cls.model_validate(concern)


class ConcernView(OwnConcernView):
    """A concern as a programme manager sees it."""

    programme_id: UUID
    raised_by: Role
    raised_by_employee_id: str
    text: str | None
    resolution: str | None
    resolved_at: datetime | None

    @classmethod
    def of(cls, concern: Concern) -> ConcernView:
        """A concern as HTTP shows it to a programme manager."""
        return cls.model_validate(concern)


class ResolutionBody(Body):
    """How a concern was dealt with."""

    resolution: Words | None = None


class PairDetailView(PairView):
    """A pair with its sessions, and to its own sides with its goals."""

    sessions: list[SessionView]
    goals: list[GoalView] | None = Field(description="Null for overseers: goals are private.")


class MeView(View):
    """All that is yours."""

    employee_id: str
    participants: list[ParticipantView]
    pairs: list[PairView]
    sessions: list[SessionView]


# HR


class ContactView(View):
    """How to reach a person."""

    given_name: str | None
    display_name: str | None
    email: str | None
    locale: str


class EmployeeView(View):
    """A person as the directory holds them."""

    employee_id: str
    version: int
    status: Literal["pending", "active", "on_leave", "left"]
    job_level: int
    job_family: str | None
    title: str | None
    organization: str | None
    division: str | None
    department: str
    manager_id: str | None
    dotted_line_manager_ids: list[str]
    location: str | None
    country: str | None
    timezone: str
    start_date: date
    leaves_on: date | None
    effective_from: datetime
    skills: list[str]
    interests: list[str]
    erased: bool
    contact: ContactView | None = Field(description="Null for auditors, and once erased.")

    @classmethod
    def of(cls, employee: Employee, contact: Contact | None) -> EmployeeView:
        """A person as HTTP shows them."""
        shown = None if contact is None else ContactView.model_validate(contact)
        return cls(**employee._asdict(), contact=shown)


class ParkedView(View):
    """A record that could not be applied."""

    event_id: UUID
    topic: str
    partition: int
    offset: int
    key: str | None = Field(description="The employee id, as far as it can be read.")
    reason: str = Field(description="`field: what is wrong; remedy`")
    parked_at: datetime
