"""P37 for the consent service: browsers and foreign names are denied by default; and what surrounds every request."""

import re

import pytest
from starlette.testclient import TestClient

from consent_api.app import guarded
from settings import Settings


@pytest.fixture
def http(bank) -> TestClient:
    config = Settings(cors_origins=("https://bank.example",), allowed_hosts=("consent.bank.example",))
    return TestClient(guarded(bank.http.app, config), base_url="http://127.0.0.1", raise_server_exceptions=False)


@pytest.mark.parametrize(
    "path", ["/", "/healthz", "/readyz", "/metrics", "/docs", "/openapi.json", "/client/17/consents", "/nowhere"]
)
@pytest.mark.parametrize("host", ["evil.example", "", "127.0.0.1.evil.example", "10.0.0.7:8000", "localhost:80:80"])
def test_p37_a_foreign_host_gets_400(http: TestClient, path: str, host: str) -> None:
    answer = http.get(path, headers={"Host": host})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "unknown_host"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8000", "[::1]:8000", "CONSENT.bank.example:443"])
def test_p37_its_own_names_are_answered(http: TestClient, host: str) -> None:
    assert http.get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://bank.example.evil.example", "http://bank.example"])
def test_p37_an_unknown_origin_gets_no_allow_header(http: TestClient, origin: str) -> None:
    plain = http.get("/", headers={"Origin": origin})
    asked = http.options("/client/17/consents", headers={"Origin": origin, "Access-Control-Request-Method": "GET"})
    assert not [name for answer in (plain, asked) for name in answer.headers if name.lower().startswith("access-control")]
    assert asked.status_code == 403


def test_p37_a_listed_origin_may_call_and_never_with_cookies(http: TestClient) -> None:
    asked = {"Origin": "https://bank.example", "Access-Control-Request-Method": "DELETE"}
    answer = http.options("/client/17/consents", headers=asked)
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == "https://bank.example"
    assert "DELETE" in answer.headers["Access-Control-Allow-Methods"]
    assert "Access-Control-Allow-Credentials" not in answer.headers


def listed(header: str) -> set[str]:
    return {name.strip().lower() for name in header.split(",")}


def test_a_listed_origin_may_send_and_read_every_header_there_is(http: TestClient, bank) -> None:
    """Or a page of the bank could not say which text it has shown, nor find the next page of a spreadsheet."""
    operations = [operation for path in bank.http.app.openapi()["paths"].values() for operation in path.values()]
    taken = {each["name"].lower() for one in operations for each in one.get("parameters", ()) if each["in"] == "header"}
    given = {name.lower() for one in operations for answer in one["responses"].values() for name in answer.get("headers", ())}
    origin = {"Origin": "https://bank.example"}
    asked = http.options("/consent", headers=origin | {"Access-Control-Request-Method": "POST"})
    assert taken <= listed(asked.headers["Access-Control-Allow-Headers"])
    assert given <= listed(http.get("/", headers=origin).headers["Access-Control-Expose-Headers"])


def test_the_page_of_the_endpoints_loads_nothing_from_other_machines(http: TestClient) -> None:
    page = http.get("/docs")
    assert page.status_code == 200
    loaded = re.findall(r'(?:src|href)="([^"]*)"', page.text)
    assert loaded
    for address in loaded:
        assert address.startswith(("/docs/", "data:"))
        assert address.startswith("data:") or http.get(address).status_code == 200


def test_a_pickle_is_refused_by_its_type(http: TestClient) -> None:
    answer = http.post("/client/17/consents", content=b"\x80\x04.", headers={"Content-Type": "application/x-pickle"})
    assert answer.status_code == 415
