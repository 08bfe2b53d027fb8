"""Real models in a real registry, a real journal and real online features, all small and in a folder of their own."""

import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd
import pytest
from starlette.testclient import TestClient

from bentos.fraud.service import fraud_app
from bentos.income.service import income_app
from bentos.prescoring.service import prescoring_app
from bentos.recommendation.service import recommendation_app
from bentos.serving.application import guarded
from bentos.serving.backend import Backend
from features.code_lists import PRODUCTS
from features.sets import FEATURE_SETS
from features.tables import BANKS
from registry import models
from registry.encoding import encode, learn_columns
from registry.golden import write_golden
from registry.outputs import Interval, Member, Output, inverse_link
from registry.scorer import REFERENCE, write_manifest
from settings import Settings

OUTPUTS = {"income": ("income",), "prescoring": BANKS, "recommendation": ("accepted",), "fraud": ("fraud",)}
APPS = {"fraud": fraud_app, "income": income_app, "prescoring": prescoring_app, "recommendation": recommendation_app}
THRESHOLDS = {"fraud": {"fraud": {"medium": 0.26, "high": 0.8}}, "prescoring": {bank: {"approve": 0.5} for bank in BANKS}}


def random_rows(use_case: str, rows: int, seed: int) -> pd.DataFrame:
    """Random rows with the columns and types of a feature set, a tenth of the values missing."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(index=range(rows))
    for column in FEATURE_SETS[use_case].columns:
        if column.name == "product":
            frame[column.name] = rng.choice(PRODUCTS, rows)
        elif column.categorical:
            frame[column.name] = rng.choice(["a", "b", "c"], rows)
        else:
            frame[column.name] = np.where(rng.random(rows) < 0.1, np.nan, rng.lognormal(1, 1, rows))
    return frame


def fit(use_case: str, folder: Path, seed: int) -> None:
    """Train small LightGBM models on rows whose labels depend on the first numeric features, and seal the scorer folder."""
    frame = random_rows(use_case, 400, seed)
    rng = np.random.default_rng(seed)
    columns = learn_columns(frame, list(frame.columns))
    matrix = encode(frame, columns)
    signal = np.nan_to_num(matrix[:, [index for index, column in enumerate(columns) if column.vocabulary is None]]).sum(axis=1)
    signal = (signal - signal.mean()) / signal.std() + rng.normal(0, 0.3, len(frame))
    link = "log" if use_case == "income" else "logit"
    outputs = []
    for output in OUTPUTS[use_case]:
        labels = 13 + signal / 2 if link == "log" else (signal > 0).astype(float)
        objective = "regression" if link == "log" else "binary"
        categories = [index for index, column in enumerate(columns) if column.vocabulary is not None]
        data = lightgbm.Dataset(matrix, labels, categorical_feature=categories)
        parameters = {"objective": objective, "verbose": -1, "seed": seed, "num_threads": 1, "num_leaves": 7}
        booster = lightgbm.train(parameters, data, 20)
        booster.save_model(folder / f"{output}.txt")
        member = Member("lightgbm", f"{output}.txt", 1.0)
        interval = Interval(member, member, (), (0.4,)) if link == "log" else None
        outputs.append(Output(output, link, (member,), interval=interval))
        frame[f"prediction_{output}"] = inverse_link(link, np.asarray(booster.predict(matrix, raw_score=True)))
    frame.to_parquet(folder / REFERENCE)
    write_golden(folder, columns, tuple(outputs))
    metadata = {"use_case": use_case, "trained_at": "2026-01-01T00:00:00+00:00", "seed": seed}
    write_manifest(folder, columns, tuple(outputs), THRESHOLDS.get(use_case, {}), metadata)


@pytest.fixture(scope="session")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a bank of its own: its registry, journal and online features lie in one temporary folder."""
    # Nobody listens there: a Prefect server that happens to run on this machine gets no flow runs from tests.
    return Settings(var=tmp_path_factory.mktemp("bank"), prefect_api_url="http://127.0.0.1:9/api")


@pytest.fixture(scope="session")
def promote_in(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Settings, str, int], str]:
    """Trains a use case with a seed, registers and promotes it in the registry of the given settings; gives the version."""

    @cache
    def trained(use_case: str, seed: int, _outputs: tuple[str, ...]) -> Path:
        folder = tmp_path_factory.mktemp(use_case)
        fit(use_case, folder, seed)
        return folder

    def promoted(config: Settings, use_case: str, seed: int) -> str:
        folder = trained(use_case, seed, OUTPUTS[use_case])
        with models.training_run(use_case, "test", config) as run_id:
            version = models.log(folder, run_id, use_case, config)
        models.client(config).set_registered_model_alias(use_case, models.CHAMPION, version)
        return version

    return promoted


@pytest.fixture(scope="session")
def promote(bank: Settings, promote_in: Callable[[Settings, str, int], str]) -> Callable[[str, int], str]:
    """`promote_in` the bank of this session."""
    return partial(promote_in, bank)


@pytest.fixture(scope="session")
def opened(bank: Settings, promote: Callable[[str, int], str]) -> Iterator[Callable[[str], Backend]]:
    """Opens the backend of a use case, with a first champion, once per session."""
    backends: dict[str, Backend] = {}

    def open_backend(use_case: str) -> Backend:
        if use_case not in backends:
            promote(use_case, 1)
            backends[use_case] = Backend(use_case, bank)
            backends[use_case].champion.look()
            backends[use_case].start()
        return backends[use_case]

    yield open_backend
    for backend in backends.values():
        backend.stop()


@pytest.fixture(scope="session")
def service_client(opened: Callable[[str], Backend]) -> Iterator[Callable[[str], TestClient]]:
    """Opens the whole application of a use case over its opened backend, once per session, and calls it in one event loop."""
    with ExitStack() as running:

        @cache
        def serve(use_case: str) -> TestClient:
            backend = opened(use_case)
            app = guarded(APPS[use_case](backend), backend.config)
            return running.enter_context(TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False))

        yield serve


@pytest.fixture(scope="session")
def feature_rows() -> Callable[[str, int, int], pd.DataFrame]:
    """Random feature rows of a use case: (use case, rows, seed)."""
    return random_rows


class Canary:
    """Makes the folder `marker` when a pickle of it is read."""

    def __init__(self, marker: Path) -> None:
        self._marker = str(marker)

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self._marker,)


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "was-unpickled"


@pytest.fixture
def canary(marker: Path) -> bytes:
    """The pickle, once it has shown that it acts."""
    pickled = pickle.dumps(Canary(marker))
    pickle.loads(pickled)
    assert marker.exists()
    marker.rmdir()
    return pickled
