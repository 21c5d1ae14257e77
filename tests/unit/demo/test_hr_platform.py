"""What HR publishes: readable events, a bad one of each kind, and a tree without circles."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from deploy.demo.company import company
from deploy.demo.hr_platform import HrPlatform, RawRecord, broken_records, shuffled
from shared.catalogue import EmployeeRecorded
from shared.envelope import Record, Unreadable, decode

NOW = datetime(2026, 1, 5, 7, tzinfo=UTC)


def record_of(sent: RawRecord) -> Record:
    return Record("hr.employees", 0, 0, sent.key.encode(), sent.value, sent.headers)


def platform(people: int = 60) -> HrPlatform:
    return HrPlatform(company(people, seed=1, today=NOW.date()), "127.0.0.1:1", seed=1)


def test_full_records_and_patches_can_be_read_as_events() -> None:
    hr = platform()
    first = decode(record_of(hr.full("A00002", effective=NOW.date(), now=NOW)), NOW)
    second = decode(
        record_of(hr.patch("A00002", {"jobLevel": 3}, effective=NOW.date(), now=NOW)), NOW
    )
    assert isinstance(first.data, EmployeeRecorded)
    assert isinstance(second.data, EmployeeRecorded)
    assert (first.data.sequence, second.data.sequence) == (1, 2)
    assert second.data.model_fields_set >= {"job_level"}
    assert "manager_id" not in second.data.model_fields_set
    assert hr.records["A00002"]["jobLevel"] == 3


def test_a_change_to_come_does_not_count_yet() -> None:
    hr = platform()
    hr.patch("A00002", {"jobLevel": 1}, effective=date(2026, 3, 1), now=NOW)
    assert hr.records["A00002"]["jobLevel"] != 1


def test_ids_are_the_same_for_the_same_seed_and_differ_between_records() -> None:
    ids = []
    for _ in range(2):
        hr = platform()
        sent = [hr.full(each, effective=NOW.date(), now=NOW) for each in hr.records]
        ids.append([dict(record.headers)["ce_id"] for record in sent])
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 60


@pytest.mark.parametrize("number", range(20))
def test_a_broken_record_of_each_kind_is_refused_with_a_reason(number: int) -> None:
    template = company(60, seed=1, today=NOW.date()).people[0].record
    made = broken_records(number + 1, template, seed=5, now=NOW)
    key = f"broken-5-{number:03d}"
    mine = [record for record in made if record.key.startswith(key)]
    if len(mine) == 2:
        # One id, two contents: each can be read, only the inbox can tell.
        assert mine[0].headers == mine[1].headers
        assert mine[0].value != mine[1].value
        return
    with pytest.raises(Unreadable):
        decode(record_of(mine[0]), NOW)


def test_records_come_in_an_order_that_knows_no_managers_first() -> None:
    hr = platform()
    sent = [hr.full(each, effective=NOW.date(), now=NOW) for each in hr.records]
    mixed = shuffled(sent, 1)
    assert mixed != sent
    assert sorted(r.key for r in mixed) == sorted(r.key for r in sent)


def test_the_chain_of_managers_is_known_to_the_top() -> None:
    hr = platform()
    last = list(hr.records)[-1]
    chain = hr.chain(last)
    assert chain[-1] == "A00001"
    assert len(chain) == len(set(chain)) >= 2
