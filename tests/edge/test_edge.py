"""Promises of edge/: what a caller meets before a handler."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter, ValidationError
from starlette.testclient import TestClient

from edge.errors import RequestRefused, error_body, field_name, install_error_handlers, validation_refusal
from edge.keys import ConfigurationError, KeyGuard, Keyring, check_binding
from edge.limits import BodyLimit
from edge.media import MediaTypes
from edge.patterns import IN_WORDS
from settings import Settings

LIMIT = 2_000


class Item(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    amount: Annotated[float, Field(ge=0, lt=1e12)]
    tags: dict[str, float] = {}


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid")

    items: list[Item]


def application() -> FastAPI:
    app = FastAPI()
    install_error_handlers(app)

    @app.get("/")
    def alive() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/total")
    def total(order: Order) -> dict[str, float]:
        return {"total": sum(item.amount for item in order.items)}

    @app.get("/busy")
    def busy() -> None:
        raise RequestRefused(503, "not_ready", "train the model first", headers={"Retry-After": "5"})

    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError("the secret is 42")

    return app


def keyring_of(*keys: str) -> Keyring:
    return Keyring(Settings(var=Path("/nonexistent"), api_keys=tuple(SecretStr(key) for key in keys)))


def client_of(*keys: str, base_url: str = "http://127.0.0.1") -> TestClient:
    guarded = KeyGuard(BodyLimit(application(), LIMIT), keyring_of(*keys), lambda _: None)
    return TestClient(guarded, base_url=base_url, raise_server_exceptions=False)


CLIENT = client_of()


def is_error_shape(body: object) -> bool:
    return (
        isinstance(body, dict)
        and set(body) == {"error"}
        and set(body["error"]) in ({"code", "message"}, {"code", "message", "field"})
        and all(isinstance(text, str) and text for text in body["error"].values())
    )


def test_a_good_request_passes_untouched() -> None:
    assert CLIENT.post("/total", json={"items": [{"amount": 2}, {"amount": 0.5}]}).json() == {"total": 2.5}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"items": [{"amount": 1}, {"amount": "1"}]}, "items[1].amount"),
        ({"items": [{"amount": -1}]}, "items[0].amount"),
        ({"items": [{"amount": True}]}, "items[0].amount"),
        ({"items": [{"amount": 1, "tags": {"x": None}}]}, "items[0].tags.x"),
        ({"items": [], "colour": 1}, "colour"),
        ({}, "items"),
        ([], "body"),
        (None, "body"),
        ("items", "body"),
    ],
)
def test_a_misfit_is_422_and_names_the_field(body: object, field: str) -> None:
    answer = CLIENT.post("/total", json=body)
    assert answer.status_code == 422
    assert is_error_shape(answer.json())
    assert answer.json()["error"]["field"] == field
    assert field in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"{'items': []}",
        b"\xff\xfe\x00",
        b'{"items": [{"amount": NaN}]}',
        b'{"items": [{"amount": Infinity}]}',
        b'{"items": [{"amount": -Infinity}]}',
        b'{"items": [{"amount": 1e308}]}',
        b'{"items": [{"amount": 1e999}]}',
        b'{"items": [{"amount": ' + b"9" * 1500 + b"}]}",
        b'{"items": ' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"\\ud800": 1}',
        b'{"items": [{"amount": 1, "tags": {"\\udfff": "x"}}]}',
    ],
)
def test_text_that_is_no_order_is_refused_in_the_one_shape(text: bytes) -> None:
    answer = CLIENT.post("/total", content=text, headers={"Content-Type": "application/json"})
    assert 400 <= answer.status_code < 500
    assert is_error_shape(answer.json())


def test_json_nested_deeper_than_the_parser_bears_is_refused() -> None:
    client = TestClient(application(), raise_server_exceptions=False)
    deep = b"[" * 200_000 + b"]" * 200_000
    answer = client.post("/total", content=deep, headers={"Content-Type": "application/json"})
    assert 400 <= answer.status_code < 500
    assert is_error_shape(answer.json())


@given(st.binary(max_size=LIMIT))
def test_no_bytes_make_a_5xx(content: bytes) -> None:
    answer = CLIENT.post("/total", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code < 500


values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["items", "amount", "tags", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(values)
def test_any_json_is_answered_with_a_total_or_with_a_named_field(value: object) -> None:
    answer = CLIENT.post("/total", content=json.dumps(value), headers={"Content-Type": "application/json"})
    assert answer.status_code == 200 or (answer.status_code == 422 and is_error_shape(answer.json()))


def test_other_errors_keep_the_shape_and_hide_what_happened_inside() -> None:
    for path, status in (("/nowhere", 404), ("/total", 405), ("/busy", 503), ("/broken", 500)):
        answer = CLIENT.get(path)
        assert answer.status_code == status
        assert is_error_shape(answer.json())
        assert "42" not in answer.text
        assert "Traceback" not in answer.text
    assert CLIENT.get("/busy").headers["Retry-After"] == "5"


@given(st.text(alphabet=st.characters(categories=["Cs", "L", "N"])))
def test_every_error_text_can_be_sent(text: str) -> None:
    json.dumps(error_body("code", text, text), ensure_ascii=False).encode()


def test_the_body_as_a_whole_is_called_body() -> None:
    assert field_name(("body",)) == field_name(("body", 17)) == "body"
    assert field_name(("query", "limit")) == "limit"


@pytest.mark.parametrize("pattern", IN_WORDS)
def test_what_a_pattern_asks_for_is_said_in_words(pattern: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(dict[str, Annotated[str, Field(pattern=pattern)]]).validate_python({"code": "\0"})
    for with_context in (True, False):
        refusal = validation_refusal(caught.value.errors(include_context=with_context))
        assert refusal.message == f"code: {IN_WORDS[pattern]}"


@pytest.mark.parametrize("name", ["880229500123", "87075553012", "KZ20387547621106", "Айгуль Канарейкина", "a@b.kz", "A-77 B"])
def test_p23_a_field_name_that_could_be_a_person_is_not_repeated(name: str) -> None:
    for place in ("body", "query"):
        assert name not in field_name((place, "features", name, 3))


@pytest.mark.parametrize("name", ["amuont", "os_ver_cnt_30d", "zscore_interval_7d_vs_30d", "maxLength", "bank_f"])
def test_a_misspelt_field_is_named(name: str) -> None:
    assert field_name(("body", "features", name)) == f"features.{name}"


def padded(size: int) -> bytes:
    return b'{"items": []' + b" " * (size - 13) + b"}"


@given(st.integers(13, 3 * LIMIT))
def test_the_body_limit_is_exact_when_the_length_is_announced(size: int) -> None:
    answer = CLIENT.post("/total", content=padded(size), headers={"Content-Type": "application/json"})
    assert answer.status_code == (200 if size <= LIMIT else 413)


@given(st.integers(13, 3 * LIMIT), st.integers(1, LIMIT))
def test_the_body_limit_is_exact_when_the_body_comes_in_chunks(size: int, chunk: int) -> None:
    def chunks() -> Iterator[bytes]:
        for start in range(0, size, chunk):
            yield padded(size)[start : start + chunk]

    answer = CLIENT.post("/total", content=chunks(), headers={"Content-Type": "application/json"})
    assert answer.status_code == (200 if size <= LIMIT else 413)
    assert answer.status_code == 200 or is_error_shape(answer.json())


@pytest.mark.parametrize("length", ["-1", "1e3", "abc", "9" * 5000, "²"])
def test_a_nonsensical_length_is_refused(length: str) -> None:
    answer = CLIENT.post("/total", content=b"{}", headers={"Content-Length": length.encode()})
    assert answer.status_code in (400, 413)


def test_reading_stops_at_the_limit() -> None:
    sent = []

    def endless() -> Iterator[bytes]:
        for number in range(100):
            sent.append(number)
            yield b" " * 1_000

    app_saw = []

    async def counting(scope: object, receive: object, send: object) -> None:
        while True:
            message = await receive()
            app_saw.append(len(message["body"]))
            if not message["more_body"]:
                break

    answer = TestClient(BodyLimit(counting, LIMIT)).post("/", content=endless())
    assert answer.status_code == 413
    assert sum(app_saw) <= LIMIT


def test_without_configured_keys_none_is_asked_for() -> None:
    assert CLIENT.post("/total", json={"items": []}).status_code == 200


def test_without_keys_only_connections_to_loopback_are_served() -> None:
    assert client_of(base_url="http://10.0.0.7").post("/total", json={"items": []}).status_code == 403
    assert client_of(base_url="http://10.0.0.7").get("/").status_code == 200


def test_old_and_new_key_are_valid_side_by_side_during_a_rotation() -> None:
    client = client_of("old-key", "new-key")
    for key in ("old-key", "new-key"):
        assert client.post("/total", json={"items": []}, headers={"X-API-Key": key}).status_code == 200
    after = client_of("new-key")
    assert after.post("/total", json={"items": []}, headers={"X-API-Key": "old-key"}).status_code == 401


def test_a_key_is_asked_for_before_the_body_is_looked_at() -> None:
    answer = client_of("secret").post("/total", content=b"{" * 5_000)
    assert answer.status_code == 401
    assert is_error_shape(answer.json())
    assert "secret" not in answer.text


def test_probes_need_no_key() -> None:
    assert client_of("secret").get("/").json() == {"status": "ok"}


@given(st.binary(max_size=50), st.lists(st.text(min_size=1, max_size=20).filter(str.strip), min_size=1, max_size=4))
def test_exactly_the_configured_keys_open(given_key: bytes, keys: list[str]) -> None:
    encoded = [key.encode("utf-8", "replace") for key in keys]
    keyring = keyring_of(*(key.decode() for key in encoded))
    assert all(keyring.recognise(key) for key in encoded)
    assert (keyring.recognise(given_key) is not None) == (given_key in encoded)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_keys(host: str) -> None:
    check_binding(host, [])


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "bank.example"])
def test_beyond_loopback_without_keys_the_service_does_not_start_and_says_what_to_do(host: str) -> None:
    with pytest.raises(ConfigurationError, match="OPORA_API_KEYS"):
        check_binding(host, [])
    check_binding(host, [SecretStr("key")])


def test_an_empty_key_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="empty"):
        check_binding("127.0.0.1", [SecretStr("key"), SecretStr(" ")])


@pytest.mark.parametrize(
    ("path", "expected"), [("/token", "application/x-www-form-urlencoded"), ("/elsewhere", "application/json")]
)
def test_a_refused_format_is_told_which_one_the_address_takes(path: str, expected: str) -> None:
    answer = TestClient(MediaTypes(application(), forms=["/token"])).post(
        path, content=b"x", headers={"Content-Type": "text/plain"}
    )
    assert answer.status_code == 415
    assert expected in answer.json()["error"]["message"]


def test_a_packed_body_is_refused_as_such_and_not_read_as_something_broken() -> None:
    client = TestClient(MediaTypes(application()))
    assert client.post("/nowhere", json={}, headers={"Content-Encoding": "identity"}).status_code == 404
    answer = client.post("/nowhere", json={}, headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_content_encoding")
    assert answer.headers["Accept-Encoding"] == "identity"
