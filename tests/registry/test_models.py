"""What the registry promises: any client can load a version, nobody loads a damaged one, nothing is pickled."""

import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from clock import now
from registry import models, promotion
from registry.scorer import DamagedModel, Scorer
from settings import Settings
from training.fit import Trained


def register(trained: Trained) -> str:
    with models.training_run("income", "test") as run_id:
        return models.log(trained.folder, run_id, "income")


def test_a_use_case_without_champion_says_what_to_do(registry: Settings) -> None:
    assert models.champion_version("income") is None
    with pytest.raises(models.NoChampion, match="income has no champion: train it first .*the train flow"):
        models.load_champion("income")
    with pytest.raises(models.NoChampion, match="churn has no champion: train it first .*make train NAME=churn"):
        models.load_champion("churn")


def test_runs_of_killed_trainings_are_marked_as_such_and_no_others(registry: Settings, trained: Trained) -> None:
    register(trained)
    api = models.client()
    killed = api.create_run(models.experiment_id("fraud"), run_name="killed").info.run_id
    assert models.end_abandoned_runs(now() - timedelta(minutes=5)) == 0
    assert models.end_abandoned_runs(now() + timedelta(minutes=5)) == 1
    assert api.get_run(killed).info.status == "KILLED"
    (other,) = api.search_runs([models.experiment_id("income")])
    assert other.info.status == "FINISHED"


def test_the_gate_promotes_the_first_version_that_beats_the_naive_baseline(registry: Settings, trained: Trained) -> None:
    version = register(trained)
    verdict = promotion.gate("income", version, trained.holdout)
    assert verdict.promoted
    assert verdict.challenger < trained.holdout.baseline
    loaded = models.load_champion("income")
    assert loaded.version == version
    np.testing.assert_array_equal(
        loaded.scorer.predict(trained.holdout.features)["income"],
        Scorer.load(trained.folder).predict(trained.holdout.features)["income"],
    )


def test_the_gate_refuses_a_version_worse_than_the_champion_and_keeps_it(
    registry: Settings, trained: Trained, tmp_path: Path
) -> None:
    first = register(trained)
    promotion.gate("income", first, trained.holdout)
    worse = promotion.judge("income", first, trained.holdout, margin=-0.05)
    assert not worse.promoted
    assert "champion 1" in worse.reason
    holdout = promotion.Holdout(
        trained.holdout.features, trained.holdout.labels, trained.holdout.weights, "wmae", baseline=verdict_impossible(trained)
    )
    second = register(trained)
    refused = promotion.gate("income", second, holdout)
    assert not refused.promoted
    assert "naive baseline" in refused.reason
    assert models.champion_version("income") == first
    assert models.alias_version("income", models.CHALLENGER) is None


def test_a_use_case_whose_versions_were_refused_says_why(registry: Settings, trained: Trained) -> None:
    for version in (register(trained), register(trained)):
        holdout = replace(trained.holdout, baseline=verdict_impossible(trained))
        verdict = promotion.gate("income", version, holdout)
    with pytest.raises(models.NoChampion) as refusal:
        models.load_champion("income")
    assert f"version 2 {verdict.reason}" in str(refusal.value)
    register(trained)
    with pytest.raises(models.NoChampion, match="version 3 has not been judged yet"):
        models.load_champion("income")


def verdict_impossible(trained: Trained) -> float:
    """A baseline that no model beats."""
    return trained.metrics["holdout_wmae"] / 2


def test_any_mlflow_client_loads_a_version_without_pickle(
    registry: Settings, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    version = register(trained)
    rows = trained.holdout.features[["spending", "city"]]
    answer = mlflow.pyfunc.load_model(f"models:/income/{version}").predict(rows)
    np.testing.assert_allclose(answer["income"], Scorer.load(trained.folder).predict(rows)["income"])


def test_no_file_of_a_version_is_a_pickle(registry: Settings, trained: Trained) -> None:
    register(trained)
    files = [path for path in (registry.var / "mlartifacts").rglob("*") if path.is_file()]
    assert any(path.name == "scorer.json" for path in files)
    assert not [path for path in files if path.suffix in {".pkl", ".pickle", ".joblib"} or path.read_bytes()[:2] == b"\x80\x04"]


@pytest.mark.parametrize("name", ["scorer.json", "reference.parquet", "booster"])
def test_a_flipped_byte_is_refused_by_name(trained: Trained, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(trained.folder, folder)
    target = folder / (Scorer.load(folder).outputs_[0].members[0].file if name == "booster" else name)
    content = bytearray(target.read_bytes())
    content[len(content) // 2] ^= 1
    target.write_bytes(content)
    with pytest.raises(DamagedModel, match=target.name):
        Scorer.load(folder, models.manifest_hash(trained.folder))


def test_a_damaged_local_copy_is_not_served(registry: Settings, trained: Trained) -> None:
    promotion.gate("income", register(trained), trained.holdout)
    loaded = models.load_champion("income")
    copies = list((registry.var / "models" / "income").glob("*"))
    assert len(copies) == 1
    (copies[0] / "reference.parquet").write_bytes(b"rubbish")
    with pytest.raises(DamagedModel, match="reference.parquet"):
        models.load_version("income", loaded.version)


def test_contributions_add_up_to_the_margin(trained: Trained) -> None:
    scorer = Scorer.load(trained.folder)
    rows = trained.holdout.features.head(50)
    total = scorer.contributions(rows, "income").sum(axis=1)
    np.testing.assert_allclose(np.exp(total), scorer.predict(rows)["income"], rtol=1e-5)


def test_a_missing_column_and_an_unknown_city_count_as_missing(trained: Trained) -> None:
    scorer = Scorer.load(trained.folder)
    unknown = scorer.predict(pd.DataFrame({"spending": [50_000.0], "city": ["Атлантида"]}))["income"]
    missing = scorer.predict(pd.DataFrame({"spending": [50_000.0]}))["income"]
    assert np.isfinite(missing).all()
    np.testing.assert_array_equal(unknown, missing)


def test_asking_a_probability_for_an_interval_says_why_not(trained: Trained) -> None:
    with pytest.raises(ValueError, match="predicts income"):
        Scorer.load(trained.folder).interval("bank_a", np.array([1.0]))
