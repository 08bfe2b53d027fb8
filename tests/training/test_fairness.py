"""Fairness by group: figures agree with fairlearn, noise is said to be noise, small groups stay hidden."""

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import demographic_parity_ratio, equalized_odds_difference
from hypothesis import given, settings
from hypothesis import strategies as st

from training.fairness import NOT_GIVEN, SMALL, Decision, by_class, by_decision, by_error, groups

APPROVE = Decision("approve", 0.5, favourable=True)


def population(seed: int, count: int = 900) -> tuple[pd.Series, np.ndarray, np.ndarray]:
    """Groups a, b and c, of which c is scored lower; labels follow the probabilities."""
    rng = np.random.default_rng(seed)
    names = pd.Series(rng.choice(["a", "b", "c"], count))
    probabilities = np.clip(rng.beta(2, 2, count) - 0.2 * (names == "c").to_numpy(), 0, 1)
    return groups("status", names), (rng.random(count) < probabilities).astype(float), probabilities


@settings(max_examples=15)
@given(st.integers(0, 2**31))
def test_four_fifths_and_equalised_odds_are_those_of_fairlearn(seed: int) -> None:
    group, labels, probabilities = population(seed)
    found = by_decision("status", "bank", group, labels, probabilities, APPROVE)
    decided = (probabilities >= 0.5).astype(int)
    names = group.astype(str).to_numpy()
    assert found.four_fifths is not None
    assert found.four_fifths.ratio == pytest.approx(demographic_parity_ratio(labels, decided, sensitive_features=names))
    assert found.four_fifths.low <= found.four_fifths.ratio <= found.four_fifths.high
    expected = equalized_odds_difference(labels, decided, sensitive_features=names)
    assert found.equalized_odds_difference == pytest.approx(expected)


def test_every_figure_of_a_group_is_that_of_its_rows() -> None:
    group, labels, probabilities = population(1)
    table = by_decision("status", "bank", group, labels, probabilities, APPROVE).table
    mine = (group == "b").to_numpy()
    decided = probabilities[mine] >= 0.5
    assert table.loc["b", "rows"] == mine.sum()
    assert table.loc["b", "predicted"] == pytest.approx(probabilities[mine].mean())
    assert table.loc["b", "observed"] == pytest.approx(labels[mine].mean())
    assert table.loc["b", "favourable"] == pytest.approx(decided.mean())
    assert table.loc["b", "tpr"] == pytest.approx(decided[labels[mine] == 1].mean())
    assert table.loc["b", "fpr"] == pytest.approx(decided[labels[mine] == 0].mean())


def test_for_a_risk_the_favourable_decision_is_to_stay_below_the_threshold() -> None:
    group, labels, probabilities = population(1)
    risk = by_decision("status", "fraud", group, labels, probabilities, Decision("medium", 0.5, favourable=False)).table
    chance = by_decision("status", "bank", group, labels, probabilities, APPROVE).table
    np.testing.assert_allclose(risk["favourable"], 1 - chance["favourable"])
    np.testing.assert_allclose(risk["tpr"], chance["tpr"])


def test_an_unfair_rate_breaks_the_rule_and_few_rows_make_it_noise() -> None:
    def verdict(rows: int) -> str:
        names = groups("gender", pd.Series(np.repeat([0.0, 1.0], rows)))
        probabilities = np.tile(np.linspace(0, 1, rows), 2)
        probabilities[rows:] -= 0.15
        rule = by_decision("gender", "bank", names, (probabilities > 0.3).astype(float), probabilities, APPROVE).four_fifths
        assert rule is not None
        assert (rule.group, rule.best) == ("1 (female)", "0 (male)")
        assert rule.ratio == pytest.approx(0.7, abs=0.02)
        return rule.verdict

    assert verdict(2000) == "not met"
    assert verdict(60) == "not met, within noise"


def test_a_rate_without_rows_to_count_is_missing_and_not_zero() -> None:
    group = groups("status", pd.Series(np.repeat(["a", "b"], 60)))
    labels = np.repeat([1.0, 0.0], 60)
    table = by_decision("status", "bank", group, labels, np.full(120, 0.9), APPROVE).table
    assert np.isnan(table.loc["b", "tpr"])
    assert np.isnan(table.loc["a", "fpr"])


def test_ages_come_in_bands_in_order() -> None:
    ages = pd.Series([18.0, 29.9, 30.0, 44.9, 45.0, 59.9, 60.0, 80.0] * 50)
    for name in ("age", "age_years"):
        assert groups(name, ages).value_counts(sort=False).to_dict() == {
            "under 30": 100,
            "30-44": 100,
            "45-59": 100,
            "60 and over": 100,
        }
    assert "under 30" not in set(groups("mortgage", ages))


def test_other_numbers_come_by_quartile() -> None:
    sizes = groups("household_income", pd.Series(np.arange(1000.0))).value_counts(sort=False)
    assert sizes.to_list() == [250, 250, 250, 250]


def test_rare_values_become_one_group_and_missing_ones_another() -> None:
    names = pd.Series(["married"] * 80 + ["single"] * 70 + ["rare"] * 49 + ["rarer"] * 3 + [None] * 60)
    assert groups("family_status", names).value_counts(sort=False).to_dict() == {
        "married": 80,
        "single": 70,
        NOT_GIVEN: 60,
        SMALL: 52,
    }


def test_of_a_merged_group_that_is_still_small_nothing_is_told_but_its_rows() -> None:
    names = groups("family_status", pd.Series(["married"] * 80 + ["single"] * 80 + ["widowed"] * 5))
    probabilities = np.r_[np.full(160, 0.9), np.zeros(5)]
    found = by_decision("family_status", "bank", names, np.ones(165), probabilities, APPROVE)
    assert found.four_fifths is not None
    assert found.four_fifths.ratio == 1
    assert found.table.loc[SMALL, "rows"] == 5
    assert found.table.loc[SMALL].drop("rows").isna().all()


def test_one_group_alone_breaks_no_rule() -> None:
    group = groups("gender", pd.Series(np.zeros(100)))
    found = by_decision("gender", "bank", group, np.ones(100), np.full(100, 0.7), APPROVE)
    assert found.four_fifths is None
    assert found.equalized_odds_difference is None


def test_errors_by_group_are_weighted_like_the_metric() -> None:
    group = groups("gender", pd.Series(np.repeat([0.0, 1.0], 50)))
    labels, weights = np.full(100, 100.0), np.tile([1.0, 3.0], 50)
    predictions = labels + np.tile([10.0, -2.0], 50) * np.repeat([1, 2], 50)
    table = by_error("gender", "income", group, labels, predictions, weights, np.arange(100) < 75).table
    assert table["wmae"].to_list() == pytest.approx([4.0, 8.0])
    assert table["mean_error"].to_list() == pytest.approx([1.0, 2.0])
    assert table["coverage"].to_list() == pytest.approx([1.0, 0.5])


def test_accuracy_by_group_counts_the_likeliest_class() -> None:
    group = groups("gender", pd.Series(np.repeat([0.0, 1.0], 50)))
    table = by_class("gender", "grade", group, np.zeros(100), np.repeat([0, 1], 50)).table
    assert table["accuracy"].to_list() == [1.0, 0.0]
