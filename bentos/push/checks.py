"""The rules that every push text keeps; a text that breaks one is never stored, sent or exported."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from bentos.push.grammar import LETTERS, MONTHS

SHORTEST, LONGEST = 90, 220
CALLS = frozenset(
    (
        "откройте",
        "оформите",
        "подключите",
        "узнайте",
        "посмотрите",
        "рассчитайте",
        "проверьте",
        "выберите",
        "сравните",
        "закажите",
    )
)
"""Calls to action; a text has exactly one of them."""

_AMOUNT = re.compile(r"(?<![\d.,−-])(?<!\d )[1-9]\d{0,2}(?: \d{3})* ₸(?!\w)")
_SHARE = re.compile(r"(?<![\d.,−-])(?<!\d )(?:0|[1-9]\d?)(?:,\d)? %(?!\w)")
_BENEFIT = re.compile(rf"\bоколо ({_AMOUNT.pattern}) за (?:первый )?год(?!\w)")
_PROPER_NUMBERS = re.compile(r"топ-3")
_FOREIGN_MONEY = re.compile(r"[\d₸%$€₽]|\b(?:тенге|тг|kzt|руб|рубл\w*)\b", re.IGNORECASE)
_WORD = re.compile(f"[{LETTERS}]+")
_ALLOWED = re.compile(rf"[{LETTERS}0-9 ,.!?:;—«»()%₸'’-]+")
_SENTENCE = re.compile(r"(?:^|(?<=[.!?] ))[«(]?(.)")
_UNTIDY = re.compile(
    r"  | [,.!?:;»)]|,(?![\s\d])|[:;!?](?![\s»)]|$)|\.(?!\s|$)|[«(] |[—-] ?[.,!?]|[,:;] ?[,.:;!?]|[—-]{2}|^\s|\s$"
)
_POLITE = re.compile(r"\b(?:вы|вас|вам|вами|ваш(?:а|е|и|у|его|ему|ей|ем|им|их|ими)?)\b", re.IGNORECASE)
_PROUD = re.compile(r"(?<![.!?] )(?<!^)\b(?:Вы|Вас|Вам|Вами|Ваш\w*)\b")
_FAMILIAR = re.compile(
    r"\b(?:ты|тебя|тебе|тобою?|тво(?:й|я|ё|е|и|его|ему|ей|ём|ем|им|их|ими|ю)|[а-яё]+[еёи]шь(?:ся)?)\b", re.IGNORECASE
)
_PRESSURE = re.compile(
    r"\b(?:срочн|немедлен|поторопи|торопи|спеши|поспеши|успе[йв]|упусти|упускай|последн(?:ий|яя|ее) (?:шанс|день|возможность)"
    r"|только (?:сегодня|сейчас)|прямо сейчас|сейчас же|скорее|быстрее|обязательн|должны|обязаны|гаранти|иначе|пожале|потеря|теря"
    r"|ограниченн|осталось|истека|жми|акци[яи])\w*",
    re.IGNORECASE,
)
_CASES = {
    "в": 4, "о": 4, "об": 4, "при": 4, "на": 0, "за": 0, "под": 0, "с": 1, "до": 1, "после": 1, "от": 1, "к": 2, "по": 0,
}  # fmt: skip
_GOVERNED = {word: frozenset(forms[case] for forms in MONTHS) for word, case in _CASES.items()}
_FORMS = frozenset(form for forms in MONTHS for form in forms)
_NAMES_LIKE_MONTHS = frozenset(("март", "марта", "май", "мая", "август", "августа"))
"""Months that people are called: in the greeting they are names."""


@dataclass(frozen=True)
class PushText:
    """A text and what it is made from.

    Attributes:
        text: the whole text.
        name: the client's name as it has to be used, None when it cannot be.
        fact: the observed fact, as written in the text.
        benefit: the benefit in money, as written in the text.
    """

    text: str
    name: str | None
    fact: str
    benefit: str


def _times(words: str, text: str) -> int:
    """How often `words` stand in `text` as whole words."""
    parts = text.split(words)
    return sum(not (before[-1:].isalnum() or after[:1].isalnum()) for before, after in pairwise(parts))


def _long_enough(push: PushText) -> bool:
    return SHORTEST <= len(push.text) <= LONGEST


def _calm(push: PushText) -> bool:
    return push.text.count("!") <= 1 and "?!" not in push.text


def _no_caps(push: PushText) -> bool:
    return not any(len(word) > 1 and word.isupper() for word in _WORD.findall(push.text))


def _no_pressure(push: PushText) -> bool:
    return _PRESSURE.search(push.text) is None


def _formal(push: PushText) -> bool:
    return bool(_POLITE.search(push.text)) and not _PROUD.search(push.text) and not _FAMILIAR.search(push.text)


def _one_call(push: PushText) -> bool:
    words = [word.lower() for word in _WORD.findall(push.text)]
    other = [word for word in words if re.search("[йь]те(?:сь)?$", word) and word not in CALLS]
    return sum(word in CALLS for word in words) == 1 and not other


def _by_name(push: PushText) -> bool:
    return push.name is None or (push.text.startswith(f"{push.name}, ") and _times(push.name, push.text) == 1)


def _one_fact(push: PushText) -> bool:
    amounts = sorted(_AMOUNT.findall(push.text))
    if _AMOUNT.fullmatch(push.fact):
        return amounts == sorted((push.fact, push.benefit))
    return _times(push.fact, push.text) == 1 and amounts == [push.benefit]


def _benefit_in_money(push: PushText) -> bool:
    return _BENEFIT.findall(push.text) == [push.benefit]


def _numbers_as_written(push: PushText) -> bool:
    rest = push.text
    for proper in (_AMOUNT, _SHARE, _PROPER_NUMBERS):
        rest = proper.sub(" ", rest)
    return _FOREIGN_MONEY.search(rest) is None


def _months_in_case(push: PushText) -> bool:
    called = {word.lower() for word in _WORD.findall(push.name or "")}
    words = _WORD.findall(push.text.removeprefix(push.name or ""))
    return not called & _FORMS - _NAMES_LIKE_MONTHS and all(
        word in _GOVERNED.get(before.lower(), ())
        for before, word in zip(["", *words], words, strict=False)
        if word.lower() in _FORMS
    )


def _tidy(push: PushText) -> bool:
    starts = all(start.isupper() for start in _SENTENCE.findall(push.text))
    return bool(_ALLOWED.fullmatch(push.text)) and starts and push.text.endswith((".", "!")) and _UNTIDY.search(push.text) is None


RULES: dict[str, Callable[[PushText], bool]] = {
    "has 90 to 220 characters": _long_enough,
    "has at most one exclamation mark": _calm,
    "has no word in capitals": _no_caps,
    "does not press": _no_pressure,
    "speaks formally, with a lower-case вы": _formal,
    "has one call to action": _one_call,
    "begins with the client's name": _by_name,
    "says one observed fact": _one_fact,
    "says the benefit once, as about so much a year": _benefit_in_money,
    "writes amounts as 27 400 ₸ and shares as 16,5 %": _numbers_as_written,
    "has months in lower case and in the right case": _months_in_case,
    "is tidy Russian text that ends like a sentence": _tidy,
}
"""What a text has to be, and the check of it."""


def broken_rules(push: PushText) -> list[str]:
    """The rules that the text breaks; empty = it may be sent."""
    return [rule for rule, kept in RULES.items() if not kept(push)]
