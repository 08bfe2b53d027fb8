"""The fraud handbook's week: features that never look ahead, labels that wait, and metrics that match sums by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.handbook import FEATURES, TRAINING_WEEK, card_precision, point_in_time, read_payments, weeks

MOMENT = pd.Timestamp("2018-06-20 12:00:00")
SINCE = MOMENT - pd.Timedelta(days=3)


@pytest.fixture(scope="module")
def payments(real_data: Path) -> pd.DataFrame:
    """Three months of a ninth of the cards, with every payment of those cards."""
    frame = read_payments(real_data / "fraud_handbook.parquet")
    return frame[(frame["ts"] < MOMENT + pd.Timedelta(days=10)) & (frame["customer"] % 9 == 0)].reset_index(drop=True)


@pytest.fixture(scope="module")
def seen(payments: pd.DataFrame) -> pd.DataFrame:
    """The features of the payments before the moment."""
    return features_until(payments, MOMENT)


def features_until(payments: pd.DataFrame, end: pd.Timestamp) -> pd.DataFrame:
    frame = point_in_time(payments, SINCE)
    return frame.loc[frame["ts"] < end, ["transaction_id", *FEATURES]].set_index("transaction_id")


def differing(first: pd.DataFrame, second: pd.DataFrame) -> pd.Series:
    """How many rows differ, by feature."""
    assert first.index.equals(second.index)
    return ((first != second) & ~(first.isna() & second.isna())).sum()


@pytest.mark.integration
def test_no_feature_sees_what_comes_after_its_payment(payments: pd.DataFrame, seen: pd.DataFrame) -> None:
    later = payments["ts"] >= MOMENT
    other = payments.assign(
        amount=payments["amount"].where(~later, payments["amount"] * 7 + 300),
        fraud=payments["fraud"].where(~later, 1 - payments["fraud"]),
        terminal=payments["terminal"].where(~later, 1),
    )
    assert differing(seen, features_until(other, MOMENT)).sum() == 0
    assert differing(seen, features_until(payments[~later], MOMENT)).sum() == 0


@pytest.mark.integration
def test_a_payment_does_not_see_its_own_label(payments: pd.DataFrame, seen: pd.DataFrame) -> None:
    one = seen.index[-1]
    other = payments.assign(fraud=payments["fraud"].where(payments["transaction_id"] != one, 1 - payments["fraud"]))
    assert differing(seen, features_until(other, MOMENT)).sum() == 0


@pytest.mark.integration
def test_no_label_is_seen_before_its_delay_has_passed(payments: pd.DataFrame, seen: pd.DataFrame) -> None:
    delayed = MOMENT - pd.Timedelta(days=7)
    flipped = 1 - payments["fraud"]
    too_young = payments["ts"] >= delayed
    assert differing(seen, features_until(payments.assign(fraud=payments["fraud"].where(~too_young, flipped)), MOMENT)).sum() == 0
    just_old_enough = (payments["ts"] >= delayed - pd.Timedelta(days=1)) & ~too_young
    changed = differing(seen, features_until(payments.assign(fraud=payments["fraud"].where(~just_old_enough, flipped)), MOMENT))
    assert changed.filter(like="terminal_").sum() > 0, "labels are not used at all"


@pytest.mark.integration
def test_the_split_is_the_published_one(real_data: Path) -> None:
    """Rows and frauds of the handbook's chapter 3, baseline fraud detection system."""
    payments = read_payments(real_data / "fraud_handbook.parquet")
    train, test = weeks(payments, TRAINING_WEEK)
    assert (len(train), train["fraud"].sum(), len(test), test["fraud"].sum()) == (67_240, 598, 58_264, 385)
    longer, same = weeks(payments, TRAINING_WEEK, pd.Timestamp("2018-05-15"))
    assert len(longer) > 10 * len(train)
    assert same.equals(test)


def day(number: float) -> pd.Timestamp:
    return TRAINING_WEEK + pd.Timedelta(days=number)


def made(*rows: tuple[float, int, int, float, int]) -> pd.DataFrame:
    """Payments from (day, customer, terminal, amount, fraud)."""
    frame = pd.DataFrame(rows, columns=["ts", "customer", "terminal", "amount", "fraud"])
    return frame.assign(ts=frame["ts"].map(day).astype("datetime64[us]"), transaction_id=range(len(frame)))


def test_a_terminal_s_row_of_frauds_is_counted_once_the_labels_are_known() -> None:
    told = made((0, 1, 5, 10, 0), (2, 2, 5, 20, 1), (3, 3, 5, 30, 1), (9.5, 4, 5, 10, 0), (10.5, 4, 5, 10, 0))
    frame = point_in_time(told, day(9)).set_index("transaction_id")
    columns = [f"terminal_{name}" for name in ("days_since_label", "frauds_in_a_row", "days_since_first_in_row", "days_in_doubt")]
    assert frame.loc[3, columns].tolist() == [7.5, 1, 7.5, 2]
    assert frame.loc[4, columns].tolist() == [7.5, 2, 8.5, 2]


def test_an_amount_is_compared_with_the_card_s_earlier_amounts() -> None:
    told = made((0, 1, 5, 10, 0), (1, 1, 6, 20, 0), (2, 1, 7, 30, 0), (3, 1, 8, 100, 0), (4, 1, 9, 20, 0))
    frame = point_in_time(told, day(3)).set_index("transaction_id")
    columns = ["payments_before", "usual_amount", "amount_spread", "amount_ratio", "amount_deviation", "unusual_14d"]
    assert frame.loc[3, columns].tolist() == [3, 20, 10, 5, 8, 0]
    assert frame.loc[4, columns].tolist() == [4, 20, 10, 1, 0, 1]  # 100 is unusual and does not move the usual amount


def test_cards_leave_the_test_once_a_fraud_of_theirs_is_known() -> None:
    frauds = made((6, 1, 5, 10, 1), (7, 2, 5, 10, 1), (8, 3, 5, 10, 1), (14, 4, 5, 10, 1))
    looked_at = [(14 + offset, customer, 5, 10, 0) for offset in (0, 1, 2) for customer in (1, 2, 3, 4)]
    _, test = weeks(pd.concat([frauds, made(*looked_at)]), TRAINING_WEEK)
    cards = test[test["fraud"] == 0].groupby("ts")["customer"].agg(list)
    assert cards.tolist() == [[2, 3, 4], [3, 4], [4]]


def test_card_precision_matches_a_sum_by_hand() -> None:
    test = made(
        (0, 1, 5, 1, 0), (0, 1, 5, 1, 1), (0, 2, 5, 1, 0), (0, 3, 5, 1, 1), (1, 1, 5, 1, 1), (1, 2, 5, 1, 0), (1, 3, 5, 1, 1)
    )
    scores = np.array([0.9, 0.1, 0.8, 0.3, 0.95, 0.5, 0.4])
    # Day 0, two cards: 1 (by its 0.9; compromised) and 2. Day 1, card 1 is out: 2 and 3, of which 3 is compromised.
    assert card_precision(test, scores, top=2) == pytest.approx((1 / 2 + 1 / 2) / 2)
    # One card a day: 1 on day 0; on day 1, without it, 2.
    assert card_precision(test, scores, top=1) == pytest.approx((1 + 0) / 2)
    # A hundred cards a day when there are three: 1 and 3, then none that is new.
    assert card_precision(test, scores) == pytest.approx((2 / 100 + 0) / 2)
