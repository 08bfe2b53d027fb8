"""The model behind the files: what is written agrees with the truth beside it, and looks like life."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from features.tables import BANKS
from simulator import SimulatedBank

Rows = Callable[[str], pd.DataFrame]
DAY = pd.Timedelta(days=1)
HONEST, LARGE, TAKEOVER, COMPROMISED = "none", "large amounts", "taken-over client", "compromised destination"


@pytest.fixture(scope="module")
def judged_payments(clean: Rows, truth: Rows) -> pd.DataFrame:
    """Clean payments with their style and, where it is known, their label."""
    labelled = clean("payments").merge(clean("fraud_labels"), on="transaction_id", how="left")
    return labelled.merge(truth("payments"), on="transaction_id", validate="one_to_one")


def test_about_one_payment_in_eighty_is_fraud_and_every_style_is_present(truth: Rows) -> None:
    styles = truth("payments")["style"].value_counts(normalize=True)
    assert 0.010 < 1 - styles[HONEST] < 0.0145
    assert styles[[LARGE, TAKEOVER, COMPROMISED]].min() > 0.0015
    fraud = truth("payments").query("style != 'none'")
    assert fraud["campaign"].notna().all()


def test_labels_say_the_truth_after_a_delay(judged_payments: pd.DataFrame) -> None:
    known = judged_payments.dropna(subset="reported_at")
    assert (known["is_fraud"] == (known["style"] != HONEST)).all()
    delay = (known["reported_at"] - known["ts"]) / DAY
    fraud = known["is_fraud"] == 1
    assert delay[fraud].between(1, 20).all()
    assert delay[~fraud].between(3, 14).all()
    assert delay[fraud].std() > 2


def test_every_mature_payment_has_a_label_and_young_ones_have_none_yet(
    bank: SimulatedBank, clean: Rows, files: Rows, truth: Rows
) -> None:
    end = pd.Timestamp(bank.config.until)
    payments, labels = clean("payments"), files("fraud_labels")["transaction_id"]
    mature = payments[payments["ts"] < end - 20 * DAY]
    assert mature["transaction_id"].isin(labels).all()
    assert not payments[payments["ts"] > end - 1 * DAY]["transaction_id"].isin(labels).any()


def test_each_style_of_fraud_leaves_its_trace(judged_payments: pd.DataFrame, clean: Rows) -> None:
    by_style = dict(list(judged_payments.groupby("style")))
    assert by_style[LARGE]["amount"].median() > 4 * by_style[HONEST]["amount"].median()
    assert by_style[COMPROMISED]["amount"].median() < 1.5 * by_style[HONEST]["amount"].median()
    assert by_style[COMPROMISED].groupby("campaign")["client_code"].nunique().max() >= 5
    assert (by_style[COMPROMISED].groupby("campaign")["destination_id"].nunique() == 1).all()
    lasted = by_style[COMPROMISED].groupby("campaign")["ts"].agg(lambda moments: moments.max() - moments.min())
    assert lasted.max() > 10 * DAY
    assert (by_style[TAKEOVER].groupby("campaign")["client_code"].nunique() == 1).all()
    assert _logins_per_day(by_style[TAKEOVER], clean) > 3 * _logins_per_day(by_style[HONEST].sample(500, random_state=0), clean)


def _logins_per_day(payments: pd.DataFrame, clean: Rows) -> float:
    first = payments.groupby(["client_code", "campaign"], dropna=False)["ts"].min().reset_index()
    both = first.merge(clean("sessions")[["client_code", "started_at"]], on="client_code")
    near = (both["started_at"] - both["ts"]).abs() < 0.5 * DAY
    return near.sum() / len(first)


def test_verified_incomes_are_the_true_ones_give_or_take_a_little(clean: Rows, truth: Rows) -> None:
    real = truth("incomes").assign(month=lambda rows: pd.to_datetime(rows["month"]))
    both = clean("verified_incomes").merge(real, on=["client_code", "month"], suffixes=("", "_true"))
    assert len(both) == len(clean("verified_incomes"))
    ratio = both["income"].astype(float) / both["income_true"]
    assert 0.99 < ratio.median() < 1.01
    assert ratio.between(0.7, 1.4).all()
    certified = both["w"] >= 0.6
    assert ratio[certified].std() < ratio[~certified].std()


def test_salaries_are_part_of_the_true_income(clean: Rows, truth: Rows) -> None:
    salaries = clean("transfers").query("type == 'salary_in'")
    paid = salaries.groupby(["client_code", salaries["date"].dt.to_period("M")])["amount"].sum().astype(float)
    income = truth("incomes").assign(month=lambda rows: pd.to_datetime(rows["month"]).dt.to_period("M"))
    share = paid / income.set_index(["client_code", "month"])["income"].reindex(paid.index).to_numpy()
    assert share.quantile(0.98) < 1.15
    assert 0.9 < share.median() < 1.05


@pytest.mark.parametrize("bank_name", BANKS)
def test_banks_decide_as_their_true_probability_says(clean: Rows, truth: Rows, bank_name: str) -> None:
    both = clean("applications").merge(truth("applications"), on="application_id", suffixes=("", "_true"))
    answered = both.dropna(subset=bank_name)
    probability = answered[f"{bank_name}_true"]
    error = (answered[bank_name] - probability).sum() / np.sqrt((probability * (1 - probability)).sum())
    assert abs(error) < 4
    assert 0.3 < answered[bank_name].mean() < 0.85
    assert probability.std() > 0.2


def test_the_five_banks_are_five_different_functions(truth: Rows) -> None:
    correlation = truth("applications")[list(BANKS)].corr(method="spearman").to_numpy()
    assert correlation[np.triu_indices(len(BANKS), 1)].max() < 0.75


def test_clients_accept_as_their_true_probability_says_and_tastes_are_personal(clean: Rows, truth: Rows) -> None:
    both = clean("product_uptake").merge(truth("uptake"), on=["client_code", "product"])
    probability = both["probability"]
    error = (both["accepted"] - probability).sum() / np.sqrt((probability * (1 - probability)).sum())
    assert abs(error) < 4
    by_product = truth("uptake").groupby("product")["probability"]
    assert by_product.mean().max() < 2 * by_product.mean().min()
    assert by_product.std().min() > 0.2


def test_a_product_is_offered_to_a_client_once_so_that_holders_are_not_asked_again(clean: Rows) -> None:
    offers = clean("product_uptake")
    assert not offers.duplicated(["client_code", "product"]).any()


def test_holders_of_the_savings_deposit_top_it_up(bank: SimulatedBank, clean: Rows) -> None:
    offers = clean("product_uptake").query("product == 'Депозит Сберегательный' and offered_at < '2026-07-01'")
    topups = clean("transfers").query("type == 'deposit_topup_out' and date >= '2026-08-01'").groupby("client_code").size()
    rate = offers.assign(topups=offers["client_code"].map(topups).fillna(0)).groupby("accepted")["topups"].mean()
    assert rate[1] > 2 * rate[0]


def test_the_week_the_year_and_the_holidays_are_visible(clean: Rows) -> None:
    purchases = clean("transactions").assign(day=lambda rows: rows["date"].dt.normalize())
    daily = purchases.groupby(["category", "day"]).size()
    leisure = daily["Кафе и рестораны"]
    assert leisure[leisure.index.weekday == 5].mean() > 1.6 * leisure[leisure.index.weekday == 1].mean()
    monthly = purchases.groupby(["category", purchases["date"].dt.month]).size()
    assert monthly["Путешествия"][7] > 1.5 * monthly["Путешествия"][4]
    assert monthly["Книги"][8] > 1.4 * monthly["Книги"][6]
    flowers = daily["Цветы"]
    assert flowers["2026-03-05":"2026-03-08"].mean() > 2 * flowers["2026-03-15":"2026-03-25"].mean()
    hours = purchases["date"].dt.hour.value_counts(normalize=True)
    assert hours[[2, 3, 4]].sum() < 0.05 < hours[[18, 19]].sum()


def test_salaries_come_on_pay_days_and_never_on_weekends_and_loosen_the_purse(clean: Rows) -> None:
    salaries = clean("transfers").query("type == 'salary_in'")
    assert (salaries["date"].dt.weekday < 5).all()
    usual = salaries.groupby("client_code")["date"].agg(lambda moments: moments.dt.day.mode()[0])
    purchases = clean("transactions").assign(payday=lambda rows: rows["client_code"].map(usual)).dropna(subset="payday")
    since = (purchases["date"].dt.day - purchases["payday"]) % 30
    assert (since < 4).mean() > 1.25 * ((since >= 11) & (since < 15)).mean()


def test_phones_and_systems_age_and_are_replaced(clean: Rows) -> None:
    logins = clean("sessions").sort_values("started_at")
    first, last = (logins.groupby("client_code")[["os_version", "phone_model"]].agg(which) for which in ("first", "last"))
    changed = (first != last).mean()
    assert 0.3 < changed["os_version"] < 0.95
    assert 0.02 < changed["phone_model"] < 0.35
