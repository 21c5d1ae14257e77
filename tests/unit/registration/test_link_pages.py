from __future__ import annotations

import base64
import hashlib
import re
import tomllib
from pathlib import Path

import pytest

from services.registration import links, pages
from services.registration.pages import Page

TEXTS = Path(pages.__file__).parent / "texts"
LANGUAGES = sorted(file.stem for file in TEXTS.glob("*.toml"))
NAMES = {
    "programme": "Upside down",
    "counterpart": "Ada",
    "topics": "AI",
    "starts_at": "2026-02-02, 10:00 (UTC)",
    "minutes": 60,
    "agreement": "1",
    "score": 4,
}
ACTIONS = [
    "accept", "decline", "log_session", "confirm_session", "dispute_session", "cancel_session",
    "pulse", "nps", "enrol", "decline_invitation", "complete_training",
]  # fmt: skip


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("action", ACTIONS)
def test_every_question_is_asked_and_thanked_for_in_every_language(lang: str, action: str) -> None:
    texts = pages.texts(lang)
    question = texts.question(action, NAMES)
    assert question.button
    assert "{" not in pages.render(question).split("</style>")[1]
    assert texts.thanks(action, NAMES).button is None


def test_all_languages_say_the_same_things() -> None:
    def shape(lang: str) -> dict[str, list[str]]:
        words = tomllib.loads((TEXTS / f"{lang}.toml").read_text(encoding="utf-8"))
        return {
            name: sorted(part) if isinstance(part, dict) else [] for name, part in words.items()
        }

    assert {lang: shape(lang) for lang in LANGUAGES} == dict.fromkeys(LANGUAGES, shape("en"))


@pytest.mark.parametrize("locale", ["en", "fr_FR", "de-CH", "../../etc/passwd", "", "zz", "x" * 99])
def test_a_locale_without_texts_of_its_own_reads_english(locale: str) -> None:
    expected = locale[:2] if locale[:2] in LANGUAGES else "en"
    assert pages.texts(locale).lang == expected


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("state", ["overtaken", "refused"])
def test_a_refusal_gives_the_reason_of_the_rule_in_every_language(lang: str, state: str) -> None:
    html = pages.render(pages.texts(lang).refusal(state, "Too <late>.", "Ask again."))
    assert '<p lang="en">Too &lt;late&gt;.</p>' in html
    assert '<p lang="en">Ask again.</p>' in html


def test_whatever_a_name_holds_is_shown_as_text() -> None:
    evil = "<script>alert(1)</script>{programme}"
    html = pages.render(pages.texts("en").question("accept", NAMES | {"counterpart": evil}))
    assert "<script>" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;{programme}" in html


def test_the_style_sheet_is_the_one_that_the_policy_allows() -> None:
    html = pages.render(Page("en", "Title", ("Line",), "Go"))
    style = re.search(r"<style>(.*)</style>", html, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in pages.HEADERS["Content-Security-Policy"]


def test_a_page_has_one_button_and_names_its_language() -> None:
    html = pages.render(Page("fr", "Titre", ("Ligne",), "Oui", agreement="2"))
    assert html.count("<button") == 1
    assert '<html lang="fr">' in html
    assert 'name="agreement" value="2"' in html


@pytest.mark.parametrize(
    "action", ["pulse_0", "pulse_6", "pulse_", "pulse", "nps_11", "nps_-1", "unsubscribe", "x", ""]
)
def test_an_action_outside_the_list_is_nobodys(action: str) -> None:
    assert links._name_and_score(action) is None


def test_the_scores_of_mails_are_actions() -> None:
    assert links._name_and_score("pulse_5") == ("pulse", 5)
    assert links._name_and_score("nps_0") == ("nps", 0)
    assert links._name_and_score("nps_10") == ("nps", 10)
