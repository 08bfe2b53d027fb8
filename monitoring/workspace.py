"""The one Evidently workspace: a project per use case with a dashboard over time, and the same reports as HTML files."""

from dataclasses import dataclass
from datetime import UTC, date
from pathlib import Path
from uuid import UUID, uuid5

from evidently.sdk.models import DashboardPanelPlot, ProjectModel
from evidently.ui.workspace import Project, Workspace

from monitoring.panels import panels_of
from monitoring.report import run_report
from monitoring.watch import Watched

_NAMESPACE = UUID("6f706f72-6100-5000-8000-6472696674ff")


@dataclass(frozen=True)
class Filed:
    """Where a report lies: its run in the workspace, and a standalone HTML file where one was asked for."""

    project_id: str
    run_id: str
    html: Path | None

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

    def file(self, use_case: str, version: str, watched: Watched, page: bool = True) -> Filed:
        """Add a report of a use case to its project, without the rows it was made from.

        Args:
            page: whether to write the HTML file as well, some 4 MB; a later one of the day replaces it.
        """
        note = f"{use_case}, version {version}. {watched.reason}"
        snapshot = run_report(watched.outcome, watched.findings, watched.figures, watched.at, note)
        project = self._project(use_case)
        predictions = [] if watched.outcome is None else [column.column for column in watched.outcome.predictions]
        _complete_dashboard(project, panels_of(use_case, sorted(predictions)))
        name = f"{use_case} {watched.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        run = self._workspace.add_run(project.id, snapshot, include_data=False, name=name)
        html = self._reports / use_case / f"{watched.at:%Y-%m-%d}.html" if page else None
        if html is not None:
            html.parent.mkdir(parents=True, exist_ok=True)
            snapshot.save_html(str(html))
        return Filed(str(project.id), str(run.id), html)

    def days(self, use_case: str) -> set[date]:
        """The days (UTC) of which a report is filed."""
        return set(self._runs(use_case).values())

    def discard(self, use_case: str, before: date) -> int:
        """Delete the reports and files of days before that one; returns how many reports it was."""
        old = [run for run, day in self._runs(use_case).items() if day < before]
        for run in old:
            self._workspace.delete_run(uuid5(_NAMESPACE, use_case), run)
        for page in (self._reports / use_case).glob("*.html"):
            if page.stem < before.isoformat():
                page.unlink()
        return len(old)

    def _runs(self, use_case: str) -> dict[UUID, date]:
        """The reports that are filed, and of which day (UTC) each is."""
        project = uuid5(_NAMESPACE, use_case)
        if self._workspace.get_project(project) is None:
            return {}
        runs = ((run, self._workspace.get_run(project, run)) for run in self._workspace.list_runs(project))
        return {run: found.timestamp.date() for run, found in runs if found is not None}

    def _project(self, use_case: str) -> Project:
        # The id follows from the name: two flows that come first at the same moment write the same project.
        project_id = uuid5(_NAMESPACE, use_case)
        found = self._workspace.get_project(project_id)
        if found is not None:
            return found
        description = f"The {use_case} model: its journal against the reference of the champion, its quality and its traffic"
        return self._workspace.add_project(ProjectModel(id=project_id, name=use_case, description=description))


def _complete_dashboard(project: Project, panels: list[DashboardPanelPlot]) -> None:
    present = {panel.title for panel in project.dashboard.model().panels}
    for panel in panels:
        if panel.title not in present:
            project.dashboard.add_panel(panel)
