"""Whatever HR sends, in whatever order, the directory's promises hold."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.registration.domain.directory import (
    HrRecord,
    Person,
    Refused,
    caught_up,
    erased,
    recorded,
)
from services.registration.domain.employment import Employee, Facts
from services.registration.domain.reporting_line import circle, told

DAY = date(2026, 1, 5)
# A busy machine is not a failure.
unhurried = settings(deadline=None)
BLANK = dict.fromkeys(Facts._fields) | Facts._field_defaults
REQUIRED = {
    "status": "active",
    "job_level": 3,
    "department": "IT",
    "start_date": date(2020, 1, 1),
}


def full(sequence: int, on: date = DAY, **changes: Any) -> HrRecord:
    whole = BLANK | REQUIRED | changes
    return HrRecord("full", sequence, repr((sequence, changes)).encode(), on, whole)


def patch(sequence: int, on: date = DAY, **changes: Any) -> HrRecord:
    return HrRecord("patch", sequence, repr((sequence, changes)).encode(), on, changes)


def cancel(sequence: int, cancels: int) -> HrRecord:
    return HrRecord("cancel", sequence, b"%d" % sequence, DAY, {}, cancels_sequence=cancels)


def take(person: Person, records: Sequence[HrRecord], today: date = DAY) -> list[Person]:
    """All states on the way; what is refused changes nothing."""
    states = [person]
    for record in records:
        states += caught_up(states[-1], today=today, managers={})
        try:
            states.append(recorded(states[-1], record, today=today, managers={}))
        except Refused:
            continue
    return states


def after_days(person: Person, days: Sequence[int]) -> list[Person]:
    states = [person]
    for day in days:
        today = DAY + timedelta(days=day)
        states += caught_up(states[-1], today=today, managers={})
    return states


def versions(states: Sequence[Person]) -> list[Employee]:
    """The states of the employee that would be published."""
    told_states = []
    for before, after in pairwise(states):
        if after.employee is not None and after.employee != before.employee:
            told_states.append(after.employee)
    return told_states


changes_of_work = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(["active", "on_leave", "left", "pending"]),
        "job_level": st.integers(1, 3),
        "title": st.sampled_from([None, "Engineer", "Director"]),
        "termination_date": st.none() | st.integers(-10, 20).map(lambda n: DAY + timedelta(days=n)),
        "skills": st.sampled_from([(), ("SQL",), ("SQL", "Go")]),
    },
)


@st.composite
def records(draw: st.DrawFn, kinds: Sequence[str] = ("full", "patch"), ahead: int = 15) -> Any:
    """A person's records in HR's order, the first of them full."""
    made = []
    for number in range(draw(st.integers(1, 6))):
        kind = "full" if number == 0 else draw(st.sampled_from(kinds))
        on = DAY + timedelta(days=draw(st.integers(-5, ahead)))
        make = full if kind == "full" else patch
        made.append(make(number + 1, on, **draw(changes_of_work)))
    return made


@unhurried
@given(st.data())
def test_full_records_in_any_order_end_in_the_newest(data: st.DataObject) -> None:
    in_order = data.draw(records(kinds=["full"], ahead=0))
    shuffled = data.draw(st.permutations(in_order + in_order))

    last = take(Person("e1"), shuffled)[-1]

    assert last.sequence == in_order[-1].sequence
    assert last.facts == take(Person("e1"), [in_order[-1]])[-1].facts


@unhurried
@given(st.data())
def test_repetitions_change_nothing(data: st.DataObject) -> None:
    in_order = data.draw(records())
    repeated = []
    for number, record in enumerate(in_order):
        again = data.draw(st.lists(st.sampled_from(in_order[: number + 1]), max_size=3))
        repeated += [record, *again]

    assert take(Person("e1"), repeated)[-1] == take(Person("e1"), in_order)[-1]


@unhurried
@given(records(), st.sets(st.integers(1, 30), max_size=6))
def test_it_does_not_matter_how_often_the_job_runs(made: list[HrRecord], days: set[int]) -> None:
    person = take(Person("e1"), made)[-1]

    seldom = after_days(person, [40])
    often = after_days(person, [*sorted(days), 40])
    daily = after_days(person, range(41))

    # A job that sleeps over a day sees each announced change, though perhaps not a last day that
    # was withdrawn again while it slept; the state it ends in is the same.
    for states in (seldom, often):
        assert states[-1].facts == daily[-1].facts
        assert states[-1].scheduled == daily[-1].scheduled == ()
        assert same_work(states[-1].employee, daily[-1].employee)


def same_work(one: Employee | None, other: Employee | None) -> bool:
    if one is None or other is None:
        return one is other
    return one._replace(version=0) == other._replace(version=0)


@unhurried
@given(records())
def test_versions_rise_by_one_and_each_tells_something_new(made: list[HrRecord]) -> None:
    states = take(Person("e1"), made)
    published = versions(states + after_days(states[-1], range(41)))

    assert [employee.version for employee in published] == list(range(1, len(published) + 1))
    for before, after in pairwise(published):
        still = after._replace(version=before.version, effective_from=before.effective_from)
        assert still != before


@unhurried
@given(changes_of_work, changes_of_work, st.integers(1, 15))
@example({"status": "on_leave", "termination_date": DAY}, {"termination_date": DAY}, 1)
def test_an_announced_record_ends_in_the_same_state_as_one_sent_on_the_day(
    now: dict[str, Any], then: dict[str, Any], days: int
) -> None:
    day = DAY + timedelta(days=days)
    first = take(Person("e1"), [full(1, **now)])[-1]

    announced = caught_up(take(first, [full(2, day, **then)])[-1], today=day, managers={})[-1]
    sent = take(first, [full(2, day, **then)], today=day)[-1]

    assert announced.employee is not None
    assert announced.facts == sent.facts
    assert same_work(announced.employee, sent.employee)


@unhurried
@given(changes_of_work, changes_of_work)
def test_a_cancelled_announcement_leaves_no_trace(
    then: dict[str, Any], now: dict[str, Any]
) -> None:
    first = take(Person("e1"), [full(1, **now)])[-1]
    day = DAY + timedelta(days=3)

    last = take(first, [patch(2, day, **then), cancel(3, cancels=2)])[-1]

    assert (last.facts, last.scheduled) == (first.facts, ())


def test_an_announcement_does_not_undo_what_was_learned_since() -> None:
    day = DAY + timedelta(days=10)
    person = take(Person("e1"), [full(1), full(2, day, job_level=4), full(3, title="Engineer")])[-1]

    facts = after_days(person, [10])[-1].facts

    assert facts is not None
    assert (facts.job_level, facts.title) == (4, "Engineer")


def test_a_second_announcement_can_take_back_the_first() -> None:
    up, down = DAY + timedelta(days=10), DAY + timedelta(days=20)
    person = take(Person("e1"), [full(1), full(2, up, job_level=4), full(3, down)])[-1]

    levels = [e.job_level for e in versions(after_days(person, range(30)))]

    assert levels == [4, 3]


def test_patches_for_one_day_add_up_and_a_full_record_replaces_them() -> None:
    day = DAY + timedelta(days=10)
    both = [full(1), patch(2, day, job_level=4), patch(3, day, title="Director")]

    added = after_days(take(Person("e1"), both)[-1], [10])[-1].facts
    replaced = after_days(take(Person("e1"), [*both, full(4, day)])[-1], [10])[-1].facts

    assert added is not None
    assert replaced is not None
    assert (added.job_level, added.title) == (4, "Director")
    assert (replaced.job_level, replaced.title) == (3, None)


def test_a_hire_can_be_put_off() -> None:
    first, second = DAY + timedelta(days=10), DAY + timedelta(days=20)
    postponed = [
        full(1, first, start_date=first),
        full(2, second, start_date=second),
        cancel(3, cancels=1),
    ]

    states = after_days(take(Person("e1"), postponed)[-1], range(30))

    assert [(e.version, e.start_date) for e in versions(states)] == [(1, second)]


def test_a_hire_that_a_patch_builds_on_cannot_be_cancelled_first() -> None:
    first, second = DAY + timedelta(days=10), DAY + timedelta(days=20)
    person = take(Person("e1"), [full(1, first), patch(2, second, title="Lead")])[-1]

    with pytest.raises(Refused, match=r"^cancelsSequence: .* sequence 2 builds on 1"):
        recorded(person, cancel(3, cancels=1), today=DAY, managers={})


def test_a_rehire_after_a_last_day_that_nobody_looked_at_is_seen_as_both() -> None:
    back = DAY + timedelta(days=20)
    person = take(
        Person("e1"),
        [full(1, termination_date=DAY + timedelta(days=5)), full(2, back, start_date=back)],
    )[-1]

    states = after_days(person, [30])

    assert [employee.status for employee in versions(states)] == ["left", "active"]


@unhurried
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7) | st.none()), max_size=40))
def test_managers_never_form_a_circle(moves: list[tuple[int, int | None]]) -> None:
    managers: dict[str, str | None] = {}
    people: dict[str, Person] = {}
    for sequence, (who, above) in enumerate(moves):
        name, manager = f"p{who}", None if above is None else f"p{above}"
        person = people.get(name) or Person(name)
        try:
            person = recorded(
                person, full(sequence, manager_id=manager), today=DAY, managers=managers
            )
        except Refused as refusal:
            assert str(refusal).startswith("managerId: would close the circle ")  # noqa: PT017
        people[name] = person
        if person.employee is not None:
            managers[name] = person.employee.manager_id

    for name in managers:
        seen, above_name = [name], managers[name]
        while above_name is not None:
            assert above_name not in seen
            seen.append(above_name)
            above_name = managers.get(above_name)


def test_an_erasure_forgets_the_schedule_and_is_idempotent() -> None:
    day = DAY + timedelta(days=10)
    person = take(Person("e1"), [full(1, given_name="Ada"), patch(2, day, title="Chief")])[-1]

    gone = erased(person, sequence=3, digest=b"", today=DAY)

    assert (gone.facts, gone.contact, gone.scheduled, gone.erased) == (None, None, (), True)
    assert erased(gone, sequence=3, digest=b"", today=day) == gone
    with pytest.raises(Refused, match=r"^sequence: 2 is stale"):
        erased(gone, sequence=2, digest=b"", today=DAY)


def test_a_walk_up_ends_even_where_a_circle_exists_already() -> None:
    assert circle({"a": "b", "b": "a"}, "c", "a") == ()
    assert circle({"a": "b"}, "b", "a") == ("b", "a", "b")
    assert told(tuple("abcdefghijka")) == "a → b → c → d → … → i → j → k → a"
