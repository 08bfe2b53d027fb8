"""The flow of the push texts: from raw tables and a trained champion to a text for every client, the same at every run."""

from collections.abc import Iterator

import pytest

import settings as settings_module
from bentos.recommendation.lock import AlreadyProcessing, alone
from bentos.recommendation.store import RecommendationStore, StoredPush
from database import open_database
from features.lake import open_lake
from features.tables import TABLES
from flows.ingest import files_at
from flows.push import PushRequest, push
from flows.train import TrainRequest, train
from settings import Settings, settings
from simulator import SimulationConfig, simulate

pytestmark = pytest.mark.integration
CLIENTS = 300


@pytest.fixture(scope="module")
def bank(prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A simulated bank with a champion for recommendations."""
    folder = tmp_path_factory.mktemp("bank")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPORA_VAR", str(folder))
        settings_module.settings.cache_clear()
        raw = folder / "raw"
        simulate(SimulationConfig(clients=CLIENTS, seed=3), raw, lambda _done, _of: None)
        lake = open_lake(settings())
        for table in ("clients", "transactions", "transfers", "product_uptake"):
            for file in files_at(str(raw / table)):
                lake.ingest(TABLES[table], file)
        trained = train(TrainRequest(use_case="recommendation", trials=1, seconds=5))
        assert trained.promoted, trained.reason
        yield settings()
    settings_module.settings.cache_clear()


@pytest.fixture(scope="module")
def counts(bank: Settings) -> dict[str, int]:
    """What a first run with all clients' newest features counted; its texts are in force."""
    return push(PushRequest())


def texts(config: Settings) -> list[StoredPush]:
    store = RecommendationStore(open_database(config.database("online")))
    run = store.current()
    assert run is not None
    return [text for page in store.pushes(run.id) for text in page]


def test_every_client_has_one_text_or_is_counted_and_a_second_run_says_the_same(bank: Settings, counts: dict[str, int]) -> None:
    first = texts(bank)
    assert counts["clients"] > 0.9 * CLIENTS
    assert counts["pushes"] == len(first) == len({text.client_code for text in first})
    assert counts["pushes"] + counts["too_little"] + counts["unfit"] + counts["without_data"] <= counts["clients"]
    assert counts["pushes"] > 0.8 * counts["clients"]
    assert counts["unfit"] == 0
    push(PushRequest(newest_features=False))
    again = texts(bank)
    assert [(text.client_code, text.push_notification) for text in again] == [
        (text.client_code, text.push_notification) for text in first
    ]


def test_a_run_beside_another_computation_is_refused_and_changes_nothing(bank: Settings, counts: dict[str, int]) -> None:
    before = texts(bank)
    with alone(bank), pytest.raises(AlreadyProcessing):
        push(PushRequest())
    assert texts(bank) == before


def test_a_run_that_fails_leaves_the_texts_before_in_force(
    bank: Settings, counts: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = texts(bank)
    monkeypatch.setattr("bentos.recommendation.batch._stored", _fails_at_the_hundredth())
    with pytest.raises(ArithmeticError):
        push(PushRequest(newest_features=False))
    assert texts(bank) == before


def _fails_at_the_hundredth() -> object:
    from bentos.recommendation import batch as recommendation_batch

    real, done = recommendation_batch._stored, iter(range(100))

    def failing(*arguments: object) -> object:
        if next(done, None) is None:
            raise ArithmeticError("as seeded")
        return real(*arguments)

    return failing
