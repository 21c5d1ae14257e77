"""What HR platforms publish into `hr.employees`; names follow SCIM 2.0 where it has one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from functools import lru_cache
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email
from email_validator.rfc_constants import CASE_INSENSITIVE_MAILBOX_NAMES
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    WithJsonSchema,
    model_serializer,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import InitErrorDetails, PydanticCustomError

from shared.catalogue.types import EmployeeId, Event, Model, Text

_ZONES = frozenset(available_timezones())


def _known_zone(name: str) -> str:
    if name not in _ZONES:
        raise ValueError("is not an IANA time zone; send a name such as Europe/Paris")
    return name


# Names such as corp.local are reserved on the internet and common inside a company.
SPECIAL_USE_DOMAIN_NAMES.clear()


def _mailable(address: str) -> str:
    local, _, domain = address.rpartition("@")
    plain = len(address) <= _LONGEST_PLAIN and address.isascii() and _PLAIN.fullmatch(local)
    if plain and local.lower() not in CASE_INSENSITIVE_MAILBOX_NAMES:
        # Judging the domain takes the time, and a company has many people in few domains.
        return f"{local}@{_normal_domain(domain)}"
    return _normal(address)


@lru_cache(maxsize=10_000)
def _normal_domain(domain: str) -> str:
    return _normal(f"a@{domain}").removeprefix("a@")


def _normal(address: str) -> str:
    try:
        found = validate_email(address, check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError as error:
        # Its text may quote the address, which must not reach a reason.
        raise ValueError("is not an e-mail address; send one such as ada@example.com") from error
    return found.normalized


_PLAIN = re.compile(r"[A-Za-z0-9_+-]+(\.[A-Za-z0-9_+-]+)*")
_LONGEST_PLAIN = 64
"""What is not longer keeps every limit of RFC 5321, whatever part is how long."""


def _calendar_day(value: Any) -> Any:
    # Left to itself the library reads a bare number as seconds since 1970.
    if not isinstance(value, date) and not (isinstance(value, str) and _DAY.match(value)):
        raise PydanticCustomError("day", "is not a calendar day; send one such as 2026-03-01")
    return value


_DAY = re.compile(r"\d{4}-\d{2}-\d{2}(T|$)")
Day = Annotated[date, BeforeValidator(_calendar_day)]
Sequence = Annotated[int, Field(strict=True, ge=0, le=2**63 - 1)]
EmailAddress = Annotated[
    Text, AfterValidator(_mailable), WithJsonSchema({"type": "string", "format": "email"})
]
TimeZone = Annotated[Text, AfterValidator(_known_zone)]
Locale = Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*$", max_length=35)]
Level = Annotated[int, Field(strict=True, ge=0, le=100)]
Texts = Annotated[list[Text], Field(max_length=200)]


class _Hr(Model):
    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True
    )

    @model_serializer(mode="wrap")
    def _as_sent(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # A patch keeps what it does not name, so what was absent must stay absent on the wire.
        fields = type(self).model_fields
        absent = fields.keys() - self.model_fields_set
        unsaid = absent | {to_camel(name) for name in absent}
        written: dict[str, Any] = serialize(self)
        return {name: value for name, value in written.items() if name not in unsaid}


class HrName(_Hr):
    """SCIM `name`."""

    given_name: Text | None = None
    """First name."""
    family_name: Text | None = None
    """Last name."""


class HrEmail(_Hr):
    """One entry of SCIM `emails`."""

    value: EmailAddress
    """The address."""
    primary: bool = False
    """Whether this is the address to write to; the first one marked wins."""
    type: Text | None = None
    """What the address is for; `work` is preferred where none is primary."""


class EmployeeRecorded(_Hr, Event):
    """A person as HR knows them from `effectiveDate` on.

    `recordType` full replaces the whole record, patch changes the fields present (null clears
    one, absence keeps it), cancel withdraws the scheduled change that `cancelsSequence` names.
    `sequence` rises with each record of a person. A null `managerId` in a full record says that
    the person has no manager.
    """

    TYPE = "updraft.hr.employee-recorded.v1"
    TOPIC = "hr.employees"
    KEY = "employee_id"

    record_type: Literal["full", "patch", "cancel"] = "full"
    """What the record does: replace all, patch what it names, or cancel a scheduled change."""
    employee_id: EmployeeId
    """HR's stable key of the person, also the record's Kafka key."""
    effective_date: Day
    """The first day on which the record holds; a day to come schedules it."""
    sequence: Sequence
    """Rises with each record of a person; a lower one than known is set aside."""
    cancels_sequence: Sequence | None = None
    """For `cancel`: the sequence of the scheduled change to withdraw."""

    employee_number: Text | None = None
    """Number that people know themselves by, such as on a badge."""
    user_name: Text | None = None
    """Login name."""
    name: HrName | None = None
    """The parts of the person's name."""
    display_name: Text | None = None
    """The name as the person wants it shown."""
    emails: Annotated[list[HrEmail], Field(max_length=20)] | None = None
    """Addresses; the primary one is used, else the one for work, else the first."""
    status: Literal["pending", "active", "on_leave", "left"] | None = None
    """Where employment stands; a full record must carry it."""
    title: Text | None = None
    """Job title."""
    job_level: Level | None = None
    """Seniority from 0, higher is more senior; a full record must carry it."""
    job_family: Text | None = None
    """Kind of work across departments, such as Engineering."""
    organization: Text | None = None
    """Legal entity or company."""
    division: Text | None = None
    """Part of the organisation above the department."""
    department: Text | None = None
    """Where the person works; a full record must carry it."""
    cost_center: Text | None = None
    """Where the person's cost is booked."""
    manager_id: EmployeeId | None = None
    """Employee id of the manager; null says that the person has none."""
    dotted_line_manager_ids: Annotated[list[EmployeeId], Field(max_length=50)] | None = None
    """Employee ids of further managers; none of them is paired with the person."""
    location: Text | None = None
    """Site or city."""
    country: Text | None = None
    """Country of work."""
    timezone: TimeZone | None = None
    """IANA time zone, such as Europe/Paris."""
    locale: Locale | None = None
    """Language and region, such as fr-FR."""
    start_date: Day | None = None
    """First day of employment; a full record must carry it."""
    termination_date: Day | None = None
    """Last day of employment, where it is known; 9999-12-31 means none."""
    skills: Texts | None = None
    """What the person can do."""
    interests: Texts | None = None
    """What the person likes."""

    @model_validator(mode="after")
    def _carries_what_its_type_needs(self) -> EmployeeRecorded:
        sent = self.model_fields_set
        unknown = [name for name in _NEVER_NULL if getattr(self, name) is None]
        if self.record_type == "full":
            _refuse(unknown, "missing; a full record must carry it")
            if "manager_id" not in sent:
                _refuse(["manager_id"], "missing; send null for a person without a manager")
        elif self.record_type == "patch":
            nulled = [name for name in unknown if name in sent]
            _refuse(nulled, "must not be null; it can be changed, not cleared")
        elif self.cancels_sequence is None:
            _refuse(["cancels_sequence"], "missing; name the sequence of the change to cancel")
        return self

    @model_validator(mode="after")
    def _own_manager(self) -> EmployeeRecorded:
        if self.manager_id is not None and self.manager_id == self.employee_id:
            raise ValueError("managerId: a person cannot be their own manager; send the manager")
        if self.employee_id in (self.dotted_line_manager_ids or ()):
            raise ValueError(
                "dottedLineManagerIds: a person cannot be their own manager; leave them out"
            )
        return self


_NEVER_NULL = ("status", "job_level", "department", "start_date")


def _refuse(names: Iterable[str], message: str) -> None:
    """Raise one error per field, each at the field's place, as the library does for its own."""
    errors = [
        InitErrorDetails(
            type=PydanticCustomError("hr_record", message), loc=(to_camel(name),), input=None
        )
        for name in names
    ]
    if errors:
        raise ValidationError.from_exception_data("EmployeeRecorded", errors)


class EmployeeErased(_Hr, Event):
    """HR asks that a person's data be erased everywhere."""

    TYPE = "updraft.hr.employee-erased.v1"
    TOPIC = "hr.employees"
    KEY = "employee_id"

    employee_id: EmployeeId
    """HR's stable key of the person to erase, also the record's Kafka key."""
    sequence: Sequence
    """Must be higher than that of the person's last record."""

    @property
    def erases(self) -> bool:
        """True: whatever failed before it is void."""
        return True
