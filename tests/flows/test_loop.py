"""The loop on a real bank: event → retraining as challenger → shadow → gate, with a person, under kills, once an event."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pandas as pd
import pytest
from prefect import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import Pause
from prefect.flow_engine import run_flow
from sqlalchemy import select

import settings as settings_module
from clock import now
from database import open_database
from features.lake import open_lake
from features.tables import TABLES
from flows.deployments import deployments
from flows.ingest import files_at
from flows.respond import RespondRequest, gate_challengers, respond, respond_to
from flows.train import TrainRequest, train_version
from monitoring.batch import batch_rows
from monitoring.decisions import Decision, Event, Past
from monitoring.journal import Journal
from monitoring.loop_log import LoopLog
from monitoring.loop_tables import ALERTS, STEPS, open_loop, reading
from registry import models, promotion
from registry.aliases import move_champion
from registry.ledger import open_ledger
from settings import Settings
from simulator import SimulationConfig, simulate

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]
USE_CASE = "prescoring"
BUDGET = {"OPORA_RETRAINING_TRIALS": "1", "OPORA_RETRAINING_SECONDS": "2"}


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The applications of a simulated bank as its export has them: a title and a line each, oldest first."""
    raw = tmp_path_factory.mktemp("raw")
    simulate(SimulationConfig(clients=400, seed=3), raw, lambda _done, _of: None)
    (file,) = files_at(str(raw / "applications"))
    title, *lines = file.read_bytes().splitlines(keepends=True)
    return [title, *sorted(lines, key=lambda line: line.split(b";")[1])]


@pytest.fixture(scope="module")
def trained_once(forms: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `var` with a champion that has learned from the older applications."""
    var = tmp_path_factory.mktemp("bank")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPORA_VAR", str(var))
        settings_module.settings.cache_clear()
        ingest(settings_module.settings(), [forms[0], *forms[1:280]])
        trained = train_version(TrainRequest(use_case=USE_CASE, trials=1, seconds=2), promotion.gate)
        assert trained.promoted, trained.reason
    settings_module.settings.cache_clear()
    return var


@pytest.fixture
def config(trained_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """This test's own copy of that bank."""
    var = tmp_path / "var"
    shutil.copytree(trained_once, var)
    monkeypatch.setenv("OPORA_VAR", str(var))
    for name, value in BUDGET.items():
        monkeypatch.setenv(name, value)
    settings_module.settings.cache_clear()
    yield settings_module.settings()
    settings_module.settings.cache_clear()


@pytest.fixture
def fresh(config: Settings, forms: list[bytes]) -> Settings:
    """The same after the newer applications have come."""
    ingest(config, [forms[0], *forms[280:]])
    return config


def ingest(config: Settings, lines: list[bytes]) -> None:
    path = config.var / f"forms-{len(lines)}.csv"
    path.write_bytes(b"".join(lines))
    open_lake(config).ingest(TABLES["applications"], path)


def event(number: int = 1, **fields: Any) -> RespondRequest:
    given = {"use_case": USE_CASE, "kind": "drift", "event_id": f"event-{number}", "version": "1", "detail": "40% drifted"}
    return RespondRequest(**given | fields)


def ledger_rows(config: Settings) -> list[tuple[str, str | None]]:
    ledger = open_ledger(config)
    with ledger.reading() as connection:
        return [(row.action, row.version) for row in ledger.history(connection, USE_CASE) if row.alias == models.CHAMPION]


def steps(config: Settings) -> list[tuple[str, str]]:
    with reading(open_loop(config)) as connection:
        return [(row.step, row.decision) for row in connection.execute(select(STEPS).order_by(STEPS.c.sequence))]


@pytest.fixture
def challenger(fresh: Settings) -> Settings:
    """A challenger in shadow without the cost of a training: the champion's own files as the next version."""
    copied = models.load_version(USE_CASE, "1", fresh)
    folder = next((fresh.var / "models" / USE_CASE).glob("1-*"))
    with models.training_run(USE_CASE, "test", fresh) as run_id:
        version = models.log(folder, run_id, USE_CASE, fresh)
    found, log = event().event, LoopLog(open_loop(fresh))
    log.begin(found, "a", lambda _: RETRAIN, now(), timedelta(seconds=60))
    promotion.postpone(USE_CASE, version, _no_holdout(copied.scorer.reference), fresh)
    log.add(found, "trained", "challenger", "is challenger", "a", challenger=version)
    return fresh


RETRAIN = Decision("retrain", "as seeded")


def _no_holdout(rows: pd.DataFrame) -> promotion.Holdout:
    return promotion.Holdout(rows, pd.DataFrame(), pd.Series(dtype=float), "roc_auc", 0.5)


def test_an_event_leads_to_a_challenger_that_shadows_and_is_judged_on_its_own_holdout(
    fresh: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[promotion.Holdout] = []
    postpone, gate = promotion.postpone, promotion.gate

    def postponed(use_case: str, version: str, holdout: promotion.Holdout, **more: Any) -> promotion.Verdict:
        kept.append(holdout)
        return postpone(use_case, version, holdout, **more)

    def gated(use_case: str, version: str, holdout: promotion.Holdout, **more: Any) -> promotion.Verdict:
        kept.append(holdout)
        return gate(use_case, version, holdout, **more)

    monkeypatch.setattr(promotion, "postpone", postponed)
    monkeypatch.setattr(promotion, "gate", gated)
    response = respond_to(event(), fresh)
    assert (response.decision, response.version) == ("retrain", "2")
    assert models.champion_version(USE_CASE, fresh) == "1"
    assert models.alias_version(USE_CASE, models.CHALLENGER, fresh) == "2"
    learned = models.load_version(USE_CASE, "2", fresh).scorer.metadata["lake_versions"]
    assert learned == {"applications": 1}

    again = respond_to(event(), fresh)
    assert again.decision == "duplicate"
    assert "shadow" in respond_to(event(2), fresh).reason

    trained_at = LoopLog(open_loop(fresh)).challengers()[0].trained_at
    assert gate_challengers(trained_at + timedelta(hours=fresh.shadow_hours, seconds=-1), fresh) == []
    (verdict,) = gate_challengers(trained_at + timedelta(hours=fresh.shadow_hours), fresh)
    assert verdict.version == "2"
    assert verdict.reason.startswith("promoted" if verdict.promoted else "refused")
    assert "in shadow it was given no rows" in verdict.reason
    assert models.champion_version(USE_CASE, fresh) == ("2" if verdict.promoted else "1")
    assert ledger_rows(fresh)[-1] == ("promote" if verdict.promoted else "refuse", "2")
    assert models.alias_version(USE_CASE, models.CHALLENGER, fresh) is None
    assert gate_challengers(trained_at + timedelta(days=1), fresh) == []

    first, second = kept
    pd.testing.assert_frame_equal(first.features, second.features)
    pd.testing.assert_frame_equal(first.labels, second.labels)
    pd.testing.assert_series_equal(first.weights, second.weights)
    assert (first.metric, first.baseline, first.group) == (second.metric, second.baseline, second.group)


@pytest.mark.parametrize(
    ("changes", "decision", "said"),
    [
        ({}, "wait", "no table that prescoring learns from has grown"),
        ({"version": "7"}, "wait", "version 1 is champion by now"),
        ({"broken": ["monthprofit"]}, "mend", "monthprofit"),
        ({"use_case": "fraud"}, "wait", "no champion"),
    ],
)
def test_nothing_is_trained_where_it_would_not_help_and_the_answer_says_why(
    config: Settings, changes: dict[str, Any], decision: str, said: str
) -> None:
    response = respond_to(event(**changes), config)
    assert (response.decision, response.version) == (decision, None)
    assert said in response.reason
    assert [step for step, _ in steps(config)] == ["decided"]


def test_a_challenger_that_failed_on_live_rows_is_refused_whatever_the_holdout_says(challenger: Settings) -> None:
    frame = models.load_version(USE_CASE, "1", challenger).scorer.reference.assign(application_id="x").head(5)
    rows = batch_rows(models.load_champion(USE_CASE, challenger), frame)
    shadows = [
        replace(row, source="shadow", is_simulation=True, model_version="2", score_id=f"{row.score_id}.shadow.2") for row in rows
    ]
    shadows[0] = replace(shadows[0], status="failed", error="ValueError", score=None)
    with Journal(open_database(challenger.database("journal"))) as journal:
        journal.write(rows + [replace(row, ts=now()) for row in shadows])
    config = challenger.model_copy(update={"shadow_rows": 5})  # enough rows end the time in shadow as well
    (verdict,) = gate_challengers(now(), config)
    assert not verdict.promoted
    assert verdict.reason.startswith("refused: it failed on 1 of 5 live rows")
    assert ledger_rows(config)[-1] == ("refuse", "2")
    assert models.champion_version(USE_CASE, config) == "1"


def test_a_verdict_that_a_kill_cut_short_is_taken_from_the_ledger_and_not_given_twice(challenger: Settings) -> None:
    config = challenger.model_copy(update={"shadow_hours": 0.0})
    move_champion(USE_CASE, "2", "1", "promote", "promoted: as seeded", {}, config)
    before = ledger_rows(config)
    (verdict,) = gate_challengers(now(), config)
    assert (verdict.promoted, verdict.reason) == (True, "promoted: as seeded")
    assert ledger_rows(config) == before


def test_a_challenger_whose_rows_are_gone_is_refused_and_blocks_nothing(challenger: Settings) -> None:
    config = challenger.model_copy(update={"shadow_hours": 0.0})
    models.client(config).delete_registered_model_alias(USE_CASE, models.CHALLENGER)
    models.client(config).delete_model_version(USE_CASE, "2")
    (verdict,) = gate_challengers(now(), config)
    assert not verdict.promoted
    assert "not in the registry" in verdict.reason
    assert LoopLog(open_loop(config)).challengers() == []


def test_a_killed_response_blocks_only_until_its_lease_ends(fresh: Settings) -> None:
    code = (
        "from flows.respond import RespondRequest, respond_to; from settings import settings; "
        f"respond_to(RespondRequest(use_case='{USE_CASE}', kind='drift', event_id='event-1', version='1'), settings())"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPORA_RESPONSE_LEASE_SECONDS": "5", "OPORA_RETRAINING_SECONDS": "60"}
    environment["OPORA_RETRAINING_TRIALS"] = "1000"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environment, start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while not steps(fresh):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.2)
        time.sleep(6)  # longer than the lease: it lives by being renewed
        assert "another response is running" in respond_to(event(2), fresh).reason
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    time.sleep(5.1)
    response = respond_to(event(3), fresh)
    assert (response.decision, response.version) == ("retrain", "2")
    assert [decision for step, decision in steps(fresh) if step == "decided"] == ["retrain", "wait", "retrain"]


@pytest.fixture
def asking(fresh: Settings, prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A bank that asks a person."""
    monkeypatch.setenv("OPORA_APPROVAL", "person")
    monkeypatch.setenv("OPORA_ALERT_WEBHOOK", "http://127.0.0.1:1/hook")
    monkeypatch.setattr("monitoring.alerts._PAUSES", (0.0,))
    settings_module.settings.cache_clear()
    return settings_module.settings()


def start(request: RespondRequest) -> FlowRun:
    """A run of the deployment, as far as it comes."""
    (deployment,) = [one for one in deployments() if one.name == "respond"]
    with get_client(sync_client=True) as client:
        deployment_id = deployment.apply()
        run = client.create_flow_run_from_deployment(deployment_id, parameters={"request": request.model_dump()})
    return proceed(run.id)


def proceed(run_id: UUID) -> FlowRun:
    """What the runner does with a scheduled run."""
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(run_id)
        with suppress(Pause):  # which ends the runner's process
            run_flow(respond, flow_run=run, parameters=run.parameters, return_type="state")
        return client.read_flow_run(run_id)


def answer(run: FlowRun, **form: str) -> FlowRun:
    with get_client(sync_client=True) as client:
        client.resume_flow_run(run.id, run_input=form)
    return proceed(run.id)


def alerts(config: Settings) -> str:
    with reading(open_loop(config)) as connection:
        return "\n".join(row.body for row in connection.execute(select(ALERTS)))


def test_a_person_is_asked_once_and_the_answer_is_followed_and_recorded_but_not_told_around(asking: Settings) -> None:
    run = start(event(1))
    assert run.state.is_paused()
    assert steps(asking) == [("decided", "retrain"), ("asked", "ask")]
    assert "a person has been asked" in respond_to(event(2), asking).reason
    run = answer(run, retrain="no", person="CANARY-STAFF", comment="CANARY-COMMENT")
    assert run.state.is_completed()
    assert steps(asking)[-1] == ("answered", "refuse")
    with reading(open_loop(asking)) as connection:
        row = connection.execute(select(STEPS).where(STEPS.c.step == "answered")).one()
    assert (row.person, row.comment) == ("CANARY-STAFF", "CANARY-COMMENT")
    assert "CANARY" not in alerts(asking)
    assert models.alias_version(USE_CASE, models.CHALLENGER, asking) is None


def test_with_a_persons_yes_the_suspended_run_goes_on_and_trains(asking: Settings) -> None:
    run = start(event(1))
    run = answer(run, retrain="yes", person="CANARY-STAFF")
    assert run.state.is_completed(), run.state
    assert [step for step, _ in steps(asking)] == ["decided", "asked", "answered", "trained"]
    assert models.alias_version(USE_CASE, models.CHALLENGER, asking) == "2"


def test_no_answer_in_time_is_a_no_and_the_next_event_is_asked_about_after_the_cooldown(asking: Settings) -> None:
    start(event(1))
    late = now() + timedelta(hours=asking.approval_hours, seconds=1)
    gate_challengers(late, asking)
    assert steps(asking)[-1] == ("answered", "refuse")
    seen: list[Past] = []
    LoopLog(open_loop(asking)).begin(
        Event(USE_CASE, "drift", "look", "1"), "look", lambda past: seen.extend(past) or RETRAIN, late, timedelta(0)
    )
    assert [one.outcome for one in seen] == ["refused"]


def test_where_nobody_can_be_asked_nothing_is_trained(asking: Settings) -> None:
    response = respond_to(event(), asking)
    assert response.decision == "refused"
    assert "deployment respond" in response.reason
