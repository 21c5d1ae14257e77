"""`updraft match verify`: an untouched run holds, and whatever is changed in one is seen."""

from __future__ import annotations

import base64
import gzip
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from typer.testing import CliRunner, Result

from deploy.cli import app
from deploy.matching import audit
from deploy.matching.company import instance_of
from services.matching.domain.engine import solve
from services.matching.domain.instance import Instance, canonical

Document = dict[str, Any]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


def verified(folder: Path) -> Result:
    people, rules = folder / "people.jsonl", folder / "rules.json"
    return run("match", "verify", folder, "--participants", people, "--programme", rules)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run beside its input; one locked pair is refused, and some people are left."""
    folder = tmp_path_factory.mktemp("done") / "run"
    assert run("company", "--people", 80, "--seed", 5, "--hardened", "--out", folder).exit_code == 0
    people = [json.loads(line) for line in (folder / "people.jsonl").read_text().splitlines()]
    mentor, mentee = (next(p["id"] for p in people if p["role"] == r) for r in ("mentor", "mentee"))
    pair = {"mentor_id": mentor, "mentee_id": mentee}
    rules = json.loads((folder / "rules.json").read_text()) | {"locked": [pair], "apart": [pair]}
    (folder / "rules.json").write_text(json.dumps(rules))
    finished = run(
        "match", "--participants", folder / "people.jsonl", "--programme", folder / "rules.json",
        "--out", folder, "--force",
    )  # fmt: skip
    assert finished.exit_code == 0, finished.output
    return folder


@pytest.fixture
def copy(done: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(done, tmp_path / "run"))


def lines_of(folder: Path, name: str) -> list[Document]:
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]


def change(folder: Path, name: str, changed: Callable[[list[Document]], object]) -> None:
    documents = lines_of(folder, name)
    changed(documents)
    text = "".join(json.dumps(each) + "\n" for each in documents)
    (folder / f"{name}.jsonl").write_text(text)


def test_an_untouched_run_holds(done: Path) -> None:
    finished = verified(done)
    assert finished.exit_code == 0, finished.output
    certificate = json.loads((done / "certificate.json").read_text())
    assert certificate["refused_locks"]
    assert lines_of(done, "unmatched")
    (line,) = finished.output.strip().splitlines()
    assert "locked" not in line
    assert "adds" not in line
    assert line.startswith(f"everything holds: pairs {certificate['pairs']}, objective ")
    assert "gap 0.0000%" in line


def test_a_run_holds_whatever_the_order_of_the_lines(copy: Path) -> None:
    for name in ("people", "pairs", "unmatched", "prices"):
        change(copy, name, list.reverse)
    assert verified(copy).exit_code == 0


@pytest.mark.parametrize("gap", [0, 1])
def test_a_run_holds_whatever_its_rules_ask_for(tmp_path: Path, gap: float) -> None:
    assert run("company", "--people", 90, "--seed", 1, "--out", tmp_path / "run").exit_code == 0
    people = lines_of(tmp_path / "run", "people")
    pairs = [
        {"mentor_id": mentor["id"], "mentee_id": mentee["id"]}
        for mentor in people
        for mentee in people
        if (mentor["role"], mentee["role"]) == ("mentor", "mentee")
    ]
    rules = json.loads((tmp_path / "run" / "rules.json").read_text()) | {
        "gap": gap,
        "stickiness": 7,
        "score_floor": 45,
        "previous": pairs[::3],
        "locked": pairs[5::97],
        "apart": pairs[1::50],
    }
    (tmp_path / "run" / "rules.json").write_text(json.dumps(rules))
    finished = run(
        "match", "--participants", tmp_path / "run" / "people.jsonl", "--programme",
        tmp_path / "run" / "rules.json", "--out", tmp_path / "run", "--force",
    )  # fmt: skip
    assert finished.exit_code == 0, finished.output
    assert any(
        {"mentor_id": line["instead_for_mentee"]["id"], "mentee_id": line["mentee_id"]}
        in rules["previous"]
        for line in lines_of(tmp_path / "run", "pairs")
        if line["instead_for_mentee"]
    )
    checked = verified(tmp_path / "run")
    assert checked.exit_code == 0, checked.output
    added = "with what the programme adds for reaching 45 points or for being kept from before,"
    for said in (added, "mentees served while the locked pairs stay"):
        assert said in checked.output


def _raise(document: Document, *path: str | int, by: float = 1) -> None:
    *way, last = path
    at: Any = document
    for step in way:
        at = at[step]
    at[last] += by


def _swap(pairs: list[Document]) -> None:
    one, other = pairs[0], pairs[1]
    one["mentor_id"], other["mentor_id"] = other["mentor_id"], one["mentor_id"]


def _raise_a_reason(left: list[Document]) -> None:
    _raise(left[0]["reasons"], next(iter(left[0]["reasons"])))


def _change_what_is_next_best(pairs: list[Document]) -> None:
    pair = next(pair for pair in pairs if pair["instead_for_mentee"])
    _raise(pair["instead_for_mentee"], "score", by=-1)


@pytest.mark.parametrize(
    ("name", "tamper", "said"),
    [
        ("pairs", _swap, "scores"),
        ("pairs", lambda p: p.pop(), "certificate objective"),
        ("pairs", lambda p: p.append(p[0]), "is there twice"),
        ("pairs", lambda p: _raise(p[3], "score", by=-0.0001), "scores"),
        ("pairs", lambda p: p[0].update(mentor_id="nobody"), "pair nobody – "),
        ("pairs", lambda p: _raise(p[2], "breakdown", 0, "points", by=-1), "its breakdown"),
        ("pairs", lambda p: p[2]["breakdown"][1].update(detail="they are kin"), "its breakdown"),
        ("pairs", lambda p: p[2]["breakdown"].pop(), "its breakdown"),
        ("pairs", lambda p: p[0].update(topics=["flattery"]), "its topics"),
        (
            "pairs",
            _change_what_is_next_best,
            "next best for the mentee",
        ),
        ("prices", lambda p: _raise(p[-1], "price", by=10_000), "certificate bound"),
        ("prices", lambda p: p.pop(), "prices of "),
        ("prices", lambda p: p.append(p[0]), "is there 2 times"),
        ("prices", lambda p: p[0].update(price=2**60), "prices: are larger"),
        ("unmatched", _raise_a_reason, "the reasons are"),
        ("unmatched", lambda u: u[0]["reasons"].clear(), "the reasons are"),
        ("unmatched", lambda u: u.pop(), "has no partner and is not there"),
        ("unmatched", lambda u: u.append(u[0]), "is there twice"),
        (
            "unmatched",
            lambda u: u.append(u[0] | {"id": "nobody"}),
            "nobody is not somebody who is left",
        ),
        ("people", lambda p: _raise(p[-1], "level"), "input: its hash is"),
        ("people", lambda p: p.pop(), "input: its hash is"),
    ],
)
def test_whatever_is_tampered_with_is_seen(
    copy: Path, name: str, tamper: Callable[[list[Document]], object], said: str
) -> None:
    change(copy, name, tamper)
    refused = verified(copy)
    assert refused.exit_code == 1, refused.output
    assert said in refused.output
    assert "the run is not what it says" in refused.output


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("objective", 1.0), ("bound", 1.0), ("gap", 0.1), ("covered", 1), ("coverable", 1),
        ("covered_mentors", 1), ("coverable_mentors", 1), ("pairs", 1), ("total_score", 1.0),
        ("worst_score", 1.0), ("mentors", 1), ("mentees", 1), ("refused_locks", []),
        ("rules_version", 2), ("input_hash", "0" * 64),
    ],
)  # fmt: skip
def test_every_other_claim_of_the_certificate_is_seen(copy: Path, name: str, value: object) -> None:
    claims = json.loads((copy / "certificate.json").read_text())
    assert claims[name] != value
    (copy / "certificate.json").write_text(json.dumps(claims | {name: value}))
    refused = verified(copy)
    assert refused.exit_code == 1, refused.output
    assert ("input" if name == "input_hash" else f"certificate {name}: ") in refused.output


def test_other_rules_are_another_input(copy: Path) -> None:
    rules = json.loads((copy / "rules.json").read_text())
    (copy / "rules.json").write_text(json.dumps(rules | {"min_overlap_minutes": 60}))
    refused = verified(copy)
    assert refused.exit_code == 1
    assert "input: its hash is" in refused.output


def test_what_does_not_hold_is_told_by_the_ids_of_the_file(copy: Path) -> None:
    change(copy, "pairs", lambda pairs: _raise(pairs[0], "score", by=-1))
    pair = lines_of(copy, "pairs")[0]
    assert f"pair {pair['mentor_id']} – {pair['mentee_id']}: scores" in verified(copy).output


@pytest.mark.parametrize("name", ["pairs.jsonl", "unmatched.jsonl", "prices.jsonl"])
@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{", "value: not JSON"),
        (b"\xff", "is not UTF-8"),
        (b"[" * 5000, "value: not JSON"),
        (b'{"id": 5}', "Field required"),
        (b" " * 2_000_000 + b"x", "is longer than 1,048,576 bytes"),
    ],
    ids=["no JSON", "no UTF-8", "deep", "fields missing", "long"],
)
def test_a_line_that_cannot_be_read_is_named(copy: Path, name: str, line: bytes, said: str) -> None:
    good = (copy / name).read_bytes()
    number = good.count(b"\n") + 1
    (copy / name).write_bytes(good + line + b"\n")
    refused = verified(copy)
    assert refused.exit_code == 2, refused.output
    assert f"{name}: line {number}: " in refused.output
    assert said in refused.output
    assert "nothing was verified" in refused.output


@pytest.mark.parametrize(
    "name", ["pairs.jsonl", "unmatched.jsonl", "prices.jsonl", "certificate.json"]
)
def test_a_file_that_is_missing_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    refused = verified(copy)
    assert refused.exit_code == 2
    assert f"{name}: no such file; correct the path" in refused.output


@pytest.mark.parametrize(
    ("change_of", "said"),
    [
        ({"bound": "5"}, "certificate.json: bound: Input should be a valid number"),
        ({"bound": float("nan")}, "certificate.json: bound: Input should be a finite number"),
        ({"praise": 1}, "certificate.json: praise: is no field; "),
        ({"stopped": "bored"}, "certificate.json: stopped: Input should be"),
    ],
)
def test_a_certificate_that_cannot_be_is_refused(
    copy: Path, change_of: Document, said: str
) -> None:
    claims = json.loads((copy / "certificate.json").read_text()) | change_of
    (copy / "certificate.json").write_text(json.dumps(claims))
    refused = verified(copy)
    assert refused.exit_code == 2
    assert said in refused.output


def test_an_interrupted_check_says_that_nothing_was_verified(
    done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(audit, "verify", interrupt)
    stopped = verified(done)
    assert stopped.exit_code == 130
    assert stopped.output.strip() == "interrupted: nothing was verified"


def test_the_help_tells_what_is_not_checked() -> None:
    said = " ".join(run("match", "verify", "--help").output.replace("│", " ").split())
    for unchecked in ("nearest counterparts fail", "seconds, memory", "the order of lines"):
        assert unchecked in said


def test_a_folder_or_an_answer_must_be_named(done: Path) -> None:
    for arguments in ((), (done, "--run", done / "pairs.jsonl"), (done,)):
        assert run("match", "verify", *arguments).exit_code == 2


# --- what the service hands over


@pytest.fixture(scope="module")
def given() -> Instance:
    return instance_of(60, seed=9)


@pytest.fixture(scope="module")
def answer(given: Instance) -> Document:
    found = solve(given)
    prices = {
        side: {str(key): price for key, price in getattr(found.prices, side).items()}
        for side in ("mentees", "mentors")
    }
    return {
        "run_id": str(uuid4()),
        "programme_id": str(given.programme.programme_id),
        "certificate": asdict(found.certificate),
        "erased": False,
        "input": packed(canonical(given)),
        "prices": packed(json.dumps(prices).encode()),
        "matches": [
            {
                "mentor_id": str(match.mentor_id),
                "mentee_id": str(match.mentee_id),
                "score": match.fit.score,
            }
            for match in found.matches
        ],
    }


def packed(text: bytes) -> str:
    # In lines, as the database writes it.
    return base64.encodebytes(gzip.compress(text)).decode()


def unpacked(text: str) -> Any:
    return json.loads(gzip.decompress(base64.b64decode(text)))


def verified_answer(folder: Path, document: Document) -> Result:
    (folder / "run.json").write_text(json.dumps(document))
    return run("match", "verify", "--run", folder / "run.json")


def test_what_the_service_keeps_of_a_run_holds(answer: Document, tmp_path: Path) -> None:
    finished = verified_answer(tmp_path, answer)
    assert finished.exit_code == 0, finished.output
    assert finished.output.strip().startswith("everything holds: ")


def test_what_is_tampered_with_in_the_services_answer_is_seen(
    answer: Document, tmp_path: Path
) -> None:
    first, *rest = answer["matches"]
    certificate = answer["certificate"]
    prices = unpacked(answer["prices"])
    prices["mentors"][next(iter(prices["mentors"]))] += 10_000
    people = unpacked(answer["input"])
    people["mentors"][0]["level"] += 1
    for changed in (
        {"matches": rest},
        {"matches": [first | {"score": first["score"] - 1}, *rest]},
        {"certificate": certificate | {"bound": certificate["bound"] + 1}},
        {"certificate": certificate | {"objective": certificate["objective"] + 1}},
        {"prices": packed(json.dumps(prices).encode())},
        {"input": packed(json.dumps(people, sort_keys=True, separators=(",", ":")).encode())},
    ):
        refused = verified_answer(tmp_path, answer | changed)
        assert refused.exit_code == 1, (changed.keys(), refused.output)


def _cut(text: str) -> str:
    return base64.b64encode(base64.b64decode(text)[:-20]).decode()


def _as_input(change_of: Callable[[Document], object]) -> Callable[[Document], Document]:
    def changed(answer: Document) -> Document:
        people = unpacked(answer["input"])
        change_of(people)
        text = json.dumps(people, sort_keys=True, separators=(",", ":"))
        return {"input": packed(text.encode())}

    return changed


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (lambda _: {"input": None, "prices": None, "erased": True}, "was erased since"),
        (lambda _: {"input": "%%%"}, "input: is not gzip in base64; send"),
        (lambda _: {"input": base64.b64encode(b"plain").decode()}, "input: is not gzip in base64"),
        (lambda a: {"input": _cut(a["input"])}, "input: is cut short or too large"),
        (lambda _: {"input": packed(b"[" * 99_999)}, "input: "),
        (lambda _: {"input": packed(b"{}")}, "input: programme: Field required"),
        (lambda _: {"prices": packed(b'{"mentees": {"x": 1}, "mentors": {}}')}, "prices: mentees"),
        (lambda _: {"prices": packed(b'{"mentees": {}, "mentors": 5}')}, "prices: mentors"),
        (lambda _: {"matches": [{"mentor_id": 5}]}, "matches.0.mentor_id: "),
        (lambda _: {"certificate": {}}, "certificate.objective: Field required"),
        (_as_input(lambda i: i["mentors"][0].update(seats=10**9)), "not in its canonical form"),
        (_as_input(lambda i: i["mentors"][0].update(level=2**40)), "not in its canonical form"),
        (_as_input(lambda i: i["mentors"][0].update(near={"a": ["b", 5]})), "not in its canon"),
        (_as_input(lambda i: i["mentors"].append(i["mentors"][0])), "not in its canonical form"),
        (_as_input(lambda i: i["mentors"].append(i["mentees"][0])), "not in its canonical form"),
        (_as_input(lambda i: i.update(now="2026-03-02T00:00:00")), "not in its canonical form"),
        (
            _as_input(lambda i: i["programme"]["weights"].update(distance=float("nan"))),
            "input: is not JSON that is read here",
        ),
    ],
)
def test_an_answer_that_cannot_be_is_refused(
    answer: Document, tmp_path: Path, changed: Callable[[Document], Document], said: str
) -> None:
    refused = verified_answer(tmp_path, answer | changed(answer))
    assert refused.exit_code == 2, refused.output
    assert f"run.json: {said}" in refused.output or said in refused.output
    assert "nothing was verified" in refused.output


def test_what_unpacks_to_more_than_any_input_is_refused(
    answer: Document, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "LARGEST_UNPACKED", 1000)
    refused = verified_answer(tmp_path, answer)
    assert refused.exit_code == 2
    assert "input: is cut short or too large" in refused.output


def test_an_answer_that_is_no_file_is_refused(tmp_path: Path) -> None:
    refused = run("match", "verify", "--run", tmp_path / "none.json")
    assert refused.exit_code == 2
    assert "none.json: no such file; correct the path" in refused.output
