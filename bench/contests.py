"""The tables on which training is compared with its rivals: UCI Adult, UCI Bank Marketing, the Fraud Detection Handbook."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import train_test_split

from bench import handbook

LABEL = "label"
ADULT_COLUMNS = (
    "age",
    "workclass",
    "fnlwgt",
    "education",
    "education_num",
    "marital_status",
    "occupation",
    "relationship",
    "race",
    "sex",
    "capital_gain",
    "capital_loss",
    "hours_per_week",
    "native_country",
    "income",
)
Score = Callable[[pd.DataFrame, np.ndarray], float]
"""A figure of merit from the test rows and the probability of each."""


@dataclass(frozen=True)
class Contest:
    """One table, cut into the rows to learn from and the rows to be judged on.

    Attributes:
        name: as it is asked for on the command line and printed.
        train: features and `LABEL` (0/1); text columns have the category dtype, missing values are missing.
        test: the same columns, and what the scores need besides.
        features: names of the feature columns.
        scores: figures of merit by title, ROC-AUC first.
    """

    name: str
    train: pd.DataFrame
    test: pd.DataFrame
    features: tuple[str, ...]
    scores: Mapping[str, Score]


def _roc_auc(test: pd.DataFrame, probabilities: np.ndarray) -> float:
    return float(roc_auc_score(test[LABEL], probabilities))


def _average_precision(test: pd.DataFrame, probabilities: np.ndarray) -> float:
    return float(average_precision_score(test[LABEL], probabilities))


def adult(folder: Path, _seed: int) -> Contest:
    """Income above 50,000 dollars: the published train file against the published test file."""
    parts = []
    for part in ("train", "test"):
        path = folder / f"adult-{part}.csv"
        frame = pd.read_csv(path, header=None, names=ADULT_COLUMNS, skipinitialspace=True, na_values="?")
        # The test file's labels end in a dot.
        parts.append(frame.assign(**{LABEL: frame.pop("income").str.startswith(">").astype("int64")}))
    return _contest("adult", *parts)


def bank(folder: Path, _seed: int) -> Contest:
    """Whether a client takes a term deposit, without `duration`, known only after the call: always the same 25 % are the test."""
    frame = pd.read_csv(folder / "bank_marketing.csv").drop(columns="duration")
    frame[LABEL] = (frame.pop("y") == "yes").astype("int64")
    train, test = train_test_split(frame, test_size=0.25, random_state=1, stratify=frame[LABEL])
    return _contest("bank", train, test)


def handbook_week(folder: Path, _seed: int, since: pd.Timestamp = handbook.TRAINING_WEEK) -> Contest:
    """The handbook's published week; `since` begins the training window, which always ends on 2018-07-31."""
    train, test = handbook.weeks(_handbook_frame(folder), handbook.TRAINING_WEEK, since)
    scores: dict[str, Score] = {"ROC-AUC": _roc_auc, "AP": _average_precision, "CP@100": handbook.card_precision}
    return Contest("handbook", train, test, handbook.FEATURES, scores)


@lru_cache(maxsize=1)
def _handbook_frame(folder: Path) -> pd.DataFrame:
    payments = handbook.read_payments(folder / "fraud_handbook.parquet")
    frame = handbook.point_in_time(payments[payments["ts"] < handbook.TRAINING_WEEK + 3 * handbook.WEEK], handbook.ALL_DAYS_SINCE)
    return frame.assign(**{LABEL: frame["fraud"]})


def _contest(name: str, train: pd.DataFrame, test: pd.DataFrame) -> Contest:
    features = tuple(column for column in train.columns if column != LABEL)
    texts = [column for column in features if not is_numeric_dtype(train[column])]
    dtypes = {column: pd.CategoricalDtype(sorted({*train[column].dropna(), *test[column].dropna()})) for column in texts}
    return Contest(name, train.astype(dtypes), test.astype(dtypes), features, {"ROC-AUC": _roc_auc})


CONTESTS: Mapping[str, Callable[[Path, int], Contest]] = {"adult": adult, "bank": bank, "handbook": handbook_week}
"""The contests by name; each takes the folder with the data and a seed."""
