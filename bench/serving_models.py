"""The same 300 trees for everybody: a LightGBM file, a joblib XGBoost, and a registered champion of a bank of its own."""

from pathlib import Path

import numpy as np
import pandas as pd

from features.columns.models import FRAUD_CLIENT_COLUMNS
from features.sets import FEATURE_SETS
from registry import models
from settings import Settings

NAMES = tuple(column.name for column in FEATURE_SETS["fraud"].columns)
LIGHTGBM, XGBOOST = "fraud.txt", "fraud.joblib"
TREES, LEAVES = 300, 31
_ROWS = 20_000


def train(folder: Path) -> None:
    """Fit both libraries on the same made-up payments, one in a hundred of them fraud, and leave their files in `folder`."""
    import joblib
    import lightgbm
    import xgboost

    rng = np.random.default_rng(20260101)
    frame = pd.DataFrame(rng.lognormal(1, 1, (_ROWS, len(NAMES))), columns=list(NAMES))
    frame = frame.mask(rng.random(frame.shape) < 0.1)
    risk = np.log(frame.iloc[:, :12].fillna(1)).sum(axis=1) + rng.normal(0, 2, _ROWS)
    labels = (risk > risk.quantile(0.99)).astype(int)
    parameters = {"objective": "binary", "num_leaves": LEAVES, "learning_rate": 0.05, "num_threads": 2, "verbose": -1}
    lightgbm.train(parameters, lightgbm.Dataset(frame, labels), TREES).save_model(folder / LIGHTGBM)
    rival = xgboost.XGBClassifier(
        n_estimators=TREES, max_leaves=LEAVES, max_depth=0, grow_policy="lossguide", learning_rate=0.05, n_jobs=2
    )
    joblib.dump(rival.fit(frame, labels), folder / XGBOOST)
    frame.head(1000).to_parquet(folder / "rows.parquet")


def promote(folder: Path, var: Path) -> None:
    """Register the LightGBM model as champion of a bank in `var`, and give that bank clients with online features."""
    import lightgbm

    from database import open_database
    from features.online import OnlineStore
    from registry.encoding import encode, learn_columns
    from registry.golden import write_golden
    from registry.outputs import Member, Output, inverse_link
    from registry.scorer import REFERENCE, write_manifest

    config = Settings(var=var)
    scorer = folder / "scorer"
    scorer.mkdir()
    frame = pd.read_parquet(folder / "rows.parquet")
    columns = learn_columns(frame, list(NAMES))
    booster = lightgbm.Booster(model_file=folder / LIGHTGBM)
    booster.save_model(scorer / LIGHTGBM)
    outputs = (Output("fraud", "logit", (Member("lightgbm", LIGHTGBM, 1.0),)),)
    predicted = inverse_link("logit", np.asarray(booster.predict(encode(frame, columns), raw_score=True)))
    frame.assign(prediction_fraud=predicted).to_parquet(scorer / REFERENCE)
    write_golden(scorer, columns, outputs)
    thresholds = {"fraud": {"medium": 0.26, "high": 0.8}}
    metadata = {"use_case": "fraud", "trained_at": "2026-01-01T00:00:00+00:00", "seed": 1}
    write_manifest(scorer, columns, outputs, thresholds, metadata)
    models.client(config).set_registered_model_alias("fraud", models.CHAMPION, _registered(scorer, config))
    OnlineStore(open_database(config.database("online"))).write("fraud", _clients())


def challenge(folder: Path, var: Path) -> None:
    """Register the same model once more, as the challenger of the bank in `var`."""
    config = Settings(var=var)
    models.client(config).set_registered_model_alias("fraud", models.CHALLENGER, _registered(folder / "scorer", config))


def withdraw(var: Path) -> None:
    """Take the alias of the challenger away."""
    models.client(Settings(var=var)).delete_registered_model_alias("fraud", models.CHALLENGER)


def _registered(scorer: Path, config: Settings) -> str:
    with models.training_run("fraud", "bench", config) as run_id:
        return models.log(scorer, run_id, "fraud", config)


def _clients(count: int = 20_000) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    values = {column.name: rng.lognormal(1, 1, count).round(2) for column in FRAUD_CLIENT_COLUMNS}
    return pd.DataFrame({"client_code": [str(code) for code in range(count)], "as_of": pd.Timestamp(2026, 1, 1)} | values)
