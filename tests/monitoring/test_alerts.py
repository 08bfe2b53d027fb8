"""Alerts reach a real web server that fails, come again when it was away, and carry no secret and no address to a log."""

import json
import logging
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import Engine, select

from monitoring import alerts
from monitoring.alerts import Alert, UnsafeWebhook, checked, send
from monitoring.loop_tables import ALERTS, open_loop, reading
from settings import Settings

SECRET = "T0PSECRETPATH"


class Hook(ThreadingHTTPServer):
    """A webhook that answers with the statuses it is told to, then 200, and keeps what it took."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.statuses: list[int] = []
        self.requests: list[str] = []
        self.taken: list[dict] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/{SECRET}"


class _Handler(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        self.server.requests.append(self.path)
        if status == 200:
            self.server.taken.append(json.loads(body))
        self.send_response(status)
        if status in (301, 302, 307, 308):
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    monkeypatch.setattr(alerts, "_PAUSES", (0.0, 0.0, 0.0))
    with Hook() as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def engine(database_url: str) -> Engine:
    return open_loop(Settings(database_url=database_url))


def alert(number: int) -> Alert:
    return Alert(f"fraud {number}", "Дрейф", "Drift", "fraud", "drift", "wait", {"report": "http://127.0.0.1:8010/x"})


def undelivered(engine: Engine) -> int:
    with reading(engine) as connection:
        return len(connection.execute(select(ALERTS).where(ALERTS.c.delivered_at.is_(None))).all())


def test_a_webhook_that_fails_twice_gets_the_alert_at_the_third_try(hook: Hook, engine: Engine) -> None:
    hook.statuses = [500, 503]
    assert send(alert(1), engine, Settings(alert_webhook=hook.url))
    assert len(hook.requests) == 3
    (taken,) = hook.taken
    assert taken == {
        "title": "fraud 1",
        "text_ru": "Дрейф",
        "text_en": "Drift",
        "use_case": "fraud",
        "kind": "drift",
        "decision": "wait",
        "links": {"report": "http://127.0.0.1:8010/x"},
    }
    assert undelivered(engine) == 0


def test_an_alert_that_nobody_took_is_kept_and_comes_once_with_the_next_in_order(
    hook: Hook, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    config = Settings(alert_webhook=hook.url)
    hook.statuses = [500] * 3
    assert not send(alert(1), engine, config)
    assert undelivered(engine) == 1
    assert send(alert(2), engine, config)
    assert send(alert(3), engine, config)
    assert [one["title"] for one in hook.taken] == ["fraud 1", "fraud 2", "fraud 3"]
    assert undelivered(engine) == 0
    assert "was not delivered (status 500)" in caplog.text
    assert SECRET not in caplog.text


def test_a_server_that_is_not_there_breaks_nothing_and_its_address_is_not_logged(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(alerts, "_PAUSES", (0.0,))
    caplog.set_level(logging.DEBUG)
    assert not send(alert(1), engine, Settings(alert_webhook=f"http://127.0.0.1:1/{SECRET}"))
    assert "ConnectError" in caplog.text
    assert SECRET not in caplog.text


def test_no_redirect_is_followed(hook: Hook, engine: Engine) -> None:
    hook.statuses = [302] * 3
    assert not send(alert(1), engine, Settings(alert_webhook=hook.url))
    assert set(hook.requests) == {f"/{SECRET}"}
    assert hook.taken == []


@pytest.mark.parametrize(
    "address", ["http://alerts.example/x", "ftp://127.0.0.1/x", "hooks.example/x", "http://127.0.0.1.example/x"]
)
def test_only_https_or_loopback_gets_an_alert(engine: Engine, address: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(UnsafeWebhook):
        checked(address)
    assert not send(alert(1), engine, Settings(alert_webhook=address))
    assert undelivered(engine) == 1
    assert address not in caplog.text


@pytest.mark.parametrize("address", ["https://hooks.example/x", "http://127.0.0.1:9/x", "http://localhost/x", "http://[::1]/x"])
def test_https_and_loopback_are_taken(address: str) -> None:
    assert str(checked(address)) == address


@pytest.mark.parametrize("address", [None, ""])
def test_without_a_webhook_nothing_is_sent_and_nothing_is_kept(tmp_path: Path, address: str | None) -> None:
    config = Settings(var=tmp_path, alert_webhook=address)
    engine = open_loop(config)
    assert send(alert(1), engine, config)
    assert undelivered(engine) == 0
