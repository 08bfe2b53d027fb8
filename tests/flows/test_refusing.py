"""A refusal is one sentence in the run's state and log; whatever nobody foresaw keeps its stack trace."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect import flow, task

import settings as settings_module
from features.refusals import RefusedFile
from flows.ingest import IngestRequest, ingest
from flows.refusing import refusing
from flows.train import TrainRequest, train
from training.task import NotTrainable

pytestmark = pytest.mark.integration
WHAT_TO_DO = "give the path of a file, or of a folder with part files"


class Log(logging.Handler):
    """What runs write, with the traces."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text += logging.Formatter().format(record) + "\n"


@pytest.fixture(scope="module", autouse=True)
def var(prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPORA_VAR", str(tmp_path_factory.mktemp("var")))
        settings_module.settings.cache_clear()
        yield
    settings_module.settings.cache_clear()


@pytest.fixture
def log() -> Iterator[Log]:
    written = Log()
    loggers = [logging.getLogger(f"prefect.{name}") for name in ("flow_runs", "task_runs")]
    for logger in loggers:
        logger.addHandler(written)
    yield written
    for logger in loggers:
        logger.removeHandler(written)


def test_a_refused_file_ends_the_run_with_its_sentence_and_without_a_trace(log: Log, tmp_path: Path) -> None:
    state = ingest(IngestRequest(table="transactions", path=str(tmp_path / "nothing.csv")), return_state=True)
    assert state.is_failed()
    assert state.message == f"there is no CSV or Parquet file at {tmp_path / 'nothing.csv'}: {WHAT_TO_DO}"
    assert state.message in log.text
    assert "Traceback" not in log.text


def test_who_calls_a_flow_gets_the_refusal_itself(log: Log) -> None:
    with pytest.raises(NotTrainable, match="ingest it first"):
        train(TrainRequest(use_case="income", trials=1, seconds=1))
    assert "Traceback" not in log.text


@task
def reading(_path: str) -> None:
    """Refuses every file."""
    raise RefusedFile("it is empty")


@flow
@refusing(RefusedFile)
def of_a_task() -> None:
    """Lets a task read."""
    reading("x.csv")


@flow
@refusing(RefusedFile)
def defective(divisor: int) -> float:
    """Has a defect."""
    return 1 / divisor


def test_a_task_that_refuses_ends_its_flow_with_the_same_sentence(log: Log) -> None:
    state = of_a_task(return_state=True)
    assert (state.is_failed(), state.message) == (True, "it is empty")
    assert "Traceback" not in log.text


def test_a_defect_keeps_its_trace_and_an_answer_is_an_answer(log: Log) -> None:
    assert defective(2) == 0.5
    assert defective(0, return_state=True).is_failed()
    assert "Traceback" in log.text
    assert "ZeroDivisionError" in log.text
