"""Promises of POST /api/v1/score_batch: JSON, JSON lines and Arrow give the same answers and keep the same rows."""

import json
import struct
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from bentos.fraud.formats import ARROW, JSON, JSON_LINES
from bentos.fraud.requests import NUMBERS, TransactionBatch
from bentos.fraud.service import fraud_app
from bentos.serving.application import guarded
from bentos.serving.backend import Backend
from clock import now

PATH = "/api/v1/score_batch"
ITEMS: list[dict[str, Any]] = [
    {"client_id": "777", "amount": 31000, "login_sessions_7d": 15, "burstiness_sessions": 0.8},
    {"amount": 0},
    {"client_id": "nobody", "amount": 999_999_999_999.99, "zscore_interval_7d_vs_30d": -1.2, "login_sessions_7d": None},
    {"client_id": "777", "amount": 12.5},
]


@pytest.fixture(scope="module")
def backend(opened: Callable[[str], Backend]) -> Backend:
    backend = opened("fraud")
    row = {"client_code": ["777"], "as_of": [pd.Timestamp(2026, 1, 1)], "login_sessions_30d": [9.0], "client_payments_7d": [3]}
    backend.online.write("fraud", pd.DataFrame(row))
    return backend


@pytest.fixture(scope="module")
def client(backend: Backend, service_client: Callable[[str], TestClient]) -> TestClient:
    return service_client("fraud")


def arrow(table: pa.Table, options: pa.ipc.IpcWriteOptions | None = None) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def as_arrow(items: list[dict[str, Any]]) -> bytes:
    names = ["client_id", *NUMBERS]
    return arrow(pa.table({name: [item.get(name) for item in items] for name in names if any(name in item for item in items)}))


def encoded(media_type: str, items: list[dict[str, Any]]) -> bytes:
    if media_type == ARROW:
        return as_arrow(items)
    if media_type == JSON_LINES:
        return "\n".join(json.dumps(item) for item in items).encode()
    return json.dumps({"items": items}).encode()


def decoded(media_type: str, body: bytes) -> list[dict[str, Any]]:
    if media_type == ARROW:
        return pa.ipc.open_stream(body).read_all().to_pylist()
    if media_type == JSON_LINES:
        return [json.loads(line) for line in body.splitlines()]
    answer = json.loads(body)
    assert set(answer) == {"results"}
    return answer["results"]


def post(client: TestClient, media_type: str, body: bytes) -> Any:
    return client.post(PATH, content=body, headers={"Content-Type": media_type})


def kept(backend: Backend) -> pd.DataFrame:
    return backend.journal.window("fraud", now() - timedelta(minutes=10), now() + timedelta(minutes=1)).set_index("score_id")


FORMATS = pytest.mark.parametrize("media_type", [JSON, JSON_LINES, ARROW])


@FORMATS
def test_results_are_those_of_single_payments_in_the_same_order_and_format(client: TestClient, media_type: str) -> None:
    answer = post(client, media_type, encoded(media_type, ITEMS))
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == media_type
    results = decoded(media_type, answer.content)
    single = [client.post("/api/v1/score_transaction", json=item).json() for item in ITEMS]
    for result, alone in zip(results, single, strict=True):
        assert set(result) == {"fraud_probability", "risk_level", "model_version", "score_id"}
        assert result["fraud_probability"] == pytest.approx(alone["fraud_probability"], abs=1e-6)
        assert (result["risk_level"], result["model_version"]) == (alone["risk_level"], alone["model_version"])


@FORMATS
def test_every_item_is_one_row_of_the_journal_as_if_it_had_come_alone(
    backend: Backend, client: TestClient, media_type: str
) -> None:
    results = decoded(media_type, post(client, media_type, encoded(media_type, ITEMS)).content)
    single = [client.post("/api/v1/score_transaction", json=item).json() for item in ITEMS]
    rows = kept(backend)
    assert len({result["score_id"] for result in results}) == len(ITEMS)
    for item, result, alone in zip(ITEMS, results, single, strict=True):
        row, other = rows.loc[result["score_id"]], rows.loc[alone["score_id"]]
        assert row.prediction_fraud == result["fraud_probability"]
        assert row.decision_fraud == result["risk_level"]
        assert (row.client_id if "client_id" in item else None, row.status, row.source) == (item.get("client_id"), "ok", "api")
        assert row.model_version == result["model_version"]
        assert row.latency_ms > 0
        features = [
            name for name in rows.columns if name.startswith("feature_") and name not in ("feature_hour", "feature_weekday")
        ]
        pd.testing.assert_series_equal(row[features], other[features], check_names=False)


def test_online_features_of_a_client_are_used_for_all_its_items(backend: Backend, client: TestClient) -> None:
    results = client.post(PATH, json={"items": ITEMS}).json()["results"]
    rows = kept(backend).loc[[result["score_id"] for result in results]]
    assert rows.feature_login_sessions_30d.tolist() == [9, 0, 0, 9]
    assert rows.feature_login_sessions_30d_was_missing.tolist() == [0, 1, 1, 0]
    assert rows.feature_client_payments_7d.fillna(-1).tolist() == [3, -1, -1, 3]
    assert rows.feature_login_sessions_7d.tolist() == [15, 0, 0, 0]


@FORMATS
@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount": -1}, "amount"),
        ({"amount": 1e12}, "amount"),
        ({"amount": 1e308}, "amount"),
        ({"amount": None}, "amount"),
        ({"login_sessions_7d": -1}, "login_sessions_7d"),
        ({"burstiness_sessions": 1.5}, "burstiness_sessions"),
        ({"client_id": ""}, "client_id"),
        ({"client_id": "a\u0000b"}, "client_id"),
        ({"client_id": "x" * 65}, "client_id"),
        ({"client_id": " 7"}, "client_id"),
        ({"client_id": "7\n"}, "client_id"),
    ],
)
def test_one_bad_item_refuses_the_batch_and_is_named(
    backend: Backend, client: TestClient, media_type: str, change: dict[str, Any], field: str
) -> None:
    before = backend.journal.commits
    answer = post(client, media_type, encoded(media_type, [*ITEMS, {"amount": 5} | change, {"amount": -1}]))
    assert answer.status_code == 422
    assert answer.json()["error"]["field"] == f"items[4].{field}"
    assert backend.journal.commits == before


@pytest.mark.parametrize("media_type", [JSON, JSON_LINES])
@pytest.mark.parametrize(
    ("item", "field"),
    [
        ('{"amount": NaN}', None),
        ('{"amount": "5"}', "items[4].amount"),
        ('{"amount": true}', "items[4].amount"),
        ('{"amount": 5, "is_fraud": 0}', "items[4].is_fraud"),
        ('{"client_id": 7, "amount": 5}', "items[4].client_id"),
        ("[]", "items[4]"),
        ("{}", "items[4].amount"),
    ],
)
def test_an_item_of_wrong_types_is_named(client: TestClient, media_type: str, item: str, field: str | None) -> None:
    items = [*[json.dumps(one) for one in ITEMS], item]
    body = "\n".join(items) if media_type == JSON_LINES else f'{{"items": [{", ".join(items)}]}}'
    answer = post(client, media_type, body.encode())
    assert answer.status_code == 422
    assert field is None or answer.json()["error"]["field"] == field


@pytest.mark.parametrize(
    "body", ["", "{", "[]", "null", "{}", '{"items": 1}', '{"items": [], "more": 1}', '{"items": [' + "[" * 100_000]
)
def test_what_is_no_batch_is_refused(client: TestClient, body: str) -> None:
    answer = post(client, JSON, body.encode())
    assert answer.status_code == 422
    assert set(answer.json()) == {"error"}


def test_a_batch_of_nothing_is_answered_with_nothing(client: TestClient) -> None:
    assert client.post(PATH, json={"items": []}).json() == {"results": []}
    assert post(client, JSON_LINES, b"\n\n").content == b""
    assert decoded(ARROW, post(client, ARROW, arrow(pa.table({"amount": pa.array([], pa.float64())}))).content) == []


@FORMATS
def test_more_items_than_allowed_are_refused(backend: Backend, media_type: str) -> None:
    config = backend.config.model_copy(update={"batch_items": 3})
    few = Backend("fraud", config)
    few.champion, few.journal, few.online, few.shadow = backend.champion, backend.journal, backend.online, backend.shadow
    client = TestClient(guarded(fraud_app(few), config), base_url="http://127.0.0.1")
    assert post(client, media_type, encoded(media_type, ITEMS[:3])).status_code == 200
    answer = post(client, media_type, encoded(media_type, ITEMS))
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "too_many_items")


def test_a_full_batch_of_10_000_fits_the_body_limit_and_is_one_commit(backend: Backend, client: TestClient) -> None:
    full = dict.fromkeys(NUMBERS, 0.123456789) | {"client_id": "x" * 64, "amount": 123456789.123}
    before = backend.journal.commits
    answer = client.post(PATH, json={"items": [full] * 10_000})
    assert answer.status_code == 200, answer.text[:300]
    assert len(answer.json()["results"]) == 10_000
    assert backend.journal.commits == before + 1


@pytest.mark.parametrize("media_type", ["application/vnd.apache.arrow.file", "multipart/form-data"])
def test_another_format_is_refused_and_the_known_ones_named(client: TestClient, media_type: str) -> None:
    answer = post(client, media_type, b"{}")
    assert answer.status_code == 415
    assert ARROW in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"client_id": ["1"]}, "amount"),
        ({"amount": ["5"]}, "amount"),
        ({"amount": [True]}, "amount"),
        ({"amount": [[1.0]]}, "amount"),
        ({"amount": [5.0], "is_fraud": [0]}, "is_fraud"),
        ({"amount": [5.0], "client_id": [7]}, "client_id"),
        ({"amount": [float("nan")]}, "items[0].amount"),
        ({"amount": [1.0, float("inf")]}, "items[1].amount"),
        ({"amount": [1.0, 2.0], "login_sessions_7d": [None, float("nan")]}, "items[1].login_sessions_7d"),
    ],
)
def test_arrow_columns_of_another_kind_are_refused_by_name(client: TestClient, table: dict[str, list], said: str) -> None:
    answer = post(client, ARROW, arrow(pa.table(table)))
    assert answer.status_code == 422
    assert said in answer.json()["error"]["message"]


def test_arrow_numbers_of_any_width_and_several_parts_are_read(client: TestClient) -> None:
    columns = {"amount": pa.array([1, 2, 3], pa.int32()), "login_sessions_7d": pa.array([1, None, 3], pa.uint8())}
    parts = pa.concat_tables([pa.table(columns | {"burstiness_sessions": pa.array([None] * 3, pa.float32())})] * 2)
    assert len(decoded(ARROW, post(client, ARROW, arrow(parts)).content)) == 6


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_compressed_arrow_is_refused_since_it_may_unfold_to_any_size(client: TestClient, codec: str) -> None:
    body = arrow(pa.table({"amount": np.zeros(9000)}), pa.ipc.IpcWriteOptions(compression=codec))
    answer = post(client, ARROW, body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "compressed_arrow")


ARROW_BODY = as_arrow(ITEMS)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.integers(0, len(ARROW_BODY) - 1), st.integers(0, 255)), min_size=1, max_size=4),
    end=st.integers(0, len(ARROW_BODY)) | st.just(len(ARROW_BODY)),
)
def test_damaged_arrow_never_harms_the_service(client: TestClient, changes: list[tuple[int, int]], end: int) -> None:
    body = bytearray(ARROW_BODY)
    for place, byte in changes:
        body[place] = byte
    answer = post(client, ARROW, bytes(body[:end]))
    assert answer.status_code in (200, 422), answer.text


def test_arrow_offsets_that_lie_are_refused(client: TestClient) -> None:
    body = as_arrow([{"client_id": "abc", "amount": 1.0}, {"client_id": "defg", "amount": 2.0}])
    honest = struct.pack("<3i", 0, 3, 7)
    assert honest in body
    answer = post(client, ARROW, body.replace(honest, struct.pack("<3i", 0, 3, 1 << 30)))
    assert answer.status_code == 422


odd = [0, 1e12, 1e15, -1, True, "5", "x" * 70, " ", "\x00", "a b", "7\n"]
numbers = st.none() | st.integers() | st.floats() | st.sampled_from(odd)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(item=st.dictionaries(st.sampled_from(["client_id", *NUMBERS[:4], "more"]), numbers | st.text(max_size=66)))
def test_the_quick_reader_takes_exactly_what_the_schema_takes(client: TestClient, item: dict[str, Any]) -> None:
    body = json.dumps({"items": [item]}).encode()
    try:
        TransactionBatch.model_validate_json(body)
        expected = 200
    except ValueError:
        expected = 422
    assert post(client, JSON, body).status_code == expected
