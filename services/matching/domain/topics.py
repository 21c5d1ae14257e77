"""Topics that mean the same: the other names of a topic, and what it is narrower than.

Words become topics once, before an instance is made, so that a run hangs neither on the version
of this vocabulary nor on that of the model that says what is near.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from importlib.resources import files
from typing import TypeAlias

from services.matching.domain.languages import by_one_code
from services.matching.domain.people import Person, Role
from services.matching.domain.scoring import near_eighths

Nearness: TypeAlias = Callable[[Sequence[str], Sequence[str]], Mapping[tuple[str, str], int]]
"""From some words and others to how near two of them are in percent, but for those that are not."""

MOST_UNKNOWN_WORDS = 5_000
"""So many different words that the vocabulary does not know are compared, the commonest first."""

_LINE = re.compile(r"(?P<indent> *)(?P<name>[^:]+):(?P<aliases>[^<]*)(<(?P<broader>.*))?")
_NO_LETTERS = re.compile(r"[^\w+#&]|_")
_FILLERS = re.compile(
    r"(introduction to|intro to|basics of|fundamentals of|how to use|using) "
    r"| (basics|fundamentals|skills|for beginners|know-how|101)$"
)
_TELLING = re.compile(r"[^\W\d_]{4}")
"""Shorter words are acronyms, of which a model knows nothing."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Topics by every name that is known of them."""

    names: Mapping[str, str]
    """Name → topic; a topic is a name of its own."""
    by_key: Mapping[str, str]
    """The same by what every spelling of a name has in common."""
    broader: Mapping[str, tuple[str, ...]]
    """Topic → all that it is narrower than, at any distance, nearest first."""

    def topic(self, word: str) -> str | None:
        """The topic that a word stands for; None when the word is not known."""
        for spelling in (word, _FILLERS.sub("", word)):
            key = _key(spelling)
            if found := self.by_key.get(key):
                return found
            # Nothing of three letters has a plural that is not another acronym.
            if len(key) > 3 and (found := self.by_key.get(key.removesuffix("s"))):
                return found
        return None


def plain(text: str) -> str:
    """A word as it is kept: without case, needless spaces, and other ways to write a letter."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


@cache
def vocabulary() -> Vocabulary:
    """The vocabulary that comes with Updraft."""
    return read_vocabulary(files(__package__).joinpath("topics.txt").read_text("utf-8"))


def read_vocabulary(text: str) -> Vocabulary:
    """A vocabulary from its text; raises ValueError where it contradicts itself."""
    names: dict[str, str] = {}
    by_key: dict[str, str] = {}
    parents: dict[str, tuple[str, ...]] = {}
    above: list[tuple[int, str]] = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        read = _LINE.fullmatch(line)
        if read is None:
            raise ValueError(f"not a topic with its names: {line}")
        indent, topic = len(read["indent"]), sys.intern(plain(read["name"]))
        while above and above[-1][0] >= indent:
            above.pop()
        if topic in parents:
            raise ValueError(f"{topic}: stands in two places")
        parents[topic] = (*(parent for _, parent in above[-1:]), *_words(read["broader"] or ""))
        above.append((indent, topic))
        for name in (topic, *_words(read["aliases"])):
            names[name] = topic
            if by_key.setdefault(_key(name), topic) != topic:
                raise ValueError(f"{name}: stands for {by_key[_key(name)]} and for {topic}")
    return Vocabulary(names, by_key, {topic: _all_above(topic, parents) for topic in parents})


def understood(people: Iterable[Person], nearness: Nearness | None = None) -> list[Person]:
    """The same people in the same order, with topics in place of their own words, and each language
    by one code.

    Takes people as they say it themselves. What two of them make of each other's words does not
    hang on who else is there.
    """
    told = [_in_topics(person) for person in people]
    if nearness is None:
        return told
    offered = {role: _unknown(told, role, "offers") for role in _OTHER}
    wanted = {role: _unknown(told, role, "wants") for role in _OTHER}
    words = {*offered["mentor"], *offered["mentee"], *wanted["mentor"], *wanted["mentee"]}
    if not words:
        return told
    placed = _placed(sorted(words), nearness)
    near = {
        role: _near(placed, offered[role], wanted[other], nearness)
        for role, other in _OTHER.items()
    }
    return [_with_near(person, near[person.role]) for person in told]


_OTHER: dict[Role, Role] = {"mentor": "mentee", "mentee": "mentor"}


# People say the same words again and again: each is looked at once and kept in memory once.
_word = lru_cache(maxsize=65_536)(plain)


@lru_cache(maxsize=65_536)
def _topic(word: str) -> str:
    return vocabulary().topic(word) or word


def _in_topics(person: Person) -> Person:
    """Words replaced by topics; the best offer and the keenest wish count where two are one."""
    broader = vocabulary().broader
    best_first = sorted(person.offers.items(), key=lambda offer: (-offer[1], offer[0]))
    own: dict[str, tuple[int, str]] = {}
    for word, level in best_first:
        own.setdefault(_topic(_word(word)), (level, _word(word)))
    offers = dict(own)
    for topic, (level, word) in own.items():
        for wider in broader.get(topic, ()):
            if wider not in offers or offers[wider][0] < level:
                offers[wider] = (level, word)
    wants: dict[str, int] = {}
    for word, priority in person.wants.items():
        topic = _topic(_word(word))
        wants[topic] = min(priority, wants.get(topic, priority))
    return replace(
        person,
        offers={topic: level for topic, (level, _) in offers.items()},
        offered_as={
            topic: word for topic, (_, word) in offers.items() if _key(word) != _key(topic)
        },
        wants=wants,
        languages=by_one_code(person.languages),
    )


def _unknown(people: Sequence[Person], role: Role, side: str) -> list[str]:
    """The words of one role that the vocabulary does not know and a model may."""
    known = vocabulary().broader
    count = Counter(
        word
        for person in people
        if person.role == role
        for word in getattr(person, side)
        if word not in known and _TELLING.search(word)
    )
    return sorted(count, key=lambda word: (-count[word], word))[:MOST_UNKNOWN_WORDS]


def _placed(words: Sequence[str], nearness: Nearness) -> dict[str, tuple[str, int]]:
    """Word → the one topic that it is nearest to, and how near, where any is near enough."""
    names = {name: topic for name, topic in vocabulary().names.items() if _TELLING.search(name)}
    found = sorted(
        (-percent, names[name], word)
        for (word, name), percent in nearness(words, list(names)).items()
    )
    nearest: dict[str, tuple[str, int]] = {}
    for percent, topic, word in found:
        nearest.setdefault(word, (topic, -percent))
    return nearest


def _near(
    placed: Mapping[str, tuple[str, int]],
    offered: Sequence[str],
    wanted: Sequence[str],
    nearness: Nearness,
) -> dict[str, list[tuple[str, int]]]:
    """Offered topic → what it is taken as near to, and how near."""
    near: dict[str, list[tuple[str, int]]] = {}
    for word in offered:
        if word in placed:
            topic, percent = placed[word]
            near[word] = [(each, percent) for each in (topic, *vocabulary().broader[topic])]
    for word in wanted:
        if word in placed:
            topic, percent = placed[word]
            near.setdefault(topic, []).append((word, percent))
    for (word, other), percent in nearness(offered, wanted).items():
        near.setdefault(word, []).append((other, percent))
    return near


def _with_near(person: Person, near: Mapping[str, Sequence[tuple[str, int]]]) -> Person:
    """The person with the best of what is near to their offers, and not among them."""
    found = sorted(
        (-near_eighths(level, percent), -percent, word, topic)
        for word, level in person.offers.items()
        for topic, percent in near.get(word, ())
        if topic not in person.offers
    )
    if not found:
        return person
    best: dict[str, tuple[str, int]] = {}
    for _, percent, word, topic in found:
        best.setdefault(topic, (word, -percent))
    return replace(person, near=best)


def _words(text: str) -> list[str]:
    return [plain(word) for word in text.split(",") if word.strip()]


@lru_cache(maxsize=65_536)
def _key(word: str) -> str:
    """What is left of a word when spaces, hyphens, accents and case are taken for nothing."""
    letters = unicodedata.normalize("NFKD", word.casefold())
    bare = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return _NO_LETTERS.sub("", bare).replace("&", "and")


def _all_above(name: str, parents: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    found: list[str] = []
    waiting = list(parents[name])
    while waiting:
        topic = waiting.pop(0)
        if topic not in parents:
            raise ValueError(f"{name}: {topic}, which is broader, is no topic itself")
        if topic == name:
            raise ValueError(f"{name}: is narrower than itself")
        if topic not in found:
            found.append(topic)
            waiting.extend(parents[topic])
    return tuple(found)
