"""Bad input outside of JSON bodies that score: addresses, queries, lists of clients, batches in other formats, exported cells."""

import csv
import io
import re
from collections.abc import Callable
from datetime import timedelta

import httpx
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from bentos.recommendation.export import csv_lines
from bentos.recommendation.store import StoredPush
from bentos.serving.backend import Backend
from clock import now

INJECTIONS = ("'; DROP TABLE journal; --", "' OR '1'='1", "=HYPERLINK(1)", "@SUM(1)", "%27%3B--", "{{7*7}}", "..%2f..%2fetc")
PUSHES = "/push-notifications"
FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


JSON, LINES = "application/json", "application/x-ndjson"


@pytest.mark.parametrize(
    ("use_case", "path", "kind", "body", "field"),
    [
        ("fraud", "/api/v1/score_transaction", JSON, '{"amount": 5, "amount": 9}', "amount"),
        ("fraud", "/api/v1/score_transaction", JSON, '{"amount": 5, "am\\u006funt": 9}', "amount"),
        ("fraud", "/api/v1/score_transaction", JSON, '{"client_id": null, "amount": 5, "client_id": "a:b"}', "client_id"),
        ("fraud", "/api/v1/explain_transaction", JSON, '{"amount": 5, "amount": 5}', "amount"),
        ("fraud", "/api/v1/score_batch", JSON, '{"items": [{"amount": 1}, {"amount": 5, "amount": 9}]}', "items[1].amount"),
        ("fraud", "/api/v1/score_batch", JSON, '{"items": [{"amount": 1}], "items": [{"amount": 2}]}', "items"),
        ("fraud", "/api/v1/score_batch", LINES, '{"amount": 1}\n\n{"amount": 5, "amount": 9}', "items[1].amount"),
        ("income", "/api/predictions", JSON, '{"client_id": "1", "client_id": "2"}', "client_id"),
        ("income", "/api/predictions", JSON, '{"features": {"age": 1, "age": 2}}', "age"),
        ("prescoring", "/prescore", JSON, '{"loan_amount": 1, "loan_amount": 2}', "loan_amount"),
        ("recommendation", "/api/labels", JSON, '{"labels": [{"score_id": "a", "label": 0, "label": 1}]}', "label"),
    ],
)
def test_a_name_that_stands_twice_is_refused_and_named(
    service_client: Callable[[str], TestClient], use_case: str, path: str, kind: str, body: str, field: str
) -> None:
    answer = service_client(use_case).post(path, content=body, headers={"Content-Type": kind})
    assert answer.status_code == 422
    assert answer.json()["error"] == {"code": "invalid_request", "message": f"{field}: is given twice", "field": field}


@pytest.mark.parametrize(
    "body", ['{"amount": 5, "client_id": "a:b", "os_ver_cnt_30d": null}', '{"amount":5,"client_id":"null:"}']
)
def test_nulls_and_colons_in_a_text_are_not_taken_for_a_second_name(
    service_client: Callable[[str], TestClient], body: str
) -> None:
    alone, lines, batch = body, f"{body}\n{body}", f'{{"items": [{body}, {body}]}}'
    for path, kind, text in (("transaction", JSON, alone), ("batch", LINES, lines), ("batch", JSON, batch)):
        answer = service_client("fraud").post(f"/api/v1/score_{path}", content=text, headers={"Content-Type": kind})
        assert answer.status_code == 200, answer.text


def refused(answer: httpx.Response, *statuses: int) -> bool:
    return answer.status_code in statuses and set(answer.json()) == {"error"} and bool(answer.json()["error"]["message"])


@pytest.mark.parametrize("code", [*INJECTIONS, "x" * 65, "%00", "%0a", "%ff", "%20x", "%ED%A0%80"])
@pytest.mark.parametrize(
    ("use_case", "path"),
    [
        ("income", "/api/clients/{}/card"),
        ("income", "/api/clients/{}/offers"),
        ("recommendation", "/recommendations/{}"),
        ("prescoring", "/check_state?task_id={}"),
        ("prescoring", "/check_task?task_id={}"),
        ("prescoring", "/get_result?task_id={}"),
        ("income", "/api/imports/{}"),
        ("income", "/api/admin/import/{}"),
    ],
)
def test_a_made_up_code_in_an_address_is_unknown_or_refused(
    service_client: Callable[[str], TestClient], use_case: str, path: str, code: str
) -> None:
    assert refused(service_client(use_case).get(path.format(code)), 400, 404, 422)


@pytest.mark.parametrize(
    "query",
    [
        *(f"min_income={number}" for number in ("NaN", "inf", "-1", "1e308", "1e999", "", "ten", "'--", "1,5")),
        *(f"limit={number}" for number in ("0", "-1", "501", "1e2", "NaN", "")),
        *(f"offset={number}" for number in ("-1", "1.5", "99999999999999999999", "x")),
        "segment_code=rich",
        "segment_code=low'--",
    ],
)
def test_a_wrong_filter_is_refused_and_named(service_client: Callable[[str], TestClient], query: str) -> None:
    answer = service_client("income").get(f"/api/clients?{query}")
    assert refused(answer, 422)
    assert answer.json()["error"]["field"] == query.split("=", 1)[0]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"client_codes": []}', 422),
        (b'{"client_codes": "1"}', 422),
        (b'{"client_codes": [1]}', 422),
        (b'{"client_codes": [NaN]}', 422),
        (b'{"client_codes": [null]}', 422),
        (b'{"client_codes": [["1"]]}', 422),
        (b'{"client_codes": ["\\u0000"]}', 422),
        (b'{"client_codes": ["\\ud800"]}', 422),
        (b'{"client_codes": ["1"], "colour": 1}', 422),
        (b'{"client_codes": [' + b",".join([b'"1"'] * 1001) + b"]}", 422),
        (b"[" * 10_000 + b"]" * 10_000, 422),
        (b"1e308", 422),
        (b"\xff", 422),
        (b" " * (40 << 20), 413),
    ],
    ids=lambda value: repr(value[:40]) if isinstance(value, bytes) else None,
)
def test_a_list_of_clients_that_is_none_is_refused(service_client: Callable[[str], TestClient], body: bytes, status: int) -> None:
    answer = service_client("recommendation").post(PUSHES, content=body, headers={"Content-Type": "application/json"})
    assert refused(answer, status)


def lines(*items: str) -> bytes:
    return "\n".join(items).encode()


def arrow(**columns: pa.Array) -> bytes:
    table, sink = pa.table(columns), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


NDJSON, ARROW = "application/x-ndjson", "application/vnd.apache.arrow.stream"


@pytest.mark.parametrize(
    ("kind", "body", "field"),
    [
        *((NDJSON, lines('{"amount": 1}', f'{{"amount": {bad}}}'), "items[1]") for bad in ("NaN", "1e999", "-1", "1e308", '"1"')),
        (NDJSON, lines('{"amount": 1, "colour": 1}'), "items[0].colour"),
        (NDJSON, lines('{"amount": 1, "client_id": 1}'), "items[0].client_id"),
        *((ARROW, arrow(amount=pa.array([1.0, bad])), "items[1].amount") for bad in (float("nan"), float("inf"), -1.0, 1e308)),
        (ARROW, arrow(amount=pa.array([1.0]), colour=pa.array([1.0])), "colour"),
        (ARROW, arrow(amount=pa.array(["1"])), "amount"),
        (ARROW, arrow(amount=pa.array([1.0]), client_id=pa.array(["a\x00b"])), "items[0].client_id"),
    ],
)
def test_one_bad_item_of_a_batch_in_another_format_refuses_it_and_is_named(
    service_client: Callable[[str], TestClient], kind: str, body: bytes, field: str
) -> None:
    answer = service_client("fraud").post("/api/v1/score_batch", content=body, headers={"Content-Type": kind})
    assert refused(answer, 422)
    assert answer.json()["error"]["field"].startswith(field)


@pytest.mark.parametrize("kind", [NDJSON, ARROW, "application/json"])
def test_p31_a_batch_of_40_mebibytes_is_refused_in_every_format(service_client: Callable[[str], TestClient], kind: str) -> None:
    answer = service_client("fraud").post("/api/v1/score_batch", content=b" " * (40 << 20), headers={"Content-Type": kind})
    assert refused(answer, 413)


@pytest.mark.parametrize("text", [text for text in INJECTIONS if "%" not in text])
def test_what_looks_like_sql_or_a_formula_is_kept_to_the_letter(
    service_client: Callable[[str], TestClient], opened: Callable[[str], Backend], text: str
) -> None:
    answer = service_client("fraud").post("/api/v1/score_transaction", json={"amount": 5, "client_id": text})
    assert answer.status_code == 200
    kept = opened("fraud").journal.window("fraud", now() - timedelta(minutes=5), now() + timedelta(minutes=5))
    assert kept.set_index("score_id").loc[answer.json()["score_id"], "client_id"] == text


signs = st.sampled_from(
    ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "'", '"', ",", ";", " ", "a", "₸", "\ud800"]
)
MARK = re.compile(f"(^|[;\r\n])'(?=[{re.escape(''.join(FORMULAS))}])")


def unmarked(cell: str) -> str:
    """Without the apostrophes before what would be a formula; any other is the cell's own."""
    return MARK.sub(r"\1", cell)


cells = st.lists(signs, max_size=6).map("".join) | st.text(max_size=20)


@given(rows=st.lists(st.tuples(cells, cells, cells), max_size=5))
def test_no_exported_cell_is_a_formula_and_none_is_lost(rows: list[tuple[str, str, str]]) -> None:
    text = b"".join(csv_lines([[StoredPush(*row, score_id="s") for row in rows]])).decode()
    header, *read = csv.reader(io.StringIO(text, newline=""))
    assert header == ["client_code", "product", "push_notification"]
    assert [tuple(map(unmarked, row)) for row in read] == [
        tuple(unmarked(cell.encode("utf-8", "replace").decode()) for cell in row) for row in rows
    ]
    assert not [cell for row in read for cell in row if cell.startswith(FORMULAS)]
