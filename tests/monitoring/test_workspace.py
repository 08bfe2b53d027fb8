"""The promises of the report workspace: one project per use case, a dashboard over time, no rows."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from monitoring.drift import DriftLimits, DriftOutcome, drift_report
from monitoring.workspace import ReportWorkspace

AT = datetime(2026, 3, 1, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
def outcome() -> DriftOutcome:
    """A small comparison."""
    rng = np.random.default_rng(1)
    reference, current = (pd.DataFrame({"amount": rng.normal(size=200), "prediction_fraud": rng.random(200)}) for _ in range(2))
    return drift_report(reference, current, ["amount"], ["prediction_fraud"], DriftLimits())


def test_reports_of_a_use_case_gather_in_one_project(tmp_path: Path, outcome: DriftOutcome) -> None:
    first = ReportWorkspace(tmp_path).file("fraud", ["prediction_fraud"], outcome.snapshot, AT)
    second = ReportWorkspace(tmp_path).file("fraud", ["prediction_fraud"], outcome.snapshot, AT.replace(day=2))
    other = ReportWorkspace(tmp_path).file("income", ["prediction_income"], outcome.snapshot, AT)
    assert first.project_id == second.project_id != other.project_id
    assert first.run_id != second.run_id
    workspace = ReportWorkspace(tmp_path)._workspace
    assert {project.name for project in workspace.list_projects()} == {"fraud", "income"}
    assert len(workspace.list_runs(first.project_id)) == 2
    assert workspace.get_run(first.project_id, second.run_id).name == "fraud 2026-03-02 09:00 UTC"
    assert first.link("http://127.0.0.1:8010/") == f"http://127.0.0.1:8010/projects/{first.project_id}/reports/{first.run_id}"


def test_the_dashboard_has_each_panel_once_and_grows_with_the_outputs(tmp_path: Path, outcome: DriftOutcome) -> None:
    for predictions in (["prediction_bank_a"], ["prediction_bank_a"], ["prediction_bank_a", "prediction_bank_f"]):
        filed = ReportWorkspace(tmp_path).file("prescoring", predictions, outcome.snapshot, AT)
    dashboard = ReportWorkspace(tmp_path)._workspace.get_dashboard(filed.project_id)
    assert [panel.title for panel in dashboard.panels] == [
        "prescoring: share of drifted features",
        "prescoring: drifted features",
        "prescoring: drift of prediction_bank_a",
        "prescoring: drift of prediction_bank_f",
    ]


def test_the_report_is_also_a_standalone_file_of_its_day(tmp_path: Path, outcome: DriftOutcome) -> None:
    filed = ReportWorkspace(tmp_path).file("fraud", ["prediction_fraud"], outcome.snapshot, AT)
    assert filed.html == tmp_path / "reports" / "fraud" / "2026-03-01.html"
    assert filed.html.read_text(encoding="utf-8").lstrip().startswith("<!DOCTYPE html>")


def test_no_data_set_is_stored_with_a_run(tmp_path: Path, outcome: DriftOutcome) -> None:
    filed = ReportWorkspace(tmp_path).file("fraud", ["prediction_fraud"], outcome.snapshot, AT)
    assert not list(ReportWorkspace(tmp_path)._workspace.list_datasets(filed.project_id).datasets)
    assert not [path for path in tmp_path.rglob("*") if path.suffix in {".parquet", ".csv", ".pkl", ".pickle"}]
