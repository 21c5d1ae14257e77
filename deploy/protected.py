"""Names that tell of protected attributes and pay, which Updraft never reads."""

from __future__ import annotations

import re
import unicodedata

# English, German, French and Spanish words as they stand in column names, without accents.
_PROTECTED_WORDS = re.compile(
    "age|alter|edad|birth|birthday|birthplace|born|dob|"
    "sex|sexe|sexo|sexual|genre|genero|anrede|orientation|female|male|woman|weiblich|mannlich|"
    "maennlich|femme|mujer|pronoun|pronouns|pronomen|pronom|pronoms|pronombre|"
    "pronombres|lgbt|lgbtq|transgender|veteran|"
    "race|rasse|raza|ethnic|ethnie|etnia|caste|faith|religious|konfession|croyance|"
    "citizenship|marital|disabled|behinderung|handicap|discapacidad|"
    "pregnant|schwanger|schwangerschaft|grossesse|enceinte|embarazo|maternity|paternity|parental|"
    "mutterschutz|mutterschaft|elternzeit|maternite|paternite|maternidad|paternidad|"
    "health|gesundheit|krankheit|sante|salud|union|gewerkschaft|syndicat|sindicato|"
    "salaries|sueldo|lohn|vergutung|verguetung|remuneration|remuneracion|nomina|traitement|"
    "wage|wages|einkommen|revenu|ingresos|pay|payroll|compensation|bonus|boni|pramie|praemie"
)
# Long enough to be found inside a compound, or in a name that is written without a break.
_PROTECTED_PARTS = re.compile(
    "gender|geschlecht|birthda|dateofbirth|geburt|naissance|nacimiento|over18|"
    "maritalstatus|familienstand|etatcivil|estadocivil|situationfamiliale|"
    "nationalit|nacionalidad|staatsangeh|ethnicit|religion|disabilit|schwerbehind|pregnanc|"
    "salary|salaire|salario|gehalt|stundenlohn|monatslohn|income|stockoption|"
    "(daily|hourly|monthly)rate"
)
_HARMLESS = re.compile("healthcare|payterms")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def is_protected(name: str) -> bool:
    """Whether the name of a field or column tells of a protected attribute or of pay."""
    words = _words(name)
    whole = "".join(words)
    if _PROTECTED_PARTS.search(whole):
        return True
    return not _HARMLESS.search(whole) and any(map(_PROTECTED_WORDS.fullmatch, words))


def _words(name: str) -> list[str]:
    """The words of a name, lower case and without accents: "GehaltBrutto_2" → gehalt …"""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return [word.lower() for word in _WORD.findall(plain)]
