"""A person's employment: the facts that HR states, and the clean state that follows on a day."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from operator import attrgetter
from typing import Any, Literal, NamedTuple, TypeAlias

Status = Literal["pending", "active", "on_leave", "left"]


class Facts(NamedTuple):
    """HR's record of a person as it stands."""

    status: Status
    job_level: int
    department: str
    start_date: date
    termination_date: date | None = None
    manager_id: str | None = None
    dotted_line_manager_ids: tuple[str, ...] = ()
    employee_number: str | None = None
    user_name: str | None = None
    given_name: str | None = None
    family_name: str | None = None
    display_name: str | None = None
    email: str | None = None
    locale: str | None = None
    title: str | None = None
    job_family: str | None = None
    organization: str | None = None
    division: str | None = None
    cost_center: str | None = None
    location: str | None = None
    country: str | None = None
    timezone: str | None = None
    skills: tuple[str, ...] = ()
    interests: tuple[str, ...] = ()


FACT_NAMES = frozenset(Facts._fields)

Changes: TypeAlias = Mapping[str, Any]
"""New values by the name of a field of Facts; a field that is absent keeps its value."""


class Employee(NamedTuple):
    """A person's work attributes on a day: no name and no address."""

    employee_id: str
    version: int
    status: Status
    job_level: int
    job_family: str | None
    title: str | None
    organization: str | None
    division: str | None
    department: str
    manager_id: str | None
    dotted_line_manager_ids: tuple[str, ...]
    location: str | None
    country: str | None
    timezone: str
    start_date: date
    leaves_on: date | None
    """The known last day, whether past or to come."""
    effective_from: datetime
    skills: tuple[str, ...]
    interests: tuple[str, ...]
    erased: bool


class Contact(NamedTuple):
    """How to reach a person."""

    employee_id: str
    version: int
    given_name: str | None
    display_name: str | None
    email: str | None
    locale: str
    timezone: str


_attributes: Callable[[Employee], tuple[Any, ...]] = attrgetter(
    *(name for name in Employee._fields if name not in ("version", "effective_from"))
)
_reach: Callable[[Contact], tuple[Any, ...]] = attrgetter(
    *(name for name in Contact._fields if name != "version")
)


def with_changes(facts: Facts | None, changes: Changes, *, since: date) -> Facts:
    """The facts after a change that holds from `since`.

    Without facts the changes must name every field. A status other than left that comes without
    a termination date, after that date, is a rehire: the date belongs to the former employment.
    """
    if facts is None:
        return Facts(**changes)
    after = facts._replace(**changes)
    ended = after.termination_date
    says_employed = changes.get("status", "left") != "left"
    if says_employed and "termination_date" not in changes and ended and ended < since:
        return after._replace(termination_date=None)
    return after


def differences(facts: Facts, changes: Changes) -> dict[str, Any]:
    """The changes that would really change something.

    A changed status keeps its termination date beside it, without which it reads as a rehire.
    """
    changed = {name: value for name, value in changes.items() if getattr(facts, name) != value}
    if "status" in changed and "termination_date" in changes:
        changed["termination_date"] = changes["termination_date"]
    return changed


def employee_on(
    day: date, facts: Facts, *, employee_id: str, since: date, before: Employee | None
) -> Employee:
    """The clean state on a day, of facts that hold since `since`.

    Returns `before` itself when nothing differs, else the next version.
    """
    last_day = _last_day(facts, since=since, before=before, on=day)
    has_left = last_day is not None and last_day < day
    holds_from = since
    if has_left and last_day and facts.status != "left":
        holds_from = max(since, last_day + timedelta(days=1))
    state = Employee(
        employee_id=employee_id,
        version=before.version + 1 if before else 1,
        status="left" if has_left else facts.status,
        job_level=facts.job_level,
        job_family=facts.job_family,
        title=facts.title,
        organization=facts.organization,
        division=facts.division,
        department=facts.department,
        manager_id=facts.manager_id,
        dotted_line_manager_ids=facts.dotted_line_manager_ids,
        location=facts.location,
        country=facts.country,
        timezone=facts.timezone or "UTC",
        start_date=facts.start_date,
        leaves_on=last_day,
        effective_from=midnight(holds_from),
        skills=facts.skills,
        interests=facts.interests,
        erased=False,
    )
    return before if before and _attributes(state) == _attributes(before) else state


def _last_day(facts: Facts, *, since: date, before: Employee | None, on: date) -> date | None:
    stated = facts.termination_date
    if stated is not None and stated < facts.start_date:
        stated = None  # it ended an employment before the present one
    if facts.status != "left":
        return stated
    if stated is not None and stated <= on:
        return stated
    return before.leaves_on if before and before.status == "left" and before.leaves_on else since


def erased_employee(employee: Employee, on: date) -> Employee:
    """What stays of an erased person: ids, level and place in the organisation, for counting.

    The manager stays too, because the chain above the people who reported to them runs through it.
    """
    scrubbed = employee._replace(
        status="left",
        job_family=None,
        title=None,
        location=None,
        country=None,
        timezone="UTC",
        dotted_line_manager_ids=(),
        leaves_on=employee.leaves_on if employee.status == "left" else on,
        skills=(),
        interests=(),
        erased=True,
    )
    if scrubbed == employee:
        return employee
    return scrubbed._replace(version=employee.version + 1, effective_from=midnight(on))


def contact_of(facts: Facts, *, employee_id: str, version: int, before: Contact | None) -> Contact:
    """How to reach a person by these facts: `before` when nothing differs, else version + 1."""
    names = [name for name in (facts.given_name, facts.family_name) if name]
    contact = Contact(
        employee_id=employee_id,
        version=version + 1,
        given_name=facts.given_name,
        display_name=facts.display_name or " ".join(names)[:300].rstrip() or None,
        email=facts.email,
        locale=facts.locale or "en",
        timezone=facts.timezone or "UTC",
    )
    return before if before and _reach(contact) == _reach(before) else contact


def midnight(day: date) -> datetime:
    """The instant at which a day begins, in UTC."""
    return datetime.combine(day, time(), UTC)
