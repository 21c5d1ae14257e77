"""Languages by one code each: `fre`, `fra` and `fr` are the same."""

from __future__ import annotations

from functools import lru_cache

from babel.core import get_global


@lru_cache(maxsize=65_536)
def by_one_code(codes: frozenset[str]) -> frozenset[str]:
    """The languages of any ISO 639 codes by the code that Unicode's CLDR prefers."""
    preferred = get_global("language_aliases")
    # What CLDR says of a country or a script besides is no other language.
    return frozenset((preferred.get(code) or code).split("_")[0] for code in codes)
