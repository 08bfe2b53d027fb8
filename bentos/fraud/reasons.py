"""Why a payment was judged as it was: exact contributions of the model, weightiest first, and a sentence made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bentos.fraud.requests import FraudReason, Wording
from bentos.serving.rows import frame_of
from features.columns import FeatureColumn
from features.columns.models import MODEL_COLUMNS
from monitoring.journal import JournalRow
from registry.reasons import MOST, Direction, ReasonCode, reason_codes

if TYPE_CHECKING:
    from registry.scorer import Scorer

KNOWN: Mapping[str, FeatureColumn] = {column.name: column for column in MODEL_COLUMNS["fraud"]}

_LEAST_SHOWN = 0.0001
_LEVELS: Mapping[str, tuple[str, str]] = {
    "low": ("низкий", "low"),
    "medium": ("средний", "medium"),
    "high": ("высокий", "high"),
}


def fraud_reasons(columns: Sequence[str], values: Sequence[float | None], contributions: np.ndarray) -> list[FraudReason]:
    """At most four factors of one payment, up and down together, by the size of what they add to the log-odds of fraud.

    Args:
        columns: the model's features, in order.
        values: the payment's row, in that order; None or NaN = missing.
        contributions: of that row, shape (columns + 1,), the last one the baseline.
    """
    seen = dict(zip(columns, values, strict=True))
    directions: tuple[Direction, ...] = ("up", "down")
    found = [reason for direction in directions for reason in reason_codes(columns, contributions, direction, KNOWN)]
    weightiest = sorted(found, key=lambda reason: -abs(reason.contribution))[:MOST]
    return [_reason(code, None if seen.get(f"{code.code}_was_missing") else seen[code.code]) for code in weightiest]


def _reason(code: ReasonCode, value: float | None) -> FraudReason:
    return FraudReason(
        feature=code.code,
        title=Wording(ru=code.title_ru, en=code.title_en),
        value=None if value is None or isnan(value) else value,
        contribution=code.contribution,
        direction="raises" if code.contribution > 0 else "lowers",
    )


def sentence(level: str, probability: float, reasons: Sequence[FraudReason]) -> Wording:
    """The judgement and its reasons in words."""
    ru, en = _LEVELS[level]
    shown = f"{max(probability, _LEAST_SHOWN):.2%}"
    below_ru, below_en = ("менее ", "below ") if probability < _LEAST_SHOWN else ("", "")
    russian = [f"Риск {ru} ({below_ru}{shown.replace('.', ',').replace('%', ' %')})."]
    english = [f"The risk is {en} ({below_en}{shown})."]
    openings: tuple[tuple[Literal["raises", "lowers"], str, str], ...] = (
        ("raises", "Повышает риск", "Raising it"),
        ("lowers", "Снижает риск", "Lowering it"),
    )
    for direction, opening_ru, opening_en in openings:
        titles = [reason.title for reason in reasons if reason.direction == direction]
        if titles:
            russian.append(f"{opening_ru}: {'; '.join(_begun_small(title.ru) for title in titles)}.")
            english.append(f"{opening_en}: {'; '.join(_begun_small(title.en) for title in titles)}.")
    return Wording(ru=" ".join(russian), en=" ".join(english))


def _begun_small(title: str) -> str:
    """A title inside a sentence; one that begins with an abbreviation stays as it is."""
    return title if title[:2].isupper() else title[:1].lower() + title[1:]


def explanation(scorer: Scorer, row: JournalRow) -> dict[str, Any]:
    """The part of a `TransactionExplanationResponse` that goes beyond the answer, for a row as it is in the journal."""
    assert row.score is not None
    assert row.decision is not None
    contributions = scorer.contributions(frame_of(row.features), "fraud")[0]
    reasons = fraud_reasons(scorer.columns, [row.features[name] for name in scorer.columns], contributions)
    said = sentence(row.decision["fraud"], row.score["fraud"], reasons)
    return {"reasons": [reason.model_dump() for reason in reasons], "sentence": said.model_dump()}
