"""What is kept of a request: an id, a JSON line, figures; and that none of it tells who was asked about."""

import asyncio
import io
import json
import logging
import re
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from edge.documentation import document
from edge.errors import install_error_handlers
from edge.logs import JsonLines
from edge.measurements import metrics
from edge.observation import Observed

CANARY = "870512300123"


def application() -> FastAPI:
    app = FastAPI(docs_url=None)
    install_error_handlers(app)
    app.add_api_route("/metrics", metrics)
    document(app)

    @app.get("/clients/{client_id}")
    def client(client_id: str) -> str:
        return client_id

    @app.get("/broken/{client_id}")
    def broken(client_id: str) -> str:
        raise KeyError(client_id)

    return app


@pytest.fixture
def http() -> TestClient:
    return TestClient(Observed(application()), raise_server_exceptions=False)


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What the service's loggers write, as JSON lines."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines("test"))
    logger = logging.getLogger("opora")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield stream
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


def read(lines: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in lines.getvalue().splitlines()]


def test_every_request_is_one_json_line_with_the_route_and_never_the_address(http: TestClient, lines: io.StringIO) -> None:
    answer = http.get(f"/clients/{CANARY}?phone={CANARY}")
    (line,) = read(lines)
    assert set(line) == {
        "ts", "level", "service", "logger", "event", "route", "method", "status", "latency_ms", "request_id"
    }  # fmt: skip
    assert (line["level"], line["service"], line["route"], line["method"], line["status"]) == (
        "info", "test", "/clients/{client_id}", "GET", 200
    )  # fmt: skip
    assert line["request_id"] == answer.headers["X-Request-Id"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", str(line["ts"]))
    assert 0 <= float(str(line["latency_ms"])) < 60_000
    assert CANARY not in lines.getvalue()


def test_p23_an_exception_leaves_its_type_and_place_and_nothing_that_it_said(http: TestClient, lines: io.StringIO) -> None:
    answer = http.get(f"/broken/{CANARY}")
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal_error"
    failed, request = read(lines)
    assert (failed["error"], failed["request_id"]) == ("KeyError", answer.headers["X-Request-Id"])
    assert re.fullmatch(r"tests/edge/test_observation\.py:\d+", str(failed["raised_at"]))
    assert request["level"] == "error"
    assert CANARY not in lines.getvalue() + answer.text


def test_a_logger_that_passes_an_exception_on_tells_no_values_either(lines: io.StringIO) -> None:
    try:
        raise ValueError(CANARY)
    except ValueError:
        logging.getLogger("opora.somewhere").exception("it failed")
    assert read(lines)[0]["error"] == "ValueError"
    assert CANARY not in lines.getvalue()


@pytest.mark.parametrize("given", ["0f8fad5b-d9cb-469f-a165-70867728950e", "a" * 16, "req_" + "1" * 60])
def test_a_sane_request_id_is_kept(http: TestClient, given: str) -> None:
    assert http.get("/clients/1", headers={"X-Request-Id": given}).headers["X-Request-Id"] == given


@pytest.mark.parametrize("given", ["short", "a" * 65, CANARY + "0000", '"; drop', "a" * 16 + "\n", "a" * 15 + "é", "{}" * 10])
def test_a_request_id_that_could_carry_something_is_replaced(http: TestClient, lines: io.StringIO, given: str) -> None:
    answer = http.get("/clients/1", headers={"X-Request-Id": given.strip("\n").encode()})
    kept = answer.headers["X-Request-Id"]
    assert re.fullmatch(r"[0-9a-f]{32}", kept) or kept == given.strip("\n")
    assert kept != given
    assert len(set(answer.headers.get_list("X-Request-Id"))) == 1


def test_p23_metrics_name_routes_and_status_never_clients_or_unknown_addresses(http: TestClient) -> None:
    for path in (f"/clients/{CANARY}", f"/broken/{CANARY}", f"/nowhere/{CANARY}", "/docs"):
        http.get(path)
    text = http.get("/metrics").text
    assert 'opora_requests_total{endpoint="/clients/{client_id}",status="200"}' in text
    assert 'opora_requests_total{endpoint="other",status="404"}' in text
    assert 'opora_request_duration_seconds_bucket{endpoint="/broken/{client_id}",le="0.1",status_class="5xx"}' in text
    assert 'endpoint="/docs"' in text
    assert CANARY not in text


def test_addresses_that_nobody_serves_share_one_label(http: TestClient) -> None:
    for number in range(50):
        http.get(f"/made-up-{number}")
    assert "made-up" not in http.get("/metrics").text


def test_a_caller_that_hangs_up_is_counted_and_logged(lines: io.StringIO) -> None:
    async def hung_up(app: ASGIApp) -> None:
        task = asyncio.ensure_future(app({"type": "http", "method": "GET", "path": "/", "headers": []}, None, None))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def slow(*_: object) -> None:
        await asyncio.sleep(60)

    asyncio.run(hung_up(Observed(slow)))
    assert read(lines)[0]["status"] == 499


def test_the_page_of_the_endpoints_loads_nothing_from_other_machines(http: TestClient) -> None:
    page = http.get("/docs")
    loaded = re.findall(r'(?:src|href)="([^"]*)"', page.text)
    assert {"/docs/swagger-ui.js", "/docs/swagger-ui.css"} <= set(loaded)
    assert not [address for address in loaded if "//" in address]
    for address in ("/docs/swagger-ui.js", "/docs/swagger-ui.css"):
        assert http.get(address).status_code == 200
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
