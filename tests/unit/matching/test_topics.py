from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.matching import near
from services.matching.domain.engine import solve
from services.matching.domain.instance import Instance, canonical, from_canonical, instance
from services.matching.domain.people import Person
from services.matching.domain.rules import broken_rule
from services.matching.domain.scoring import covered_eighths, credit_eighths, fit
from services.matching.domain.topics import (
    Nearness,
    plain,
    read_vocabulary,
    understood,
    vocabulary,
)
from services.matching.near import NEAR_PERCENT, nearness
from tests.unit.matching.company import NOW, crowd, person, programme

TOPICS = sorted(vocabulary().broader)
NAMES = {
    topic: [name for name, other in vocabulary().names.items() if other == topic]
    for topic in TOPICS
}
UNKNOWN = ("knitting", "sourdough baking", "baking sourdough", "rabbit care", "origami")
LABELLED = Path(__file__).with_name("near_words.txt")


def _people(case: Instance) -> list[Person]:
    return [*case.mentors, *case.mentees]


def _worded(seed: int, words: Sequence[str], side: int = 8) -> Instance:
    """A random instance whose people offer and want some of these words."""
    rng = random.Random(seed)
    case = crowd(seed, side, side, different_department=False)
    people = [
        replace(
            each,
            offers={word: rng.randint(1, 5) for word in rng.sample(words, rng.randint(0, 4))},
            offered_as={},
            near={},
            wants={word: rng.randint(1, 3) for word in rng.sample(words, rng.randint(0, 4))},
        )
        for each in _people(case)
    ]
    return instance(case.programme, people, NOW)


def _understood(case: Instance, nearness: Nearness | None = None) -> Instance:
    return instance(case.programme, understood(_people(case), nearness), case.now)


def _scores(case: Instance) -> list[list[tuple[str | None, float]]]:
    return [
        [
            (
                broken_rule(mentor, mentee, case.programme),
                fit(mentor, mentee, case.programme, NOW).score,
            )
            for mentor in case.mentors
        ]
        for mentee in case.mentees
    ]


def _respelt(rng: random.Random, word: str) -> str:
    name = rng.choice(NAMES[word])
    change = rng.choice((str, str.upper, str.title, lambda text: f"  {text} "))
    spelt = change(name)
    return spelt.replace(" ", rng.choice((" ", "  ", "-", "_"))) if " " in name else spelt


def _all_near(words: Sequence[str], others: Sequence[str]) -> Mapping[tuple[str, str], int]:
    """Takes any two words as near, some more than others."""
    return {
        (word, other): crc32(f"{word}|{other}".encode()) % 101 for word in words for other in others
    }


@pytest.mark.parametrize(
    ("word", "topic"),
    [
        ("ML", "machine learning"),
        ("GenAI", "generative ai"),
        ("Large Language Models", "large language models"),
        ("LLMs", "large language models"),
        ("Künstliche Intelligenz", "ai"),
        ("inteligencia artificial", "ai"),
        ("intelligence artificielle", "ai"),
        ("人工智能", "ai"),
        ("k8s", "kubernetes"),
        ("M&A", "mergers and acquisitions"),
        ("Mergers & Acquisitions", "mergers and acquisitions"),
        ("DEI", "diversity and inclusion"),
        ("D&I", "diversity and inclusion"),
        ("Diversity, Equity & Inclusion", "diversity and inclusion"),
        ("GDPR", "gdpr"),
        ("DSGVO", "gdpr"),
        ("ESG", "sustainability"),
        ("R&D", "research and development"),
        ("C++", "c++"),
        ("C#", "c#"),
        ("Node.js", "node.js"),
        ("CI/CD", "continuous delivery"),
        ("work life balance", "work-life balance"),
        ("Cyber-Security", "cyber security"),
        ("OKRs", "okr"),
        ("Python basics", "python"),
        ("introduction to SQL", "sql"),
        ("negotiation skills", "negotiation"),
        ("Gen-Z culture", "gen z"),
        ("home office", "remote work"),
        ("Vérification", None),
        ("knitting", None),
        ("c", None),
        ("", None),
        ("!?", None),
    ],
)
def test_other_names_of_a_topic_are_known(word: str, topic: str | None) -> None:
    assert vocabulary().topic(plain(word)) == topic


def test_the_vocabulary_knows_what_reverse_mentoring_teaches() -> None:
    assert len(TOPICS) >= 500
    for topic, names in NAMES.items():
        assert all(vocabulary().topic(name) == topic for name in names)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: b\nc: b", "b: stands for a and for c"),
        ("a: A-B\nc: ab", "ab: stands for a and for c"),
        ("a:\na:", "a: stands in two places"),
        ("a: < b", "b, which is broader, is no topic"),
        ("a: < b\nb: < a", "a: is narrower than itself"),
        ("a", "not a topic with its names: a"),
    ],
)
def test_a_vocabulary_that_contradicts_itself_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        read_vocabulary(text)


@given(st.integers(0, 10**9))
@settings(max_examples=25, deadline=None)
def test_how_a_topic_is_spelt_changes_no_score_and_no_pair(seed: int) -> None:
    rng = random.Random(seed)
    case = _worded(seed, rng.sample(TOPICS, 12))
    respelt = [
        replace(
            each,
            offers={_respelt(rng, word): level for word, level in each.offers.items()},
            wants={_respelt(rng, word): priority for word, priority in each.wants.items()},
        )
        for each in _people(case)
    ]
    one, other = _understood(case), _understood(instance(case.programme, respelt, NOW))
    assert _scores(one) == _scores(other)
    pairs = [
        [(match.mentor_id, match.mentee_id, match.fit.topics) for match in solve(each).matches]
        for each in (one, other)
    ]
    assert pairs[0] == pairs[1]


def test_of_two_names_of_one_topic_the_better_offer_and_the_keener_wish_count() -> None:
    (told,) = understood(
        [person("mentor", offers={"ml": 2, "machine learning": 4}, wants={"m&a": 1, "mergers": 3})]
    )
    assert told.offers["machine learning"] == 4
    assert "machine learning" not in told.offered_as
    assert told.wants == {"mergers and acquisitions": 1}


@pytest.mark.parametrize(
    ("said", "code"), [("fra", "fr"), ("fre", "fr"), ("zho", "zh"), ("sh", "sr"), ("yue", "yue")]
)
def test_a_language_goes_by_one_code(said: str, code: str) -> None:
    (told,) = understood([person("mentor", languages=frozenset({said, "en"}))])
    assert told.languages == {code, "en"}


def test_the_better_of_a_topic_and_its_narrower_one_counts() -> None:
    (told, other) = understood(
        [
            person("mentor", offers={"python": 2, "pandas": 5}),
            person("mentor", offers={"python": 5, "pandas": 2}),
        ]
    )
    assert (told.offers["python"], told.offered_as["python"]) == (5, "pandas")
    assert other.offers["python"] == 5
    assert "python" not in other.offered_as


@given(st.sampled_from(TOPICS), st.integers(1, 5))
def test_a_narrower_topic_covers_a_broader_one_wholly_but_not_the_other_way(
    topic: str, level: int
) -> None:
    broader = vocabulary().broader[topic]
    (told,) = understood([person("mentor", offers={topic: level})])
    assert set(told.offers) == {topic, *broader}
    assert set(covered_eighths(told).values()) == {credit_eighths(level)}
    for each in broader:
        (other,) = understood([person("mentor", offers={each: 5})])
        assert topic not in covered_eighths(other)


def test_pandas_is_python_and_data_analysis_and_the_explanation_says_so() -> None:
    mentor, mentee = understood(
        [
            person("mentor", offers={"pandas": 5}),
            person("mentee", wants={"Python": 1, "data analytics": 2, "sql": 3}),
        ]
    )
    found = fit(mentor, mentee, programme(), NOW)
    assert found.topics == ("python", "data analysis")
    told = {part.factor: part.detail for part in found.breakdown}
    assert told["wants_covered"] == (
        "2 of 3 topics that the mentee wants:"
        " python (offered as pandas), data analysis (offered as pandas)"
    )


@given(st.integers(0, 10**9))
@settings(max_examples=25, deadline=None)
def test_nearness_is_worth_half_at_most_and_stands_behind_what_is_offered(seed: int) -> None:
    rng = random.Random(seed)
    case = _understood(_worded(seed, [*rng.sample(TOPICS, 6), *UNKNOWN]), _all_near)
    assert from_canonical(canonical(case)) == case
    for each in _people(case):
        covered = covered_eighths(each)
        assert covered.keys() == each.offers.keys() | each.near.keys()
        for topic, (offered, percent) in each.near.items():
            assert topic not in each.offers
            full = credit_eighths(each.offers[offered])
            assert 1 <= covered[topic] <= min(4, max(1, full * percent / 100))
            assert not {topic, offered} <= vocabulary().broader.keys() or any(
                word in UNKNOWN for word in (topic, offered)
            )


@given(st.integers(0, 10**9))
@settings(max_examples=20, deadline=None)
def test_words_that_the_vocabulary_knows_are_never_taken_as_near(seed: int) -> None:
    case = _worded(seed, random.Random(seed).sample(TOPICS, 12))
    assert _understood(case, _all_near) == _understood(case)


@given(st.integers(0, 10**9))
@settings(max_examples=30, deadline=None)
def test_what_two_people_make_of_their_words_hangs_on_nobody_else(seed: int) -> None:
    rng = random.Random(seed)
    said = _worded(seed, [*rng.sample(TOPICS, 6), *UNKNOWN], side=3)
    together = _understood(said, _all_near)
    assert _scores(together) == [
        [
            _scores(_understood(instance(said.programme, [mentor, mentee], NOW), _all_near))[0][0]
            for mentor in said.mentors
        ]
        for mentee in said.mentees
    ]


@given(st.integers(0, 10**9))
@settings(max_examples=20, deadline=None)
def test_an_unknown_word_that_is_offered_changes_nothing_without_nearness(seed: int) -> None:
    case = _worded(seed, TOPICS[:12])
    with_word = [replace(each, offers={**each.offers, "Origami": 5}) for each in _people(case)]
    assert _scores(_understood(instance(case.programme, with_word, NOW))) == _scores(
        _understood(case)
    )


def test_an_unknown_word_is_its_own_topic() -> None:
    mentor, mentee = understood(
        [person("mentor", offers={"Rabbit  Care": 5}), person("mentee", wants={"rabbit care": 1})]
    )
    assert broken_rule(mentor, mentee, programme()) is None
    assert fit(mentor, mentee, programme(), NOW).topics == ("rabbit care",)


def test_a_word_without_nearness_stays_unmatched_when_the_extra_is_not_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(near, "find_spec", lambda name: None)
    nearness.cache_clear()
    assert nearness() is None
    nearness.cache_clear()
    mentor, mentee = understood(
        [person("mentor", offers={"prompts design": 5}), person("mentee", wants={"ai": 1})], None
    )
    assert broken_rule(mentor, mentee, programme()) == "no_wanted_topic"


def test_a_word_is_taken_as_near_and_the_explanation_says_how_near() -> None:
    mentor, mentee = understood(
        [
            person("mentor", offers={"negotiating contracts": 5, "sourdough baking": 2}),
            person("mentee", wants={"negotiation": 1, "baking sourdough bread": 2, "law": 3}),
        ],
        nearness(),
    )
    assert broken_rule(mentor, mentee, programme()) is None
    found = fit(mentor, mentee, programme(), NOW)
    assert found.topics == ("negotiation", "baking sourdough bread")
    told = {part.factor: part for part in found.breakdown}["wants_covered"]
    (_, close), (_, other) = (mentor.near[topic] for topic in found.topics)
    assert told.detail == (
        "2 of 3 topics that the mentee wants: negotiation (negotiating contracts is taken as near"
        f" to it, {close} %), baking sourdough bread (sourdough baking is taken as near to it,"
        f" {other} %)"
    )
    assert 0 < told.value <= 0.5


def test_a_wanted_word_is_near_to_what_is_offered_under_a_narrower_name() -> None:
    mentor, mentee = understood(
        [
            person("mentor", offers={"MCP": 5, "tdd": 4}),
            person("mentee", wants={"apps testing": 1}),
        ],
        lambda words, others: {
            (word, other): 80
            for word in words
            for other in others
            if (word, other) == ("apps testing", "software testing")
        },
    )
    assert mentor.near == {"apps testing": ("software testing", 80)}
    assert (
        "tdd is taken as near to it, 80 %"
        in fit(mentor, mentee, programme(), NOW).breakdown[0].detail
    )


def test_who_offers_what_is_near_to_a_topic_is_near_to_its_broader_ones() -> None:
    (told,) = understood([person("mentor", offers={"designing prompts": 5})], nearness())
    word, percent = told.near["prompt engineering"]
    assert (word, percent >= NEAR_PERCENT) == ("designing prompts", True)
    assert told.near["generative ai"] == told.near["ai"] == (word, percent)


def test_what_is_offered_is_worth_more_than_what_is_near_to_it() -> None:
    mentor = person("mentor", offers={"ai": 5, "robots": 5}, near={"ai": ("robots", 90)})
    assert covered_eighths(mentor) == {"ai": 8, "robots": 8}


def test_acronyms_are_compared_with_nothing() -> None:
    mentor, _ = understood(
        [person("mentor", offers={"mcp": 5}), person("mentee", wants={"xyz": 1, "knitting": 2})],
        _all_near,
    )
    assert mentor.near == {}


def _labelled(part: int) -> dict[str, set[str]]:
    lines = LABELLED.read_text("utf-8").split("# Second part")[part].splitlines()
    split = [line.partition("=") for line in lines if "=" in line]
    return {
        word.strip(): {topic.strip() for topic in topics.split(",") if topic.strip()}
        for word, _, topics in split
    }


@pytest.mark.parametrize("part", [0, 1])
def test_nine_in_ten_words_that_are_taken_as_near_to_a_topic_belong_there(part: int) -> None:
    labels = _labelled(part)
    assert all(vocabulary().topic(word) is None for word in labels)
    assert {topic for topics in labels.values() for topic in topics} <= set(TOPICS)
    said = [person("mentor", n, offers={word: 5}) for n, word in enumerate(labels)]
    right = wrong = 0
    for told, (word, topics) in zip(understood(said, nearness()), labels.items(), strict=True):
        if told.near:  # to a topic and its broader ones
            nearest = max(told.near, key=lambda topic: len(vocabulary().broader[topic]))
            right += nearest in topics
            wrong += nearest not in topics
            assert topics, f"{word} is near to nothing"
    assert right / (right + wrong) >= 0.9
    assert right >= 0.45 * len([topics for topics in labels.values() if topics])


def test_nearness_is_even_handed_and_a_word_is_nearest_to_itself() -> None:
    nearby = nearness()
    assert nearby is not None
    words = ["negotiating contracts", "contract negotiations", "knitting", "烹饪", " ", "a" * 300]
    found = nearby(words, words)
    assert all(NEAR_PERCENT <= percent <= 100 for percent in found.values())
    assert {pair: found.get(pair[::-1]) for pair in found} == found
    assert all(found[word, word] >= 99 for word in words if word.strip())
    assert ("knitting", "negotiating contracts") not in found
    assert nearby([], words) == nearby(words, []) == {}
