from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from tests.bench.figures import Comparison, Series, at_least
from tests.bench.machine import Load
from tests.bench.report import Row, document, number, table, write


def row(*, ours: list[float], raw: list[float]) -> Row:
    mine, limit = Series("ours", "events/s", ours), Series("raw", "events/s", raw)
    found = Row("relay", [mine, limit], [Comparison(mine, limit, at_least(0.5))])
    found.load = Load(before=0.4, mean=1.5, peak=2.0, busy=0.9, stolen=0.0)
    return found


def printed(*rows: Row) -> str:
    console = Console(width=140, file=io.StringIO())
    console.print(table(rows))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_table_says_whether_a_target_is_met() -> None:
    assert printed(row(ours=[60], raw=[100])).splitlines()[-1].split()[-1] == "met"
    assert printed(row(ours=[40], raw=[100])).splitlines()[-1].endswith("not met")


def test_the_table_shows_the_target_beside_the_ratio_and_the_load_of_the_row() -> None:
    text = printed(row(ours=[30_000, 50_000, 40_000], raw=[80_000] * 3))
    assert "ours ÷ raw" in text
    assert "0.50" in text
    assert "0.38 … 0.62" in text
    assert "≥ 0.5" in text
    assert "40,000" in text
    assert "load 0.4 before, 1.5 during" in text


def test_what_was_not_measured_is_neither_in_the_table_nor_in_the_file() -> None:
    unmeasured = row(ours=[1.0], raw=[])
    assert "raw" not in printed(unmeasured)
    (told,) = document({}, [unmeasured])["rows"]
    assert [one["name"] for one in told["series"]] == ["ours"]
    assert told["comparisons"] == []


def test_the_file_holds_every_rounds_figure_and_makes_its_folder_ignored(tmp_path: Path) -> None:
    file = tmp_path / "new" / "bench.json"
    write(file, document({"cores": 2}, [row(ours=[3.0, 1.0, 2.0], raw=[4.0, 4.0, 4.0])]))
    content = json.loads(file.read_text())
    (told,) = content["rows"]
    assert told["series"][0]["figures"] == [3.0, 1.0, 2.0]
    assert told["comparisons"][0]["median"] == 0.5
    assert told["comparisons"][0]["met"] is True
    assert told["load"]["before"] == 0.4
    assert (file.parent / ".gitignore").read_text() == "*\n"


def test_a_folder_that_was_there_is_left_as_it_is(tmp_path: Path) -> None:
    write(tmp_path / "bench.json", {})
    assert not (tmp_path / ".gitignore").exists()


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.354, "0.35"), (12.34, "12.3"), (123.4, "123"), (54_321.9, "54,322")],
)
def test_a_figure_is_as_exact_as_it_can_be_trusted(value: float, text: str) -> None:
    assert number(value) == text
