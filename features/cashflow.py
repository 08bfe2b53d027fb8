"""What comes into and leaves a client's accounts: sums by kind of transfer, salary and its regularity."""

import ibis
from ibis.expr.types import Table

from features.code_lists import TRANSFER_TYPES
from features.columns.cashflow import DAYS, FLOW_COLUMNS, KIND_COLUMNS
from features.tables import in_tenge
from features.windows import UNITS, attach, day_number, moments_of, recent, sample_variance, tenge, whole_units

DEBT_PAYMENTS = ("loan_payment_out", "cc_repayment_out", "installment_payment_out")
SAVINGS = ("deposit_topup_out", "deposit_fx_topup_out", "invest_out", "gold_buy_out")


def cashflow(transfers: Table, spine: Table, rates: dict[str, float]) -> Table:
    """Cash flow before each as_of: `CASHFLOW_COLUMNS`.

    Args:
        transfers: `features.tables.TRANSFERS`.
        spine: client_code and as_of.
        rates: tenge per unit of each currency.

    Returns:
        One row per distinct (client_code, as_of) of the spine; no transfers = zeros, ratios and salary amounts missing.
    """
    moments = moments_of(spine)
    moved = transfers.select(
        "client_code", "date", "type", "direction", units=whole_units(in_tenge(transfers.amount, transfers.currency, rates))
    )
    wide = attach(attach(moments, _flows(moved, moments)), _salary(moved, moments))
    amounts = [column.name for column in (*KIND_COLUMNS, *FLOW_COLUMNS[:5])]
    counts = ("transfer_count_90d", "salary_count_90d", "salary_months_90d")
    wide = wide.mutate(
        **{name: tenge(wide[name]) for name in amounts}, **{name: wide[name].fill_null(0).cast("int64") for name in counts}
    )
    came_in = wide.inflow_90d.nullif(0.0)
    return wide.mutate(outflow_to_inflow_90d=wide.outflow_90d / came_in, debt_to_inflow_90d=wide.debt_payments_90d / came_in)


def _flows(moved: Table, moments: Table) -> Table:
    """Sums in units and the number of transfers, of moments with any."""
    pairs = recent(moved, moments, "date", DAYS)

    def total(*kinds: str) -> ibis.Value:
        return pairs.units.sum(where=pairs.type.isin(kinds))

    return pairs.group_by("client_code", "as_of").agg(
        **{f"{kind}_90d": total(kind) for kind in TRANSFER_TYPES},
        inflow_90d=pairs.units.sum(where=pairs.direction == "in"),
        outflow_90d=pairs.units.sum(where=pairs.direction == "out"),
        debt_payments_90d=total(*DEBT_PAYMENTS),
        savings_90d=total(*SAVINGS),
        fx_volume_90d=total("fx_buy", "fx_sell"),
        transfer_count_90d=pairs.count(),
    )


def _salary(moved: Table, moments: Table) -> Table:
    salaries = moved.filter(moved.type == "salary_in")
    # Two salaries of the same instant are one payday, so that "the newest" and "the gap before" are never ambiguous.
    paydays = salaries.group_by("client_code", "date").agg(units=salaries.units.sum(), payments=salaries.count())
    previous = paydays["date"].lag().over(group_by="client_code", order_by=paydays["date"])
    pairs = recent(paydays.mutate(previous=previous), moments, "date", DAYS)
    newest = pairs["date"].max().over(group_by=["client_code", "as_of"])
    within = pairs.previous >= pairs.as_of - ibis.interval(days=DAYS)
    gap = ibis.ifelse(within, day_number(pairs["date"]) - day_number(pairs.previous), ibis.null("int64"))
    pairs = pairs.mutate(gap=gap, newest=newest, month=pairs["date"].year() * 12 + pairs["date"].month())
    return pairs.group_by("client_code", "as_of").agg(
        salary_count_90d=pairs.payments.sum(),
        salary_months_90d=pairs.month.nunique(),
        salary_gap_std_90d=sample_variance(pairs.gap.count(), pairs.gap.sum(), (pairs.gap * pairs.gap).sum()).sqrt(),
        last_salary_90d=pairs.units.max(where=pairs["date"] == pairs.newest).cast("float64") / UNITS,
    )
