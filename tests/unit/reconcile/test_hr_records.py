"""An HR record that nobody applied or parked is a difference."""

from __future__ import annotations

from uuid import UUID

from deploy.reconcile.comparing import compare_transport
from deploy.reconcile.differences import Compared
from deploy.reconcile.schemas import Schemas
from deploy.reconcile.topics import Topics

APPLIED, PARKED, OTHER = (UUID(int=number) for number in (1, 2, 3))


def differences(topics: Topics) -> list[str]:
    compared = Compared()
    compare_transport(Schemas(taken_in={APPLIED, PARKED}), topics, compared)
    return [str(one.what) for one in compared.differences]


def test_applied_and_parked_records_agree() -> None:
    ids = [frozenset({APPLIED, OTHER}), frozenset({PARKED})]
    assert differences(Topics(from_hr=ids)) == []


def test_a_record_that_is_stuck_is_told() -> None:
    assert differences(Topics(from_hr=[frozenset({OTHER}), frozenset({APPLIED})])) == ["HR records"]
