"""Starting flows and asking how they are, through Prefect's REST API: serving imports no flow."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import uuid4

import httpx

from edge.errors import RequestRefused
from settings import Settings

_SECONDS = 10.0


class FlowRuns:
    """Runs of our deployments on the Prefect server of the settings.

    Every method raises RequestRefused 503 when the server cannot be reached or does not know the deployment.
    """

    def __init__(self, config: Settings) -> None:
        secret = config.prefect_auth_string
        user, _, password = secret.get_secret_value().partition(":") if secret else ("", "", "")
        self._http = httpx.Client(base_url=config.prefect_api_url, timeout=_SECONDS, auth=(user, password) if secret else None)
        self._client = str(uuid4())

    def start(self, flow: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """A new run of the deployment `<flow>/<flow>` with `request` as its parameter; gives Prefect's flow run."""
        deployment = self._deployment(flow)
        parameters = {"parameters": {"request": dict(request)}}
        started: dict[str, Any] = self._ask("POST", f"/deployments/{deployment}/create_flow_run", parameters)
        return started

    def find(self, run_id: str, flows: tuple[str, ...]) -> dict[str, Any] | None:
        """A run by its id; None when there is none, or none of these flows."""
        criteria = {"flow_runs": {"id": {"any_": [run_id]}}, "flows": {"name": {"any_": list(flows)}}, "limit": 1}
        found: list[dict[str, Any]] = self._ask("POST", "/flow_runs/filter", criteria)
        return found[0] if found else None

    def tables(self, run_id: str) -> list[dict[str, Any]]:
        """The table artifacts of a run, newest first."""
        criteria = {
            "artifacts": {"flow_run_id": {"any_": [run_id]}, "type": {"any_": ["table"]}},
            "sort": "CREATED_DESC",
            "limit": 5,
        }
        found: list[dict[str, Any]] = self._ask("POST", "/artifacts/filter", criteria)
        return found

    def failed_since(self, flow: str, since: datetime) -> int:
        """How many runs of a flow ended badly since a moment."""
        criteria = {
            "flows": {"name": {"any_": [flow]}},
            "flow_runs": {"state": {"type": {"any_": ["FAILED", "CRASHED"]}}, "end_time": {"after_": since.isoformat()}},
        }
        return int(self._ask("POST", "/flow_runs/count", criteria))

    def _deployment(self, flow: str) -> str:
        found = self._send("GET", f"/deployments/name/{flow}/{flow}", None)
        if found.status_code == httpx.codes.NOT_FOUND:
            message = f"Prefect knows no deployment {flow}/{flow}: start the flow runner (make serve, or python -m flows.runner)"
            raise RequestRefused(503, "no_deployment", message, headers={"Retry-After": "10"})
        return str(self._checked(found).json()["id"])

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        answer = self._send(method, path, body)
        if answer.status_code == httpx.codes.FORBIDDEN:  # Prefect asks for a CSRF token, which its clients fetch first
            token = self._checked(self._send("GET", f"/csrf-token?client={self._client}", None)).json()["token"]
            self._http.headers.update({"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": self._client})
            answer = self._send(method, path, body)
        return self._checked(answer).json()

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None) -> httpx.Response:
        try:
            return self._http.request(method, path, json=body)
        except httpx.HTTPError as error:
            message = "the Prefect server cannot be reached: start it (make serve) or set OPORA_PREFECT_API_URL"
            raise RequestRefused(503, "prefect_unreachable", message, headers={"Retry-After": "10"}) from error

    def _checked(self, answer: httpx.Response) -> httpx.Response:
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            message = "the Prefect server asks for a password: set OPORA_PREFECT_AUTH_STRING"
            raise RequestRefused(503, "prefect_unauthorized", message)
        if not answer.is_success:
            message = f"the Prefect server answered {answer.status_code}: see its log"
            raise RequestRefused(503, "prefect_refused", message, headers={"Retry-After": "10"})
        return answer
