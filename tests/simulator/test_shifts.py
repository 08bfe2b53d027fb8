"""What changes in a simulated bank, and its exports day by day."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.tables import TABLES
from simulator import SimulationConfig
from simulator.daily import LABEL_DAYS, DailyExports
from simulator.shifts import BrokenColumn, NewCity, NewFraud, SalaryInflation, Seasonal, Shift

ONSET = date(2026, 9, 1)
BANK = SimulationConfig(clients=300, months=5, until=date(2026, 11, 1), chunk_clients=300)
EVERY = tuple(TABLES)
SHIFTS: dict[str, Shift] = {
    "salary-inflation": SalaryInflation(ONSET),
    "new-fraud": NewFraud(ONSET, share=0.2),
    "new-city": NewCity(ONSET),
    "broken-column": BrokenColumn(ONSET),
    "seasonal": Seasonal(ONSET),
}


@pytest.fixture(scope="module")
def unchanged() -> DailyExports:
    """The bank in which nothing changes."""
    return DailyExports(BANK, None, EVERY)


@pytest.fixture(scope="module")
def changed() -> dict[str, DailyExports]:
    """The bank under each shift."""
    return {name: DailyExports(BANK, shift, EVERY) for name, shift in SHIFTS.items()}


def content(exports: DailyExports, day: date, folder: Path) -> dict[str, bytes]:
    return {name: path.read_bytes() for name, path in exports.of(day, folder).items()}


@pytest.mark.parametrize("name", SHIFTS)
def test_a_shift_changes_no_byte_before_its_onset_and_some_from_then_on(
    unchanged: DailyExports, changed: dict[str, DailyExports], tmp_path: Path, name: str
) -> None:
    first, second = unchanged.before(ONSET, tmp_path / "a"), changed[name].before(ONSET, tmp_path / "b")
    assert first.keys() == second.keys()
    for table in first:
        assert first[table].read_bytes() == second[table].read_bytes(), table
    for back in (1, 5):
        day = ONSET - timedelta(days=back)
        assert content(unchanged, day, tmp_path / "c") == content(changed[name], day, tmp_path / "d")
    later = [ONSET + timedelta(days=number) for number in range(0, 60, 4)]
    assert any(content(unchanged, day, tmp_path / "e") != content(changed[name], day, tmp_path / "f") for day in later)


@pytest.mark.parametrize("name", SHIFTS)
def test_the_same_settings_and_shift_give_the_same_bytes(changed: dict[str, DailyExports], tmp_path: Path, name: str) -> None:
    again = DailyExports(BANK, SHIFTS[name], EVERY)
    for day in (ONSET, ONSET + timedelta(days=30)):
        assert content(again, day, tmp_path / "a") == content(changed[name], day, tmp_path / "b")


@settings(max_examples=5)
@given(seed=st.integers(0, 2**32), shift=st.sampled_from([None, *SHIFTS.values()]))
def test_no_day_shows_a_label_before_its_time(seed: int, shift: Shift | None) -> None:
    exports = DailyExports(replace(BANK, clients=80, chunk_clients=80, seed=seed), shift, ("payments", "fraud_labels"))
    made = pd.concat([exports.sent("payments", BANK.start + timedelta(days=number)).to_pandas() for number in range(153)])
    moments = pd.to_datetime(made.set_index("transaction_id")["ts"])
    for number in range(0, 153, 3):
        day = BANK.start + timedelta(days=number)
        told = exports.sent("fraud_labels", day).to_pandas()
        reported = pd.to_datetime(told["reported_at"])
        assert (reported.dt.date == day).all()
        delay = (reported.to_numpy() - moments[told["transaction_id"]].to_numpy()) / np.timedelta64(1, "D")
        assert ((delay > LABEL_DAYS[0] - 0.01) & (delay < LABEL_DAYS[1])).all()


def test_the_new_fraud_is_small_and_takes_its_share(changed: dict[str, DailyExports]) -> None:
    style = changed["new-fraud"].truth("payments").to_pandas()
    made = pd.concat([changed["new-fraud"].sent("payments", ONSET + timedelta(days=number)).to_pandas() for number in range(61)])
    both = made.merge(style, on="transaction_id", validate="one_to_one")
    new = both["style"] == "small amounts"
    assert 0.15 < new.mean() < 0.25
    assert both.loc[new, "amount"].astype(float).max() <= 1_300
    assert both.loc[new, "amount"].astype(float).median() < 0.2 * both.loc[~new, "amount"].astype(float).median()


def test_wages_rise_and_verified_incomes_follow(unchanged: DailyExports, changed: dict[str, DailyExports]) -> None:
    def sent(exports: DailyExports, table: str) -> pd.DataFrame:
        return pd.concat([exports.sent(table, ONSET + timedelta(days=number)).to_pandas() for number in range(61)])

    before, after = (sent(exports, "transfers") for exports in (unchanged, changed["salary-inflation"]))
    wage = before["type"].to_numpy() == "salary_in"
    ratio = after["amount"].astype(float).to_numpy() / before["amount"].astype(float).to_numpy()
    np.testing.assert_allclose(ratio[wage], 1.35, rtol=1e-3)
    np.testing.assert_array_equal(ratio[~wage], 1)
    verified = [sent(exports, "verified_incomes") for exports in (unchanged, changed["salary-inflation"])]
    raised = verified[1]["income"].astype(float).to_numpy() / verified[0]["income"].astype(float).to_numpy()
    late = (verified[0]["month"] >= "2026-09").to_numpy()
    assert (raised[late] > 1.05).all()
    assert (raised[~late] == 1).all()


def test_those_who_join_come_from_the_new_city_and_are_not_seen_before(changed: dict[str, DailyExports]) -> None:
    joined = changed["new-city"].sent("clients", ONSET).to_pandas()
    assert len(joined) == 45
    assert set(joined["city"]) == {"Туркестан"}
    days = [ONSET + timedelta(days=number) for number in range(-20, 20)]
    seen = pd.concat([changed["new-city"].sent("payments", day).to_pandas() for day in days])
    theirs = seen[seen["client_code"].isin(joined["client_code"])]
    assert len(theirs) > 20
    assert theirs["ts"].min() >= ONSET.isoformat()
