"""A small real Scorer, trained once, and a registry of its own for each test."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import settings as settings_module
from settings import Settings
from training.candidates import Budget
from training.fit import Trained, train
from training.task import TrainingTask


def bank(rows: int = 1500, seed: int = 3) -> pd.DataFrame:
    """Clients whose income depends on spending, city and luck."""
    rng = np.random.default_rng(seed)
    spending = rng.lognormal(11, 0.6, rows)
    city = rng.choice(["Алматы", "Астана", "Шымкент"], rows)
    spending[rng.random(rows) < 0.1] = np.nan
    factor = np.where(city == "Алматы", 1.5, 1.0)
    income = np.nan_to_num(spending, nan=60_000) * 2.5 * factor * rng.lognormal(0, 0.15, rows)
    moment = pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(rows), "h")
    return pd.DataFrame({"spending": spending, "city": city, "income": income, "as_of": moment})


def income_task() -> TrainingTask:
    """The income of `bank` as a task."""
    return TrainingTask("income", ("income",), "regression", "wmae", ("spending", "city"), time="as_of", positive=True)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A scorer folder with everything around it."""
    folder = tmp_path_factory.mktemp("trained") / "scorer"
    folder.mkdir()
    return train(income_task(), bank(), folder, Budget(3, 60), 1, lambda share, sentence: None)


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings whose `var` is this test's own folder, with an empty MLflow."""
    monkeypatch.setenv("OPORA_VAR", str(tmp_path))
    settings_module.settings.cache_clear()
    yield settings_module.settings()
    settings_module.settings.cache_clear()
