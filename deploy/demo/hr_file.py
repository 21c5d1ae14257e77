"""HR records from any CSV file, by a mapping that declares each field's source and each derivation.

Protected attributes and pay are never read: a mapping that names such a column outside `ignore`
is refused, and every column of the file must be either mapped or ignored.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from deploy.demo.workforce import Person, Workforce, invalid, on_wire
from deploy.protected import is_protected
from shared.catalogue import EmployeeRecorded

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_DELIMITERS = ",;\t|"
_FORMAT_FIELDS = {"recordType", "cancelsSequence", "sequence", "effectiveDate"}
HR_FIELDS: tuple[str, ...] = tuple(
    to_camel(name) for name in EmployeeRecorded.model_fields if to_camel(name) not in _FORMAT_FIELDS
)


class HrFileError(Exception):
    """A mapping or a file that cannot be used; says where and what to do."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Table(_Strict):
    """Words that a column's value stands for."""

    column: str
    words: dict[str, tuple[str, ...]]


class FieldSource(_Strict):
    """Where one HR field comes from: exactly one of the ways below."""

    column: str | None = None
    type: Literal["text", "integer"] = "text"
    """How a column is read; what is no integer is sent as it is, for the intake to judge."""
    values: dict[str, str] | None = None
    """With `column`: translates the file's value; a value that is not listed is kept."""
    constant: str | int | bool | None = None
    template: str | None = None
    """Text with {Column} in it."""
    tables: tuple[Table, ...] = ()
    derive: Literal["next_level_up", "years_before_today"] | None = None
    within: str | None = None
    """next_level_up: the column inside whose groups managers are looked for."""
    head: str | None = None
    """next_level_up: of a group's top level, the one with most of this leads the others."""
    years: str | None = None
    """years_before_today: the column with whole years."""
    spread_by: str | None = None
    """years_before_today: the column whose value modulo 365 is the day inside the year."""

    def columns(self) -> Iterator[str]:
        """Every column that the source reads."""
        for name in (self.column, self.within, self.head, self.years, self.spread_by):
            if name:
                yield name
        yield from _template_columns(self.template or "")
        for table in self.tables:
            yield table.column

    def ways(self) -> list[str]:
        """The ways that are set; one is right."""
        ways = {
            "column": self.column,
            "constant": self.constant,
            "template": self.template,
            "tables": self.tables or None,
            "derive": self.derive,
        }
        return [name for name, value in ways.items() if value is not None]


class Leavers(_Strict):
    """Who leaves during the programme, and on which day of it."""

    column: str
    value: str
    over_days: Annotated[int, Field(ge=1)] = 180
    spread_by: str


class Enrolment(_Strict):
    """What participants say of themselves when they enrol, as HR does not know it."""

    languages: tuple[str, ...] = ("en",)
    timezone: str = "UTC"


class ProgrammePart(_Strict):
    """The rules that depend on the file's levels and skills."""

    mentor_max_level: int
    mentee_min_level: int
    min_level_gap: Annotated[int, Field(ge=1)] = 2
    topics: Annotated[tuple[str, ...], Field(min_length=1)]
    senior_topics: tuple[str, ...] = ()
    interests: tuple[str, ...] = ()


class HrMapping(_Strict):
    """A mapping file."""

    name: str
    ignore: tuple[str, ...] = ()
    fields: dict[str, FieldSource]
    leavers: Leavers | None = None
    enrolment: Enrolment = Enrolment()
    programme: ProgrammePart

    def used_columns(self) -> dict[str, str]:
        """Column → the part of the mapping that reads it."""
        used = {
            column: f"fields.{name}"
            for name, source in self.fields.items()
            for column in source.columns()
        }
        if self.leavers:
            used[self.leavers.column] = used[self.leavers.spread_by] = "leavers"
        return used


@dataclass(frozen=True)
class Row:
    """One line of the file: the used columns only."""

    line: int
    values: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.values[column]


def read_mapping(path: Path) -> HrMapping:
    """Read and check a mapping file. Raises HrFileError with file, line and remedy."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        raw = yaml.safe_load(text)
    except OSError as error:
        raise HrFileError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise HrFileError(f"{path}: not valid YAML in UTF-8; {error}") from None
    try:
        mapping = HrMapping.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = [str(part) for part in first["loc"]]
        raise HrFileError(
            f"{path}:{_line(node, place)}: {'.'.join(place) or 'file'}: {first['msg']}"
        ) from None
    _check(mapping, path, node)
    return mapping


def _check(mapping: HrMapping, path: Path, node: yaml.Node | None) -> None:
    def fail(place: Sequence[str], message: str) -> HrFileError:
        return HrFileError(f"{path}:{_line(node, place)}: {'.'.join(place)}: {message}")

    for name, source in mapping.fields.items():
        place = ("fields", name)
        if name not in HR_FIELDS:
            raise fail(place, f"no HR field of this name; known are {', '.join(HR_FIELDS)}")
        if len(source.ways()) != 1:
            raise fail(place, "give exactly one of column, constant, template, tables, derive")
        if source.template is not None and (wrong := _wrong_template(source.template)):
            raise fail(place, wrong)
        if source.derive == "next_level_up" and not (
            source.within and "jobLevel" in mapping.fields
        ):
            raise fail(place, "next_level_up needs `within` and a mapped jobLevel")
        if source.derive == "years_before_today" and not (source.years and source.spread_by):
            raise fail(place, "years_before_today needs `years` and `spread_by`")
    for column, used_by in mapping.used_columns().items():
        if is_protected(column):
            raise fail(
                used_by.split("."),
                f"reads column {column}, a protected attribute or pay; list it under ignore",
            )
        if column in mapping.ignore:
            raise fail(used_by.split("."), f"reads column {column}, which is under ignore too")
    for needed in ("employeeId", "jobLevel", "department", "startDate", "status"):
        if needed not in mapping.fields:
            raise fail(("fields",), f"{needed} is missing; every HR record must carry it")


def _line(node: yaml.Node | None, place: Sequence[str]) -> int:
    """The line of the deepest part of `place` that the file has; 1 where none is found."""
    line = 1
    for part in place:
        if not isinstance(node, yaml.MappingNode):
            break
        for key, value in node.value:
            if key.value == part:
                line, node = key.start_mark.line + 1, value
                break
        else:
            break
    return line


def read_rows(path: Path, mapping: HrMapping) -> list[Row]:
    """The file's rows with the used columns only. Raises HrFileError with line and remedy."""
    used = mapping.used_columns()
    try:
        # utf-8-sig drops the byte order mark that spreadsheets put in front.
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=_delimiter(file.readline(), used))
            file.seek(0)
            header = [name.strip() for name in next(reader, [])]
            _check_header(path, header, used, mapping.ignore)
            wanted = [(index, name) for index, name in enumerate(header) if name in used]
            rows = []
            for cells in reader:
                if not any(cells):
                    continue
                if len(cells) != len(header):
                    raise HrFileError(
                        f"{path}:{reader.line_num}: has {len(cells)} cells where the header has "
                        f"{len(header)}; quote cells that hold the delimiter"
                    )
                values = {name: cells[index].strip() for index, name in wanted}
                rows.append(Row(reader.line_num, values))
    except OSError as error:
        raise HrFileError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise HrFileError(f"{path}: not CSV in UTF-8 ({error}); save it as CSV UTF-8") from None
    if not rows:
        raise HrFileError(f"{path}: has no rows below its header; give a file with people")
    return rows


def _delimiter(first_line: str, used: Collection[str]) -> str:
    """What separates the columns: a comma, unless another mark shows more of the used columns."""

    def known(delimiter: str) -> int:
        cells = next(csv.reader([first_line], delimiter=delimiter), [])
        return len({cell.strip() for cell in cells} & set(used))

    # The header decides, as its names are known; cells may hold any mark in any number.
    return max(_DELIMITERS, key=known)


def _check_header(
    path: Path, header: Sequence[str], used: Mapping[str, str], ignored: Sequence[str]
) -> None:
    if len(set(header)) != len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise HrFileError(f"{path}:1: column {twice} is there twice; name each column once")
    for column, used_by in used.items():
        if column not in header:
            raise HrFileError(
                f"{path}:1: column {column} is missing, {used_by} of the mapping reads it; "
                f"the file has {', '.join(header) or 'nothing'}"
            )
    for number, column in enumerate(header, 1):
        if column not in used and column not in ignored:
            raise HrFileError(
                f"{path}:1: column {column} (number {number}) is neither mapped nor ignored; "
                "add it to fields or to ignore in the mapping"
            )


def workforce_from(hr_file: Path, mapping_file: Path, *, today: date) -> Workforce:
    """Everyone in an HR file. Rows that make no valid record are kept apart, as they are."""
    mapping = read_mapping(mapping_file)
    rows = read_rows(hr_file, mapping)
    records = [_record(row, mapping, today) for row in rows]
    _check_ids(hr_file, rows, records)
    _give_managers(rows, records, mapping)
    people: list[Person] = []
    bad: list[tuple[str, Mapping[str, Any]]] = []
    warnings: list[str] = []
    managers: dict[str, str | None] = {}
    for row, record in zip(rows, records, strict=True):
        where = f"{hr_file.name}:{row.line}"
        if invalid(on_wire(record, sequence=1, effective=today)):
            bad.append((where, record))
        elif circle := _circle(managers, record["employeeId"], record["managerId"]):
            bad.append((where, record))
            warnings.append(f"{where}: its managerId closes the circle {_in_short(circle)}")
        else:
            people.append(_person(row, record, mapping))
            managers[record["employeeId"]] = record["managerId"]
    warnings += _missing_managers(managers, {str(record.get("employeeId")) for record in records})
    return Workforce(
        name=mapping.name,
        people=tuple(people),
        mentor_max_level=mapping.programme.mentor_max_level,
        mentee_min_level=mapping.programme.mentee_min_level,
        min_level_gap=mapping.programme.min_level_gap,
        topics=mapping.programme.topics,
        senior_topics=mapping.programme.senior_topics,
        derived=tuple(_derivations(mapping)),
        left_out=tuple(name for name in HR_FIELDS if name not in mapping.fields),
        never_read=tuple(column for column in mapping.ignore if is_protected(column)),
        bad_rows=tuple(bad),
        warnings=tuple(warnings),
        interests=mapping.programme.interests,
    )


def _check_ids(hr_file: Path, rows: Sequence[Row], records: Sequence[Mapping[str, Any]]) -> None:
    known = set()
    for row, record in zip(rows, records, strict=True):
        employee_id = record.get("employeeId")
        if employee_id in known:
            raise HrFileError(
                f"{hr_file}:{row.line}: employeeId {employee_id} is there twice; "
                "map a column whose values are unique"
            )
        known.add(employee_id)


def _circle(
    managers: Mapping[str, str | None], employee_id: str, manager_id: str | None
) -> list[str]:
    """The circle that this manager would close, given those of the rows before; mostly empty."""
    chain = [employee_id]
    while manager_id is not None:
        chain.append(manager_id)
        if manager_id == employee_id:
            return chain
        manager_id = managers.get(manager_id)
    return []


def _in_short(circle: Sequence[str]) -> str:
    return " → ".join(circle if len(circle) <= 6 else [*circle[:3], "…", *circle[-2:]])


def _missing_managers(
    managers: Mapping[str, str | None], in_file: Collection[str]
) -> Iterator[str]:
    """Who cannot be paired because a record above them is missing or bad."""
    lost = [m for m in managers.values() if m is not None and m not in managers]
    for missing, what, remedy in (
        ([m for m in lost if m not in in_file], "who is not in the file", "that record comes"),
        ([m for m in lost if m in in_file], "whose row is bad", "that row is put right"),
    ):
        if missing:
            names = ", ".join(sorted(set(missing))[:3]) + ("…" if len(set(missing)) > 3 else "")
            people = "1 person names" if len(missing) == 1 else f"{len(missing)} people name"
            yield (
                f"{people} a manager {what} ({names}): they and all below them cannot be paired "
                f"until {remedy}"
            )


def _record(row: Row, mapping: HrMapping, today: date) -> dict[str, Any]:
    record: dict[str, Any] = {}
    for name, source in mapping.fields.items():
        if source.derive == "next_level_up":
            continue
        value = _value(row, source, today)
        if name == "emails":
            value = [{"value": value, "primary": True, "type": "work"}] if value else None
        if value is not None:
            record[name] = value
    record.setdefault("managerId", None)
    return record


def _value(row: Row, source: FieldSource, today: date) -> Any:
    if source.constant is not None:
        return source.constant
    if source.template is not None:
        return _PLACEHOLDER.sub(lambda found: row[found[1]], source.template)
    if source.tables:
        words = [word for table in source.tables for word in table.words.get(row[table.column], ())]
        return list(dict.fromkeys(words))
    if source.derive == "years_before_today":
        return _years_before(row[source.years or ""], row[source.spread_by or ""], today)
    text = row[source.column or ""]
    text = (source.values or {}).get(text, text)
    if source.type == "integer":
        return int(text) if re.fullmatch(r"-?\d{1,9}", text) else text
    return text or None


def _years_before(years: str, spread: str, today: date) -> str:
    """The date `years` before today, moved back inside that year; what is no number is kept."""
    if not years.isdecimal() or not spread.isdecimal() or int(years) > 100:
        return years
    return (today - timedelta(days=round(int(years) * 365.25) + int(spread) % 365)).isoformat()


def _give_managers(
    rows: Sequence[Row], records: Sequence[dict[str, Any]], mapping: HrMapping
) -> None:
    """The nearest level above that the group has anyone on, its people taken evenly in order."""
    source = mapping.fields.get("managerId")
    if source is None or source.derive != "next_level_up":
        return
    groups: dict[str, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for index, (row, record) in enumerate(zip(rows, records, strict=True)):
        if isinstance(record.get("jobLevel"), int):
            groups[row[source.within or ""]][record["jobLevel"]].append(index)
    for levels in groups.values():
        for level, members in levels.items():
            above = [other for other in levels if other > level]
            if above:
                bosses = levels[min(above)]
                for position, index in enumerate(members):
                    boss = bosses[position * len(bosses) // len(members)]
                    records[index]["managerId"] = records[boss]["employeeId"]
            elif source.head is not None:
                _follow_the_head(members, rows, records, source.head)


def _follow_the_head(
    members: Sequence[int], rows: Sequence[Row], records: Sequence[dict[str, Any]], column: str
) -> None:
    def measure(index: int) -> int:
        text = rows[index][column]
        return int(text) if text.isdecimal() else -1

    head = max(members, key=measure)  # The first in the file's order where several have most.
    for index in members:
        if index != head:
            records[index]["managerId"] = records[head]["employeeId"]


def _person(row: Row, record: Mapping[str, Any], mapping: HrMapping) -> Person:
    skills = tuple(record.get("skills") or ())
    leaves_on_day = None
    rule = mapping.leavers
    if rule and row[rule.column] == rule.value and row[rule.spread_by].isdecimal():
        # A prime step spreads neighbours in the file far apart in time.
        leaves_on_day = int(row[rule.spread_by]) * 7919 % rule.over_days
    return Person(
        record=record,
        languages=mapping.enrolment.languages,
        timezone=mapping.enrolment.timezone,
        teaches=skills,
        leaves_on_day=leaves_on_day,
    )


def _derivations(mapping: HrMapping) -> Iterator[str]:
    for name, source in mapping.fields.items():
        if source.constant is not None:
            yield f"{name}: {source.constant!r} for everyone"
        elif source.template is not None and name != "employeeId":
            yield f"{name}: {source.template}"
        elif source.tables:
            columns = " and ".join(table.column for table in source.tables)
            yield f"{name}: from {columns} by the mapping's tables"
        elif source.derive == "next_level_up":
            top = f"; the top level follows the one with most {source.head}" if source.head else ""
            yield f"{name}: same {source.within}, next level up, spread evenly{top}"
        elif source.derive == "years_before_today":
            yield f"{name}: {source.years} before today, {source.spread_by} modulo 365 days earlier"
    if mapping.leavers:
        rule = mapping.leavers
        yield (
            f"leavers: {rule.column} = {rule.value}, spread over {rule.over_days} days "
            f"by {rule.spread_by}"
        )
    spoken = ", ".join(mapping.enrolment.languages)
    yield f"at enrolment (not HR): languages {spoken}, time zone {mapping.enrolment.timezone}"


def _template_columns(template: str) -> Iterator[str]:
    for found in _PLACEHOLDER.finditer(template):
        yield found[1]


def _wrong_template(template: str) -> str | None:
    """What is wrong with the braces of a template; None: nothing."""
    if "" in map(str.strip, _template_columns(template)):
        return "{} names no column; write a column's name between the braces"
    if re.search(r"[{}]", _PLACEHOLDER.sub("", template)):
        return f"the braces of {template!r} do not pair up; write each column as {{Column}}"
    return None
