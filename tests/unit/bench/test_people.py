from __future__ import annotations

from datetime import UTC, datetime

from deploy.local.hr import HrRecord
from shared.catalogue import EmployeeRecorded
from shared.envelope import Record, decode
from tests.bench import people


def event(record: HrRecord) -> EmployeeRecorded:
    raw = Record("hr.employees", 0, 0, record.key, record.value, record.headers)
    found = decode(raw, datetime.now(UTC)).data
    assert isinstance(found, EmployeeRecorded)
    return found


def test_every_record_is_one_that_registration_can_read() -> None:
    hired = [event(one) for one in people.hired("P", range(50))]
    assert [one.employee_id for one in hired] == [people.employee_id("P", n) for n in range(50)]
    moved = [event(one) for one in people.moved(["P-0000001"], sequence=7)]
    assert [(one.record_type, one.sequence) for one in moved] == [("patch", 7)]


def test_managers_come_before_those_below_them_and_the_first_has_none() -> None:
    hired = [event(one) for one in people.hired("P", range(50))]
    seen = set()
    for one in hired:
        assert one.manager_id is None or one.manager_id in seen
        seen.add(one.employee_id)
    assert hired[0].manager_id is None


def test_managers_may_be_of_another_group() -> None:
    assert {event(one).manager_id for one in people.hired("N", range(3), below="G")} == {
        "G-0000000"
    }
