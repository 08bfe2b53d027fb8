"""Whose Prefect server the runs of a command are recorded by: this bank's, or a temporary one, and it is said which."""

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from flows import addresses
from flows.addresses import Address, use_running_server

OTHERS = Path("/somebody/elses/prefect")


class Server(BaseHTTPRequestHandler):
    """Answers as a Prefect server does that keeps its runs in `home`."""

    home: Path | None = OTHERS

    def do_GET(self) -> None:
        told = {"/api/health": True, "/api/admin/settings": {"home": str(self.home)} if self.home else None}[self.path]
        self.send_response(200 if told is not None else 401)
        self.end_headers()
        self.wfile.write(json.dumps(told).encode())

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the screen."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[type[Server]]:
    class Fresh(Server):
        pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Fresh) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{listening.server_port}"
        monkeypatch.setattr(addresses, "PREFECT", url)
        monkeypatch.setattr(addresses, "ADDRESSES", (Address("Prefect UI", url, "/api/health", ""), *addresses.ADDRESSES[1:]))
        monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
        monkeypatch.setenv("PREFECT_API_URL", "")  # so that it is put back
        monkeypatch.delenv("PREFECT_API_URL")
        yield Fresh
        listening.shutdown()


@pytest.mark.parametrize("home", [OTHERS, None])
def test_the_server_of_another_project_is_left_alone(
    server: type[Server], home: Path | None, capsys: pytest.CaptureFixture[str]
) -> None:
    server.home = home
    assert not use_running_server()
    assert "PREFECT_API_URL" not in os.environ
    said = capsys.readouterr().err
    assert said.startswith("Runs are recorded by a temporary Prefect server: the one at http://127.0.0.1:")
    assert (str(OTHERS) in said) == (home is not None)


def test_this_banks_server_is_used(server: type[Server], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server.home = tmp_path
    assert use_running_server()
    assert os.environ["PREFECT_API_URL"] == f"{addresses.PREFECT}/api"
    assert capsys.readouterr().err == f"Runs are recorded by this bank's Prefect server, {addresses.PREFECT}.\n"


def test_a_server_that_is_named_is_used_without_asking(
    server: type[Server], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://prefect:4200/api")
    assert use_running_server()
    assert "that PREFECT_API_URL names, http://prefect:4200/api" in capsys.readouterr().err
