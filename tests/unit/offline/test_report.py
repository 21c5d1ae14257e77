"""The page that a run shows itself on: complete, closed in itself, telling of no small group."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from deploy.matching import report as page
from deploy.matching.company import named_instance_of, plan
from deploy.matching.files import read_document, read_lines
from deploy.matching.formats import BottlenecksFile, NotReadyLine, PairLine, UnmatchedLine
from deploy.matching.outcome import write_outcome
from deploy.matching.people import Named
from services.matching.domain.bottlenecks import Bottleneck
from services.matching.domain.engine import solve
from services.matching.domain.people import Person
from services.matching.domain.result import Result

VOID = {"meta", "line", "rect", "link", "br", "img", "input"}


class Page(HTMLParser):
    """What a browser would see: tags that are closed, texts, and tables by caption."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.texts: list[str] = []
        self._caption = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "caption":
            self._caption = ""
        if tag == "tr":
            self.tables[self._caption].append([])
        if tag in {"td", "th"}:
            self.tables[self._caption][-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag == "caption":
            self.tables[self._caption] = []

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if "caption" in self.open:
            self._caption += data
        elif {"td", "th"} & set(self.open):
            self.tables[self._caption][-1][-1] += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())


def written(folder: Path, named: Named, result: Result) -> Page:
    write_outcome(folder, named, result, seconds=1.5, peak_memory_mb=100)
    return Page((folder / "report.html").read_text())


@pytest.fixture(scope="module")
def named() -> Named:
    return named_instance_of(plan(300, seed=3, hardened=True))


@pytest.fixture(scope="module")
def result(named: Named) -> Result:
    return solve(named.instance)


@pytest.fixture
def shown(tmp_path: Path, named: Named, result: Result) -> Page:
    return written(tmp_path, named, result)


def test_the_page_needs_nothing_from_elsewhere_and_runs_nothing(
    shown: Page, tmp_path: Path
) -> None:
    assert not {tag for tag, _ in shown.tags} & {"script", "link", "img", "iframe", "object"}
    for _, attributes in shown.tags:
        assert not {"src", "href", "style"} & attributes.keys()
        assert not any(name.startswith("on") for name in attributes)
    html = (tmp_path / "report.html").read_text()
    assert not re.search(r"https?:|url\(|@import", html)
    (policy,) = (m for m in shown.named("meta") if m.get("http-equiv"))
    assert policy["content"] == "default-src 'none'; style-src 'unsafe-inline'"


def test_the_page_can_be_read_in_light_and_dark_on_paper_and_on_a_phone(shown: Page) -> None:
    style = shown.text
    for said in ("color-scheme:light dark", "prefers-color-scheme:dark", "@media print"):
        assert said in style
    assert any(meta.get("name") == "viewport" for meta in shown.named("meta"))


def test_the_page_can_be_read_aloud(shown: Page) -> None:
    assert shown.named("html") == [{"lang": "en"}]
    assert len(shown.named("title")) >= 1
    assert len(shown.named("h1")) == 1
    ids = {str(attributes["id"]) for _, attributes in shown.tags if "id" in attributes}
    for section in shown.named("section"):
        assert section["aria-labelledby"] in ids
    for image in shown.named("svg"):
        named_by = set((image.get("aria-labelledby") or "").split())
        assert image.get("aria-hidden") == "true" or (named_by and named_by <= ids)
    assert len(shown.named("table")) == len(shown.named("caption")) == len(shown.tables)
    assert all(heading.get("scope") for heading in shown.named("th"))


def test_the_proof_is_told_in_plain_words(shown: Page, result: Result) -> None:
    assert (
        "No other pairing serves more people, and none that serves as many is worth more."
        in shown.text
    )
    assert f"worth {result.certificate.objective:,.4f} points" in shown.text
    assert result.certificate.input_hash in shown.text


@pytest.mark.parametrize(
    ("gap", "said"),
    [
        (0.002, "is worth at least 99.8000 % of the best"),
        (1.0, "It is not proven that nobody else"),
    ],
)
def test_the_page_claims_no_more_than_is_proven(
    tmp_path: Path, named: Named, result: Result, gap: float, said: str
) -> None:
    less = replace(result, certificate=replace(result.certificate, gap=gap))
    text = written(tmp_path, named, less).text
    assert said in text
    assert "is worth more." not in text


@pytest.mark.parametrize(
    ("floor", "kept", "added"),
    [
        (0, 0, None),
        (45, 0, "for reaching 45 points."),
        (0, 2, "for being kept from before."),
        (45, 2, "for reaching 45 points or for being kept from before."),
    ],
)
def test_the_page_names_only_what_is_added_to_a_score(
    tmp_path: Path, named: Named, result: Result, floor: int, kept: int, added: str | None
) -> None:
    asked = replace(named.instance.programme, score_floor=floor, stickiness=kept)
    given = replace(named.instance, programme=asked)
    text = written(tmp_path, replace(named, instance=given), result).text
    found = re.search(r"and what the programme adds (.*?\.)", text)
    assert (found and found[1]) == added


def _lacking(**changed: Any) -> Callable[[Person], Person]:
    return lambda person: replace(person, **changed)


@pytest.mark.parametrize(
    ("lacks", "needs_training", "missing"),
    [
        (_lacking(status="paused"), True, ("status",)),
        (_lacking(status="invited", consented=False), True, ("status", "consent")),
        (_lacking(status="enrolled", trained=False), True, ("training",)),
        (_lacking(status="withdrawn", trained=False), False, ("status",)),
        (_lacking(consented=False, employment="on_leave"), True, ("consent", "employment")),
        (_lacking(consented=False, employment="left"), True, ("consent", "employment")),
    ],
)
def test_whoever_is_not_ready_is_told_what_is_missing(
    tmp_path: Path,
    lacks: Callable[[Person], Person],
    needs_training: bool,
    missing: tuple[str, ...],
) -> None:
    few = named_instance_of(plan(20, seed=1))
    programme = replace(few.instance.programme, training_required=needs_training)
    one, *others = few.instance.mentees
    ready = replace(one, status="ready", consented=True, trained=True, employment="active")
    given = replace(few.instance, programme=programme, mentees=(lacks(ready), *others))
    written(tmp_path, replace(few, instance=given), solve(given))
    told = {line.id: line for line in read_lines(tmp_path / "not_ready.jsonl", NotReadyLine)}
    assert told[few.ids[one.participant_id]].missing == missing


def test_the_bars_count_every_pair_once(shown: Page, result: Result) -> None:
    told = re.findall(r"(\d+) to (\d+) points: (\d+) pairs?", shown.text)
    counts = {(int(low), int(high)): int(pairs) for low, high, pairs in told}
    assert sum(counts.values()) == len(result.matches)
    for (low, high), pairs in counts.items():
        assert pairs == sum(low <= match.fit.score < high for match in result.matches)


def test_a_full_score_is_in_the_last_bar(tmp_path: Path, named: Named, result: Result) -> None:
    best, *rest = result.matches
    full = replace(best, fit=replace(best.fit, score=100.0))
    text = written(tmp_path, named, replace(result, matches=(full, *rest))).text
    assert "95 to 100 points: 1 pair." in text


def test_coverage_tells_no_group_under_five_and_nothing_to_subtract_it_from(
    shown: Page, named: Named
) -> None:
    ready = {
        role: [person for person in people if person.ready(named.instance.programme)]
        for role, people in (("Mentees", named.instance.mentees),
                             ("Mentors", named.instance.mentors))
    }  # fmt: skip
    small = Counter(person.department for person in ready["Mentees"])
    assert any(count < page.LEAST_GROUP for count in small.values())
    for role, people in ready.items():
        for attribute in ("department", "level"):
            _, *rows = shown.tables[f"{role} by {attribute}"]
            sizes = {row[0]: int(row[1]) for row in rows}
            assert min(sizes.values()) >= page.LEAST_GROUP
            assert sum(sizes.values()) == len(people)
            actual = Counter(str(getattr(person, attribute)) for person in people)
            for name, size in sizes.items():
                assert name == "smaller ones together" or actual[name] == size
    assert "smaller ones together" in {row[0] for row in shown.tables["Mentees by department"]}


def test_levels_are_in_their_order(tmp_path: Path, named: Named, result: Result) -> None:
    given = named.instance
    higher = replace(
        given, mentees=tuple(replace(p, level=9 + n % 3) for n, p in enumerate(given.mentees))
    )
    shown = written(tmp_path, replace(named, instance=higher), result)
    assert [row[0] for row in shown.tables["Mentees by level"]] == ["Level", "9", "10", "11"]


def test_bottlenecks_of_fewer_than_five_people_are_only_counted(
    tmp_path: Path, named: Named, result: Result
) -> None:
    few = Bottleneck("language", "sw", "mentee", 4, 4, 0, 4)
    many = Bottleneck("language", "hi", "mentee", 5, 5, 0, 5)
    short = replace(result, bottlenecks=(few, many))
    text = written(tmp_path, named, short).text
    assert "5 mentees speak hi" in text
    assert "speak sw" not in text
    assert "1 more concerns fewer than 5 people and is not told here." in text
    kept = read_document(tmp_path / "bottlenecks.json", BottlenecksFile)
    assert [each.name for each in kept.bottlenecks] == ["sw", "hi"]


def test_reasons_are_counted_by_rule(shown: Page, result: Result) -> None:
    left = [each for each in result.unmatched if each.role == "mentor"]
    _, *rows = shown.tables[f"Why {len(left)} mentors have no partner"]
    concerned = sum("no_wanted_topic" in each.reasons for each in left)
    kept_out = sum(each.reasons.get("no_wanted_topic", 0) for each in left)
    assert [
        "without a topic that one wants and the other offers",
        str(concerned),
        str(round(kept_out / concerned)),
    ] in rows


def test_a_reason_of_fewer_than_five_people_is_not_counted_out(
    tmp_path: Path, named: Named, result: Result
) -> None:
    left = next(each for each in result.unmatched if each.role == "mentor")
    one = replace(result, unmatched=(replace(left, reasons={"blocked": 7}),), remedies=())
    _, *rows = written(tmp_path, named, one).tables["Why 1 mentor has no partner"]
    assert rows == [["kept apart by a wish of either, or by the programme", "under 5", "–"]]


def test_what_would_serve_more_people_is_summed_up(shown: Page, result: Result) -> None:
    smallest = Counter(r.changes[0].kind for r in result.remedies if r.changes)
    assert len(smallest) > 1
    _, *rows = shown.tables["The smallest change, and how many it would serve"]
    assert [int(row[1]) for row in rows] == [count for _, count in smallest.most_common()]


def test_the_ten_best_and_weakest_pairs_are_shown_with_their_factors(
    shown: Page, named: Named, result: Result
) -> None:
    for caption, places in (("The 10 best", range(10)), ("The 10 weakest", range(-10, 0))):
        _, *rows = shown.tables[caption]
        for row, place in zip(rows, places, strict=True):
            match = result.matches[place]
            assert row[1:3] == [named.ids[match.mentor_id], named.ids[match.mentee_id]]
            assert row[3] == f"{match.fit.score:,.1f}"
            assert row[4:] == [f"{part.points:,.1f}" for part in match.fit.breakdown]


@pytest.mark.parametrize("count", [0, 1, 20, 21])
def test_few_pairs_are_all_shown_once(
    tmp_path: Path, named: Named, result: Result, count: int
) -> None:
    shown = written(tmp_path, named, replace(result, matches=result.matches[:count]))
    rows = [
        row[0]
        for caption, (_, *found) in shown.tables.items()
        if caption in {"All pairs, best first", "The 10 best", "The 10 weakest"}
        for row in found
    ]
    expected = range(1, count + 1) if count <= 20 else [*range(1, 11), *range(12, 22)]
    assert rows == [str(place) for place in expected]


def test_what_people_write_is_text_on_the_page(
    tmp_path: Path, named: Named, result: Result
) -> None:
    given = named.instance
    hostile = "<script>alert(1)</script>"
    everybody = replace(
        given, mentees=tuple(replace(person, department=hostile) for person in given.mentees)
    )
    ids = {key: f"{name}<b>" for key, name in named.ids.items()}
    shown = written(tmp_path, replace(named, instance=everybody, ids=ids), result)
    assert hostile in {row[0] for row in shown.tables["Mentees by department"]}
    assert not shown.named("script")
    assert not shown.named("b")


def test_whoever_is_left_is_told_the_smallest_change_by_the_ids_of_the_file(
    tmp_path: Path, named: Named, result: Result
) -> None:
    written(tmp_path, named, result)
    left = read_lines(tmp_path / "unmatched.jsonl", UnmatchedLine)
    waiting = read_lines(tmp_path / "not_ready.jsonl", NotReadyLine)
    told = {(line.role, line.id): line for line in (*left, *waiting)}
    pairs = read_lines(tmp_path / "pairs.jsonl", PairLine)
    paired = {
        (role, getattr(pair, f"{role}_id")) for pair in pairs for role in ("mentor", "mentee")
    }
    given = named.instance
    everybody = {
        (each.role, named.ids[each.participant_id]) for each in (*given.mentors, *given.mentees)
    }
    assert told.keys() | paired == everybody
    assert len(left) + len(waiting) + len(paired) == len(everybody)
    assert any(not line.changes for line in waiting)
    assert all(line.missing for line in waiting)
    for remedy in result.remedies:
        line = told[remedy.role, named.ids[remedy.participant_id]]
        assert [(c.kind, c.field, c.before, c.after, c.via) for c in line.changes] == [
            (c.kind, c.field, c.before, c.after, c.via) for c in remedy.changes
        ]
        for change, known in zip(line.changes, remedy.changes, strict=True):
            whose = known.participant_id
            assert change.id == (None if whose is None else named.ids[whose])
            assert str(whose) not in change.words
            assert change.kind != "seat" or str(change.id) in change.words
    assert any(change.kind == "seat" for line in left for change in line.changes)
    assert any(line.changes for line in waiting)
    assert any(line.bottleneck and line.nearest for line in left)
