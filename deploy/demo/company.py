"""An invented company: people, managers, departments, sites, skills; same seed, same company."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from typing import Any

from deploy.demo.vocabulary import (
    DIVISIONS,
    FAMILY_NAMES,
    GIVEN_NAMES,
    INTERESTS,
    JUNIOR_TOPICS,
    SENIOR_TOPICS,
    SITES,
    TRADE_TOPICS,
    TRADES,
    Site,
)
from deploy.demo.workforce import Person, Workforce

COMPANY = "Alderline Group"
DOMAIN = "alderline.example"
TOP_LEVEL = 8
MENTOR_MAX_LEVEL = 3
MENTEE_MIN_LEVEL = 4


@dataclass
class _Seat:
    """A place in the tree of managers, before it is filled with a person."""

    number: int
    boss: _Seat | None
    depth: int
    reports: list[_Seat] = field(default_factory=list)
    level: int = TOP_LEVEL
    division: str = ""
    department: str = ""
    site: Site = SITES[0]

    @property
    def leads(self) -> bool:
        return bool(self.reports)


def company(people: int = 1000, *, seed: int = 1, today: date) -> Workforce:
    """A company of `people` (at least 1), the way HR would know it on `today`."""
    if people < 1:
        raise ValueError("people: a company has at least one person")
    rng = random.Random(seed)
    seats = _tree(people, rng)
    for seat in seats:
        _place(seat, rng)
    addresses: set[str] = set()
    return Workforce(
        name=COMPANY,
        people=tuple(_hire(seat, rng, addresses, today) for seat in seats),
        mentor_max_level=MENTOR_MAX_LEVEL,
        mentee_min_level=MENTEE_MIN_LEVEL,
        min_level_gap=2,
        topics=JUNIOR_TOPICS,
        senior_topics=SENIOR_TOPICS,
        interests=INTERESTS,
    )


def _tree(people: int, rng: random.Random) -> list[_Seat]:
    """Seats breadth first, so that every manager comes before their reports; spans of 5 to 9."""
    seats = [_Seat(0, None, 0)]
    bosses = list(seats)
    while True:
        # Shuffled, or the divisions that come first would get all of the last row's teams.
        rng.shuffle(bosses)
        row: list[_Seat] = []
        for boss in bosses:
            for _ in range(min(rng.randint(5, 9), people - len(seats))):
                seat = _Seat(len(seats), boss, boss.depth + 1)
                boss.reports.append(seat)
                seats.append(seat)
                row.append(seat)
        if not row:
            return seats
        bosses = row


def _place(seat: _Seat, rng: random.Random) -> None:
    boss = seat.boss
    if boss is None:
        seat.division, seat.department = "Executive Office", "Executive Office"
        seat.site = SITES[1]
        return
    seat.level = _level(boss.level, leads=seat.leads, rng=rng)
    position = boss.reports.index(seat)
    if seat.depth == 1:
        seat.division = list(DIVISIONS)[position % len(DIVISIONS)]
    else:
        seat.division = boss.division
    departments = DIVISIONS[seat.division]
    seat.department = (
        boss.department if seat.depth > 2 else departments[position % len(departments)]
    )
    seat.site = boss.site if rng.random() < 0.5 else _weighted_site(rng)


def _level(boss_level: int, *, leads: bool, rng: random.Random) -> int:
    """One below the boss for those who lead; experts and beginners spread over what is below."""
    if leads or boss_level <= 2:
        return max(1, boss_level - 1)
    if boss_level >= TOP_LEVEL - 2:
        return rng.choices((4, 3, 2), weights=(45, 35, 20))[0]
    below = [level for level in (1, 2, 3, 4) if level < boss_level]
    return rng.choices(below, weights=(40, 35, 20, 5)[: len(below)])[0]


def _weighted_site(rng: random.Random) -> Site:
    return rng.choices(SITES, weights=[site.weight for site in SITES])[0]


def _hire(seat: _Seat, rng: random.Random, addresses: set[str], today: date) -> Person:
    given = rng.choice(GIVEN_NAMES[seat.site.names])
    family = rng.choice(FAMILY_NAMES[seat.site.names])
    teaches = _skills(seat, rng)
    tenure_days = rng.randint(30, 700) + (seat.level - 1) * rng.randint(100, 1100)
    record: dict[str, Any] = {
        "employeeId": employee_id(seat.number),
        "employeeNumber": f"{seat.number + 1:05d}",
        "name": {"givenName": given, "familyName": family},
        "displayName": f"{given} {family}",
        "emails": [{"value": _address(given, family, addresses), "primary": True, "type": "work"}],
        "status": "active",
        "title": _title(seat),
        "jobLevel": seat.level,
        "jobFamily": TRADES.get(seat.department, "Executive"),
        "organization": COMPANY,
        "division": seat.division,
        "department": seat.department,
        "costCenter": f"CC-{sum(map(ord, seat.department)) % 900 + 100}",
        "managerId": employee_id(seat.boss.number) if seat.boss else None,
        "location": seat.site.location,
        "country": seat.site.country,
        "timezone": seat.site.timezone,
        "locale": seat.site.locale,
        "startDate": (today - timedelta(days=tenure_days)).isoformat(),
        "skills": list(teaches),
        "interests": rng.sample(INTERESTS, rng.randint(2, 4)),
    }
    starts_at = rng.choice((8, 9, 9, 10))
    return Person(
        record=record,
        languages=_languages(seat.site, rng),
        timezone=seat.site.timezone,
        works_from=time(starts_at),
        works_until=time(starts_at + 8, 30),
        teaches=teaches,
    )


def employee_id(number: int) -> str:
    """HR's key of the person in the given seat; seat 0 is the chief executive."""
    return f"A{number + 1:05d}"


def _title(seat: _Seat) -> str:
    if seat.boss is None:
        return "Chief Executive"
    if seat.depth == 1:
        return f"Executive Vice President {seat.division}"
    if seat.leads:
        return f"{'Director' if seat.level >= 6 else 'Head'}, {seat.department}"
    grade = {1: "Junior ", 2: "", 3: "Senior ", 4: "Principal "}.get(seat.level, "Lead ")
    return grade + TRADES[seat.department]


def _skills(seat: _Seat, rng: random.Random) -> tuple[str, ...]:
    if seat.level >= MENTEE_MIN_LEVEL:
        own: Sequence[str] = SENIOR_TOPICS
        # The common ones come first in the list; a skewed pick keeps them common.
        picked = {own[min(int(rng.expovariate(0.35)), len(own) - 1)] for _ in range(5)}
        return tuple(sorted(picked))
    picked = {JUNIOR_TOPICS[min(int(rng.expovariate(0.3)), 11)] for _ in range(3)}
    trade = TRADE_TOPICS.get(seat.department, ())
    picked |= set(rng.sample(trade, min(2, len(trade))))
    return tuple(sorted(picked))


def _languages(site: Site, rng: random.Random) -> tuple[str, ...]:
    spoken = list(site.languages)
    # Not everyone speaks English everywhere: that is what the language rule is for.
    if len(spoken) > 1 and rng.random() < 0.06:
        spoken.remove("en")
    elif rng.random() < 0.12:
        spoken.append(rng.choice(("fr", "de", "es", "pt")))
    return tuple(dict.fromkeys(spoken))


def _address(given: str, family: str, taken: set[str]) -> str:
    name = f"{_ascii(given)}.{_ascii(family)}"
    number = 1
    while (address := f"{name}{number if number > 1 else ''}@{DOMAIN}") in taken:
        number += 1
    taken.add(address)
    return address


def _ascii(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return plain.lower().replace(" ", "-")
