"""Promises of the spending a client is shown: full calendar months only, every category, tenge at the configured rates."""

from datetime import UTC, datetime

import ibis
import pandas as pd

from features.own_spending import month_start
from features.spending_year import spending_year

AS_OF = datetime(2026, 3, 15, 8, 0, tzinfo=UTC)


def test_purchases_fall_into_their_month_and_category_and_others_are_left_out() -> None:
    rows = [
        ("2026-03-01 00:00:00", "Такси", 1.0, "KZT", "a"),
        ("2026-02-28 23:59:59", "Такси", 2.0, "USD", "a"),
        ("2026-02-01 00:00:00", "АЗС", 4.0, "KZT", "a"),
        ("2025-03-01 00:00:00", "АЗС", 8.0, "KZT", "a"),
        ("2025-02-28 23:59:59", "АЗС", 16.0, "KZT", "a"),
        ("2026-03-02 00:00:00", "АЗС", 32.0, "KZT", "b"),
    ]
    frame = pd.DataFrame(rows, columns=["date", "category", "amount", "currency", "client_code"])
    frame["date"] = pd.to_datetime(frame["date"])
    (row,) = (
        spending_year({"transactions": ibis.memtable(frame)}, AS_OF, {"KZT": 1.0, "USD": 500.0}).to_pandas().to_dict("records")
    )
    assert (row["client_code"], row["purchases"]) == ("a", 3)
    assert (row["month_1"], row["month_2"], row["month_12"]) == (1004.0, 0.0, 8.0)
    assert (row["year_taxi"], row["year_fuel"], row["year_travel"]) == (1000.0, 12.0, 0.0)


def test_a_bank_without_purchases_has_no_rows() -> None:
    assert spending_year({}, AS_OF, {"KZT": 1.0}).to_pandas().empty


def test_months_are_counted_across_the_year() -> None:
    assert [f"{month_start(AS_OF, ago):%Y-%m}" for ago in (0, 2, 3, 12)] == ["2026-03", "2026-01", "2025-12", "2025-03"]
