"""How near words are in meaning, by the static embeddings that the package wordllama carries.

Optional (extra `near`). Only the data files of its wheel are read: its own code sets up logging
for the whole process, and asks the network for what it does not find.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from services.matching.domain.topics import Nearness

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

NEAR_PERCENT = 65
"""From here on nine in ten words meet a right topic; measured on tests/unit/matching/near_words."""

_MOST_KEPT = 20_000
_ROWS = 512


@cache
def nearness() -> Nearness | None:
    """What says how near words are; None without the extra `near`."""
    found = find_spec("wordllama")
    return Embeddings(Path(found.origin).parent) if found and found.origin else None


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
