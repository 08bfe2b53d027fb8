"""Spending, cash flow, clients and holdings against naive re-computations, in tenge at the configured rates."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from features.cashflow import DEBT_PAYMENTS, SAVINGS, cashflow
from features.categories import CATEGORIES
from features.code_lists import TRANSFER_TYPES
from features.columns.cashflow import CASHFLOW_COLUMNS
from features.holdings import PRODUCT_SLUGS, holdings
from features.spending import spending, with_shares

RATES = {"KZT": 1.0, "USD": 520.0, "EUR": 600.0, "RUB": 6.5}


def window(events: pd.DataFrame, code: str, as_of: pd.Timestamp, days: int) -> pd.DataFrame:
    own = events[(events.client_code == code) & (events.date < as_of) & (events.date >= as_of - timedelta(days=days))]
    return own.assign(tenge=own.amount.astype(float) * own.currency.map(RATES)).sort_values("date")


def naive_spending(purchases: pd.DataFrame, code: str, as_of: pd.Timestamp) -> dict[str, float]:
    month, quarter = (window(purchases, code, as_of, days) for days in (30, 90))
    by_category = {
        f"spend_{slug}_90d": quarter.tenge[quarter.category == category].sum() for category, slug in CATEGORIES.items()
    }
    total = quarter.tenge.sum()
    top = sum(sorted(by_category.values())[-3:])
    return by_category | {
        "spend_total_30d": month.tenge.sum(),
        "spend_total_90d": total,
        "purchase_count_30d": len(month),
        "purchase_count_90d": len(quarter),
        "mean_bill_90d": quarter.tenge.mean(),
        **{f"share_{slug}_90d": by_category[f"spend_{slug}_90d"] / total if total else 0 for slug in CATEGORIES.values()},
        "share_top3_90d": top / total if total else 0,
        "share_beyond_top3_90d": 1 - top / total if total else 0,
    }


def naive_cashflow(transfers: pd.DataFrame, code: str, as_of: pd.Timestamp) -> dict[str, float]:
    quarter = window(transfers, code, as_of, 90)
    by_kind = {f"{kind}_90d": quarter.tenge[quarter.type == kind].sum() for kind in TRANSFER_TYPES}
    inflow, outflow = (quarter.tenge[quarter.direction == way].sum() for way in ("in", "out"))
    debt = quarter.tenge[quarter.type.isin(DEBT_PAYMENTS)].sum()
    salaries = quarter[quarter.type == "salary_in"]
    paydays = salaries.groupby("date").tenge.sum()
    gaps = pd.Series(paydays.index).dt.normalize().diff().dt.days.dropna()
    return by_kind | {
        "inflow_90d": inflow,
        "outflow_90d": outflow,
        "debt_payments_90d": debt,
        "savings_90d": quarter.tenge[quarter.type.isin(SAVINGS)].sum(),
        "fx_volume_90d": quarter.tenge[quarter.type.isin(["fx_buy", "fx_sell"])].sum(),
        "transfer_count_90d": len(quarter),
        "outflow_to_inflow_90d": outflow / inflow if inflow else np.nan,
        "debt_to_inflow_90d": debt / inflow if inflow else np.nan,
        "salary_count_90d": len(salaries),
        "salary_months_90d": salaries.date.dt.to_period("M").nunique(),
        "salary_gap_std_90d": gaps.std(),
        "last_salary_90d": paydays.iloc[-1] if len(paydays) else np.nan,
    }


@pytest.fixture(scope="module")
def tables(bank, tables_of):
    return tables_of(bank)


@pytest.fixture(scope="module")
def spine(moments, spine_of):
    return spine_of(moments)


def test_spending_is_the_sum_of_the_purchases_in_the_window(bank, tables, spine) -> None:
    computed = with_shares(spending(tables["transactions"], spine, RATES)).to_pandas().set_index(["client_code", "as_of"])
    purchases = pd.DataFrame(bank["transactions"])
    expected = pd.DataFrame([naive_spending(purchases, *index) for index in computed.index], index=computed.index)
    pd.testing.assert_frame_equal(computed[list(expected)], expected, check_dtype=False, rtol=1e-9, atol=1e-6)
    assert (computed.purchase_count_90d > 20).sum() > 20


def test_cash_flow_is_the_sum_of_the_transfers_in_the_window(bank, tables, spine) -> None:
    computed = cashflow(tables["transfers"], spine, RATES).to_pandas().set_index(["client_code", "as_of"])
    transfers = pd.DataFrame(bank["transfers"])
    expected = pd.DataFrame([naive_cashflow(transfers, *index) for index in computed.index], index=computed.index)
    assert set(expected) == {column.name for column in CASHFLOW_COLUMNS}
    pd.testing.assert_frame_equal(computed[list(expected)], expected, check_dtype=False, rtol=1e-9, atol=1e-6)
    assert computed.salary_gap_std_90d.notna().sum() > 20


def test_holdings_are_what_was_accepted_before_the_moment(bank, tables, spine) -> None:
    computed = holdings(tables["product_uptake"], spine).to_pandas()
    offers = pd.DataFrame(bank["product_uptake"])
    for row in computed.to_dict("records"):
        before = offers[(offers.client_code == row["client_code"]) & (offers.offered_at < row["as_of"]) & (offers.accepted == 1)]
        assert {name for name, slug in PRODUCT_SLUGS.items() if row[f"holds_{slug}"]} == set(before["product"])
        assert row["holdings_count"] == before["product"].nunique()


@pytest.mark.parametrize(("currency", "tenge"), [("KZT", 10.0), ("USD", 5200.0), ("EUR", 6000.0), ("RUB", 65.0)])
def test_every_currency_is_converted_at_the_configured_rate(currency: str, tenge: float, tables_of, spine_of) -> None:
    bought = {"client_code": "c", "date": pd.Timestamp("2026-04-01"), "category": "АЗС", "amount": 10, "currency": currency}
    purchases = tables_of({"transactions": [bought]})["transactions"]
    row = spending(purchases, spine_of([{"client_code": "c", "as_of": "2026-04-02"}]), RATES).to_pandas().iloc[0]
    assert (row.spend_fuel_90d, row.spend_total_30d, row.mean_bill_90d) == (tenge, tenge, tenge)


def test_sums_have_the_same_bits_whatever_the_order_of_the_rows(bank, tables_of, spine) -> None:
    def computed(rows: list[dict[str, object]]) -> pd.DataFrame:
        purchases = tables_of({"transactions": rows})["transactions"]
        return spending(purchases, spine, RATES).to_pandas().sort_values(["client_code", "as_of"], ignore_index=True)

    shuffled = [bank["transactions"][place] for place in np.random.default_rng(1).permutation(len(bank["transactions"]))]
    pd.testing.assert_frame_equal(computed(bank["transactions"]), computed(shuffled), check_exact=True)
