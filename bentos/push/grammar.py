"""How amounts, shares, months, lists and names are written in Russian."""

import re
import unicodedata
from collections.abc import Sequence
from datetime import date
from math import floor, log10

LETTERS = "A-Za-zÀ-ÖØ-öø-ſ\u0400-\u0481\u048a-\u04ff"
"""Latin and Cyrillic letters (Kazakh ones among them), as a part of a regular expression."""

MONTHS = (
    ("январь", "января", "январю", "январём", "январе"),
    ("февраль", "февраля", "февралю", "февралём", "феврале"),
    ("март", "марта", "марту", "мартом", "марте"),
    ("апрель", "апреля", "апрелю", "апрелем", "апреле"),
    ("май", "мая", "маю", "маем", "мае"),
    ("июнь", "июня", "июню", "июнем", "июне"),
    ("июль", "июля", "июлю", "июлем", "июле"),
    ("август", "августа", "августу", "августом", "августе"),
    ("сентябрь", "сентября", "сентябрю", "сентябрём", "сентябре"),
    ("октябрь", "октября", "октябрю", "октябрём", "октябре"),
    ("ноябрь", "ноября", "ноябрю", "ноябрём", "ноябре"),
    ("декабрь", "декабря", "декабрю", "декабрём", "декабре"),
)
"""Nominative (= accusative), genitive, dative, instrumental and prepositional case of each month."""

_NAME = re.compile(f"[{LETTERS}]+(?:[-'’ ][{LETTERS}]+)*")
_SHORTEST_NAME, _LONGEST_NAME = 2, 25


def amount_text(tenge: float) -> str:
    """`27 400 ₸`: whole tenge in groups of three."""
    return f"{tenge:,.0f} ₸".replace(",", " ")


def rounded(tenge: float) -> float:
    """An amount as one says it: 27 431 → 27 400, 1 234 567 → 1 230 000, 8 813 → 8 800, 943 → 940."""
    if tenge < 1:
        return 0.0
    digits = floor(log10(tenge)) + 1
    step = 10.0 ** max(1, digits - 3, 2 if digits == 4 else 0)
    return round(tenge / step) * step


def share_text(share: float) -> str:
    """`16,5 %`: a share as per cent with at most one decimal, after a comma."""
    return f"{share * 100:.1f}".removesuffix(".0").replace(".", ",") + " %"


def in_month(month: date) -> str:
    """`в декабре`"""
    return f"в {MONTHS[month.month - 1][4]}"


def for_month(month: date) -> str:
    """`за декабрь`"""
    return f"за {MONTHS[month.month - 1][0]}"


def listed(names: Sequence[str]) -> str:
    """`такси, кино и книги`"""
    *first, last = names
    return f"{', '.join(first)} и {last}" if first else last


def capitalised(text: str) -> str:
    """The text with a capital first letter; the rest stays."""
    return text[:1].upper() + text[1:]


def given_name(name: str | None) -> str | None:
    """A name as it may stand at the beginning of a sentence, None when what is stored cannot be one.

    Latin or Cyrillic letters, parts joined by a hyphen, an apostrophe or a blank, 2 to 25 characters; each part with a capital.
    """
    tidy = " ".join(unicodedata.normalize("NFC", name or "").split())
    if not _SHORTEST_NAME <= len(tidy) <= _LONGEST_NAME or not _NAME.fullmatch(tidy):
        return None
    return re.sub(f"[{LETTERS}]+", lambda part: capitalised(part[0].lower()), tidy)
