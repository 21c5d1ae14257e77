"""`updraft match` and `updraft company` from the command line to the files."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.testing import CliRunner, Result

from deploy.cli import app
from deploy.matching import command
from deploy.matching.company import instance_of, named_instance_of, plan
from deploy.matching.documents import FOLDER, schemas
from deploy.matching.files import BadInputError, new_folder, read_document, read_lines, write_lines
from deploy.matching.formats import CertificateFile, PairLine, PriceLine, UnmatchedLine
from services.matching.domain.engine import solve
from services.matching.domain.rules import broken_rule


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("company") / "new"
    assert run("company", "--people", 60, "--seed", 9, "--out", folder).exit_code == 0
    return folder


@pytest.fixture(scope="module")
def done(company: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    out = tmp_path_factory.mktemp("done") / "out"
    return out, match(company, out)


def match(company: Path, out: Path, *more: object) -> Result:
    people, rules = company / "people.jsonl", company / "rules.json"
    return run("match", "--participants", people, "--programme", rules, "--out", out, *more)


def test_a_company_is_written_the_same_byte_by_byte(company: Path, tmp_path: Path) -> None:
    assert run("company", "--people", 60, "--seed", 9, "--out", tmp_path / "b").exit_code == 0
    assert run("company", "--people", 60, "--seed", 8, "--out", tmp_path / "c").exit_code == 0
    for name in ("people.jsonl", "rules.json"):
        assert (company / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    people = [(folder / "people.jsonl").read_bytes() for folder in (company, tmp_path / "c")]
    assert people[0] != people[1]


def test_a_company_that_cannot_be_is_refused(tmp_path: Path) -> None:
    refused = run("company", "--people", 9, "--mentors", 9, "--out", tmp_path / "x")
    assert refused.exit_code == 2
    assert not list(tmp_path.iterdir())


def test_what_the_engine_finds_is_written_under_the_ids_of_the_file(
    done: tuple[Path, Result],
) -> None:
    out, finished = done
    assert finished.exit_code == 0, finished.output
    named = named_instance_of(plan(60, seed=9))
    found = solve(named.instance)
    pairs = read_lines(out / "pairs.jsonl", PairLine)
    assert [(pair.mentor_id, pair.mentee_id, pair.score) for pair in pairs] == [
        (named.ids[each.mentor_id], named.ids[each.mentee_id], each.fit.score)
        for each in found.matches
    ]
    assert all(
        pair.score == pytest.approx(sum(part.points for part in pair.breakdown)) for pair in pairs
    )
    assert [
        (line.id, line.role, line.reasons)
        for line in read_lines(out / "unmatched.jsonl", UnmatchedLine)
    ] == [(named.ids[each.participant_id], each.role, each.reasons) for each in found.unmatched]
    assert {
        (line.role, line.id): line.price for line in read_lines(out / "prices.jsonl", PriceLine)
    } == {
        (role, named.ids[key]): price
        for role, side in (("mentor", found.prices.mentors), ("mentee", found.prices.mentees))
        for key, price in side.items()
    }
    certificate = read_document(out / "certificate.json", CertificateFile)
    assert certificate.input_hash == named.instance.input_hash
    assert certificate.objective == found.certificate.objective == certificate.bound
    assert (certificate.gap, certificate.pairs) == (0, len(pairs))
    assert (certificate.mentors, certificate.mentees) == (42, 18)
    assert certificate.peak_memory_mb > 1


def test_the_table_tells_coverage_and_proof(done: tuple[Path, Result]) -> None:
    for said in ("pairs", "mentees served", "objective", "proven", "memory"):
        assert said in done[1].output


def test_the_help_names_every_file_that_is_written(done: tuple[Path, Result]) -> None:
    said = run("match", "--help").output
    assert [path.name for path in done[0].iterdir() if path.name not in said] == []


def row(of: Result, name: str) -> str:
    """A row of the table, which a narrow terminal folds."""
    first, *further = of.output[of.output.index(name) :].splitlines()
    folded = takewhile(lambda line: line.startswith(" "), further)
    return " ".join(" ".join((first, *folded)).split())


@pytest.mark.parametrize(
    ("rules", "added"),
    [
        ({}, ""),
        ({"score_floor": 45}, ", with what the programme adds for reaching 45 points"),
        ({"stickiness": 2}, ", with what the programme adds for being kept from before"),
    ],
)
def test_the_table_tells_what_an_objective_has_in_it_besides_scores(
    company: Path, tmp_path: Path, rules: dict[str, Any], added: str
) -> None:
    finished = match(rewritten(company, tmp_path / "in", **rules), tmp_path / "out")
    assert re.sub(r"[0-9.,]+ of at most [0-9,]+\.[0-9]{2}", "", row(finished, "objective")) == (
        f"objective {added}"
    )


def test_with_locked_pairs_no_more_is_claimed_than_while_they_stay(tmp_path: Path) -> None:
    people = [
        {"id": "m1", "role": "mentor", "level": 1, "offers": {"chess": 4}},
        {"id": "m2", "role": "mentor", "level": 1, "offers": {"zither": 4}},
        {"id": "s1", "role": "mentee", "level": 5, "wants": {"chess": 1, "zither": 1}},
        {"id": "s2", "role": "mentee", "level": 5, "wants": {"chess": 1}},
    ]
    rules = {"starts_on": "2026-03-02", "mentor_capacity": 1}
    locked = [{"mentor_id": "m1", "mentee_id": "s1"}]
    (tmp_path / "people.jsonl").write_text("\n".join(map(json.dumps, people)))
    for out, lock, served, claimed in (
        ("free", {}, "2 of 2 who can be", "No other pairing serves more people"),
        (
            "bound",
            {"locked": locked},
            "1 of 1 who can be while the locked pairs stay",
            "While the locked pairs stay, no other pairing serves more people",
        ),
    ):
        (tmp_path / "rules.json").write_text(json.dumps(rules | lock))
        finished = match(tmp_path, tmp_path / out)
        assert row(finished, "mentees served").endswith(served)
        assert claimed in (tmp_path / out / "report.html").read_text()


def test_what_is_written_keeps_to_the_schemas(done: tuple[Path, Result]) -> None:
    out, _ = done
    for name in ("pairs", "unmatched", "prices"):
        validator = jsonschema.Draft202012Validator(schemas()[name])
        lines = (out / f"{name}.jsonl").read_text().splitlines()
        assert lines
        for line in lines:
            validator.validate(json.loads(line))
    certificate = json.loads((out / "certificate.json").read_text())
    jsonschema.Draft202012Validator(schemas()["certificate"]).validate(certificate)


def test_the_order_of_lines_makes_no_difference_to_the_pairs(
    company: Path, done: tuple[Path, Result], tmp_path: Path
) -> None:
    lines = (company / "people.jsonl").read_text().splitlines()
    (tmp_path / "people.jsonl").write_text("\n".join(reversed(lines)))
    (tmp_path / "rules.json").write_bytes((company / "rules.json").read_bytes())
    assert match(tmp_path, tmp_path / "out").exit_code == 0
    for name in ("pairs.jsonl", "unmatched.jsonl", "prices.jsonl"):
        assert (tmp_path / "out" / name).read_bytes() == (done[0] / name).read_bytes()


def rewritten(company: Path, folder: Path, **rules: Any) -> Path:
    folder.mkdir()
    (folder / "people.jsonl").write_bytes((company / "people.jsonl").read_bytes())
    said = json.loads((company / "rules.json").read_text()) | rules
    (folder / "rules.json").write_text(json.dumps(said))
    return folder


def test_locked_pairs_are_formed_and_those_apart_are_not(
    company: Path, done: tuple[Path, Result], tmp_path: Path
) -> None:
    named = named_instance_of(plan(60, seed=9))
    best = read_lines(done[0] / "pairs.jsonl", PairLine)[0]
    formed = {(p.mentor_id, p.mentee_id) for p in read_lines(done[0] / "pairs.jsonl", PairLine)}
    given = named.instance
    lock = next(
        {"mentor_id": named.ids[m.participant_id], "mentee_id": named.ids[s.participant_id]}
        for m in given.mentors
        for s in given.mentees
        if broken_rule(m, s, given.programme) is None
        and (named.ids[m.participant_id], named.ids[s.participant_id]) not in formed
    )
    apart = {"mentor_id": best.mentor_id, "mentee_id": best.mentee_id}
    changed = rewritten(company, tmp_path / "in", locked=[lock], apart=[apart])
    assert match(changed, tmp_path / "out").exit_code == 0
    found = {
        (pair.mentor_id, pair.mentee_id)
        for pair in read_lines(tmp_path / "out" / "pairs.jsonl", PairLine)
    }
    assert tuple(lock.values()) in found
    assert tuple(apart.values()) not in found


def test_a_lock_that_a_rule_forbids_is_told_in_the_certificate(
    company: Path, done: tuple[Path, Result], tmp_path: Path
) -> None:
    best = read_lines(done[0] / "pairs.jsonl", PairLine)[0]
    pair = {"mentor_id": best.mentor_id, "mentee_id": best.mentee_id}
    changed = rewritten(company, tmp_path / "in", locked=[pair], apart=[pair])
    finished = match(changed, tmp_path / "out")
    assert "locks refused" in finished.output
    certificate = json.loads((tmp_path / "out" / "certificate.json").read_text())
    assert certificate["refused_locks"] == [pair | {"rule": "blocked"}]


def test_the_gap_that_is_asked_for_is_the_options_before_the_rules(
    company: Path, tmp_path: Path
) -> None:
    changed = rewritten(company, tmp_path / "in", gap=0.3, seconds=60)
    for out, more, asked in (("a", (), 0.3), ("b", ("--gap", 0.2, "--seconds", 50), 0.2)):
        assert match(changed, tmp_path / out, *more).exit_code == 0
        certificate = json.loads((tmp_path / out / "certificate.json").read_text())
        assert certificate["asked_gap"] == asked


def test_a_bad_line_leaves_no_trace_but_its_number(company: Path, tmp_path: Path) -> None:
    broken = rewritten(company, tmp_path / "in")
    with (broken / "people.jsonl").open("a") as file:
        file.write('{"id": "x", "role": "mentor", "level": "[bold]high"}\n{\n')
    last = len((broken / "people.jsonl").read_text().splitlines())
    refused = match(broken, tmp_path / "out")
    assert refused.exit_code == 2
    assert (
        f"people.jsonl: line {last - 1}: level: Input should be a valid integer" in refused.output
    )
    assert f"people.jsonl: line {last}: value: not JSON" in refused.output
    assert "nothing was written" in refused.output
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_more_bad_lines_than_are_shown_are_counted(company: Path, tmp_path: Path) -> None:
    broken = rewritten(company, tmp_path / "in")
    (broken / "people.jsonl").write_text("{\n" * 1060)
    assert "and 1,010 more" in match(broken, tmp_path / "out").output


def test_a_folder_that_has_files_is_kept_unless_forced(company: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    (out / "pairs.jsonl").write_text("old")
    refused = match(company, out)
    assert refused.exit_code == 2
    assert "out: has files in it; name a new folder, or give --force" in refused.output
    assert (out / "pairs.jsonl").read_text() == "old"
    assert match(company, out, "--force").exit_code == 0
    assert (out / "notes.txt").read_text() == "mine"
    assert read_lines(out / "pairs.jsonl", PairLine)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_within_a_file_is_refused(company: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("text")
    refused = match(company, tmp_path / "mine" / "out")
    assert refused.exit_code == 2
    assert f"{tmp_path / 'mine'}: is a file; name a folder" in refused.output
    assert (tmp_path / "mine").read_text() == "text"


def test_a_folder_that_cannot_be_made_is_refused_before_anybody_is_read(
    company: Path, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    for out, said in (
        (tmp_path / "link", f"{tmp_path / 'link'}: is a link that leads nowhere"),
        (tmp_path / "link" / "out", f"{tmp_path / 'link'}: is a link that leads nowhere"),
        (tmp_path / ("x" * 300), f"{tmp_path / ('x' * 300)}: File name too long"),
    ):
        refused = match(company, out)
        assert refused.exit_code == 2, out
        assert f"{said}; name another folder" in refused.output
        assert "nothing was written" in refused.output
    # Nobody can make a folder there, whatever the reason is called.
    refused = run("match", "--participants", "a", "--programme", "b", "--out", "/proc/x")
    assert refused.exit_code == 2
    assert re.search(r"^/proc/x: [^/]+; name another folder$", refused.output, re.MULTILINE)
    assert [path.name for path in tmp_path.iterdir()] == ["link"]


def test_a_disk_that_fills_up_is_told_by_the_folder_that_was_asked_for(tmp_path: Path) -> None:
    def fill() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), ".out.f56aa847")

    with pytest.raises(BadInputError) as refused:
        write_and(tmp_path / "out", fill)
    assert refused.value.problems == [
        f"{tmp_path / 'out'}: No space left on device; name another folder"
    ]
    assert not list(tmp_path.iterdir())


def test_an_interrupted_run_says_that_nothing_was_written(
    company: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "_solve", interrupt)
    stopped = match(company, tmp_path / "out")
    assert stopped.exit_code == 130
    assert stopped.output.strip() == "interrupted: nothing was written"
    assert not list(tmp_path.iterdir())


def write_and(folder: Path, then: Callable[[], object]) -> None:
    with new_folder(folder) as new:
        (new / "pairs.jsonl").write_text("new")
        then()


def test_what_breaks_off_while_writing_leaves_nothing(tmp_path: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_and(tmp_path / "out", interrupt)
    assert not list(tmp_path.iterdir())


def test_what_is_interrupted_while_files_are_replaced_does_not_say_that_nothing_was_written(
    company: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    (tmp_path / "out").mkdir()
    monkeypatch.setattr(Path, "unlink", interrupt)
    stopped = match(company, tmp_path / "out", "--force")
    assert stopped.exit_code == 1
    assert "out: interrupted while its files were replaced; run again" in stopped.output
    assert "nothing was written" not in stopped.output


def test_a_folder_that_filled_meanwhile_is_kept(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def another_run() -> None:
        out.mkdir()
        (out / "pairs.jsonl").write_text("another run")

    with pytest.raises(BadInputError):
        write_and(out, another_run)
    assert (out / "pairs.jsonl").read_text() == "another run"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("missing", ["--participants", "--programme", "--out"])
def test_a_missing_option_is_named(missing: str, tmp_path: Path) -> None:
    options = {"--participants": "a", "--programme": "b", "--out": str(tmp_path / "c")}
    del options[missing]
    refused = run("match", *[part for pair in options.items() for part in pair])
    assert refused.exit_code == 2
    assert missing in refused.output


def test_nobody_to_pair_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "people.jsonl").write_text('{"id": "m", "role": "mentor", "level": 1}\n')
    (tmp_path / "rules.json").write_text('{"starts_on": "2026-03-02"}')
    finished = match(tmp_path, tmp_path / "out")
    assert finished.exit_code == 0, finished.output
    assert "nobody is a mentee" in finished.output
    assert (tmp_path / "out" / "pairs.jsonl").read_text() == ""


def test_the_kept_schemas_are_those_of_the_formats(tmp_path: Path) -> None:
    assert run("match", "schemas", "--out", tmp_path).exit_code == 0
    kept = {path.name: path.read_bytes() for path in FOLDER.iterdir()}
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == kept
    assert json.loads(run("match", "schemas").output) == schemas()
    for schema in schemas().values():
        jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(
    "wrong", [{"works_from": "24:00"}, {"works_until": "9:00"}, {"languages": ["english"]}]
)
def test_the_schema_of_people_refuses_what_reading_refuses(wrong: dict[str, Any]) -> None:
    validator = jsonschema.Draft202012Validator(schemas()["people"])
    line = {"id": "m", "role": "mentor", "level": 1, "works_from": "09:00", "languages": ["en"]}
    assert validator.is_valid(line)
    assert not validator.is_valid(line | wrong)


def test_pairs_are_read_as_they_were_written(done: tuple[Path, Result], tmp_path: Path) -> None:
    for name, model in (
        ("pairs.jsonl", PairLine),
        ("unmatched.jsonl", UnmatchedLine),
        ("prices.jsonl", PriceLine),
    ):
        lines = read_lines(done[0] / name, model)
        write_lines(tmp_path / name, lines)
        assert (tmp_path / name).read_bytes() == (done[0] / name).read_bytes()


def test_a_bad_line_of_pairs_is_refused_too(tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_text('{"mentor_id": "m"}\n')
    with pytest.raises(BadInputError) as refused:
        read_lines(tmp_path / "pairs.jsonl", PairLine)
    assert "pairs.jsonl: line 1: mentee_id: Field required" in refused.value.problems[0]


def test_an_instance_of_the_numbers_is_that_of_the_plan() -> None:
    assert instance_of(60, seed=9) == named_instance_of(plan(60, seed=9)).instance
