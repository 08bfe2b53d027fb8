"""What `make reproduce` promises: the same bytes from the recorded plan, and the truth when something differs."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import ibis
import numpy as np
import pandas as pd
import pytest

import settings as settings_module
from features.lake import open_lake
from features.sets import FEATURE_SETS
from features.tables import TABLES
from flows.ingest import files_at
from flows.reproduce import main
from flows.train import TrainRequest, train_version
from registry import models, promotion
from registry.scorer import MANIFEST, Scorer, read_manifest, write_manifest
from simulator import SimulationConfig, simulate
from training.candidates import Budget
from training.fit import train
from training.reproduce import Finding, compare, rebuild
from training.split import SHARES
from training.task import TrainingTask


def income_task() -> TrainingTask:
    return TrainingTask("income", ("income",), "regression", "wmae", ("spending", "city"), time="as_of", positive=True)


@pytest.fixture(scope="module")
def bank() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    spending, city = rng.lognormal(11, 0.6, 1500), rng.choice(["Алматы", "Астана"], 1500)
    income = spending * 2.5 * np.where(city == "Алматы", 1.5, 1.0) * rng.lognormal(0, 0.15, 1500)
    moment = pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(1500), "h")
    return pd.DataFrame({"spending": spending, "city": city, "income": income, "as_of": moment})


@pytest.fixture(scope="module")
def original(bank: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("original") / "scorer"
    folder.mkdir()
    # A budget in seconds: what the clock decided is in the plan, so that it need not be decided again.
    train(income_task(), bank, folder, Budget(1000, 4), 1, lambda share, sentence: None)
    return folder


def rebuilt(bank: pd.DataFrame, original: Path, folder: Path, task: TrainingTask) -> list[Finding]:
    folder.mkdir()
    rebuild(task, bank, Scorer.load(original).metadata, folder, None)
    return compare(original, folder)


def test_a_version_is_rebuilt_to_the_byte_from_what_it_records(bank: pd.DataFrame, original: Path, tmp_path: Path) -> None:
    findings = rebuilt(bank, original, tmp_path / "again", income_task())
    assert {finding.what for finding in findings} >= {*read_manifest(original)["files"], f"{MANIFEST}: outputs"}
    assert [finding.what for finding in findings if not finding.same] == []


def test_a_changed_row_is_found_out(bank: pd.DataFrame, original: Path, tmp_path: Path) -> None:
    changed = bank.copy()
    newest_development = int(SHARES["development"] * len(bank)) - 1
    changed.loc[newest_development, "spending"] *= 20
    different = [finding.what for finding in rebuilt(changed, original, tmp_path / "again", income_task()) if not finding.same]
    assert any(name.startswith("income-") for name in different)


def test_what_a_version_says_in_words_may_be_said_otherwise_by_another_release(original: Path, tmp_path: Path) -> None:
    whole = Scorer.load(original)
    folders = {}
    for name, notes, target in (("then", ["1 rows"], "y"), ("now", ["1 row"], "y"), ("else", ["1 row"], "z")):
        folders[name] = Path(shutil.copytree(original, tmp_path / name))
        metadata = {**whole.metadata, "table": {"notes": notes, "target": target}}
        write_manifest(folders[name], whole.columns_, whole.outputs_, whole.thresholds, metadata)
    different = {name: [one.what for one in compare(folders["then"], folders[name]) if not one.same] for name in ("now", "else")}
    assert different == {"now": [], "else": [f"{MANIFEST}: metadata"]}


def test_a_changed_setting_is_found_out(bank: pd.DataFrame, original: Path, tmp_path: Path) -> None:
    task = replace(income_task(), segments=(200_000.0,))
    different = [finding.what for finding in rebuilt(bank, original, tmp_path / "again", task) if not finding.same]
    assert different == [f"{MANIFEST}: outputs"]


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pytest.MonkeyPatch]:
    """A bank of its own whose prescoring version 1 was trained with settings that are not the defaults; they can be changed."""
    var = tmp_path_factory.mktemp("bank")
    simulate(SimulationConfig(clients=400, seed=3), var / "raw", lambda _done, _of: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPORA_VAR", str(var))
        patch.setenv("OPORA_SEED", "7")
        patch.setenv("OPORA_TRAINING_DAYS", '{"prescoring": 500}')
        settings_module.settings.cache_clear()
        for file in files_at(str(var / "raw" / "applications")):
            open_lake(settings_module.settings()).ingest(TABLES["applications"], file)
        train_version(TrainRequest(use_case="prescoring", trials=1, seconds=2), promotion.gate)
        yield patch
    settings_module.settings.cache_clear()


def test_a_version_records_the_settings_and_the_seed_it_was_learned_with(forms: pytest.MonkeyPatch) -> None:
    metadata = models.load_version("prescoring", "1").scorer.metadata
    assert metadata["seed"] == 7
    assert metadata["settings"]["training_days"] == {"prescoring": 500.0}


def test_a_version_is_made_again_with_the_settings_it_records_whatever_they_are_today(
    forms: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    forms.setenv("OPORA_TRAINING_DAYS", '{"prescoring": 200}')
    forms.setenv("OPORA_EXCHANGE_RATES", '{"KZT": 1.0, "USD": 530.0}')
    settings_module.settings.cache_clear()
    assert main("prescoring/1") == 0
    said = capsys.readouterr().out
    assert "Note: OPORA_TRAINING_DAYS is as recorded, {'prescoring': 500.0}; today it is {'prescoring': 200.0}" in said
    assert "Note: OPORA_EXCHANGE_RATES is as recorded" in said
    assert "reproduced to the byte" in said
    assert settings_module.learning_settings().training_days == {"prescoring": 200.0}


def test_the_rates_that_features_are_computed_with_are_those_recorded(forms: pytest.MonkeyPatch) -> None:
    tables = {name: ibis.table(table.schema, name=name) for name, table in TABLES.items()}
    with settings_module.learned_with({"exchange_rates": {"KZT": 1.0, "USD": 471.5}}):
        assert "471.5" in ibis.to_sql(FEATURE_SETS["income"].training_frame(tables), dialect="duckdb")
    assert "471.5" not in ibis.to_sql(FEATURE_SETS["income"].training_frame(tables), dialect="duckdb")
