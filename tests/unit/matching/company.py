"""Random programmes and people for the tests of matching."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from hypothesis import strategies as st

from services.matching.domain.instance import Instance, instance
from services.matching.domain.people import Person, Programme, Role, Weights

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
TOPICS = ("ai", "tiktok", "python", "agile", "remote tools", "privacy")
LANGUAGES = ("en", "fr", "de", "hi")


def programme(**changes: object) -> Programme:
    values: dict[str, object] = {
        "programme_id": UUID(int=7),
        "version": 3,
        "open": True,
        "starts_on": date(2026, 3, 1),
        "ends_on": date(2026, 8, 28),
    }
    return Programme(**values | changes)  # type: ignore[arg-type]


def person(role: Role, number: int = 1, **changes: object) -> Person:
    """Somebody whom every rule admits to a counterpart made by this function."""
    senior = role == "mentee"
    values: dict[str, object] = {
        "participant_id": UUID(int=number + (1000 if senior else 0)),
        "employee_id": f"{role}-{number}",
        "role": role,
        "level": 6 if senior else 2,
        "department": "Board" if senior else "Data",
        "direct_managers": frozenset({f"boss-of-{role}"}),
        "managers": frozenset({f"boss-of-{role}", "ceo"}),
        "languages": frozenset({"en"}),
        "offers": {} if senior else {"ai": 4},
        "wants": {"ai": 1} if senior else {},
    }
    return Person(**values | changes)  # type: ignore[arg-type]


def crowd(seed: int, mentors: int, mentees: int, **rules: object) -> Instance:
    """A random instance in which every rule excludes somebody and many scores tie."""
    rng = random.Random(seed)
    rules = {"min_level_gap": 1, "training_required": rng.random() < 0.5} | rules
    people = [_someone(rng, "mentor", n) for n in range(mentors)]
    people += [_someone(rng, "mentee", n) for n in range(mentees)]
    rng.shuffle(people)
    return instance(programme(**rules), people, NOW)


def _someone(rng: random.Random, role: Role, number: int) -> Person:
    def some(words: tuple[str, ...], most: int) -> list[str]:
        return rng.sample(words, rng.randint(0, min(most, len(words))))

    everybody = [f"{side}-{n}" for side in ("mentor", "mentee") for n in range(12)]
    direct = frozenset(rng.sample([*everybody, "x", "y", "z"], rng.randint(0, 2)))
    seats = rng.choice((1, 1, 2, 3))
    starts = rng.choice((0, 300, 540, 900))
    offers = {topic: rng.randint(1, 5) for topic in some(TOPICS, 4)}
    return person(
        role,
        number,
        status=rng.choice(("ready",) * 9 + ("paused",)),
        consented=rng.random() < 0.97,
        trained=rng.random() < 0.9,
        employment=rng.choice(("active",) * 14 + ("on_leave", None)),
        leaves_on=rng.choice((None,) * 9 + (NOW.date() + timedelta(days=90),)),
        level=rng.choice((1, 2, 3, 4, None) if role == "mentor" else (3, 4, 5, 6, 7)),
        department=rng.choice(("A", "B", "C", None)),
        division=rng.choice(("D", "E", None)),
        location=rng.choice(("Paris", "Pune")),
        country=rng.choice(("FR", "IN", None)),
        direct_managers=direct,
        managers=direct | frozenset(rng.sample(everybody, rng.randint(0, 2))),
        chain_known=rng.random() < 0.95,
        languages=frozenset(some(LANGUAGES, 3) or ["en"]),
        offers=offers,
        offered_as={topic: f"{topic} basics" for topic in offers if rng.random() < 0.1},
        near={
            topic: (rng.choice(list(offers)), rng.randint(1, 100))
            for topic in some(TOPICS, 2)
            if offers and topic not in offers
        },
        wants={topic: rng.randint(1, 3) for topic in some(TOPICS, 3)},
        interests=frozenset(some(("chess", "running", "food", "jazz"), 4)),
        works_from=starts,
        works_until=starts + rng.choice((240, 480, 600)),
        seats=seats,
        taken=rng.randint(0, seats) if rng.random() < 0.2 else 0,
        blocks=frozenset(rng.sample(everybody, rng.randint(0, 1))),
        met=frozenset(rng.sample(everybody, rng.randint(0, 1))),
        waiting_since=rng.choice((None, NOW - timedelta(days=rng.randint(0, 50)))),
        orphaned=rng.random() < 0.1,
    )


@st.composite
def instances(draw: st.DrawFn, most: int = 9) -> Instance:
    return crowd(
        draw(st.integers(0, 10**9)),
        draw(st.integers(0, most)),
        draw(st.integers(0, most)),
        different_department=draw(st.booleans()),
        min_overlap_minutes=draw(st.sampled_from((0, 120, 240))),
        weights=draw(
            st.sampled_from(
                (Weights(), Weights(100, 0, 0, 0, 0, 0, 0), Weights(15, 15, 15, 15, 15, 15, 10))
            )
        ),
    )
