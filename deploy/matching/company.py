"""Invented companies of any size: the same people for the same seed.

A pyramid of eight levels under a tree of managers. Levels 1 to 3 offer what the young know, levels
4 to 8 want to learn it; people who do not take part are there as far as they are managers.
"""

from __future__ import annotations

import json
from array import array
from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import accumulate
from random import Random
from typing import Any, Generic, TypeVar

from deploy.matching.formats import PersonLine, Rules
from deploy.matching.people import Named, People, no_collection
from deploy.matching.vocabulary import (
    DEPARTMENTS,
    DIVISIONS,
    INTERESTS,
    SENIOR_TOPICS,
    SITES,
    YOUNG_TOPICS,
    Site,
)
from services.matching.domain.instance import Instance

MOST_PEOPLE = 500_000
STARTS_ON = date(2026, 3, 2)
TOP_LEVEL = 8
LOWEST_MENTEE = 4
JUNIOR_SHARE = 0.7
"""Of a company's people are on levels below `LOWEST_MENTEE`."""

_SHARES = {7: 0.02, 6: 0.06, 5: 0.1, 4: 0.12, 3: 0.16, 2: 0.25, 1: 0.29}
_LEADS = {8: 1.0, 7: 1.0, 6: 0.9, 5: 0.6, 4: 0.25, 3: 0.06, 2: 0.0, 1: 0.0}
"""Share of each level that leads a team."""
_TAKES_PART = 0.8
"""The most of a side that takes part."""
_DIVISION_OF = {name: division for division, names in DIVISIONS.items() for name in names}
_NOT_ENGLISH = ("es", "pt", "fr", "de", "zh", "pl", "hi", "sw")

_CHIEF_OF = [DEPARTMENTS.index(names[0]) for names in DIVISIONS.values()]
"""The departments that the divisions' chiefs, numbers 1 and up, come from."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Plan:
    """What to generate: how many of each role, from which seed, how hard to match."""

    mentors: int
    mentees: int
    seed: int = 1
    hardened: bool = False
    """Few languages, narrow hours, scarce topics."""
    single_seats: bool = False
    """One seat for everybody, where else mentors seat 1 to 3 and mentees 1 to 2."""


def plan(
    people: int | None = None,
    *,
    mentors: int | None = None,
    mentees: int | None = None,
    seed: int = 1,
    hardened: bool = False,
    single_seats: bool = False,
) -> Plan:
    """A plan for so many participants, split by the pyramid unless said. Raises ValueError."""
    if mentors is None and mentees is None:
        if people is None:
            raise ValueError("people: is missing; say how many take part")
        mentors = min(max(round(people * JUNIOR_SHARE), 1), people - 1)
    if people is None:
        people = (mentors or 0) + (mentees or 0)
    mentors = people - (mentees or 0) if mentors is None else mentors
    mentees = people - mentors if mentees is None else mentees
    if mentors + mentees != people:
        raise ValueError(f"people: {mentors} mentors and {mentees} mentees are not {people}")
    if people > MOST_PEOPLE:
        raise ValueError(f"people: at most {MOST_PEOPLE:,} can take part")
    if mentors < 1 or mentees < 1:
        raise ValueError("people: there must be a mentor and a mentee at least")
    return Plan(mentors, mentees, seed, hardened, single_seats)


def rules_of(given: Plan) -> dict[str, Any]:
    """The programme that the company runs, as `rules.json` has it."""
    return {
        "starts_on": STARTS_ON.isoformat(),
        "ends_on": (STARTS_ON + timedelta(days=180)).isoformat(),
        "min_level_gap": 2,
        "target_level_gap": 3,
        "mentor_capacity": 1 if given.single_seats else 3,
        "mentee_capacity": 1 if given.single_seats else 2,
        "different_department": True,
        "min_overlap_minutes": 120,
        "training_required": True,
    }


def named_instance_of(given: Plan) -> Named:
    """The company as the engine sees it: what reading its files gives, without files."""
    people = People(Rules.model_validate_json(json.dumps(rules_of(given))))
    with no_collection():
        for number, line in enumerate(lines(given), start=1):
            people.add(number, PersonLine.model_validate_json(json.dumps(line)))
        return people.named()


def instance_of(
    people: int | None = None,
    *,
    mentors: int | None = None,
    mentees: int | None = None,
    seed: int = 1,
    hardened: bool = False,
    single_seats: bool = False,
) -> Instance:
    """The same by the numbers of a plan."""
    return named_instance_of(
        plan(
            people,
            mentors=mentors,
            mentees=mentees,
            seed=seed,
            hardened=hardened,
            single_seats=single_seats,
        )
    ).instance


def lines(given: Plan) -> Iterator[dict[str, Any]]:
    """Everybody who takes part or is above somebody who does, managers before their people."""
    tree = _tree(given)
    takes_part = _chosen(tree, given, Random(f"{given.seed}:part"))
    above = _above(tree, takes_part)
    profiles = _Profiles(given, tree, Random(f"{given.seed}:profiles"))
    for number in range(len(tree.level)):
        if takes_part[number]:
            yield profiles.participant(number)
        elif above[number]:
            yield profiles.manager(number)


@dataclass(slots=True)
class _Tree:
    """Everybody by number, the chief executive first, then level by level downwards."""

    level: bytearray
    department: bytearray
    site: bytearray
    manager: array[int]
    """-1 for the chief executive."""
    dotted: dict[int, int]


class _Choice(Generic[T]):
    """Picks from options of given weights; the same for the same dice on any machine."""

    __slots__ = ("_bounds", "_options")

    def __init__(self, options: Sequence[T], weights: Sequence[float]) -> None:
        self._options = options
        total = sum(weights)
        self._bounds = list(accumulate(weight / total for weight in weights))[:-1]

    def one(self, rng: Random) -> T:
        return self._options[bisect(self._bounds, rng.random())]

    def some(self, rng: Random, number: int) -> list[T]:
        """So many different ones, or fewer when the same ones keep coming."""
        found: dict[T, None] = {}
        for _ in range(4 * number):
            found[self.one(rng)] = None
            if len(found) == number:
                break
        return list(found)


def _zipf(options: Sequence[T], exponent: float = 1.0) -> _Choice[T]:
    return _Choice(options, [1 / (rank + 1) ** exponent for rank in range(len(options))])


def _levels(given: Plan) -> dict[int, int]:
    """Level → people, in a company of which at most `_TAKES_PART` of either side takes part."""
    size = max(given.mentors / JUNIOR_SHARE, given.mentees / (1 - JUNIOR_SHARE)) / _TAKES_PART
    chiefs = 1 + min(len(DIVISIONS), int(size) // 200)
    return {TOP_LEVEL: chiefs} | {
        level: max(1, round(share * size) + 1) for level, share in _SHARES.items()
    }


def _tree(given: Plan) -> _Tree:
    rng = Random(f"{given.seed}:tree")
    tree = _Tree(bytearray(), bytearray(), bytearray(), array("i"), {})
    departments = _zipf(range(len(DEPARTMENTS)), 0.8)
    sites = _Choice(range(len(SITES)), [site.weight for site in SITES])
    leads: list[list[int]] = [[] for _ in DEPARTMENTS]
    leads_above: list[int] = []
    for level, count in _levels(given).items():
        for number in range(len(tree.level), len(tree.level) + count):
            department = departments.one(rng)
            if level == TOP_LEVEL:
                department = _CHIEF_OF[(number - 1) % len(_CHIEF_OF)]
            manager = _manager(number, department, leads, rng)
            near = number > 0 and rng.random() < 0.6
            tree.level.append(level)
            tree.department.append(department)
            tree.manager.append(manager)
            tree.site.append(tree.site[manager] if near else sites.one(rng))
            if level < TOP_LEVEL and rng.random() < 0.08:
                tree.dotted[number] = _one_of(leads_above, rng)
        # Only now: nobody reports to a person of their own level, so there is no circle.
        for number in range(len(tree.level) - count, len(tree.level)):
            if rng.random() < _LEADS[level]:
                leads[tree.department[number]].append(number)
                leads_above.append(number)
    return tree


def _manager(number: int, department: int, leads: Sequence[Sequence[int]], rng: Random) -> int:
    """A lead of the department, else the division's chief, else the chief executive."""
    if number == 0:
        return -1
    chief = _CHIEF_OF.index(DEPARTMENTS.index(DIVISIONS[_division(department)][0])) + 1
    if leads[department]:
        return _one_of(leads[department], rng)
    return chief if chief in leads[_CHIEF_OF[chief - 1]] else 0


def _one_of(options: Sequence[T], rng: Random) -> T:
    return options[int(rng.random() * len(options))]


def _division(department: int) -> str:
    return _DIVISION_OF[DEPARTMENTS[department]]


def _chosen(tree: _Tree, given: Plan, rng: Random) -> bytearray:
    """1 for exactly so many of each side, everybody with the same chance."""
    needed = [given.mentors, given.mentees]
    seniors = sum(level >= LOWEST_MENTEE for level in tree.level)
    left = [len(tree.level) - seniors, seniors]
    chosen = bytearray(len(tree.level))
    for number, level in enumerate(tree.level):
        side = level >= LOWEST_MENTEE
        if rng.random() * left[side] < needed[side]:
            chosen[number] = 1
            needed[side] -= 1
        left[side] -= 1
    return chosen


def _above(tree: _Tree, people: bytearray) -> bytearray:
    """1 for everybody above one of these people."""
    above = bytearray(len(people))
    for number in range(len(people) - 1, 0, -1):
        if people[number] or above[number]:
            above[tree.manager[number]] = 1
            if number in tree.dotted:
                above[tree.dotted[number]] = 1
    return above


class _Profiles:
    """What each person says and what HR knows of them."""

    def __init__(self, given: Plan, tree: _Tree, rng: Random) -> None:
        self._given, self._tree, self._rng = given, tree, rng
        skew = 0.6 if given.hardened else 1.3
        self._young = _Topics(YOUNG_TOPICS, skew)
        self._senior = _Topics(SENIOR_TOPICS, skew)
        self._interests = _zipf(INTERESTS, 0.7)

    def manager(self, number: int) -> dict[str, Any]:
        """The line of somebody who does not take part."""
        return {"id": _id(number), "role": None, **self._hr(number)}

    def participant(self, number: int) -> dict[str, Any]:
        """The line of somebody who takes part."""
        mentee = self._tree.level[number] >= LOWEST_MENTEE
        works_from, works_until = self._hours()
        return {
            "id": _id(number),
            "role": "mentee" if mentee else "mentor",
            **self._hr(number),
            "languages": self._languages(number, mentee=mentee),
            **self._topics(number, mentee=mentee),
            "interests": self._interests.some(self._rng, 2 + int(self._rng.random() * 4)),
            "timezone": self._site(number).timezone,
            "works_from": works_from,
            "works_until": works_until,
            "capacity": self._seats(mentee=mentee),
            **self._rare(),
            "waiting_since": self._waiting_since(),
        }

    def _hr(self, number: int) -> dict[str, Any]:
        tree, site = self._tree, self._site(number)
        department = tree.department[number]
        line: dict[str, Any] = {
            "level": tree.level[number],
            "department": DEPARTMENTS[department],
            "division": _division(department),
            "location": site.location,
            "country": site.country,
        }
        if number:
            line["manager_id"] = _id(tree.manager[number])
        if number in tree.dotted:
            line["dotted_line_manager_ids"] = [_id(tree.dotted[number])]
        return line

    def _site(self, number: int) -> Site:
        return SITES[self._tree.site[number]]

    def _languages(self, number: int, *, mentee: bool) -> list[str]:
        own, dice = self._site(number).language, self._rng.random()
        if self._given.hardened:
            if mentee and dice < 0.12:
                return [own if own != "en" else _one_of(_NOT_ENGLISH, self._rng)]
            return ["en"] if own == "en" or dice < 0.5 else [own, "en"]
        if own != "en":
            return [own] if dice < 0.06 else [own, "en"]
        return ["en", _one_of(_NOT_ENGLISH, self._rng)] if dice < 0.2 else ["en"]

    def _topics(self, number: int, *, mentee: bool) -> dict[str, Any]:
        rng, department = self._rng, self._tree.department[number]
        offered, wanted = (self._senior, self._young) if mentee else (self._young, self._senior)
        if self._given.hardened:
            offers, wants = 2 + int(rng.random() * 3), 1 + int(rng.random() * 3)
        elif mentee:
            offers, wants = 1 + int(rng.random() * 4), 3 + int(rng.random() * 4)
        else:
            offers, wants = 4 + int(rng.random() * 5), int(rng.random() * 4)
        return {
            "offers": {
                topic: min(5, 2 + int(rng.random() * 4))
                for topic in offered.some(rng, department, offers)
            },
            "wants": {
                topic: 1 + min(2, place // 2)
                for place, topic in enumerate(wanted.some(rng, department, wants))
            },
        }

    def _hours(self) -> tuple[str, str]:
        rng = self._rng
        if self._given.hardened and rng.random() < 0.15:
            start, length = 420 + 30 * int(rng.random() * 20), 120 + 30 * int(rng.random() * 3)
        else:
            start, length = 450 + 30 * int(rng.random() * 5), 480 + 30 * int(rng.random() * 4)
        return _clock(start), _clock(start + length)

    def _seats(self, *, mentee: bool) -> int:
        dice = self._rng.random()
        if self._given.single_seats:
            return 1
        if mentee:
            return 1 if dice < 0.9 else 2
        return 1 if dice < 0.7 else 2 if dice < 0.9 else 3

    def _rare(self) -> dict[str, Any]:
        """What few people have: a block, a partner of before, a pause, a last day."""
        rng = self._rng
        line: dict[str, Any] = {}
        dice = rng.random()
        if rng.random() < 0.015:
            line["blocks"] = [self._anybody()]
        if rng.random() < 0.03:
            line["met"] = [self._anybody()]
        if dice < 0.01:
            line["status"] = "paused"
        elif dice < 0.018:
            line["trained"] = False
        elif dice < 0.026:
            line["leaves_on"] = (STARTS_ON + timedelta(days=int(rng.random() * 300))).isoformat()
        elif dice < 0.032:
            line["employment"] = "on_leave"
        elif dice < 0.036:
            line["orphaned"] = True
        return line

    def _anybody(self) -> str:
        return _id(int(self._rng.random() * len(self._tree.level)))

    def _waiting_since(self) -> str:
        days = int(min(60.0, self._rng.expovariate(1 / 12)))
        return f"{STARTS_ON - timedelta(days=days)}T00:00:00Z"


class _Topics:
    """Topics by cluster: everybody knows the popular ones, and each department its own cluster."""

    def __init__(self, clusters: Mapping[str, Sequence[str]], skew: float) -> None:
        self._clusters = [_zipf(topics, skew) for topics in clusters.values()]
        self._popular = _zipf(self._clusters, skew)

    def some(self, rng: Random, department: int, number: int) -> list[str]:
        """So many different topics, or a few less."""
        own = self._clusters[department % len(self._clusters)]
        found: dict[str, None] = {}
        for _ in range(3 * number):
            if len(found) == number:
                break
            cluster = own if rng.random() < 0.25 else self._popular.one(rng)
            found[cluster.one(rng)] = None
        return list(found)


def _id(number: int) -> str:
    return f"E{number + 1:07d}"


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
