"""Promises of the distances: they are Evidently's, chance is measured exactly, and quiet windows stay quiet."""

import os
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, wasserstein_distance

from monitoring.chance import _Ordered, _subsets, chance_threshold, distance_level, missing_threshold, quality_level
from monitoring.columns import JENSEN_SHANNON, PSI, WASSERSTEIN, pair_columns
from monitoring.distances import _without_each, distance, sampling_error
from monitoring.drift import DriftLimits, Model, drift_report

QUIET_REPORTS = int(os.environ.get("OPORA_QUIET_REPORTS", "60"))


def sides(reference: int, current: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two samples of one population with a column of every awkward kind."""
    rng = np.random.default_rng(seed)

    def frame(count: int) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "tail": rng.pareto(1.5, count),
                "amount": rng.lognormal(8, 1, count),
                "rare": np.where(rng.random(count) < 0.02, rng.lognormal(5, 1, count), 0.0),
                "gaps": np.where(rng.random(count) < 0.5, np.nan, rng.normal(size=count)),
                "flag": rng.random(count) < 0.1,
                "count": rng.poisson(2, count),
                "city": rng.choice([f"city {index}" for index in range(40)], count, p=np.arange(40, 0, -1) / 820),
            }
        )

    return frame(reference), frame(current)


@pytest.mark.parametrize(
    ("column", "method", "evidently"), [("tail", WASSERSTEIN, "num"), ("flag", JENSEN_SHANNON, "cat"), ("level", PSI, "cat")]
)
def test_distances_are_evidentlys(column: str, method: str, evidently: str) -> None:
    from evidently.legacy.calculations.stattests.jensenshannon import _jensenshannon
    from evidently.legacy.calculations.stattests.psi import _psi
    from evidently.legacy.calculations.stattests.wasserstein_distance_norm import _wasserstein_distance_norm
    from evidently.legacy.core import ColumnType

    frames = [frame.assign(level=(frame["amount"] > 3000).map({True: "high", False: "low"})) for frame in sides(2000, 3000, 1)]
    (pair,) = pair_columns(*frames, [column])
    assert pair.method == method
    theirs = {WASSERSTEIN: _wasserstein_distance_norm, JENSEN_SHANNON: _jensenshannon, PSI: _psi}[method]
    expected = theirs(frames[0][column], frames[1][column], ColumnType(evidently), 0.1)[0]
    assert distance(pair) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("reference", [True, False])
@pytest.mark.parametrize("size", [1, 40, 299])
def test_distances_of_splits_are_those_of_their_sides(size: int, reference: bool) -> None:
    values = np.sort(np.random.default_rng(1).pareto(1.5, 300))
    values[10:20] = values[10]
    chosen = _subsets(len(values), size, 20, (2, 0))
    inside = np.zeros((20, 300), dtype=bool)
    np.put_along_axis(inside, chosen, True, axis=1)
    expected = [
        wasserstein_distance(values[side], values[~side]) / max(values[side == reference].std(), 0.001) for side in inside
    ]
    np.testing.assert_allclose(_Ordered(values).distances(chosen, reference), expected, rtol=1e-9)


def test_the_sampling_error_is_the_spread_of_samples() -> None:
    reference, population = sides(2000, 40_000, 3)
    frames = [population.sample(2000, random_state=seed) for seed in range(60)]
    pairs = [pair_columns(reference, frame.assign(amount=frame["amount"] * 1.3), ["amount"])[0] for frame in frames]
    spread = np.std([distance(pair) for pair in pairs], ddof=1)
    said = np.mean([sampling_error(pair, len(population), 0) for pair in pairs[:20]])
    assert said == pytest.approx(spread, rel=0.35)


def test_a_threshold_never_falls_below_the_floor_nor_below_chance() -> None:
    reference, current = (side.drop(columns="city") for side in sides(300, 100, 5))
    splits = _split_distances(reference, current, list(reference))
    for pair in pair_columns(reference, current, list(reference)):
        score = distance(pair)
        threshold = chance_threshold(pair, score, 0.0, 0.01, 1)
        limit = np.quantile(splits[pair.name], 0.99)
        assert (score >= threshold) == (score > limit) or abs(score / limit - 1) < 0.2


def _split_distances(reference: pd.DataFrame, current: pd.DataFrame, names: list[str]) -> dict[str, list[float]]:
    """Of 200 ways to cut all rows into sides of these sizes, made anew from the values each time."""
    pooled = pd.concat([reference, current], ignore_index=True)
    found: dict[str, list[float]] = {name: [] for name in names}
    for seed in range(200):
        mixed = pooled.take(np.random.default_rng(seed).permutation(len(pooled)))
        for pair in pair_columns(mixed.iloc[: len(reference)], mixed.iloc[len(reference) :], names):
            found[pair.name].append(distance(pair))
    return found


@pytest.mark.parametrize("count", [100, 400, 2000])
def test_at_most_five_percent_of_unchanged_windows_are_flagged(count: int) -> None:
    flagged = 0
    for seed in range(QUIET_REPORTS):
        reference, current = sides(1000, count, 10_000 + seed)
        model = Model([name for name in reference if name != "amount"], ["amount"])
        outcome = drift_report(reference, current, model, DriftLimits(seed=seed))
        flagged += bool(outcome.drifted or outcome.predictions_drifted or outcome.findings)
    assert flagged <= binom.ppf(0.999, QUIET_REPORTS, 0.05)


def test_the_false_alarms_of_all_columns_together_stay_within_five_percent() -> None:
    for columns in (1, 7, 36):
        assert columns * (distance_level(columns) + 4 * quality_level(columns)) == pytest.approx(0.05)


def test_a_change_of_missing_values_has_to_exceed_chance() -> None:
    rng = np.random.default_rng(4)
    changes = []
    for _ in range(300):
        frames = [pd.DataFrame({"x": np.where(rng.random(count) < 0.5, np.nan, 1.0 + np.arange(count))}) for count in (400, 100)]
        (pair,) = pair_columns(*frames, ["x"])
        before, after = pair.missing
        changes.append(abs(before - after) >= missing_threshold(pair, 0.1, 0.01))
    assert sum(changes) <= binom.ppf(0.999, 300, 0.01)
    gone = pd.DataFrame({"x": np.where(np.arange(100) < 95, np.nan, 1.0)})
    (pair,) = pair_columns(frames[0], gone, ["x"])
    assert pair.missing[1] - pair.missing[0] >= missing_threshold(pair, 0.1, 0.01)


@pytest.mark.parametrize("column", ["tail", "count", "flag", "city"])
def test_leaving_out_a_group_gives_the_distance_of_the_rest(column: str) -> None:
    (pair,) = pair_columns(*sides(500, 300, 6), [column])
    groups = np.random.default_rng(1).permutation(len(pair.current)) % 10
    expected = [distance(replace(pair, current=pair.current[groups != group])) for group in range(10)]
    np.testing.assert_allclose(_without_each(pair, groups), expected, rtol=1e-9)
