"""Why an income was predicted: what each feature added, exactly, and a sentence that a loan officer can read out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter

import numpy as np
from pydantic import BaseModel, Field

from bentos.income.prediction import Scored
from features.categories import CATEGORIES
from features.columns import FeatureColumn
from features.columns.models import MODEL_COLUMNS
from registry.outputs import inverse_link

MOST = 10
_SPOKEN = 3
"""So many features are listed, and of each direction so many are read out."""

_COLUMNS: Mapping[str, FeatureColumn] = {column.name: column for column in MODEL_COLUMNS["income"]}
_HEALTH = frozenset(f"spend_{CATEGORIES[name]}_90d" for name in ("Медицина", "Спа и массаж"))
"""Push texts do not name these either: what clients spend on their health is not for a loan officer to read out."""
_SPACES = {"log": "ln(tenge a month)", "identity": "tenge a month"}
_UNIT = re.compile(r", (?:₸|KZT|дней|days)$")


class Contribution(BaseModel):
    """What one feature added to the prediction."""

    feature: str = Field(description="Name of the feature.")
    title: str = Field(description="For people, Russian.")
    title_en: str = Field(description="For people, English.")
    value: float | str | None = Field(description="The client's value, as the model saw it; null = missing.")
    shap_value: float = Field(description="Exact Shapley value in model space; above 0 raises the prediction.")
    effect_tenge: float = Field(description="How much lower the prediction, tenge a month, would be without this contribution.")


class ModelSpace(BaseModel):
    """The sum that the explanation is: baseline + the shap_value of each listed feature + others = prediction, to 1e-6."""

    unit: str = Field(description="In which space contributions add up, e.g. ln(tenge a month).")
    baseline: float = Field(description="The model's mean prediction.")
    others: float = Field(description="All features that are not listed: those that weigh less, and those never named.")
    prediction: float = Field(description="The prediction before it is turned into tenge.")


class Explanation(BaseModel):
    """Where a predicted income comes from."""

    baseline_income: float = Field(description="What the model says of nobody in particular, tenge a month.")
    prediction: float = Field(description="Predicted income, tenge a month.")
    top_features: list[Contribution] = Field(
        description=f"The {MOST} features that weighed most, weightiest first. What describes who a person is (age) and what is "
        "spent on health are not named."
    )
    model_space: ModelSpace
    text: str = Field(description="For reading out, Russian.")
    text_en: str = Field(description="For reading out, English.")


@dataclass(frozen=True)
class _Phrases:
    """How an explanation is said in one language; `title` takes the name of a contribution in it.

    What raises and lowers is said in two ways: of one feature, and of several.
    """

    income: str
    raising: tuple[str, str]
    lowering: tuple[str, str]
    currency: str
    title: Callable[[Contribution], str]


_RUSSIAN = _Phrases(
    "Ожидаемый доход — около {}\u00a0₸ в месяц при типичном уровне {}\u00a0₸.",
    (" Повышает оценку: {}.", " Повышают оценку: {}."),
    (" Понижает: {}.", " Понижают: {}."),
    "₸",
    attrgetter("title"),
)
_ENGLISH = _Phrases(
    "Expected income is about {}\u00a0KZT a month, against a typical {}\u00a0KZT.",
    (" Raising it: {}.", " Raising it: {}."),
    (" Lowering it: {}.", " Lowering it: {}."),
    "KZT",
    attrgetter("title_en"),
)


def explain(scored: Scored) -> Explanation:
    """The explanation of one prediction, from the booster's own exact contributions."""
    scorer = scored.model.scorer
    output = next(output for output in scorer.outputs_ if output.name == "income")
    contributions = scorer.contributions(scored.frame, "income")[0]
    baseline, margin = float(contributions[-1]), float(contributions.sum())
    names = scorer.columns
    listed = [index for index in np.argsort(-np.abs(contributions[:-1]), kind="stable") if _nameable(names[index])][:MOST]
    top = [
        _contribution(names[index], scored, contributions[index], margin, output.link) for index in listed if contributions[index]
    ]
    income = _tenge(output.link, margin)
    usual = _tenge(output.link, baseline)
    return Explanation(
        baseline_income=round(usual, 2),
        prediction=scored.prediction.income_pred,
        top_features=top,
        model_space=ModelSpace(
            unit=_SPACES[output.link],
            baseline=baseline,
            others=margin - baseline - sum(one.shap_value for one in top),
            prediction=margin,
        ),
        text=_said(_RUSSIAN, income, usual, top),
        text_en=_said(_ENGLISH, income, usual, top),
    )


def _nameable(name: str) -> bool:
    return name in _COLUMNS and not _COLUMNS[name].protected and name not in _HEALTH


def _contribution(name: str, scored: Scored, shap_value: float, margin: float, link: str) -> Contribution:
    column = _COLUMNS[name]
    value = scored.row[name]
    return Contribution(
        feature=name,
        title=column.title_ru,
        title_en=column.title_en,
        value=value if value is None or isinstance(value, str) else float(value),
        shap_value=float(shap_value),
        effect_tenge=round(_tenge(link, margin) - _tenge(link, margin - float(shap_value)), 2),
    )


def _tenge(link: str, margin: float) -> float:
    return float(inverse_link(link, np.asarray([margin]))[0])


def _said(phrases: _Phrases, income: float, usual: float, top: list[Contribution]) -> str:
    said = phrases.income.format(_spoken(income), _spoken(usual))
    for (of_one, of_several), some in zip((phrases.raising, phrases.lowering), _by_direction(top), strict=True):
        phrase = of_one if len(some) == 1 else of_several
        said += phrase.format("; ".join(_named(one, phrases) for one in some)) if some else ""
    return said


def _by_direction(top: list[Contribution]) -> tuple[list[Contribution], list[Contribution]]:
    raising = [one for one in top if one.shap_value > 0 and abs(one.effect_tenge) >= 1]
    lowering = [one for one in top if one.shap_value < 0 and abs(one.effect_tenge) >= 1]
    return raising[:_SPOKEN], lowering[:_SPOKEN]


def _named(one: Contribution, phrases: _Phrases) -> str:
    sign = "+" if one.effect_tenge > 0 else "−"
    return f"{_title(phrases.title(one))} ({sign}{_spoken(abs(one.effect_tenge))}\u00a0{phrases.currency})"


def _title(title: str) -> str:
    """A title within a sentence: without its unit, and small unless it begins with an abbreviation."""
    bare = _UNIT.sub("", title)
    return bare if bare[1:2].isupper() else bare[:1].lower() + bare[1:]


def _spoken(amount: float) -> str:
    """An amount as it is read out: two or three leading digits, thousands apart by a no-break space."""
    step = 1000 if amount >= 100_000 else 100 if amount >= 1000 else 1
    return f"{round(amount / step) * step:,}".replace(",", "\u00a0")
