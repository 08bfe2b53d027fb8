"""By how much more often a row occurs in one sample than in another: the weights that carry what was learned over."""

import lightgbm
import numpy as np

_MOST_WEIGHT = 10.0
_ROUNDS = 40
_PARAMS = {
    "objective": "binary",
    "num_leaves": 7,
    "learning_rate": 0.1,
    "min_data_in_leaf": 40,
    "lambda_l2": 5.0,
    "deterministic": True,
    "num_threads": 1,  # rows are few: threads would wait for each other
    "verbose": -1,
}


def density_ratio(known: np.ndarray, window: np.ndarray, seed: int) -> np.ndarray:
    """Weights of the rows of `known` (rows, features) that make them look like those of `window`; mean 1, at most 10.

    A classifier tells the samples apart, each half of the rows judged by the one learned on the other half; its odds are the
    ratio of the densities. Without features the samples look alike. Source: Bickel, Brückner, Scheffer, Discriminative Learning
    under Covariate Shift (2009).
    """
    if not known.shape[1]:
        return np.ones(len(known))
    rows = np.vstack([known, window])
    side = np.r_[np.zeros(len(known)), np.ones(len(window))]
    half = np.random.default_rng(seed).permutation(len(rows)) % 2
    probabilities = np.empty(len(rows))
    for part in (0, 1):
        data = lightgbm.Dataset(rows[half != part], side[half != part])
        booster = lightgbm.train({**_PARAMS, "seed": seed}, data, _ROUNDS)
        probabilities[half == part] = booster.predict(rows[half == part])
    odds = np.clip(probabilities[: len(known)], 1e-6, 1 - 1e-6)
    ratio = np.minimum(odds / (1 - odds) * len(known) / len(window), _MOST_WEIGHT)
    return np.asarray(ratio / ratio.mean())
