"""The one Evidently workspace: a project per use case with a dashboard over time, and the same reports as HTML files."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID, uuid5

from evidently.core.report import Snapshot
from evidently.sdk.models import DashboardPanelPlot, PanelMetric, ProjectModel
from evidently.sdk.panels import counter_panel, line_plot_panel
from evidently.ui.workspace import Project, Workspace

_NAMESPACE = UUID("6f706f72-6100-5000-8000-6472696674ff")


@dataclass(frozen=True)
class Filed:
    """Where a report lies: its run in the workspace, and a standalone HTML file."""

    project_id: str
    run_id: str
    html: Path

    def link(self, evidently_url: str) -> str:
        """Address of the report in the Evidently UI at `evidently_url`."""
        return f"{evidently_url.rstrip('/')}/projects/{self.project_id}/reports/{self.run_id}"


class ReportWorkspace:
    """Files reports in `var/evidently` (what `evidently ui` serves) and `var/reports/<use case>/<date>.html`."""

    def __init__(self, var: Path) -> None:
        folder = var / "evidently"
        folder.mkdir(parents=True, exist_ok=True)
        self._workspace = Workspace.create(str(folder))
        self._reports = var / "reports"

    def file(self, use_case: str, predictions: Iterable[str], snapshot: Snapshot, at: datetime) -> Filed:
        """Add a report of a use case to its project, without the rows it was made from; a later one of the day replaces the HTML.

        Args:
            predictions: prediction columns; each has a line on the dashboard.
        """
        project = self._project(use_case)
        _complete_dashboard(project, use_case, predictions)
        run = self._workspace.add_run(project.id, snapshot, include_data=False, name=f"{use_case} {at:%Y-%m-%d %H:%M} UTC")
        html = self._reports / use_case / f"{at:%Y-%m-%d}.html"
        html.parent.mkdir(parents=True, exist_ok=True)
        snapshot.save_html(str(html))
        return Filed(str(project.id), str(run.id), html)

    def _project(self, use_case: str) -> Project:
        # The id follows from the name: two flows that come first at the same moment write the same project.
        project_id = uuid5(_NAMESPACE, use_case)
        found = self._workspace.get_project(project_id)
        if found is not None:
            return found
        description = f"Drift of the {use_case} model: the journal against the reference of the champion"
        return self._workspace.add_project(ProjectModel(id=project_id, name=use_case, description=description))


def _complete_dashboard(project: Project, use_case: str, predictions: Iterable[str]) -> None:
    present = {panel.title for panel in project.dashboard.model().panels}
    for panel in _panels(use_case, predictions):
        if panel.title not in present:
            project.dashboard.add_panel(panel)


def _panels(use_case: str, predictions: Iterable[str]) -> list[DashboardPanelPlot]:
    share = PanelMetric(legend="share", metric="DriftedColumnsCount", metric_labels={"value_type": "share"})
    count = PanelMetric(legend="features", metric="DriftedColumnsCount", metric_labels={"value_type": "count"})
    return [
        line_plot_panel(f"{use_case}: share of drifted features", [share], "Features whose values drifted, of all compared."),
        counter_panel(f"{use_case}: drifted features", [count], "In the newest report.", size="half"),
        *(
            line_plot_panel(f"{use_case}: drift of {name}", [_distance(name)], "Distance from the reference.", size="half")
            for name in predictions
        ),
    ]


def _distance(column: str) -> PanelMetric:
    return PanelMetric(legend="distance", metric="ValueDrift", metric_labels={"column": column})
