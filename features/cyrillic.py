"""Which of the old encodings of Russian a text is in, as the frequencies of its letters show.

Bytes beyond ASCII are letters in all three. Read in the wrong one, they are letters that are rare in Russian, capitals after
small letters, and signs that no table holds.
"""

import re
from collections.abc import Iterable
from functools import cache
from typing import Literal, get_args

import numpy as np

OldEncoding = Literal["cp1251", "koi8-r", "cp866"]
"""The first is what banks' systems write; the others are taken on evidence only."""
_PLAUSIBLE = -3.6
"""Least mean logarithm of the frequency that bytes of Russian words have; letters at random have -4.7."""
_CLEARER = 0.25
"""By how much of that another encoding has to explain the words better than the first."""
_FEWEST_LETTERS = 15
"""Different letters below which words show nothing: of a few, another encoding may make better ones by chance."""
_PER_MILLE = {
    **{"о": 110, "е": 85, "а": 80, "и": 74, "н": 67, "т": 63, "с": 55, "р": 47, "в": 45, "л": 44, "к": 35, "м": 32, "д": 30},
    **{"п": 28, "у": 26, "я": 20, "ы": 19, "ь": 17, "г": 17, "з": 17, "б": 16, "ч": 14, "й": 12, "х": 10, "ж": 9, "ш": 7},
    **{"ю": 6, "ц": 5, "щ": 4, "э": 3, "ф": 3, "ъ": 0.5, "ё": 0.5},
}
"""How often letters occur in Russian, of a thousand."""
_SIGNS = "\u00a0«»„“”‘’–—…№•°±§©®€·"
_SIGN, _OTHER = 2.0, 0.05
_CAPITAL_INSIDE = -3.0
_HIGH = re.compile(rb"[\x80-\xff]+")


def high_runs(line: bytes) -> list[bytes]:
    """The runs of bytes beyond ASCII: words, mostly."""
    return _HIGH.findall(line)


def old_encoding(runs: Iterable[bytes]) -> OldEncoding:
    """The encoding in which runs of bytes beyond ASCII are clearly most like Russian words, else the usual one.

    Each run counts once: a column that says "Да" a million times is no more evidence than one that says it twice.
    """
    text = np.frombuffer(b" ".join(sorted(set(runs))), np.uint8)
    usual, *others = get_args(OldEncoding)
    if not text.size:
        return usual
    likelihood = {encoding: _likelihood(text, encoding) for encoding in (usual, *others)}
    best: OldEncoding = max(others, key=lambda encoding: likelihood[encoding])
    letters = {letter for letter in bytes(text).decode(best).lower() if letter in _PER_MILLE}
    clear = likelihood[best] > max(_PLAUSIBLE, likelihood[usual] + _CLEARER)
    return best if clear and len(letters) >= _FEWEST_LETTERS else usual


def _likelihood(text: np.ndarray, encoding: str) -> float:
    """The mean logarithm of how often a byte beyond ASCII would come in Russian; less where capitals follow small letters."""
    weights, small, capital = _letters(encoding)
    inside = small[text[:-1]] & capital[text[1:]]
    return float((weights[text].sum() + _CAPITAL_INSIDE * inside.sum()) / (text > 127).sum())


@cache
def _letters(encoding: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each byte: the logarithm of its frequency (0 for ASCII), whether it is a small letter, whether it is a capital."""
    signs = [bytes([code]).decode(encoding, "replace") for code in range(256)]
    weights = np.array([0.0 if sign.isascii() else np.log(_frequency(sign) / 1000) for sign in signs])
    high = np.arange(256) > 127
    return weights, high & np.array([sign.islower() for sign in signs]), high & np.array([sign.isupper() for sign in signs])


def _frequency(sign: str) -> float:
    return _PER_MILLE.get(sign.lower(), _SIGN if sign in _SIGNS else _OTHER)
