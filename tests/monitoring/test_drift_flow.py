"""The drift flow on a real champion: from journal to artifacts, report and event."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pandas as pd
import pytest
from prefect import get_client
from prefect.exceptions import ParameterTypeError

import settings as settings_module
from clock import now
from database import open_database
from flows.backfill import backfill
from flows.drift import DriftRequest, drift
from monitoring.batch import batch_rows
from monitoring.journal import Journal
from monitoring.workspace import ReportWorkspace
from registry import models, promotion
from settings import Settings
from tests.monitoring.incomes import clients
from training.fit import Trained

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def config(prefect_server: str, tmp_path_factory: pytest.TempPathFactory, income_model: Trained) -> Iterator[Settings]:
    """A `var` of this module's own with an income champion and a Prefect server."""
    var = tmp_path_factory.mktemp("var")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPORA_VAR", str(var))
        settings_module.settings.cache_clear()
        with models.training_run("income", "test") as run_id:
            version = models.log(income_model.folder, run_id, "income")
        assert promotion.gate("income", version, income_model.holdout).promoted
        yield settings_module.settings()
    settings_module.settings.cache_clear()


def score(config: Settings, frame: pd.DataFrame) -> None:
    with Journal(open_database(config.database("journal"))) as journal:
        journal.write(batch_rows(models.load_champion("income", config), frame))


async def _post(path: str, body: dict[str, Any]) -> Any:
    async with get_client() as client:
        return (await client._client.post(path, json=body)).json()


def artifacts() -> dict[str, dict[str, Any]]:
    return {found["key"]: found for found in asyncio.run(_post("/artifacts/latest/filter", {}))}


def events(name: str) -> list[dict[str, Any]]:
    """Events of that name, as soon as the server has stored one (it does so every few seconds)."""
    for _ in range(40):
        found = asyncio.run(_post("/events/filter", {"filter": {"event": {"name": [name]}}}))["events"]
        if found:
            return found
        time.sleep(0.5)
    return []


def test_a_champion_without_scores_gives_a_result_that_says_so(config: Settings) -> None:
    result = drift(DriftRequest(use_case="income"))
    assert "0 current rows" in result.reason
    assert (result.alarm, result.drifted, result.share) == (False, (), 0.0)
    assert "0 current rows" in artifacts()["drift-income"]["data"]
    assert "0 current rows" in result.html.read_text(encoding="utf-8")


def test_drifted_clients_give_a_report_three_artifacts_and_an_event(config: Settings) -> None:
    score(config, clients(400, 2, inflation=3.0))
    result = drift(DriftRequest(use_case="income"))
    assert result.alarm
    assert "spending" in result.drifted
    assert "city" not in result.drifted
    assert result.importance > 0.3
    run_id = models.client(config).get_model_version("income", result.version).run_id
    (kept,) = models.client(config).list_artifacts(run_id, "drift")
    assert kept.path == f"drift/{result.html.name}"
    assert kept.file_size < 5_000_000
    made = artifacts()
    assert {"drift-income", "drift-columns-income", "drift-report-income"} <= set(made)
    assert result.link in made["drift-income"]["data"]
    assert "Compared" in made["drift-income"]["data"]
    assert "spending" in made["drift-columns-income"]["data"]
    (event,) = events("opora.drift.income")
    assert {"use_case", "version", "share", "importance", "drifted", "predictions_drifted", "broken"} <= set(event["payload"])
    assert event["payload"]["use_case"] == "income"
    assert event["payload"]["drifted"] == list(result.drifted)


def test_p23_neither_the_report_nor_the_workspace_knows_a_client(config: Settings) -> None:
    files = [path for folder in ("reports", "evidently") for path in (config.var / folder).rglob("*") if path.is_file()]
    assert len(files) >= 3
    assert not [path for path in files if b"CANARY" in path.read_bytes()]


def test_rows_from_the_future_and_lone_rows_are_told(config: Settings) -> None:
    model = models.load_champion("income", config)
    row = replace(batch_rows(model, clients(1, 3))[0], ts=now() + timedelta(days=2))
    with Journal(open_database(config.database("journal"))) as journal:
        journal.write([row])
    result = drift(DriftRequest(use_case="income"))
    assert any(sentence.startswith("1 rows lie after") for sentence in result.findings)


def test_the_past_of_a_journal_is_filed_once_a_day_and_only_once(config: Settings) -> None:
    model = models.load_champion("income", config)
    today = now().replace(hour=12)
    with Journal(open_database(config.database("journal"))) as journal:
        for days, count in ((9, 120), (5, 3), (4, 150)):
            rows = batch_rows(model, clients(count, days))
            journal.write([replace(row, ts=today - timedelta(days=days)) for row in rows])
    expected = [(today - timedelta(days=days)).date() for days in (9, 5, 4)]
    assert backfill("income", config) == expected
    assert backfill("income", config) == []
    workspace = ReportWorkspace(config.var)
    assert workspace.days("income") >= set(expected)
    assert not (config.var / "reports" / "income" / f"{expected[0]}.html").exists()


def test_a_request_outside_its_limits_is_refused(config: Settings) -> None:
    with pytest.raises(ParameterTypeError, match="days"):
        drift({"use_case": "income", "days": 0})
