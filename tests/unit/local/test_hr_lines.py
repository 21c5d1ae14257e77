import io
import json

from deploy.local.hr import read_lines

GOOD = {
    "employeeId": "E1",
    "effectiveDate": "2026-01-01",
    "sequence": 1,
    "status": "active",
    "jobLevel": 3,
    "department": "Sales",
    "startDate": "2020-01-01",
    "managerId": None,
}


def lines_of(*documents):
    return io.BytesIO(b"\n".join(json.dumps(document).encode() for document in documents))


def headers(record):
    return {name: value.decode() for name, value in record.headers}


def test_a_record_is_keyed_by_employee_and_sent_as_a_cloud_event_in_binary_mode():
    (record,) = read_lines(lines_of(GOOD), "urn:test").records

    assert record.key == b"E1"
    assert json.loads(record.value) == GOOD
    assert headers(record)["ce_type"] == "updraft.hr.employee-recorded.v1"
    assert headers(record)["ce_source"] == "urn:test"


def test_the_same_content_has_the_same_id_and_other_content_another():
    again = {**GOOD, "sequence": 2}
    first, second, third = read_lines(lines_of(GOOD, GOOD, again), "urn:test").records

    assert headers(first)["ce_id"] == headers(second)["ce_id"]
    assert headers(first)["ce_id"] != headers(third)["ce_id"]


def test_a_wrong_line_is_told_by_number_with_the_field_but_not_its_value():
    lines = read_lines(lines_of(GOOD, {**GOOD, "jobLevel": "secret"}), "urn:test")

    ((number, reason),) = lines.wrong
    assert number == 2
    assert "jobLevel" in reason
    assert "secret" not in reason


def test_lines_that_are_not_json_objects_are_wrong():
    lines = read_lines(io.BytesIO(b'not json\n\n[1]\n"text"\n'), "urn:test")

    assert [number for number, _ in lines.wrong] == [1, 3, 4]


def test_raw_lines_are_sent_as_they_are():
    lines = read_lines(io.BytesIO(b'not json\n{"employeeId": 7}\n\xff\x00\n'), "urn:t", check=False)

    assert not lines.wrong
    assert [record.value for record in lines.records] == [
        b"not json",
        b'{"employeeId": 7}',
        b"\xff\x00",
    ]
    assert [record.key for record in lines.records] == [None, None, None]


def test_a_whole_cloud_event_goes_in_structured_mode():
    event = {"specversion": "1.0", "id": "1", "source": "urn:hr", "type": "x", "data": GOOD}

    (record,) = read_lines(lines_of(event), "urn:test").records

    assert record.key == b"E1"
    assert headers(record) == {"content-type": "application/cloudevents+json"}


def test_erasure_has_its_own_type():
    request = {"employeeId": "E1", "sequence": 9}

    (record,) = read_lines(lines_of(request), "urn:test", erased=True).records

    assert headers(record)["ce_type"] == "updraft.hr.employee-erased.v1"
