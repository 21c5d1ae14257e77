"""How near words are in meaning, by the static embeddings that the package wordllama carries.

Asked by a run's worker alone: the service goes by what that found of each pair.

Optional (extra `near`). Only the data files of its wheel are read: its own code sets up logging
for the whole process, and asks the network for what it does not find.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

from services.matching.domain.instance import Instance
from services.matching.domain.people import Person
from services.matching.domain.result import Match
from services.matching.domain.topics import Nearness

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

NEAR_PERCENT = 65
"""From here on nine in ten words meet a right topic; measured on tests/unit/matching/near_words."""

Near: TypeAlias = Mapping[str, tuple[str, int]]
"""Topic → the offered one that is taken as near to it, and how near in percent."""

_MOST_KEPT = 20_000
_ROWS = 512


@cache
def nearness() -> Nearness | None:
    """What says how near words are; None without the extra `near`."""
    found = find_spec("wordllama")
    return Embeddings(Path(found.origin).parent) if found and found.origin else None


def found_near(given: Instance, matches: Iterable[Match]) -> dict[UUID, dict[UUID, Near]]:
    """Mentor → mentee → which topics the mentee wants that the mentor's are taken as near to."""
    offering = {person.participant_id: person.near for person in given.mentors if person.near}
    wanting = {person.participant_id: person.wants for person in given.mentees}
    found: dict[UUID, dict[UUID, Near]] = {}
    for match in matches:
        near = offering.get(match.mentor_id, {})
        wanted = {topic: near[topic] for topic in wanting[match.mentee_id] if topic in near}
        if wanted:
            found.setdefault(match.mentor_id, {})[match.mentee_id] = wanted
    return found


def as_found(mentor: Person, near: Near | None) -> Person:
    """The mentor with what a run took as near to their topics, as far as they still offer them."""
    if not near:
        return mentor
    still = {topic: found for topic, found in near.items() if found[0] in mentor.offers}
    return replace(mentor, near=still)


class Embeddings:
    """Vectors of words; the model is let go after each use, the vectors of its words are kept."""

    def __init__(self, package: Path) -> None:
        self._tokens = package / "tokenizers" / "l2_supercat_tokenizer_config.json"
        self._weights = package / "weights" / "l2_supercat_256.safetensors"
        self._known: dict[str, Vectors] = {}

    def __call__(
        self, words: Sequence[str], others: Sequence[str]
    ) -> Mapping[tuple[str, str], int]:
        """How near a word is to another in percent, where it is at least NEAR_PERCENT."""
        import numpy as np

        if not words or not others:
            return {}
        known = self._vectors({*words, *others})
        left = np.stack([known[word] for word in words])
        right = np.stack([known[other] for other in others])
        near = {}
        for start in range(0, len(words), _ROWS):
            percents = np.floor(100 * left[start : start + _ROWS] @ right.T)
            for row, column in np.argwhere(percents >= NEAR_PERCENT).tolist():
                percent = min(100, int(percents[row, column]))
                near[words[start + row], others[column]] = percent
        return near

    def _vectors(self, words: Collection[str]) -> Mapping[str, Vectors]:
        """Vectors of these words, and of others."""
        known = self._known
        if missing := [word for word in words if word not in known]:
            known = known | dict(zip(missing, self._embedded(missing), strict=True))
            # Replaced in one step, since two threads may be here.
            self._known = known if len(known) <= _MOST_KEPT else {}
        return known

    def _embedded(self, words: Sequence[str]) -> Vectors:
        """Unit vectors: the mean over each word's tokens."""
        import numpy as np
        from safetensors import safe_open
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self._tokens))
        tokens = [tokenizer.encode(word, add_special_tokens=False).ids for word in words]
        with safe_open(self._weights, framework="np") as file:
            weights = file.get_tensor("embedding.weight")
        vectors = np.zeros((len(words), weights.shape[1]), np.float32)
        for row, ids in enumerate(tokens):
            if ids:
                vectors[row] = weights[ids].mean(0, dtype=np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        np.divide(vectors, lengths, out=vectors, where=lengths > 0)
        return vectors
