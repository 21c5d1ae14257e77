"""The small pages behind unsubscribe links, in the person's language."""

from __future__ import annotations

from dataclasses import dataclass

from services.notifications.domain.quiet_hours import zone_of
from services.notifications.mails.language import HTML, language_of


@dataclass(frozen=True)
class Choice:
    """One button; `label` names its text in the catalogue."""

    label: str
    scope: str | None = None
    undo: bool = False


def page(name: str, locale: str, choices: tuple[Choice, ...]) -> str:
    """A page of the catalogue with its buttons."""
    language = language_of(locale, zone_of("UTC"))
    return HTML.get_template("page.html").render(
        lang=language.code,
        heading=language.text("page", f"{name}_heading"),
        text=language.text("page", f"{name}_text"),
        choices=[
            {
                "label": language.text("page", f"button_{choice.label}"),
                "scope": choice.scope or choice.label,
                "undo": choice.undo,
            }
            for choice in choices
        ],
    )
