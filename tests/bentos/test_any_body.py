"""No body makes a service fail, and many callers at once lose nothing."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from bentos.application import guarded
from bentos.backend import Backend
from bentos.form import ApplicationForm
from bentos.fraud import TransactionScoringRequest, fraud_app, score
from bentos.income import income_app
from bentos.prescoring import prescoring_app
from clock import now

NAMES = {
    "fraud": list(TransactionScoringRequest.model_fields),
    "income": ["client_id", "features", "spend_total_90d", "city"],
    "prescoring": [*ApplicationForm.model_fields, "features"],
}
PATHS = {"fraud": "/api/v1/score_transaction", "income": "/api/predictions", "prescoring": "/prescore"}
APPS = {"fraud": fraud_app, "income": income_app, "prescoring": prescoring_app}

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
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_body_yields_a_5xx(opened: Callable[[str], Backend], use_case: str, data: st.DataObject) -> None:
    backend = opened(use_case)
    client = TestClient(guarded(APPS[use_case](backend), backend.config), base_url="http://127.0.0.1")
    body = data.draw(bodies(NAMES[use_case]))
    answer = client.post(PATHS[use_case], content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert answer.status_code < 500
    assert answer.status_code == 200 or set(answer.json()) == {"error"}


def test_every_score_of_many_concurrent_callers_is_in_the_journal(opened: Callable[[str], Backend]) -> None:
    backend = opened("fraud")
    before = backend.journal.commits
    requests = [TransactionScoringRequest(amount=amount) for amount in range(200)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda request: score(backend, request), requests))
    kept = backend.journal.window("fraud", now() - timedelta(minutes=5), now() + timedelta(minutes=5))
    by_id = kept.set_index("score_id")
    for request, answer in zip(requests, answers, strict=True):
        assert by_id.loc[answer.score_id, "feature_amount"] == request.amount
        assert by_id.loc[answer.score_id, "prediction_fraud"] == answer.fraud_probability
    assert backend.journal.commits - before <= len(requests)
