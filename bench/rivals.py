"""What training is compared with: FLAML, and each boosting library as it comes."""

import logging
import warnings
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from catboost import CatBoostClassifier
from flaml.automl import AutoML
from lightgbm import LGBMClassifier
from pandas.api.types import is_numeric_dtype
from xgboost import XGBClassifier

from bench.contests import LABEL, Contest

Method = Callable[[Contest, float, int], np.ndarray]
"""Learn from the contest's train rows within some seconds, by a seed; the probability of each test row."""


def flaml(contest: Contest, seconds: float, seed: int, ensemble: bool = False) -> np.ndarray:
    """FLAML with its own estimators, resampling and stopping; `ensemble` stacks the best of each estimator."""
    logging.getLogger("flaml").setLevel(logging.ERROR)
    features, labels = contest.train[list(contest.features)], contest.train[LABEL]
    automl = AutoML()  # type: ignore[no-untyped-call]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        automl.fit(
            features.reset_index(drop=True),
            labels.reset_index(drop=True),
            task="classification",
            metric="roc_auc",
            time_budget=seconds,
            n_jobs=-1,
            seed=seed,
            ensemble=ensemble,
            verbose=0,
        )
        probabilities = automl.predict_proba(contest.test[list(contest.features)])  # type: ignore[no-untyped-call]
    return np.asarray(probabilities)[:, 1]


def flaml_ensemble(contest: Contest, seconds: float, seed: int) -> np.ndarray:
    """FLAML's stacked ensemble."""
    return flaml(contest, seconds, seed, ensemble=True)


def lightgbm(contest: Contest, _seconds: float, seed: int) -> np.ndarray:
    """LightGBM's defaults; it takes category columns as they are."""
    return _defaults(LGBMClassifier(random_state=seed, verbose=-1), contest)


def xgboost(contest: Contest, _seconds: float, seed: int) -> np.ndarray:
    """XGBoost's defaults with its native categories."""
    return _defaults(XGBClassifier(random_state=seed, enable_categorical=True), contest)


def catboost(contest: Contest, _seconds: float, seed: int) -> np.ndarray:
    """CatBoost's defaults, told which columns are categories; a missing category is one of its own."""
    features = list(contest.features)
    categories = [name for name in features if not is_numeric_dtype(contest.train[name])]
    train, test = (_with_missing_named(frame[features], categories) for frame in (contest.train, contest.test))
    model = CatBoostClassifier(random_seed=seed, cat_features=categories, verbose=0, allow_writing_files=False)
    return np.asarray(model.fit(train, contest.train[LABEL]).predict_proba(test))[:, 1]


def _defaults(model: LGBMClassifier | XGBClassifier, contest: Contest) -> np.ndarray:
    features = list(contest.features)
    model.fit(contest.train[features], contest.train[LABEL])
    return np.asarray(model.predict_proba(contest.test[features]))[:, 1]


def _with_missing_named(frame: pd.DataFrame, categories: list[str]) -> pd.DataFrame:
    return frame.assign(**{name: frame[name].astype(object).where(frame[name].notna(), "missing") for name in categories})


SINGLE_DEFAULTS: Mapping[str, Method] = {"LightGBM": lightgbm, "XGBoost": xgboost, "CatBoost": catboost}
"""The libraries with nothing set but the seed; each takes the time it takes, on all cores."""
RIVALS: Mapping[str, Method] = {"FLAML": flaml, "FLAML, ensemble": flaml_ensemble, **SINGLE_DEFAULTS}
"""Every rival by the name it is printed under."""
