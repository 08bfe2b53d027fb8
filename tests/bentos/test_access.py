"""P28, P37 on every scoring service: who may call, under which name, from which page, and what the description says of it."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.testclient import TestClient

from bentos.fraud.service import fraud_app
from bentos.income.service import income_app
from bentos.prescoring import form
from bentos.prescoring.service import prescoring_app
from bentos.recommendation.service import recommendation_app
from bentos.serving.application import guarded
from bentos.serving.backend import Backend
from bentos.serving.scopes import ROUTE_SCOPES
from edge.key_file import new_key
from edge.patterns import IN_WORDS
from edge.scopes import OPEN_PATHS, SCOPES, UndeclaredScope
from settings import Settings
from tests.edge.described import patterns

APPS: dict[str, Callable[[Backend], FastAPI]] = {
    "fraud": fraud_app,
    "income": income_app,
    "prescoring": prescoring_app,
    "recommendation": recommendation_app,
}
KEY = "a-key-of-the-tests"
OTHER_KEY = "another-key-of-the-tests"
PEPPER = "a-pepper-of-the-tests-of-32-characters"
ISSUED = {scope: new_key(PEPPER.encode(), (scope,)) for scope in SCOPES}
HASHES = [str(entry) for _, entry in ISSUED.values()]
HIDDEN = ("/metrics",)
"""Asked for a key, and not in the description."""


class Service:
    """A service that asks for keys, with its description."""

    def __init__(self, app: FastAPI, config: Settings) -> None:
        self.description = app.openapi()
        self.http = TestClient(guarded(app, config), base_url="http://127.0.0.1", raise_server_exceptions=False)

    def operations(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Every method and path with what is said of it."""
        for path, operations in self.description["paths"].items():
            for method, operation in operations.items():
                yield method.upper(), path, operation

    def routes(self) -> Iterator[tuple[str, str]]:
        """Every method and path, with something where the path has a gap."""
        for method, path, _ in self.operations():
            yield method, path.replace("{", "").replace("}", "")


@pytest.fixture(scope="module", params=list(APPS))
def service(request: pytest.FixtureRequest, bank: Settings, promote: Callable[[str, int], str]) -> Iterator[Service]:
    promote(request.param, 1)
    config = bank.model_copy(
        update={
            "api_keys": tuple(SecretStr(text) for text in (KEY, OTHER_KEY, *HASHES)),
            "key_pepper": SecretStr(PEPPER),
            "cors_origins": ("https://bank.example",),
        }
    )
    backend = Backend(request.param, config)
    backend.champion.look()
    backend.start()
    service = Service(APPS[request.param](backend), config)
    with service.http:  # one event loop for all its requests
        yield service
    backend.stop()


@pytest.mark.parametrize("key", [None, "", "wrong", KEY + "x", KEY[:-1], "opora-0123456789abcdef-" + "a" * 43])
def test_p28_without_a_valid_key_every_route_that_is_not_open_gives_401(service: Service, key: str | None) -> None:
    headers = {} if key is None else {"X-API-Key": key}
    for method, path in [*service.routes(), *(("GET", path) for path in HIDDEN), ("GET", "/nowhere"), ("POST", "/docs.json")]:
        if path not in OPEN_PATHS:
            answer = service.http.request(method, path, headers=headers)
            assert (path, answer.status_code) == (path, 401)
            assert answer.json()["error"]["code"] == "unauthorized"
            assert answer.headers["WWW-Authenticate"] == "X-API-Key"


def test_p28_each_configured_key_opens_every_route(service: Service) -> None:
    for key in (KEY, OTHER_KEY):
        for path in ("/model", "/metrics"):
            assert service.http.get(path, headers={"X-API-Key": key}).status_code == 200


@pytest.mark.parametrize("scope", SCOPES)
def test_a_key_opens_the_routes_of_its_scope_and_no_other(service: Service, scope: str) -> None:
    headers = {"X-API-Key": ISSUED[scope][0], "Content-Type": "application/json"}
    for method, template, operation in [*service.operations(), *(("GET", path, None) for path in HIDDEN)]:
        if template in OPEN_PATHS:
            continue
        needed = operation["security"][0]["ApiKey"] if operation else [ROUTE_SCOPES[template]]
        path = template.replace("{id}", str(uuid4())).replace("{client_code}", "nobody")
        answer = service.http.request(method, path, headers=headers, content=b"{}" if method == "POST" else None)
        if needed in ([], [scope]):
            assert answer.status_code not in (401, 403), path
        else:
            assert (path, answer.status_code, answer.json()["error"]["code"]) == (path, 403, "missing_scope")
            assert f"scope {needed[0]}" in answer.json()["error"]["message"]


def test_a_key_for_scores_reads_no_cards_or_lists_and_gives_no_commands() -> None:
    for path, scope in ROUTE_SCOPES.items():
        if re.search("clients|admin|import|upload/|export|push|process|labels|metrics", path):
            assert scope not in (None, "score"), path
        if "admin" in path or path == "/process":
            assert scope == "admin", path


@pytest.mark.parametrize("use_case", APPS)
def test_a_route_without_a_scope_keeps_the_service_from_starting(bank: Settings, use_case: str) -> None:
    app = APPS[use_case](Backend(use_case, bank))
    guarded(app, bank)
    app.add_api_route("/api/new/{number}", lambda number: number)
    with pytest.raises(UndeclaredScope, match="/api/new/{number}"):
        guarded(app, bank)


def test_p28_the_description_declares_the_key_exactly_where_it_is_asked_for(service: Service) -> None:
    for path, operations in service.description["paths"].items():
        for operation in operations.values():
            scope = ROUTE_SCOPES.get(path)
            assert operation["security"] == ([] if path in OPEN_PATHS else [{"ApiKey": [scope] if scope else []}]), path
    assert service.description["components"]["securitySchemes"]["ApiKey"]["in"] == "header"


@pytest.mark.parametrize(
    "content_type", ["application/x-pickle", "application/octet-stream", "application/vnd.bentoml+pickle", "text/plain"]
)
def test_p28_a_pickle_and_whatever_is_no_data_format_is_415(service: Service, content_type: str) -> None:
    headers = {"X-API-Key": KEY, "Content-Type": content_type}
    for method, path in service.routes():
        if method == "POST":
            answer = service.http.post(path, content=b"\x80\x04\x95.", headers=headers)
            assert (path, answer.status_code) == (path, 415)


@pytest.mark.parametrize(
    "path", ["/", "/livez", "/readyz", "/healthz", "/metrics", "/docs", "/openapi.json", "/model", "/nowhere"]
)
@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost@evil.example", "10.0.0.7"])
def test_p37_a_foreign_host_gets_400_on_every_path(service: Service, path: str, host: str) -> None:
    answer = service.http.get(path, headers={"Host": host, "X-API-Key": KEY})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unknown_host")


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://bank.example.evil.example", "http://bank.example"])
def test_p37_an_unknown_origin_gets_no_allow_header(service: Service, origin: str) -> None:
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}
    answers = [
        service.http.get("/model", headers={"Origin": origin, "X-API-Key": KEY}),
        service.http.get("/model", headers={"Origin": origin}),
        service.http.options("/model", headers=asked),
    ]
    assert not [name for answer in answers for name in answer.headers if name.lower().startswith("access-control")]
    assert [answer.status_code for answer in answers] == [200, 401, 403]


def test_p37_a_listed_origin_may_send_the_key_and_never_cookies(service: Service) -> None:
    asked = {"Origin": "https://bank.example", "Access-Control-Request-Method": "POST"}
    preflight = service.http.options("/model", headers=asked)
    assert preflight.status_code == 204
    assert "X-API-Key" in preflight.headers["Access-Control-Allow-Headers"]
    for headers in ({"X-API-Key": KEY}, {}):  # a page may read why it was refused
        answer = service.http.get("/model", headers=headers | {"Origin": "https://bank.example"})
        assert answer.headers["Access-Control-Allow-Origin"] == "https://bank.example"
        assert "Origin" in answer.headers["Vary"]
        assert "Access-Control-Allow-Credentials" not in answer.headers


def test_a_star_is_no_origin(bank: Settings) -> None:
    with pytest.raises(ValueError, match="never \\*"):
        guarded(FastAPI(docs_url=None, redoc_url=None), bank.model_copy(update={"cors_origins": ("*",)}))


def test_every_operation_says_what_it_does_and_which_errors_it_has(service: Service) -> None:
    for path, operations in service.description["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            assert operation.get("description"), where
            assert {"400", "401", "408", "413", "415", "422", "429", "503"} <= set(operation["responses"]), where
            for status, response in operation["responses"].items():
                assert response["description"], where
                if status[0] in "45":
                    schema = response["content"]["application/json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/ErrorAnswer"}, (where, status)


def test_every_field_and_parameter_has_a_description(service: Service) -> None:
    silent = [
        f"{name}.{field}"
        for name, schema in service.description["components"]["schemas"].items()
        for field, said in schema.get("properties", {}).items()
        if "description" not in said and "$ref" not in said
    ]
    silent += [
        f"{path} {parameter['name']}"
        for path, operations in service.description["paths"].items()
        for operation in operations.values()
        for parameter in operation.get("parameters", [])
        if not (parameter.get("description") or parameter["schema"].get("description"))
    ]
    assert not silent


def test_every_pattern_can_be_said_in_words_when_a_request_breaks_it(service: Service) -> None:
    worded_as_a_moment = {form._MOMENT_SCHEMA["pattern"]}  # described, and never what refuses
    assert patterns(service.description) <= IN_WORDS.keys() | worded_as_a_moment


def test_every_json_body_has_an_example(service: Service) -> None:
    schemas = service.description["components"]["schemas"]
    for path, operations in service.description["paths"].items():
        for operation in operations.values():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if content is not None:
                assert exemplified(content, schemas), path


def exemplified(content: dict[str, object], schemas: dict[str, dict[str, object]]) -> bool:
    """Whether a body has an example as a whole, or one of its parts has."""
    text = json.dumps(content)
    named = [name for name in schemas if f'#/components/schemas/{name}"' in text]
    return '"example' in text or any('"example' in json.dumps(schemas[name]) for name in named)
