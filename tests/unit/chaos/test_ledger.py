"""The ledger must be able to fail: a good history with one thing wrong in it is found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from uuid import NAMESPACE_OID, UUID, uuid5

import pytest

from tests.chaos import ledger
from tests.chaos.ledger import DOUBLED, INVERTED, MISSING, PARKED, Delivery, Finding

PEOPLE = ("Ada", "Bo", "Cy")
VERSIONS = 4
ASKED = "updraft.goal.set.v1"


def history() -> list[Delivery]:
    """Three people's versions in turn, and two goals."""
    told = [
        event(f"employee {one}", version, partition=number)
        for version in range(1, VERSIONS + 1)
        for number, one in enumerate(PEOPLE)
    ]
    return [*told, goal("1"), goal("2")]


def event(line: str, version: int, *, partition: int = 0, number: int = 0) -> Delivery:
    return Delivery(
        topic="updraft.employees",
        partition=partition,
        offset=version,
        event_id=uuid5(NAMESPACE_OID, f"{line} {version} {number}"),
        content=f"{line} {version}".encode(),
        type="updraft.employee.updated.v1",
        effect=f"updraft.employee.updated.v1:{line}",
        fact=f"{line} version {version}",
        line=line,
        place=version,
    )


def goal(name: str, *, number: int = 0) -> Delivery:
    return replace(
        event("goals", 1, number=number + 7 * int(name)),
        topic="updraft.feedback",
        type=ASKED,
        effect=f"{ASKED}:{name}",
        fact=f"goal {name}",
        line=None,
        place=None,
    )


def figures(findings: Iterable[Finding]) -> list[str]:
    return [finding.figure for finding in findings]


def wire_checks(told: list[Delivery]) -> list[str]:
    return figures([*ledger.doubled(told), *ledger.inverted(told), *ledger.gaps(told)])


def test_a_good_history_has_no_finding() -> None:
    acknowledged = {goal("1").effect: "Ada", goal("2").effect: "Bo"}

    assert wire_checks(history()) == []
    assert list(ledger.came_about(acknowledged, {ASKED}, history())) == []


def test_records_sent_again_as_they_were_are_counted_and_harmless() -> None:
    told = history()
    again = [*told[:6], *told[3:6], *told[6:], told[0]]

    assert wire_checks(again) == []
    assert ledger.duplicates(again) == {"updraft.employees": 4}


@pytest.mark.parametrize("lost", range(len(PEOPLE) * (VERSIONS - 1)))
def test_a_lost_version_is_missing(lost: int) -> None:
    told = history()
    del told[lost]

    assert wire_checks(told) == [MISSING]


def test_a_version_told_as_two_events_is_doubled() -> None:
    told = history()
    told.insert(5, replace(told[4], event_id=UUID(int=1)))

    assert wire_checks(told) == [DOUBLED]


def test_an_id_with_another_content_is_doubled() -> None:
    told = history()
    told.append(replace(told[4], content=b"other"))

    assert wire_checks(told) == [DOUBLED]


def test_two_versions_that_change_places_are_an_inversion() -> None:
    told = history()
    told[3], told[6] = told[6], told[3]

    assert wire_checks(told) == [INVERTED]


def test_an_aggregate_in_two_partitions_is_an_inversion() -> None:
    told = history()
    told[6] = replace(told[6], partition=5)

    assert INVERTED in wire_checks(told)


def test_an_acknowledged_request_without_an_event_is_missing() -> None:
    acknowledged = {goal("1").effect: "Ada", goal("2").effect: "Bo", goal("3").effect: "Cy"}

    assert figures(ledger.came_about(acknowledged, {ASKED}, history())) == [MISSING]


def test_a_request_that_acted_twice_is_doubled() -> None:
    acknowledged = {goal("1").effect: "Ada", goal("2").effect: "Bo"}
    other_id = [*history(), goal("3")]
    same_id = [*history(), goal("1", number=99)]

    assert figures(ledger.came_about(acknowledged, {ASKED}, other_id)) == [DOUBLED]
    assert figures(ledger.came_about(acknowledged, {ASKED}, same_id)) == [DOUBLED]


def test_an_event_that_a_service_never_took_in_is_missing() -> None:
    told = {one.event_id: one.fact for one in history()}
    inbox = list(told)

    assert list(ledger.taken_in("matching", told, inbox, [])) == []
    assert list(ledger.taken_in("matching", told, inbox[1:], inbox[:1])) == []
    assert figures(ledger.taken_in("matching", told, inbox[1:], [])) == [MISSING]


def test_an_event_that_was_applied_and_is_on_no_topic_is_missing() -> None:
    told = {one.event_id: one.fact for one in history()}
    inbox = [*told, UUID(int=5)]

    assert figures(ledger.taken_in("matching", told, inbox, [])) == [MISSING]


def test_what_is_parked_must_be_the_broken_records_once_each() -> None:
    by_id, by_content, good = UUID(int=1), UUID(int=2), UUID(int=3)
    broken = {frozenset({by_id, by_content}): "no sequence of Ada"}

    def findings(*parked: UUID) -> list[str]:
        return figures(ledger.parked_exactly(broken, parked))

    assert findings(by_content) == []
    assert findings() == [PARKED]
    assert findings(by_id, by_content) == [PARKED]
    assert findings(by_id, good) == [PARKED]


def test_copies_that_differ_lack_something_or_have_too_much() -> None:
    assert list(ledger.alike("goals", "metrics", [(1,), (2,)], [(2,), (1,)])) == []
    assert figures(ledger.alike("goals", "metrics", [(1,), (2,)], [(2,)])) == [MISSING]
    assert figures(ledger.alike("goals", "metrics", [(1,)], [(2,), (1,)])) == [DOUBLED]


def test_two_messages_for_one_cause_are_doubled() -> None:
    causes = [("proposal", "Ada", 1), ("proposal", "Bo", 1)]

    assert list(ledger.once("messages", "notifications", causes)) == []
    assert figures(ledger.once("messages", "notifications", [*causes, causes[0]])) == [DOUBLED]


def test_a_person_must_be_as_hr_said_last() -> None:
    said = {"Ada": {"title": "promoted 4", "status": "active"}}

    assert list(ledger.known_as_told(said, {"Ada": {**said["Ada"], "version": 4}})) == []
    assert figures(ledger.known_as_told(said, {})) == [MISSING]
    older = {"Ada": {"title": "hired 1", "status": "active"}}
    assert figures(ledger.known_as_told(said, older)) == [MISSING]
