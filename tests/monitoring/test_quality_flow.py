"""From a file of labels to realised and estimated quality of a real champion, and an event when it is lost."""

import asyncio
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from prefect import get_client
from sqlalchemy import select, update

import settings as settings_module
from clock import now
from database import open_database
from features.refusals import RefusedFile
from flows.labels import LabelsRequest, join_file, labels
from flows.quality import QualityRequest, judge_quality, quality
from monitoring import figures
from monitoring.batch import batch_rows
from monitoring.estimation import Estimated, NotEstimable
from monitoring.journal import Journal
from monitoring.labels import Label, record_labels
from monitoring.rows import ESTIMATES, JOURNAL, open_journal
from registry import models, promotion
from settings import Settings
from tests.monitoring.incomes import clients
from training.fit import Trained

pytestmark = pytest.mark.integration
SCORED = now() - timedelta(days=45)


@pytest.fixture(scope="module")
def config(prefect_server: str, tmp_path_factory: pytest.TempPathFactory, income_model: Trained) -> Iterator[Settings]:
    """A `var` of this module's own with an income champion, its scores of 45 days ago and of now, and a Prefect server."""
    var = tmp_path_factory.mktemp("var")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPORA_VAR", str(var))
        settings_module.settings.cache_clear()
        with models.training_run("income", "test") as run_id:
            version = models.log(income_model.folder, run_id, "income")
        assert promotion.gate("income", version, income_model.holdout).promoted
        score(settings_module.settings(), clients(400, 2), SCORED)
        score(settings_module.settings(), clients(300, 3), now())
        yield settings_module.settings()
    settings_module.settings.cache_clear()


def score(config: Settings, frame: pd.DataFrame, at: Any) -> None:
    engine = open_database(config.database("journal"))
    with Journal(engine) as journal:
        rows = batch_rows(models.load_champion("income", config), frame)
        journal.write(rows)
    with engine.begin() as connection:
        connection.execute(update(JOURNAL).where(JOURNAL.c.score_id.in_([row.score_id for row in rows])).values(ts=at))


def labels_file(folder: Path, frame: pd.DataFrame) -> Path:
    """As the bank exports them: semicolons, decimal commas."""
    path = folder / "incomes.csv"
    told = frame[["client_code", "income"]].assign(month=f"{SCORED:%Y-%m}")
    told.to_csv(path, index=False, sep=";", decimal=",", encoding="cp1251")
    return path


def events(name: str) -> list[dict[str, Any]]:
    """Events of that name, as soon as the server has stored one (it does so every few seconds)."""

    async def found() -> list[dict[str, Any]]:
        async with get_client() as client:
            body = {"filter": {"event": {"name": [name]}}}
            return list((await client._client.post("/events/filter", json=body)).json()["events"])

    for _ in range(40):
        if stored := asyncio.run(found()):
            return stored
        time.sleep(0.5)
    return []


def test_without_labels_the_error_of_amounts_is_estimated_from_the_holdout_and_kept(config: Settings) -> None:
    result = quality(QualityRequest(use_case="income"))
    assert result.realised.value is None
    assert isinstance(result.estimated, Estimated)
    assert result.reference is not None
    assert result.estimated.low < result.reference < result.estimated.high  # the clients are like those of the holdout
    assert not result.alarm
    with open_database(config.database("journal")).connect() as connection:
        (kept,) = connection.execute(select(ESTIMATES)).all()
    assert (kept.metric, kept.value, kept.rows) == ("wmae", result.estimated.value, 300)


def test_a_file_of_labels_gives_the_realised_metric_and_the_coverage_of_the_intervals(config: Settings, tmp_path: Path) -> None:
    path = labels_file(tmp_path, clients(400, 2))
    assert labels(LabelsRequest(file=str(path))).joined == 400
    assert join_file(path).duplicates == 400
    result = quality(QualityRequest(use_case="income"))
    assert result.realised.rows == 400
    assert result.realised.value == pytest.approx(result.reference, rel=0.5)
    assert result.figures["coverage"] == pytest.approx(0.9, abs=0.08)
    assert not result.alarm


def test_a_file_that_says_nothing_of_scores_or_labels_is_refused(config: Settings, tmp_path: Path) -> None:
    for text, said in (("label;x\n1;2\n", "which scores"), ("score_id;x\nab;2\n", "no labels")):
        (tmp_path / "bad.csv").write_text(text)
        with pytest.raises(RefusedFile, match=said):
            join_file(tmp_path / "bad.csv")


def test_lost_quality_emits_an_event(config: Settings, tmp_path: Path) -> None:
    frame = clients(400, 4)
    score(config, frame, SCORED)
    join_file(labels_file(tmp_path, frame.assign(income=frame.income * 1.6)))
    result = quality(QualityRequest(use_case="income"))
    assert result.alarm
    assert result.loss > config.quality_loss
    (event,) = events("opora.quality.income")
    assert event["payload"]["version"] == result.version
    assert event["payload"]["realised"]["rows"] == 800


def test_a_loss_that_early_labels_show_is_an_alarm_and_nothing_is_estimated(config: Settings) -> None:
    model, at = models.load_champion("income", config), now()
    for seed, raised, since in ((5, 1.0, 40), (6, 1.6, 10)):
        frame, told = clients(200, seed), at - timedelta(days=since - 10)
        score(config, frame, at - timedelta(days=since))
        month = f"{at - timedelta(days=since):%Y-%m}"
        told_of = [
            Label(float(income), client_id=code, month=month, labelled_at=told)
            for code, income in zip(frame["client_code"], frame["income"] * raised, strict=True)
        ]
        assert record_labels(open_database(config.database("journal")), told_of).joined == 200
    result = judge_quality(model, 5, at, config)
    assert result.realised.value is None
    assert isinstance(result.estimated, NotEstimable)
    assert "early labels" in result.estimated.reason
    assert result.alarm
    assert result.loss > config.quality_loss
    assert "early labels: WMAE" in result.verdict
    assert "estimated" not in figures.quality(model, open_journal(config), at - timedelta(days=5), at, config)
