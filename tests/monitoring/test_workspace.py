"""The promises of the report workspace: one project per use case, a dashboard over time, small reports, no rows."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

from monitoring.drift import DriftLimits, Model, drift_report
from monitoring.watch import Watched
from monitoring.workspace import ReportWorkspace

AT = datetime(2026, 3, 1, 9, tzinfo=UTC)
FEATURES = [f"feature {number}" for number in range(35)]


def watched(at: datetime, predictions: tuple[str, ...] = ("prediction_fraud",), shift: float = 0.0) -> Watched:
    rng = np.random.default_rng(1)
    columns = [*FEATURES, *predictions]
    reference, current = (pd.DataFrame(rng.normal(size=(300, len(columns))), columns=columns) for _ in range(2))
    current[FEATURES[:2]] += shift
    outcome = drift_report(reference, current, Model(FEATURES, predictions), DriftLimits())
    figures = {"volume": 300.0, "mean latency": 2.5, "realised": 0.4, "estimated": 0.5, "alert rate": 0.01}
    return Watched(at, outcome, "", outcome.findings, figures)


def test_reports_of_a_use_case_gather_in_one_project(tmp_path: Path) -> None:
    first = ReportWorkspace(tmp_path).file("fraud", "3", watched(AT))
    second = ReportWorkspace(tmp_path).file("fraud", "3", watched(AT.replace(day=2)))
    other = ReportWorkspace(tmp_path).file("income", "3", watched(AT))
    assert first.project_id == second.project_id != other.project_id
    assert first.run_id != second.run_id
    workspace = ReportWorkspace(tmp_path)._workspace
    assert {project.name for project in workspace.list_projects()} == {"fraud", "income"}
    assert len(workspace.list_runs(first.project_id)) == 2
    assert workspace.get_run(first.project_id, second.run_id).name == "fraud 2026-03-02 09:00 UTC"
    assert first.link("http://127.0.0.1:8010/") == f"http://127.0.0.1:8010/projects/{first.project_id}/reports/{first.run_id}"


def test_the_days_that_are_filed_are_known(tmp_path: Path) -> None:
    assert ReportWorkspace(tmp_path).days("fraud") == set()
    ReportWorkspace(tmp_path).file("fraud", "3", watched(AT))
    ReportWorkspace(tmp_path).file("fraud", "3", watched(datetime(2026, 3, 4, 23, 59, tzinfo=UTC)))
    assert ReportWorkspace(tmp_path).days("fraud") == {date(2026, 3, 1), date(2026, 3, 4)}


def test_reports_of_days_before_the_limit_are_deleted_with_their_files(tmp_path: Path) -> None:
    workspace = ReportWorkspace(tmp_path)
    for use_case in ("fraud", "income"):
        for day in (1, 2, 3):
            workspace.file(use_case, "3", Watched(AT.replace(day=day), None, "0 current rows", (), {}))
    assert workspace.discard("fraud", date(2026, 3, 3)) == 2
    assert workspace.discard("fraud", date(2026, 3, 3)) == 0
    assert (workspace.days("fraud"), len(workspace.days("income"))) == ({date(2026, 3, 3)}, 3)
    pages = {
        use_case: sorted(path.name for path in (tmp_path / "reports" / use_case).iterdir()) for use_case in ("fraud", "income")
    }
    assert (pages["fraud"], len(pages["income"])) == (["2026-03-03.html"], 3)


def test_the_dashboard_has_each_panel_once(tmp_path: Path) -> None:
    for at in (AT, AT.replace(day=2)):
        filed = ReportWorkspace(tmp_path).file("prescoring", "3", watched(at))
    dashboard = ReportWorkspace(tmp_path)._workspace.get_dashboard(filed.project_id)
    titles = [panel.title.removeprefix("prescoring: ") for panel in dashboard.panels]
    assert len(titles) == len(set(titles))
    wanted = ("drift", "top features", "drift of predictions", "quality", "fairness", "volume", "latency", "shadow", "findings")
    assert set(wanted) <= set(titles)


def test_the_report_is_also_a_standalone_file_of_its_day_under_5_mb(tmp_path: Path) -> None:
    filed = ReportWorkspace(tmp_path).file("fraud", "3", watched(AT, shift=2.0))
    assert filed.html == tmp_path / "reports" / "fraud" / "2026-03-01.html"
    assert filed.html.read_text(encoding="utf-8").lstrip().startswith("<!DOCTYPE html>")
    assert filed.html.stat().st_size < 5_000_000


def test_long_names_and_long_texts_in_every_column_keep_the_file_under_5_mb(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    names = [f"{'очень длинное название признака ' * 4}{number}" for number in range(35)]
    texts = [f"{number} {'весьма многословное значение ' * 10}" for number in range(20)]
    sides = []
    for _ in range(2):
        numbers = pd.DataFrame(rng.lognormal(8, 3, (500, 10)), columns=names[:10])
        words = pd.DataFrame(rng.choice(texts, (500, 25)), columns=names[10:])
        sides.append(pd.concat([numbers, words], axis=1).assign(prediction_fraud=rng.random(500)))
    outcome = drift_report(*sides, Model(names, ["prediction_fraud"]), DriftLimits())
    filed = ReportWorkspace(tmp_path).file("fraud", "3", Watched(AT, outcome, "", outcome.findings, {}))
    assert filed.html is not None
    assert filed.html.stat().st_size < 5_000_000


def test_a_window_without_rows_is_filed_with_its_reason(tmp_path: Path) -> None:
    filed = ReportWorkspace(tmp_path).file("fraud", "3", Watched(AT, None, "0 current rows", (), {"volume": 0.0}))
    assert filed.html is not None
    assert "0 current rows" in filed.html.read_text(encoding="utf-8")


def test_no_data_set_is_stored_with_a_run(tmp_path: Path) -> None:
    filed = ReportWorkspace(tmp_path).file("fraud", "3", watched(AT))
    assert not list(ReportWorkspace(tmp_path)._workspace.list_datasets(filed.project_id).datasets)
    assert not [path for path in tmp_path.rglob("*") if path.suffix in {".parquet", ".csv", ".pkl", ".pickle"}]


@pytest.fixture
def evidently_ui(tmp_path: Path) -> Iterator[str]:
    """Address of a real `evidently ui` over the workspace in `tmp_path`, started without our code on its path."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        str(Path(sys.executable).with_name("evidently")),
        "ui",
        "--workspace",
        str(tmp_path / "evidently"),
        "--port",
        str(port),
    ]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ui = subprocess.Popen([*command, "--host", "127.0.0.1"], env=environment, cwd=tmp_path, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                if httpx.get(f"{address}/api/version").is_success:
                    break
            except httpx.HTTPError:
                time.sleep(0.5)
        yield address
    finally:
        os.killpg(ui.pid, signal.SIGTERM)
        ui.wait()


@pytest.mark.integration
def test_the_served_dashboard_draws_every_figure_over_time(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    for day in (2, 1, 3):
        filed = ReportWorkspace(tmp_path).file("fraud", "3", watched(AT.replace(day=day), shift=float(day - 1)), page=False)
    project = f"{request.getfixturevalue('evidently_ui')}/api/v2/snapshots/{filed.project_id}"

    def drawn(metric: str, **labels: str) -> list[dict[str, Any]]:
        wanted = {"metric": f"evidently:metric_v2:{metric}", "metric_labels": labels, "tags": [], "metadata": {}}
        return httpx.post(f"{project}/data_series_batch", json={"series_filter": [wanted]}).json()["series"]

    (share,) = drawn("Figure", name="drift share")
    assert share["values"] == pytest.approx([0, 2 / 35, 2 / 35])
    for name in ("volume", "mean latency", "realised", "estimated", "alert rate", "drift of prediction_fraud"):
        (line,) = drawn("Figure", name=name)
        assert len(line["values"]) == 3
    assert {"feature 0", "feature 1"} <= {line["params"]["column"] for line in drawn("Severity")}
