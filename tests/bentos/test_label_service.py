"""Labels sent to a service join the scores that it gave."""

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient


@pytest.fixture(scope="module")
def http(service_client: Callable[[str], TestClient]) -> TestClient:
    return service_client("fraud")


def counts(**other: int) -> dict[str, int]:
    return dict.fromkeys(("joined", "unknown", "duplicates", "conflicting", "invalid", "early"), 0) | other


def test_a_score_takes_its_label_once(http: TestClient) -> None:
    score_id = http.post("/api/v1/score_transaction", json={"amount": 31000}).json()["score_id"]

    def told(label: float) -> dict[str, Any]:
        answer = http.post("/api/labels", json={"labels": [{"score_id": score_id, "label": label}]})
        assert answer.status_code == 200
        return answer.json()

    assert told(1) == counts(joined=1)
    assert told(1) == counts(duplicates=1)
    assert told(0) == counts(conflicting=1)
    assert told(7) == counts(invalid=1)


def test_unknown_scores_are_counted(http: TestClient) -> None:
    sent = [{"score_id": "nobody", "label": 1}, {"client_id": "7", "month": "2026-05", "label": 250000}]
    assert http.post("/api/labels", json={"labels": sent}).json() == counts(unknown=2)


@pytest.mark.parametrize(
    "label",
    [
        {"label": 1},
        {"label": 1, "client_id": "7"},
        {"label": "1", "score_id": "a"},
        {"label": 1, "score_id": "a", "labelled_at": "2026-05-01T00:00:00"},
        {"label": 1, "score_id": "a", "more": 1},
    ],
)
def test_a_label_that_cannot_be_understood_is_refused_whole(http: TestClient, label: dict[str, Any]) -> None:
    answer = http.post("/api/labels", json={"labels": [label]})
    assert answer.status_code == 422
    assert "labels[0]" in answer.json()["error"]["message"]
