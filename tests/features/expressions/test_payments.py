"""Velocity and known fraud of clients and destinations against a naive re-computation."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from features.payments import first_payment, velocity

KEYS = {"client": "client_code", "destination": "destination_id"}


def naive(
    payments: pd.DataFrame, labels: pd.DataFrame, key: str, entity: str, value: str, as_of: pd.Timestamp
) -> dict[str, float]:
    own = payments[(payments[key] == value) & (payments.ts < as_of)]
    told = labels.merge(payments[payments[key] == value], on="transaction_id")
    row = {f"{entity}_seconds_since_first_payment": (as_of - own.ts.min()).total_seconds() if len(own) else np.nan}
    for days in (1, 7, 30):
        since = as_of - timedelta(days=days)
        made, known = own[own.ts >= since], told[(told.reported_at >= since) & (told.reported_at < as_of)]
        row |= {
            f"{entity}_payments_{days}d": len(made),
            f"{entity}_amount_{days}d": made.amount.astype(float).sum(),
            f"{entity}_labels_{days}d": len(known),
            f"{entity}_fraud_share_{days}d": known.is_fraud.mean(),
        }
    return row


@pytest.mark.parametrize("entity", ["client", "destination"])
def test_velocity_counts_what_lies_in_the_window_and_labels_when_they_are_reported(
    entity: str, bank, tables_of, spine_of
) -> None:
    tables, key = tables_of(bank), KEYS[entity]
    payments, labels = pd.DataFrame(bank["payments"]), pd.DataFrame(bank["fraud_labels"])
    asked = [{key: row[key], "as_of": row["ts"]} for row in bank["payments"]]
    asked += [{key: "nobody", "as_of": "2026-05-01"}, {key: asked[0][key], "as_of": "2027-01-01"}]
    computed = velocity(tables["payments"], tables["fraud_labels"], spine_of(asked), entity).to_pandas().set_index([key, "as_of"])
    expected = pd.DataFrame([naive(payments, labels, key, entity, *index) for index in computed.index], index=computed.index)
    pd.testing.assert_frame_equal(computed[list(expected)], expected, check_dtype=False, rtol=1e-12)
    assert len(computed) == len({(row[key], row["as_of"]) for row in asked})
    assert computed[f"{entity}_fraud_share_7d"].gt(0).sum() > 20


def test_a_pair_is_met_at_its_first_payment(bank, tables_of, spine_of) -> None:
    payments = pd.DataFrame(bank["payments"])
    pair = ["client_code", "destination_id"]
    spine = spine_of([{name: row[name] for name in pair} | {"as_of": row["ts"]} for row in bank["payments"]])
    computed = first_payment(tables_of(bank)["payments"], spine, tuple(pair), "pair").to_pandas()
    first = payments.groupby(pair).ts.min()
    expected = [(row.as_of - first[row.client_code, row.destination_id]).total_seconds() for row in computed.itertuples()]
    assert computed.pair_seconds_since_first_payment.tolist() == expected
    assert len(computed) == (payments.ts > payments.groupby(pair).ts.transform("min")).sum()


def test_a_label_reported_before_its_payment_tells_nothing_of_the_future(tables_of, spine_of) -> None:
    at = pd.Timestamp("2026-05-01")
    paid = {"transaction_id": "t", "client_code": "c", "ts": at + timedelta(days=1), "amount": 5, "destination_id": "d"}
    told = {"transaction_id": "t", "is_fraud": 1, "reported_at": at - timedelta(days=1)}
    tables = tables_of({"payments": [paid], "fraud_labels": [told]})
    row = velocity(
        tables["payments"], tables["fraud_labels"], spine_of([{"client_code": "c", "as_of": at}]), "client"
    ).to_pandas()
    assert row.client_labels_30d.tolist() == [0]
