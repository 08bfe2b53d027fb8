"""Training on real data: UCI Adult, ingested like any other table, then judged on the test file it never saw."""

from pathlib import Path

import ibis.expr.datatypes as dt
import pandas as pd
import pytest

from features.lake import Lake
from features.raw_table import Column, RawTable
from registry.metrics import METRICS
from registry.scorer import Scorer
from training.candidates import Budget
from training.fit import train
from training.task import TrainingTask

NUMBERS = {"age", "fnlwgt", "education_num", "capital_gain", "capital_loss", "hours_per_week"}
FEATURES = (
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
)


def adult(name: str) -> RawTable:
    """The headerless table of the census extract; `?` means missing."""
    columns = [Column(column, dt.int64 if column in NUMBERS else dt.string, required=False) for column in FEATURES]
    return RawTable(name, (*columns, Column("income", dt.string)), header=False, missing=("", "?"))


def ingested(lake: Lake, name: str, path: Path) -> pd.DataFrame:
    """The rows of a census file after ingestion, with the label as 0/1 (the test file's labels end in a dot)."""
    summary = lake.ingest(adult(name), path)
    assert summary.landed == summary.read
    frame = lake.read(name).to_pandas()
    return frame.assign(over_50k=frame["income"].str.startswith(">50K").astype("float64"))


@pytest.mark.integration
def test_a_census_table_is_ingested_and_learned_as_well_as_gradient_boosting_is_known_to(real_data: Path, tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"), tmp_path / "scratch")
    known = ingested(lake, "adult_train", real_data / "adult-train.csv")
    unseen = ingested(lake, "adult_test", real_data / "adult-test.csv")
    assert (len(known), len(unseen)) == (32_561, 16_281)
    folder = tmp_path / "scorer"
    folder.mkdir()
    task = TrainingTask("adult", ("over_50k",), "binary", "roc_auc", FEATURES)
    third = known[::3].reset_index(drop=True)  # as many as it takes to get there
    train(task, third, folder, Budget(3, 600), 1, lambda share, sentence: None)
    predicted = Scorer.load(folder).predict(unseen)["over_50k"]
    score = METRICS["roc_auc"].score(unseen["over_50k"].to_numpy(), predicted, unseen["over_50k"].to_numpy() * 0 + 1)
    assert score > 0.92
