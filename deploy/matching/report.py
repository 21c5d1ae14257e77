"""What a run found, as one page to look at: no scripts, nothing from elsewhere, no small groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from deploy.matching.claims import bonuses, while_locked
from deploy.matching.formats import BottlenecksFile, CertificateFile
from deploy.matching.people import Named
from services.matching.coverage import OTHERS, UNKNOWN, coverage, shown
from services.matching.domain.changes import Kind
from services.matching.domain.explanation import Unmatched
from services.matching.domain.people import Role
from services.matching.domain.result import Match, Result
from services.matching.domain.words import left_out_told_to

LEAST_GROUP = 5
"""Nothing is said of fewer people by department, level, language or hours."""
BEST_AND_WEAKEST = 10
BIN_POINTS = 5
MOST_TOPICS = 3
"""Topics and languages that are named as what would serve most."""

_PAGES = Path(__file__).parent / "pages"
_BINS = 100 // BIN_POINTS
_GROUPS = {OTHERS: "smaller ones together", UNKNOWN: "not known"}
_ROLES: dict[Role, str] = {"mentee": "mentees", "mentor": "mentors"}

_FACTORS = {
    "wants_covered": "Mentee’s wishes",
    "shared_interests": "Interests",
    "distance": "Distance",
    "mentor_wants_covered": "Mentor’s wishes",
    "time_overlap": "Time",
    "waiting_time": "Waiting",
    "level_gap": "Levels",
}
_CHANGES: dict[Kind, str] = {
    "consent": "giving consent",
    "training": "completing the training",
    "break": "coming back from a break or from leave",
    "time": "some more working time that others share",
    "topic": "naming one more topic",
    "seat": "one more seat of a counterpart",
    "department": "allowing pairs within a department, a rule for all",
    "level": "a level gap that is one less, a rule for all",
    "language": "one more language",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """Pairs that score at least `low` and less than `high`; the last bar's `high` counts too."""

    low: int
    high: int
    pairs: int
    share: float
    """Of the highest bar, in [0, 1]."""


@dataclass(frozen=True, slots=True)
class Group:
    """A department or level, and how many of it have a partner."""

    name: str
    people: int
    paired: int

    @property
    def share(self) -> float:
        """In [0, 1]."""
        return self.paired / self.people


@dataclass(frozen=True, slots=True)
class Reason:
    """A rule, and how many of those left out it keeps from somebody."""

    words: str
    people: int
    counterparts: int
    """For one of them, on average."""


@dataclass(frozen=True, slots=True)
class Way:
    """A kind of change that is the smallest for so many people."""

    words: str
    people: int
    named: str
    """What would serve most: topics or languages, with commas."""


@dataclass(frozen=True, slots=True)
class Row:
    """A pair and the points of each factor."""

    place: int
    mentor: str
    mentee: str
    score: float
    points: Sequence[float]


def report(
    named: Named, result: Result, certificate: CertificateFile, short: BottlenecksFile
) -> str:
    """The page."""
    given, matches = named.instance, result.matches
    rows = [_row(named, place, match) for place, match in enumerate(matches, start=1)
            if place <= BEST_AND_WEAKEST or place > len(matches) - BEST_AND_WEAKEST]  # fmt: skip
    best = rows[:BEST_AND_WEAKEST] if len(matches) > 2 * BEST_AND_WEAKEST else rows
    weights = given.programme.weights
    return _PAGE.render(
        programme=given.programme,
        certificate=certificate,
        while_locked=while_locked(given),
        bonuses=bonuses(given.programme),
        unserved=Counter(each.role for each in result.unmatched),
        bars=_bars([match.fit.score for match in matches]),
        coverage=_coverage(named, matches),
        least=LEAST_GROUP,
        bottlenecks=[each.words for each in short.bottlenecks if each.people >= LEAST_GROUP],
        hidden_bottlenecks=sum(each.people < LEAST_GROUP for each in short.bottlenecks),
        reasons={name: _reasons(role, result.unmatched) for role, name in _ROLES.items()},
        ways=_ways(result),
        served=sum(bool(remedy.changes) for remedy in result.remedies),
        hopeless=len(result.unmatched) - len(_with_changes(result)),
        not_examined=[_CHANGES[kind] for kind in result.not_examined],
        factors=[(label, getattr(weights, name)) for name, label in _FACTORS.items()],
        best=best,
        weakest=rows[len(best) :],
    )


def _bars(scores: Sequence[float]) -> list[Bar]:
    """From the first bar that has a pair to the last one."""
    counts = Counter(min(int(score // BIN_POINTS), _BINS - 1) for score in scores)
    if not counts:
        return []
    most = max(counts.values())
    return [
        Bar(place * BIN_POINTS, (place + 1) * BIN_POINTS, counts[place], counts[place] / most)
        for place in range(min(counts), max(counts) + 1)
    ]


def _coverage(named: Named, matches: Iterable[Match]) -> dict[str, dict[str, list[Group]]]:
    """`department` or `level` → `mentees` or `mentors` → groups that may be shown."""
    return {
        attribute: {
            side: [
                Group(_GROUPS.get(name, name), people, paired)
                for name, (people, paired) in _ordered(shown(sides[side], LEAST_GROUP))
            ]
            for side in _ROLES.values()
        }
        for attribute, sides in coverage(named.instance, matches).items()
    }


def _ordered(groups: Mapping[str, list[int]]) -> list[tuple[str, list[int]]]:
    """Levels by number, departments by name; what is no group of its own comes last."""
    return sorted(
        groups.items(),
        key=lambda item: (
            item[0] in _GROUPS,
            int(item[0]) if item[0].isdecimal() else 0,
            item[0].casefold(),
        ),
    )


def _reasons(role: Role, unmatched: Iterable[Unmatched]) -> list[Reason]:
    """The most frequent first."""
    people: Counter[str] = Counter()
    counterparts: Counter[str] = Counter()
    for each in unmatched:
        if each.role == role:
            people.update(each.reasons.keys())
            counterparts.update(each.reasons)
    return [
        Reason(_rule(rule), people[rule], round(count / people[rule]))
        for rule, count in counterparts.most_common()
    ]


def _rule(rule: str) -> str:
    (line,) = left_out_told_to("manager", Unmatched(UUID(int=0), "mentee", {rule: 1}), None)
    return line.removeprefix("1 ")


def _ways(result: Result) -> list[Way]:
    """By how many people each kind of change would serve as their smallest."""
    smallest = [remedy.changes[0] for remedy in result.remedies if remedy.changes]
    kinds = Counter(change.kind for change in smallest)
    return [
        Way(
            _CHANGES[kind],
            people,
            ", ".join(_most(str(c.after) for c in smallest if c.kind == kind))
            if kind in {"topic", "language"}
            else "",
        )
        for kind, people in kinds.most_common()
    ]


def _most(words: Iterable[str]) -> Iterator[str]:
    return (word for word, _ in Counter(words).most_common(MOST_TOPICS))


def _with_changes(result: Result) -> set[UUID]:
    left = {each.participant_id for each in result.unmatched}
    return {r.participant_id for r in result.remedies if r.changes and r.participant_id in left}


def _row(named: Named, place: int, match: Match) -> Row:
    points = {part.factor: part.points for part in match.fit.breakdown}
    return Row(
        place,
        named.ids[match.mentor_id],
        named.ids[match.mentee_id],
        match.fit.score,
        [points[name] for name in _FACTORS],
    )


_PAGE = Environment(
    loader=FileSystemLoader(_PAGES),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
).get_template("report.html.j2")
