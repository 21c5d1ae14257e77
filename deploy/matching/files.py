"""Reads people and rules, and writes what a run found; says of every bad line what is wrong.

Nothing here trusts a file: lines are read one by one, none longer than `LONGEST_LINE`.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import IO, Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from deploy.matching.formats import PersonLine, Rules
from deploy.matching.people import Named, People, no_collection
from deploy.protected import is_protected
from services.matching.domain.words import counted
from services.matching.near import nearness
from shared.envelope import describe

LONGEST_LINE = 1024 * 1024
LARGEST_DOCUMENT = 256 * 1024 * 1024
"""Bytes; a million named pairs take less."""
MOST_LINES = 1_000_000
MOST_SHOWN = 50

_LONGEST_SKIP = 256 * LONGEST_LINE
_LONGEST_REASON = 400
_NOT_UTF8 = "is not UTF-8; save the file as UTF-8"
_NEVER_USED = "protected attributes and pay are never used here; leave the field out"
_NOT_READ = "; what follows was not read"
_NO_NEARNESS = "near_topics: needs the extra `near`; install updraft[near], or leave it out"
_BOM = b"\xef\xbb\xbf"
_LISTS = {"dotted_line_manager_ids", "languages", "interests", "blocks", "met"}
_TOPICS = {"offers": "proficiency", "wants": "priority"}
_NUMBERS = {"level", "capacity"}
_FLAGS = {"consented", "trained", "orphaned"}
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}

M = TypeVar("M", bound=BaseModel)


class BadInputError(Exception):
    """Files that cannot be used; `problems` say where, what and the remedy, in order."""

    def __init__(self, path: Path | str, wrong: Iterable[tuple[int | None, str]]) -> None:
        name = path.name if isinstance(path, Path) else printable(path)
        sorted_by_line = sorted(wrong, key=lambda each: each[0] or 0)
        self.problems = [
            f"{name}: {printable(reason)}"
            if line is None
            else f"{name}: line {line}: {printable(reason)}"
            for line, reason in sorted_by_line[:MOST_SHOWN]
        ]
        self.count = len(sorted_by_line)
        super().__init__(f"{name}: {self.count} lines are wrong")


@dataclass(frozen=True, slots=True)
class Input:
    """What files say, ready for the engine."""

    rules: Rules
    named: Named
    warnings: tuple[str, ...]


def read_input(participants: Path, programme: Path) -> Input:
    """People and rules. Raises BadInputError with every bad line before anything is used."""
    people = People(read_rules(programme))
    with no_collection():
        unknown = _read_people(participants, people)
        if not people.wrong:
            named = people.named()
    if people.wrong:
        also = ((None, warning) for warning in unknown.warnings())
        raise BadInputError(participants, (*also, *people.wrong))
    if strangers := people.unknown():
        raise BadInputError(programme, [(None, reason) for reason in strangers])
    return Input(people.rules, named, (*unknown.warnings(), *_doubts(people, named)))


def read_rules(path: Path) -> Rules:
    """The rules of a programme. Raises BadInputError."""
    rules = read_document(path, Rules)
    if rules.near_topics and nearness() is None:
        raise BadInputError(path, [(None, _NO_NEARNESS)])
    return rules


@contextmanager
def new_folder(out: Path, *, force: bool = False) -> Iterator[Path]:
    """A folder to write into that becomes `out` when all went well, and vanishes when not.

    With `force` the new files take the place of those of the same names, and others stay. Raises
    BadInputError when `out` has something in it already.
    """
    check_folder(out, force=force)
    new = out.absolute().parent / f".{out.absolute().name}.{token_hex(4)}"
    files: list[Path] = []
    try:
        with _written_to(out):
            new.mkdir(parents=True)
            yield new
            check_folder(out, force=force)
            if not out.exists():
                new.rename(out)
                return
        files = list(new.iterdir())
        for file in files:
            # All of them first: half of an earlier run must not pass for a whole one.
            (out / file.name).unlink(missing_ok=True)
        for file in files:
            file.rename(out / file.name)
    except KeyboardInterrupt:
        if files:
            raise OSError(f"{out}: interrupted while its files were replaced; run again") from None
        raise
    finally:
        shutil.rmtree(new, ignore_errors=True)


def check_folder(out: Path, *, force: bool) -> None:
    """Raises BadInputError when results cannot be written there."""
    with _written_to(out):
        for place in (out, *out.parents):
            if place.is_symlink() and not place.exists():
                reason = "is a link that leads nowhere; name another folder"
                raise BadInputError(str(place), [(None, reason)])
            if place.exists() and not place.is_dir():
                raise BadInputError(str(place), [(None, "is a file; name a folder")])
        if not force and out.is_dir() and any(out.iterdir()):
            reason = "has files in it; name a new folder, or give --force"
            raise BadInputError(str(out), [(None, reason)])
        # Whether it can be made is known only once something is: hours of search may follow.
        parent = out.absolute().parent
        nearest = next(place for place in (parent, *parent.parents) if place.exists())
        with TemporaryDirectory(prefix=".", dir=nearest):
            pass


@contextmanager
def _written_to(out: Path) -> Iterator[None]:
    """Tells why nothing can be written there."""
    try:
        yield
    except OSError as error:
        reason = f"{error.strerror or error}; name another folder"
        raise BadInputError(str(out), [(None, reason)]) from None


def write_lines(path: Path, lines: Iterable[BaseModel | dict[str, Any]]) -> None:
    """Write JSON Lines."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for line in lines:
            text = (
                line.model_dump_json()
                if isinstance(line, BaseModel)
                else json.dumps(line, ensure_ascii=False, separators=(",", ":"))
            )
            file.write(text + "\n")


def write_document(path: Path, document: BaseModel | dict[str, Any]) -> None:
    """Write one JSON object to look at."""
    plain = document.model_dump(mode="json") if isinstance(document, BaseModel) else document
    text = json.dumps(plain, indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def read_lines(path: Path, model: type[M]) -> list[M]:
    """JSON Lines of one kind. Raises BadInputError with every bad line."""
    found, wrong = [], []
    with _opened(path) as file:
        for count, (number, line) in enumerate(_lines(file), start=1):
            if count > MOST_LINES:
                wrong.append((number, f"more than {MOST_LINES:,} lines; no run has so many"))
                break
            try:
                found.append(_parsed(model, _whole(line)))
            except (ValidationError, _BadLineError) as error:
                wrong.append((number, _reason(error, line, _REMEDIES_OF_LINES)))
    if wrong:
        raise BadInputError(path, wrong)
    return found


def read_document(path: Path, model: type[M]) -> M:
    """One JSON object. Raises BadInputError."""
    with _opened(path) as file:
        text = file.read(LARGEST_DOCUMENT + 1).removeprefix(_BOM)
    if len(text) > LARGEST_DOCUMENT:
        raise BadInputError(path, [(None, "is larger than any such file; send one JSON object")])
    try:
        return _parsed(model, text)
    except ValidationError as error:
        reason = _reason(_in_plain_words(error, model), text)
        raise BadInputError(path, [(None, reason)]) from None
    except _BadLineError as error:
        raise BadInputError(path, [(None, str(error))]) from None


class _BadLineError(Exception):
    """A line that no format is asked about; says why."""


def _parsed(model: type[M], text: bytes) -> M:
    """The object of a JSON text, in which no key stands twice."""
    found = model.model_validate_json(text)
    try:
        _KEYS.decode(text.decode())
    except (ValueError, RecursionError):
        raise _BadLineError("value: not JSON that is read here; send one record as JSON") from None
    return found


def _each_once(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) < len(pairs):
        (name, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise _BadLineError(f"{name}: stands twice in one object; keep one of the two")


# Looks at nothing but the keys, of which pydantic takes the last of two alike.
_KEYS = json.JSONDecoder(object_pairs_hook=_each_once, parse_int=str, parse_float=str)


@dataclass(slots=True)
class _Unknown:
    """Fields that are in the file and in no format."""

    lines: int = 0
    first: int = 0
    names: Counter[str] = field(default_factory=Counter)
    refused: dict[str, str | None] = field(default_factory=dict)

    def meet(self, number: int, extra: Collection[str]) -> str | None:
        """Count a line's unknown fields; says why when one of them cannot be passed over."""
        if not extra:
            return None
        for name in extra:
            if name not in self.refused:
                if len(self.refused) >= MOST_LINES:
                    self.refused.clear()
                self.refused[name] = _why_not(name)
            if reason := self.refused[name]:
                return reason
        self.first = self.first or number
        self.lines += 1
        self.names.update(iter(extra))
        return None

    def warnings(self) -> list[str]:
        """One sentence, if there is anything to say."""
        if not self.lines:
            return []
        names = ", ".join(printable(name) for name, _ in self.names.most_common(5))
        lines = counted(self.lines, "line")
        where = f"{lines}, first on line {self.first}"
        return [f"fields that no format knows stand on {where}, and were not read: {names}"]


def _read_people(path: Path, people: People) -> _Unknown:
    unknown, some = _Unknown(), False
    with _opened(path) as file:
        documents = _csv_documents(file) if path.suffix.lower() == ".csv" else _lines(file)
        for count, (number, document) in enumerate(documents, start=1):
            some = True
            if count > MOST_LINES:
                people.wrong.append(
                    (number, f"more than {MOST_LINES:,} lines; split the programme")
                )
                break
            try:
                line = _parsed(PersonLine, _whole(document))
            except (ValidationError, _BadLineError) as error:
                reason = unknown.meet(number, _unknown_fields(document))
                wrong = _reason(error, document, _REMEDIES_OF_LINES)
                people.wrong.append((number, f"{wrong}; {reason}" if reason else wrong))
                continue
            reason = unknown.meet(number, line.model_extra or ())
            if reason is not None:
                people.wrong.append((number, reason))
            else:
                people.add(number, line)
    if not some:
        raise BadInputError(path, [(None, "is empty; write one person per line")])
    return unknown


def _doubts(people: People, named: Named) -> Iterator[str]:
    given, rules = named.instance, people.rules
    for role, side in (("mentor", given.mentors), ("mentee", given.mentees)):
        if not side:
            yield f"nobody is a {role}, so that nobody can be paired"
    if rules.different_department is None and not given.programme.different_department:
        yield "no line names a department, so that the rule of different departments is left out"
    adrift = [one.employee_id for one in (*given.mentors, *given.mentees) if not one.chain_known]
    if adrift:
        yield (
            f"{counted(len(adrift), 'participant')} can be paired with nobody, first"
            f" {printable(min(adrift))}: a manager above them has no line, or managers are above"
            " each other in a circle; add the line, or correct manager_id"
        )
    if gone := list(people.absent("previous")):
        place, role, name = gone[0]
        count = len({(role, name) for _, role, name in gone})
        yield (
            f"previous names {counted(count, 'participant')} whom no line is about, first {role}"
            f" {printable(name)} in previous.{place}; correct who is meant to be somebody here"
        )
    if people.strangers:
        first = min(people.strangers, key=lambda each: (people.strangers[each], each))
        yield (
            f"blocks name {counted(len(people.strangers), 'id')} of nobody in this file, first"
            f" {printable(first)} on line {people.strangers[first]}; correct what is meant for"
            " somebody here"
        )


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        with path.open("rb") as file:
            yield file
    except FileNotFoundError:
        raise BadInputError(path, [(None, "no such file; correct the path")]) from None
    except IsADirectoryError:
        raise BadInputError(path, [(None, "is a folder; name the file in it")]) from None
    except OSError as error:
        raise BadInputError(path, [(None, f"{error.strerror}; name another file")]) from None


def _lines(file: IO[bytes]) -> Iterator[tuple[int, bytes | _BadLineError]]:
    """Number and content of each line that is not blank."""
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        if number == 1:
            line = line.removeprefix(_BOM)
        if len(line) > LONGEST_LINE:
            ended = _skip_line(file)
            rest = "" if ended else _NOT_READ
            yield number, _BadLineError(_too_long() + rest)
            if not ended:
                return
        elif line.strip():
            yield number, line


def _too_long() -> str:
    return f"is longer than {LONGEST_LINE:,} bytes; end the line where the record ends"


def _skip_line(file: IO[bytes]) -> bool:
    """Whether the line comes to an end some time."""
    for _ in range(_LONGEST_SKIP // LONGEST_LINE):
        part = file.readline(LONGEST_LINE)
        if not part or part.endswith(b"\n"):
            return True
    return False


def _whole(line: bytes | _BadLineError) -> bytes:
    if isinstance(line, _BadLineError):
        raise line
    return line


def _csv_documents(file: IO[bytes]) -> Iterator[tuple[int, bytes | _BadLineError]]:
    """Number of the first line of each row, and what it would be in JSON Lines."""
    broken: list[tuple[int, _BadLineError]] = []
    reader = csv.reader(_texts(file, broken), strict=True)
    columns: list[str] | None = None
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield number, _BadLineError(f"is not CSV ({error}); mend it{_NOT_READ}")
            return
        if broken:
            yield broken[0]
            return
        if cells is None:
            return
        if not any(cell.strip() for cell in cells):
            continue
        if columns is None:
            columns = [cell.strip() for cell in cells]
            if reason := _bad_header(columns):
                yield number, _BadLineError(reason)
                return
        elif len(cells) == len(columns):
            yield number, _document(columns, cells)
        else:
            yield (
                number,
                _BadLineError(
                    f"has {len(cells)} cells and the header {len(columns)}; make them equal"
                ),
            )


def _texts(file: IO[bytes], broken: list[tuple[int, _BadLineError]]) -> Iterator[str]:
    """Lines as text; ends after the first that is none, which is left in `broken`."""
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            broken.append((number, _BadLineError(_too_long() + _NOT_READ)))
            return
        try:
            yield line.removeprefix(_BOM if number == 1 else b"").decode()
        except UnicodeDecodeError:
            broken.append((number, _BadLineError(_NOT_UTF8 + _NOT_READ)))
            return


def _bad_header(columns: list[str]) -> str | None:
    for name, count in Counter(columns).items():
        if count > 1:
            return f"{name or 'a column without name'}: stands twice in the header; keep one"
    missing = {"id", "role"} - set(columns)
    if missing:
        return (
            f"{', '.join(sorted(missing))}: is missing in the header; name the columns in the "
            "first line, with commas between them"
        )
    return None


def _document(columns: list[str], cells: list[str]) -> bytes:
    row: dict[str, Any] = {"role": None}
    for name, cell in zip(columns, cells, strict=True):
        if text := cell.strip():
            row[name] = _value(name, text)
    return json.dumps(row).encode()


def _value(name: str, text: str) -> Any:
    """A cell as JSON Lines would have it; what cannot be is left for the format to refuse."""
    if name in _LISTS:
        return [word for word in map(str.strip, text.split(";")) if word]
    if name in _TOPICS:
        return [_topic(word, _TOPICS[name]) for word in text.split(";") if word.strip()]
    if name in _NUMBERS:
        return _number(text)
    if name in _FLAGS:
        return _TRUTH.get(text.casefold(), text)
    return text


def _topic(text: str, number: str) -> dict[str, Any]:
    topic, colon, rating = text.rpartition(":")
    if not colon:
        return {"topic": text}
    return {"topic": topic, number: _number(rating.strip())}


def _number(text: str) -> int | str:
    # Longer ones are out of every range, and take long to read.
    return int(text) if len(text) < 10 and text.lstrip("-").isdecimal() and text.isascii() else text


_REMEDIES = {
    "missing": "add it",
    "int_type": "send a whole number",
    "int_parsing": "send a whole number",
    "int_from_float": "send a whole number",
    "float_type": "send a number",
    "finite_number": "send a number such as 0.5",
    "less_than_equal": "send a smaller number",
    "greater_than_equal": "send a larger number",
    "greater_than": "send a larger number",
    "bool_type": "send true or false",
    "literal_error": "send one of these",
    "string_type": "send a text",
    "string_too_short": "write something",
    "string_too_long": "shorten it",
    "tuple_type": "send a list",
    "too_long": "send fewer",
    "dict_type": "send an object",
    "model_type": "send one object in braces",
    "date_parsing": "send a day such as 2026-03-01",
    "date_from_datetime_parsing": "send a day such as 2026-03-01",
    "date_from_datetime_inexact": "send a day such as 2026-03-01",
    "datetime_type": "send a time such as 2026-03-01T09:00:00Z",
    "datetime_parsing": "send a time such as 2026-03-01T09:00:00Z",
    "datetime_from_date_parsing": "send a time such as 2026-03-01T09:00:00Z",
    "timezone_aware": "send a time such as 2026-03-01T09:00:00Z",
}
_REMEDIES_OF_LINES = _REMEDIES | {"model_type": "send one object in braces on each line"}


def _reason(
    error: ValidationError | _BadLineError, line: Any, remedies: Mapping[str, str] = _REMEDIES
) -> str:
    if isinstance(error, _BadLineError):
        return str(error)
    if isinstance(line, bytes):
        try:
            line.decode()
        except UnicodeDecodeError:
            return _NOT_UTF8
    return describe(error, remedies)


def _in_plain_words(error: ValidationError, model: type[BaseModel]) -> ValidationError:
    """The same, with a remedy for each field that `model` does not have, and no name told twice."""

    def told(each: ErrorDetails) -> PydanticCustomError:
        *place, name = each["loc"] or ("",)
        message = each["msg"].removeprefix("Value error, ").removeprefix(f"{name}: ")
        if each["type"] == "extra_forbidden":
            kind = "rule" if model is Rules else "field"
            message = _instead(str(name), kind, _fields(model, place))
        return PydanticCustomError(each["type"], message, each.get("ctx"))

    return ValidationError.from_exception_data(
        error.title,
        [
            InitErrorDetails(type=told(each), loc=each["loc"], input=None)
            for each in error.errors(include_url=False, include_input=False)
        ],
    )


def _fields(model: type[BaseModel], place: Iterable[int | str]) -> Collection[str]:
    """Names of the fields that an object at a place of a document has."""
    for step in place:
        part = model.model_fields[str(step)].annotation
        if not (isinstance(part, type) and issubclass(part, BaseModel)):
            return ()
        model = part
    return model.model_fields


def _instead(name: str, kind: str, known: Collection[str]) -> str:
    if is_protected(name):
        return _NEVER_USED
    meant = _meant(name)
    begun = [each for each in known if each.startswith(meant)]
    near = begun or get_close_matches(meant, known, n=1, cutoff=0.7)
    return f"is no {kind}; {f'write {near[0]}, or ' if near else ''}leave it out"


def _unknown_fields(document: bytes | _BadLineError) -> Collection[str]:
    """Of a line that is refused."""
    try:
        said = json.loads(_whole(document))
    except (ValueError, RecursionError, _BadLineError):
        return ()
    names = said if isinstance(said, dict) else ()
    return [name for name in names if name not in PersonLine.model_fields]


def _why_not(name: str) -> str | None:
    meant = _meant(name)
    if meant in PersonLine.model_fields:
        return f"{printable(name)}: is no field; write {meant}"
    return f"{name}: {_NEVER_USED}" if is_protected(name) else None


def _meant(name: str) -> str:
    return name.strip().casefold().replace("-", "_").replace(" ", "_")


def printable(text: str) -> str:
    """A text without what would move a terminal's cursor, and not too long."""
    shown = "".join(sign if sign.isprintable() else "?" for sign in text[:_LONGEST_REASON])
    return shown if len(text) <= _LONGEST_REASON else f"{shown}…"
