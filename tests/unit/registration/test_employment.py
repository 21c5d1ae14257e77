"""The clean state of a person on a day."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from services.registration.domain.employment import (
    Employee,
    Facts,
    contact_of,
    employee_on,
    erased_employee,
    midnight,
    with_changes,
)

HIRED = date(2020, 2, 1)
TODAY = date(2026, 3, 1)


def facts(**changes: Any) -> Facts:
    values: dict[str, Any] = {
        "status": "active",
        "job_level": 3,
        "department": "IT",
        "start_date": HIRED,
    }
    return Facts(**values | changes)


def state(
    of: Facts, *, on: date = TODAY, since: date = TODAY, before: Employee | None = None
) -> Employee:
    return employee_on(on, of, employee_id="e1", since=since, before=before)


@pytest.mark.parametrize(
    ("last_day", "status"),
    [
        (date(2026, 2, 28), "left"),
        (date(2026, 3, 1), "active"),
        (date(2026, 3, 2), "active"),
        (date(9999, 12, 31), "active"),
    ],
)
def test_a_person_is_there_until_the_end_of_the_last_day(last_day: date, status: str) -> None:
    assert state(facts(termination_date=last_day)).status == status


def test_leaving_holds_from_the_day_after_the_last() -> None:
    left = state(facts(termination_date=date(2026, 2, 20)), since=date(2026, 1, 1))

    assert left.effective_from == datetime(2026, 2, 21, tzinfo=UTC)


def test_an_end_before_the_present_start_belongs_to_a_former_employment() -> None:
    again = state(facts(start_date=date(2026, 1, 1), termination_date=date(2025, 6, 30)))

    assert (again.status, again.leaves_on) == ("active", None)


def test_someone_marked_left_without_a_date_left_when_that_was_said() -> None:
    left = state(facts(status="left"), since=date(2026, 2, 10))
    later = state(facts(status="left", title="Ex"), since=TODAY, before=left)

    assert left.leaves_on == later.leaves_on == date(2026, 2, 10)


def test_a_stated_last_day_corrects_the_assumed_one() -> None:
    left = state(facts(status="left"), since=date(2026, 2, 10))
    corrected = facts(status="left", termination_date=date(2026, 2, 12))

    assert state(corrected, before=left).leaves_on == date(2026, 2, 12)


def test_someone_marked_left_before_the_stated_day_is_gone_already() -> None:
    left = state(facts(status="left", termination_date=date(2026, 12, 31)), since=TODAY)

    assert (left.status, left.leaves_on) == ("left", TODAY)


def test_the_same_facts_do_not_make_a_new_version() -> None:
    first = state(facts(title="Engineer"))

    assert state(facts(title="Engineer", cost_center="42"), since=TODAY, before=first) is first
    assert state(facts(title="Director"), before=first).version == 2


def test_a_status_after_the_last_day_is_a_rehire() -> None:
    gone = facts(termination_date=date(2026, 1, 31))

    assert with_changes(gone, {"status": "active"}, since=TODAY).termination_date is None
    assert with_changes(gone, {"title": "Ex"}, since=TODAY) == facts(
        termination_date=date(2026, 1, 31), title="Ex"
    )
    assert with_changes(gone, {"status": "active"}, since=date(2026, 1, 31)) == gone


def test_erasure_leaves_what_counting_needs_and_nothing_that_describes() -> None:
    person = state(
        facts(title="Chief", skills=("Go",), interests=("Chess",), location="Rome", country="IT",
              timezone="Europe/Rome", manager_id="m", dotted_line_manager_ids=("d",))
    )  # fmt: skip

    gone = erased_employee(person, TODAY)

    assert (gone.status, gone.leaves_on, gone.version) == ("left", TODAY, 2)
    assert (gone.job_level, gone.department, gone.manager_id) == (3, "IT", "m")
    assert (gone.title, gone.skills, gone.interests, gone.location) == (None, (), (), None)
    assert erased_employee(gone, date(2026, 9, 9)) is gone


def test_a_contact_changes_only_with_what_it_tells() -> None:
    first = contact_of(
        facts(given_name="Ada", family_name="Byron"), employee_id="e1", version=0, before=None
    )

    assert (first.display_name, first.locale, first.timezone) == ("Ada Byron", "en", "UTC")
    promoted = facts(given_name="Ada", family_name="Byron", job_level=9)
    assert contact_of(promoted, employee_id="e1", version=1, before=first) is first
    married = facts(given_name="Ada", family_name="King")
    assert contact_of(married, employee_id="e1", version=1, before=first).version == 2


def test_midnight_is_in_utc() -> None:
    assert midnight(TODAY) == datetime(2026, 3, 1, tzinfo=UTC)
