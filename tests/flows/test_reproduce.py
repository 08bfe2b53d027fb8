"""What `make reproduce` promises: the same bytes from the recorded plan, and the truth when something differs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from registry.scorer import MANIFEST, Scorer, read_manifest
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


def test_a_changed_setting_is_found_out(bank: pd.DataFrame, original: Path, tmp_path: Path) -> None:
    task = replace(income_task(), segments=(200_000.0,))
    different = [finding.what for finding in rebuilt(bank, original, tmp_path / "again", task) if not finding.same]
    assert different == [f"{MANIFEST}: outputs"]
