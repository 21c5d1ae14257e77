"""The small pages behind one-click links: texts by language, one template, one style sheet."""

from __future__ import annotations

import base64
import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

_HERE = Path(__file__).parent
_FALLBACK = "en"


@dataclass(frozen=True, slots=True)
class Page:
    """What one page says; `button` None: nothing is left to be asked."""

    lang: str
    title: str
    lines: tuple[str, ...]
    button: str | None = None
    agreement: str | None = None
    """The agreement version that the button consents to."""
    reasons: tuple[str, ...] = ()
    """The rule's own words, in English on the pages of every language."""


class Texts:
    """The words of all pages in one language."""

    def __init__(self, lang: str, words: Mapping[str, Any]) -> None:
        self.lang = lang
        self._words = words

    def plain(self, name: str) -> str:
        """A word that stands outside of pages."""
        return str(self._words[name])

    def of(self, page: str, part: str, names: Mapping[str, object] | None = None) -> str:
        """A part of a page with its names filled in."""
        return str(self._words[page][part]).format(**(names or {}))

    def question(
        self, action: str, names: Mapping[str, object], agreement: str | None = None
    ) -> Page:
        """The page that asks, with its one button."""
        return Page(
            self.lang,
            self.of(action, "title", names),
            (self.of(action, "lead", names),),
            self.of(action, "button", names),
            agreement,
        )

    def thanks(self, action: str, names: Mapping[str, object], *still_missing: str) -> Page:
        """The page after the click, with what the person must still do."""
        lines = (self.of(action, "thanks", names), *still_missing)
        return Page(self.lang, self.of(action, "done", names), lines)

    def refusal(self, state: str, *reasons: str) -> Page:
        """The page that says why nothing was done, with the rule's reason and remedy."""
        lines = (self.of(state, "lead"),)
        return Page(self.lang, self.of(state, "title"), lines, reasons=reasons)


def texts(locale: str) -> Texts:
    """The texts in the language of a locale, or in English where there are none."""
    lang = locale.replace("_", "-").split("-")[0].lower()
    # Only a name from our own folder becomes a path.
    return _texts(lang if lang in _languages() else _FALLBACK)


@cache
def _texts(lang: str) -> Texts:
    with (_HERE / "texts" / f"{lang}.toml").open("rb") as file:
        return Texts(lang, tomllib.load(file))


@cache
def _languages() -> frozenset[str]:
    return frozenset(file.stem for file in (_HERE / "texts").glob("*.toml"))


_STYLE = (_HERE / "page.css").read_text(encoding="utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_environment = Environment(
    loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined
)

HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
}
"""The token stands in the address: nothing keeps it, passes it on, or runs on its page."""


def render(page: Page) -> str:
    """The page as HTML."""
    # The style sheet is a file of ours; everything else is escaped.
    style = Markup(_STYLE)  # noqa: S704
    return _environment.get_template("page.html.j2").render(
        lang=page.lang,
        title=page.title,
        lines=page.lines,
        button=page.button,
        agreement=page.agreement,
        reasons=page.reasons,
        css=style,
    )
