"""The check over a whole play finds every breach of a hard rule, and only those."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from deploy.demo.outcome import Told, violations
from shared.catalogue import (
    EmployeeUpdated,
    PairCompleted,
    PairCreated,
    PairEnded,
    PairFact,
    ParticipantEnrolled,
)

START = datetime(2026, 1, 5, tzinfo=UTC)
GRACE = timedelta(days=1)
PROGRAMME = UUID(int=1)


def on(day: float) -> datetime:
    return START + timedelta(days=day)


def told(*facts: Any) -> Told:
    said = Told()
    for fact in facts:
        if isinstance(fact, EmployeeUpdated):
            said.employees[fact.employee_id].append(fact)
        elif isinstance(fact, PairFact):
            said.pairs[str(fact.pair_id)].append(fact)
        else:
            said.participants[str(fact.participant_id)] = fact
    return said


def employee(employee_id: str, manager: str | None, *, since: float = 0, version: int = 1) -> Any:
    return EmployeeUpdated(
        employee_id=employee_id,
        version=version,
        status="active",
        job_level=1,
        department=employee_id,
        manager_id=manager,
        start_date=date(2020, 1, 1),
        effective_from=on(since),
        received_at=on(since),
    )


def participant(number: int, employee_id: str, **more: Any) -> Any:
    return ParticipantEnrolled(
        participant_id=UUID(int=number),
        programme_id=PROGRAMME,
        employee_id=employee_id,
        role="mentor",
        status="ready",
        version=1,
        changed_at=START,
        **{"languages": ("en",), **more},
    )


def pair(
    number: int,
    mentor: tuple[int, str] = (11, "junior"),
    mentee: tuple[int, str] = (12, "senior"),
    *,
    created: float = 10,
    closed: float = 100,
    reason: str | None = None,
) -> list[Any]:
    common = {
        "pair_id": UUID(int=number),
        "programme_id": PROGRAMME,
        "mentor_id": UUID(int=mentor[0]),
        "mentor_employee_id": mentor[1],
        "mentee_id": UUID(int=mentee[0]),
        "mentee_employee_id": mentee[1],
        "proposed_at": on(created - 1),
        "created_at": on(created),
    }
    end: Any = PairCompleted if reason is None else PairEnded
    return [
        PairCreated(**common, status="active", version=2, changed_at=on(created)),
        end(
            **common,
            status="completed" if reason is None else "ended",
            version=3,
            closed_at=on(closed),
            reason=reason,
            changed_at=on(closed),
        ),
    ]


APART = [employee("junior", "boss"), employee("senior", "chief"), employee("other", "chief")]
BOTH = [participant(11, "junior"), participant(12, "senior")]


def test_a_pair_that_keeps_all_rules_is_no_violation() -> None:
    assert violations(told(*APART, *BOTH, *pair(1)), grace=GRACE) == []


def test_a_pair_in_one_reporting_line_is_found_at_any_depth() -> None:
    line = [employee("junior", "boss"), employee("boss", "senior"), employee("senior", None)]
    found = violations(told(*line, *BOTH, *pair(1)), grace=GRACE)
    assert any("in one reporting line" in one for one in found)


def test_a_pair_under_the_same_manager_is_found() -> None:
    line = [employee("junior", "boss"), employee("senior", "boss")]
    assert any("same manager" in v for v in violations(told(*line, *BOTH, *pair(1)), grace=GRACE))


def test_a_transfer_that_the_guard_answered_is_no_violation() -> None:
    moved = employee("junior", "senior", since=50, version=2)
    ended = pair(1, closed=50.2, reason="reporting_line")
    assert violations(told(*APART, moved, *BOTH, *ended), grace=GRACE) == []


def test_a_transfer_that_nobody_answered_is_found() -> None:
    moved = employee("junior", "senior", since=50, version=2)
    assert len(violations(told(*APART, moved, *BOTH, *pair(1)), grace=GRACE)) == 1


def test_a_transfer_known_only_after_the_end_does_not_count() -> None:
    late = employee("junior", "senior", since=99.9, version=2)
    assert violations(told(*APART, late, *BOTH, *pair(1)), grace=GRACE) == []


def test_more_pairs_at_once_than_the_capacity_are_found() -> None:
    other = participant(13, "other")
    twice = [*pair(1), *pair(2, mentee=(13, "other"), created=20)]
    found = violations(told(*APART, *BOTH, other, *twice), grace=GRACE)
    assert found == ["junior: 2 pairs at once, 1 allowed"]


def test_one_pair_after_the_other_is_within_the_capacity() -> None:
    other = participant(13, "other")
    after = [*pair(1, closed=20), *pair(2, mentee=(13, "other"), created=20)]
    assert violations(told(*APART, *BOTH, other, *after), grace=GRACE) == []


def test_the_same_two_people_twice_are_found() -> None:
    again = [*pair(1, closed=20, reason="no_fit"), *pair(2, created=30)]
    found = violations(told(*APART, *BOTH, *again), grace=GRACE)
    assert found == ["pair junior → senior: proposed more than once"]


def test_blocks_and_missing_languages_are_found() -> None:
    silent = [
        participant(11, "junior", languages=("fr",), blocks=("senior",)),
        participant(12, "senior"),
    ]
    found = violations(told(*APART, *silent, *pair(1)), grace=GRACE)
    assert [one.split(": ")[1] for one in found] == ["blocked", "no common language"]
