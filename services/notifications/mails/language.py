"""A person's language: texts from the catalogue, dates and lists the way they write them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time, get_timezone_name
from babel.lists import format_list
from babel.numbers import format_decimal, format_percent
from jinja2 import Environment, PackageLoader, StrictUndefined, Template

LANGUAGES = ("en", "de", "fr")
_TEXTS = Path(__file__).parent / "texts"

# Catalogue texts are trusted; what they are filled with is not, so in HTML it is escaped.
HTML = Environment(
    loader=PackageLoader("services.notifications", "mails"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
PLAIN = Environment(
    loader=PackageLoader("services.notifications", "mails"),
    autoescape=False,  # noqa: S701 - plain text knows no markup
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True)
class Section:
    """The words of one kind of mail."""

    subject: str
    heading: str
    paragraphs: tuple[str, ...]


@cache
def catalogue(language: str) -> dict[str, Any]:
    """All texts of a language, by section and name."""
    return tomllib.loads((_TEXTS / f"{language}.toml").read_text(encoding="utf-8"))


@lru_cache(maxsize=256)
def locale_of(name: str) -> Locale:
    """The locale for dates and texts; a language that we do not speak becomes English.

    The region is kept, so that someone in Tokyo or London reads dates as usual there.
    """
    try:
        wanted = Locale.parse(name.replace("-", "_"))
    except (UnknownLocaleError, ValueError, TypeError):
        return Locale("en")
    if wanted.language in LANGUAGES:
        return wanted
    try:
        return Locale("en", wanted.territory)
    except UnknownLocaleError:
        return Locale("en")


@cache
def _template(source: str, *, html: bool) -> Template:
    return (HTML if html else PLAIN).from_string(source)


@dataclass(frozen=True)
class Language:
    """Writes in one locale and time zone."""

    locale: Locale
    zone: ZoneInfo

    @property
    def code(self) -> str:
        """The language of the texts."""
        return str(self.locale.language)

    def section(self, kind: str, recipient: str) -> Section:
        """The words for a kind of mail to this recipient."""
        texts = catalogue(self.code)
        found = texts.get(f"{kind}_{recipient}") or texts[kind]
        return Section(found["subject"], found["heading"], tuple(found["paragraphs"]))

    def has(self, section: str, name: str) -> bool:
        """Whether the catalogue has a text."""
        return name in catalogue(self.code)[section]

    def text(self, section: str, name: str, /, **values: object) -> str:
        """A short text of the catalogue as plain text."""
        return self.fill(catalogue(self.code)[section][name], values)

    def fill(self, source: str, values: dict[str, Any], *, html: bool = False) -> str:
        """A catalogue text with its values; in HTML the values are escaped."""
        return _template(source, html=html).render(values)

    def day(self, moment: datetime) -> str:
        """A date in words, e.g. `Thursday, 5 March 2026`."""
        return str(format_date(moment.astimezone(self.zone), "full", locale=self.locale))

    def moment(self, moment: datetime) -> str:
        """Date, time and zone, e.g. `Thursday, 5 March 2026, 14:00 (CET)`."""
        local = moment.astimezone(self.zone)
        time = format_time(local, "short", locale=self.locale)
        zone = get_timezone_name(local, "short", locale=self.locale)
        return f"{self.day(moment)}, {time} ({zone})"

    def enumerate(self, items: tuple[str, ...]) -> str:
        """Items joined the way the language does, e.g. `a, b and c`."""
        return str(format_list(list(items), locale=self.locale))

    def figure(self, value: float, unit: str) -> str:
        """A KPI's value with the unit that readers expect."""
        if unit == "ratio":
            return str(format_percent(value, format="#,##0 %", locale=self.locale))
        return str(format_decimal(round(value, 1), locale=self.locale))


@lru_cache(maxsize=2048)
def language_of(locale: str, zone: ZoneInfo) -> Language:
    """The language of a person with this locale and time zone."""
    return Language(locale_of(locale), zone)
