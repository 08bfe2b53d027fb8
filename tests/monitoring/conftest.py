"""What several tests of the flows look at."""

from collections.abc import Iterator

import pytest

from tests.fork_server import ForkServer
from tests.monitoring.incomes import TASK, clients
from training.candidates import Budget
from training.fit import Trained, train


@pytest.fixture(scope="session")
def income_model(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A model of income, trained once for all tests of the flows; each registers it for itself."""
    return train(TASK, clients(2000, 1), tmp_path_factory.mktemp("income"), Budget(1, 30), 1, lambda share, sentence: None)


@pytest.fixture(scope="module")
def killable() -> Iterator[ForkServer]:
    """Processes that have imported the journal."""
    with ForkServer("tests.monitoring.killed") as server:
        yield server
