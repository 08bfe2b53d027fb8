"""Terminal features on the public transactions of the Fraud Detection Handbook, labels a week late."""

from datetime import timedelta
from pathlib import Path

import ibis
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from features.payments import velocity

FIRST, LAST = pd.Timestamp("2018-06-01"), pd.Timestamp("2018-07-01")
DELAY = timedelta(days=7)


@pytest.fixture(scope="module")
def month(real_data: Path) -> pd.DataFrame:
    """A month of transactions of a fifth of the terminals, in the order of time."""
    columns = ["TRANSACTION_ID", "TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT", "TX_FRAUD"]
    frame = pd.read_parquet(real_data / "fraud_handbook.parquet", columns=columns)
    chosen = frame.TX_DATETIME.between(FIRST, LAST, inclusive="left") & (frame.TERMINAL_ID % 5 == 0)
    return frame[chosen].sort_values("TX_DATETIME", ignore_index=True)


@pytest.fixture(scope="module")
def computed(month: pd.DataFrame) -> pd.DataFrame:
    """The destination's features at every transaction of the month."""
    at = month.TX_DATETIME.astype("datetime64[us]")
    ids, terminals = month.TRANSACTION_ID.astype(str), month.TERMINAL_ID.astype(str)
    payments = pd.DataFrame({"transaction_id": ids, "ts": at, "amount": month.TX_AMOUNT, "destination_id": terminals})
    labels = pd.DataFrame({"transaction_id": ids, "is_fraud": month.TX_FRAUD, "reported_at": at + DELAY})
    spine = pd.DataFrame({"destination_id": terminals, "as_of": at})
    rows = velocity(*(ibis.memtable(frame) for frame in (payments, labels, spine)), "destination").to_pandas()
    return spine.merge(rows, on=["destination_id", "as_of"], how="left", validate="many_to_one")


def handbook_risk(terminal: pd.DataFrame, days: int) -> pd.DataFrame:
    """Counts and risk of one terminal as the Handbook computes them (chapter 3, get_count_risk_rolling_window).

    Its windows end with the current transaction; ours end just before it.
    """
    frauds = terminal.set_index("TX_DATETIME").TX_FRAUD
    rolled = {span: frauds.rolling(span) for span in (DELAY, DELAY + timedelta(days=days))}
    (fraud_delay, fraud_all), (made_delay, made_all) = (
        [getattr(window, how)().to_numpy() for window in rolled.values()] for how in ("sum", "count")
    )
    made = made_all - made_delay
    risk = np.divide(fraud_all - fraud_delay, made, out=np.zeros(len(made)), where=made > 0)
    return pd.DataFrame({"labels": made, "risk": risk}, index=terminal.index)


def test_known_fraud_of_a_terminal_is_the_handbooks_delayed_window(month: pd.DataFrame, computed: pd.DataFrame) -> None:
    sample = month.TERMINAL_ID.drop_duplicates().sample(300, random_state=1)
    sampled = month[month.TERMINAL_ID.isin(sample)]
    for days in (1, 7, 30):
        expected = pd.concat([handbook_risk(terminal, days) for _, terminal in sampled.groupby("TERMINAL_ID")]).sort_index()
        ours = computed.loc[expected.index]
        np.testing.assert_array_equal(ours[f"destination_labels_{days}d"], expected.labels)
        np.testing.assert_allclose(ours[f"destination_fraud_share_{days}d"].fillna(0), expected.risk, rtol=1e-12)
    assert expected.risk.gt(0).sum() > 20


def test_counts_and_sums_of_a_terminal_are_those_of_a_sliding_window(month: pd.DataFrame, computed: pd.DataFrame) -> None:
    sampled = month[month.TERMINAL_ID < 500]
    assert sampled.duplicated(["TERMINAL_ID", "TX_DATETIME"]).sum() == 0
    by_terminal = sampled.set_index("TX_DATETIME").groupby("TERMINAL_ID").TX_AMOUNT
    for days in (1, 7, 30):
        rolled = by_terminal.rolling(timedelta(days=days), closed="left")
        order = sampled.sort_values(["TERMINAL_ID", "TX_DATETIME"]).index
        ours = computed.loc[order]
        np.testing.assert_array_equal(ours[f"destination_payments_{days}d"], rolled.count().fillna(0))
        np.testing.assert_allclose(ours[f"destination_amount_{days}d"], rolled.sum().fillna(0), atol=1e-6)


def test_known_fraud_separates_fraud(month: pd.DataFrame, computed: pd.DataFrame) -> None:
    late = month.TX_DATETIME.ge(FIRST + timedelta(days=14))
    labels = month.TX_FRAUD[late]
    share = computed.destination_fraud_share_30d[late].fillna(0)
    assert roc_auc_score(labels, share) > 0.65
    assert labels[share > 0.3].mean() > 20 * labels.mean()
