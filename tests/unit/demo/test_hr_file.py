"""HR files: declared derivations only, protected columns never read, errors that say where."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
import yaml

from deploy.demo.hr_file import HrFileError, read_mapping, read_rows, workforce_from
from deploy.demo.tables import source_of_people
from deploy.demo.workforce import Workforce, invalid, on_wire

TODAY = date(2026, 1, 5)
MAPPINGS = Path(__file__).parents[3] / "deploy" / "demo" / "mappings"
IBM_HEADER = (
    "Age,Attrition,BusinessTravel,DailyRate,Department,DistanceFromHome,Education,EducationField,"
    "EmployeeCount,EmployeeNumber,EnvironmentSatisfaction,Gender,HourlyRate,JobInvolvement,"
    "JobLevel,JobRole,JobSatisfaction,MaritalStatus,MonthlyIncome,MonthlyRate,NumCompaniesWorked,"
    "Over18,OverTime,PercentSalaryHike,PerformanceRating,RelationshipSatisfaction,StandardHours,"
    "StockOptionLevel,TotalWorkingYears,TrainingTimesLastYear,WorkLifeBalance,YearsAtCompany,"
    "YearsInCurrentRole,YearsSinceLastPromotion,YearsWithCurrManager"
)

MINIMAL = {
    "name": "Small file",
    "ignore": ["Salary", "Age"],
    "fields": {
        "employeeId": {"template": "s-{No}"},
        "status": {"constant": "active"},
        "jobLevel": {"column": "Level", "type": "integer"},
        "department": {"column": "Team"},
        "managerId": {"derive": "next_level_up", "within": "Team", "head": "Years"},
        "startDate": {"derive": "years_before_today", "years": "Years", "spread_by": "No"},
        "emails": {"template": "s{No}@hr-file.example"},
        "skills": {"tables": [{"column": "Team", "words": {"Sales": ["Negotiation"]}}]},
    },
    "leavers": {"column": "Leaves", "value": "yes", "over_days": 100, "spread_by": "No"},
    "programme": {"mentor_max_level": 1, "mentee_min_level": 2, "topics": ["AI tools"]},
}
HEADER = "No,Level,Team,Years,Leaves,Salary,Age"
ROWS = ["1,3,Sales,9,no,1,50", "2,3,Sales,4,no,1,40", "3,1,Sales,0,yes,1,20", "4,1,Sales,1,no,1,20"]


def files(
    folder: Path, *, mapping: object = MINIMAL, header: str = HEADER, rows: list[str] | None = None
) -> tuple[Path, Path]:
    hr_file, mapping_file = folder / "people.csv", folder / "mapping.yaml"
    hr_file.write_text("\n".join([header, *(ROWS if rows is None else rows)]) + "\n")
    mapping_file.write_text(yaml.safe_dump(mapping, sort_keys=False))
    return hr_file, mapping_file


def changed(**fields: object) -> dict[str, object]:
    return {**MINIMAL, "fields": {**MINIMAL["fields"], **fields}}  # type: ignore[dict-item]


def test_managers_are_found_on_the_next_level_up_of_the_same_group(tmp_path: Path) -> None:
    people = workforce_from(*files(tmp_path), today=TODAY).people
    assert {p.employee_id: p.manager_id for p in people} == {
        "s-1": None,  # Longest in the company of the top level: leads the others of it.
        "s-2": "s-1",
        "s-3": "s-1",
        "s-4": "s-2",
    }


def test_every_row_makes_a_valid_record_with_the_declared_values(tmp_path: Path) -> None:
    workforce = workforce_from(*files(tmp_path), today=TODAY)
    third = workforce.people[2]
    assert third.email == "s3@hr-file.example"
    assert third.record["skills"] == ["Negotiation"]
    assert third.record["startDate"] == "2026-01-02"
    assert third.leaves_on_day == 3 * 7919 % 100
    for person in workforce.people:
        assert invalid(on_wire(person.record, sequence=1, effective=TODAY)) is None


def test_what_cannot_be_derived_is_left_out_and_named(tmp_path: Path) -> None:
    workforce = workforce_from(*files(tmp_path), today=TODAY)
    assert {"name", "timezone", "locale", "country"} <= set(workforce.left_out)
    assert all("name" not in person.record for person in workforce.people)
    assert any(line.startswith("managerId: same Team") for line in workforce.derived)
    assert set(workforce.never_read) == {"Salary", "Age"}


def test_windows_line_ends_and_a_byte_order_mark_are_understood(tmp_path: Path) -> None:
    hr_file, mapping_file = files(tmp_path)
    hr_file.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([HEADER, *ROWS, ""]).encode())
    assert len(workforce_from(hr_file, mapping_file, today=TODAY).people) == 4


def test_a_mapping_that_reads_a_protected_column_is_refused(tmp_path: Path) -> None:
    mapping = changed(title={"template": "Clerk at {Salary}"}) | {"ignore": ["Age"]}
    with pytest.raises(HrFileError, match=r"mapping\.yaml:\d+: fields\.title.*Salary.*ignore"):
        workforce_from(*files(tmp_path, mapping=mapping), today=TODAY)


def test_protected_cells_are_not_even_kept_in_memory(tmp_path: Path) -> None:
    hr_file, mapping_file = files(tmp_path)
    for row in read_rows(hr_file, read_mapping(mapping_file)):
        assert "Salary" not in row.values
        assert "Age" not in row.values


def test_a_column_that_is_neither_mapped_nor_ignored_is_named(tmp_path: Path) -> None:
    made = files(tmp_path, header=HEADER + ",Shoes", rows=[row + ",1" for row in ROWS])
    with pytest.raises(HrFileError, match=r"people\.csv:1: column Shoes \(number 8\)"):
        workforce_from(*made, today=TODAY)


def test_a_missing_column_is_named_with_the_field_that_needs_it(tmp_path: Path) -> None:
    with pytest.raises(HrFileError, match=r"column Team is missing, fields\.\w+ of the mapping"):
        workforce_from(*files(tmp_path, header=HEADER.replace("Team", "Group")), today=TODAY)


def test_a_row_of_another_length_is_named_by_its_line(tmp_path: Path) -> None:
    with pytest.raises(HrFileError, match=r"people\.csv:3: has 3 cells where the header has 7"):
        workforce_from(*files(tmp_path, rows=[ROWS[0], "1,2,3"]), today=TODAY)


def test_an_id_that_is_there_twice_is_named_by_its_line(tmp_path: Path) -> None:
    with pytest.raises(HrFileError, match=r"people\.csv:3: employeeId s-1 is there twice"):
        workforce_from(*files(tmp_path, rows=[ROWS[0], ROWS[0]]), today=TODAY)


def test_bad_rows_are_kept_apart_as_they_are_for_the_intake_to_judge(tmp_path: Path) -> None:
    workforce = workforce_from(*files(tmp_path, rows=[*ROWS, "9,high,Sales,1,no,1,1"]), today=TODAY)
    assert len(workforce.people) == 4
    ((where, record),) = workforce.bad_rows
    assert where == "people.csv:6"
    assert record["jobLevel"] == "high"


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("{No@acme.example", "do not pair up"),
        ("No}", "do not pair up"),
        ("{{No}}", "do not pair up"),
        ("s-{}", "names no column"),
    ],
)
def test_a_template_with_wrong_braces_says_where_and_what(
    tmp_path: Path, template: str, complaint: str
) -> None:
    made = files(tmp_path, mapping=changed(title={"template": template}))
    with pytest.raises(HrFileError, match=rf"mapping\.yaml:\d+: fields\.title: .*{complaint}"):
        workforce_from(*made, today=TODAY)


@pytest.mark.parametrize("column", ["Pers.-Nr.", "No[0]", "No!r", "No:d"])
def test_a_template_takes_any_column_name_literally(tmp_path: Path, column: str) -> None:
    made = files(
        tmp_path,
        mapping=changed(title={"template": f"Clerk {{{column}}}"}),
        header=f"{HEADER},{column}",
        rows=[f"{ROWS[0]},007"],
    )
    (person,) = workforce_from(*made, today=TODAY).people
    assert person.record["title"] == "Clerk 007"


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_other_delimiters_are_recognised_by_the_header(tmp_path: Path, delimiter: str) -> None:
    hr_file, mapping_file = files(tmp_path)
    text = hr_file.read_text().replace(",", delimiter).replace("Sales", "Sales, North, East")
    hr_file.write_text(text.replace("Age", '"Age"'))
    people = workforce_from(hr_file, mapping_file, today=TODAY).people
    assert {person.department for person in people} == {"Sales, North, East"}


def managed(folder: Path, rows: list[str]) -> Workforce:
    mapping = changed(managerId={"column": "Boss"})
    made = files(folder, mapping=mapping, header=HEADER + ",Boss", rows=rows)
    return workforce_from(*made, today=TODAY)


def test_the_row_that_closes_a_circle_of_managers_is_a_bad_one(tmp_path: Path) -> None:
    rows = [f"{row},{boss}" for row, boss in zip(ROWS, ("s-3", "s-1", "s-2", "s-3"), strict=True)]
    workforce = managed(tmp_path, rows)
    assert [p.employee_id for p in workforce.people] == ["s-1", "s-2", "s-4"]
    ((where, record),) = workforce.bad_rows
    assert (where, record["managerId"]) == ("people.csv:4", "s-2")
    assert workforce.warnings == (
        "people.csv:4: its managerId closes the circle s-3 → s-2 → s-1 → s-3",
        (
            "2 people name a manager whose row is bad (s-3): they and all below them cannot be "
            "paired until that row is put right"
        ),
    )
    told = "\n".join(source_of_people(workforce))
    assert "bad rows, sent as they are: people.csv:4 (1 in all)" in told
    assert "closes the circle s-3" in told


def test_managers_who_are_not_in_the_file_are_told(tmp_path: Path) -> None:
    workforce = managed(
        tmp_path, [f"{row},{b}" for row, b in zip(ROWS, ["", "x", "s-1", "y"], strict=True)]
    )
    assert len(workforce.people) == 4
    assert workforce.warnings == (
        (
            "2 people name a manager who is not in the file (x, y): they and all below them cannot "
            "be paired until that record comes"
        ),
    )


@pytest.mark.parametrize(
    ("mapping", "complaint"),
    [
        ([], "valid dictionary"),
        ({**MINIMAL, "surprise": 1}, "surprise: Extra inputs"),
        (changed(shoeSize={"column": "No"}), "shoeSize: no HR field of this name"),
        (changed(title={"column": "No", "constant": "x"}), "exactly one of"),
        (changed(managerId={"derive": "next_level_up"}), "needs `within`"),
        ({**MINIMAL, "ignore": ["Salary", "Age", "No"]}, "under ignore too"),
    ],
)
def test_a_wrong_mapping_says_where_and_what(
    tmp_path: Path, mapping: object, complaint: str
) -> None:
    with pytest.raises(HrFileError, match=complaint) as refused:
        workforce_from(*files(tmp_path, mapping=mapping), today=TODAY)
    assert "mapping.yaml:" in str(refused.value)


def test_files_that_do_not_exist_are_named(tmp_path: Path) -> None:
    with pytest.raises(HrFileError, match="check the path"):
        read_mapping(tmp_path / "none.yaml")


def test_the_mapping_of_the_attrition_file_accounts_for_all_of_its_columns(tmp_path: Path) -> None:
    values = dict.fromkeys(IBM_HEADER.split(","), "1")
    values |= {"Department": "Sales", "JobRole": "Manager", "Attrition": "Yes"}
    hr_file = tmp_path / "ibm.csv"
    hr_file.write_text(f"\ufeff{IBM_HEADER}\r\n{','.join(values.values())}\r\n", encoding="utf-8")
    mapping_file = MAPPINGS / "ibm_emp_attrition.yaml"
    workforce = workforce_from(hr_file, mapping_file, today=TODAY)
    (person,) = workforce.people
    assert person.employee_id == "ibm-1"
    assert person.leaves_on_day is not None
    assert len(workforce.never_read) == 10
