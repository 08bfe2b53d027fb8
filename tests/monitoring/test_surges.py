"""Sudden surges: a campaign of a few percent is seen within days, and an unchanged bank alarms nobody."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clock import now
from monitoring.rows import open_journal
from monitoring.standing import newest_told, record_told, told_before
from monitoring.surges import Surge, surges
from settings import Settings

UNTIL = datetime(2026, 6, 30, tzinfo=UTC)
DAYS, A_DAY = 24, 300


def journal(seed: int) -> tuple[pd.DataFrame, pd.Series, pd.Series]:
    """Rows of 24 days with weekdays, clusters of clients and heavy tails, but without any change."""
    rng = np.random.default_rng(seed)
    size = DAYS * A_DAY
    moments = pd.Series(pd.Timestamp(UNTIL) - pd.to_timedelta(rng.random(size) * DAYS * 86_400, unit="s"))
    activity = rng.lognormal(0, 0.7, 2_000)
    clients = pd.Series(rng.choice(2_000, size, p=activity / activity.sum()))
    taste = rng.standard_normal(2_000)
    clients, own = clients.map("c{}".format), taste[clients]
    rows = pd.DataFrame(
        {
            "amount": np.exp(9 + own + rng.standard_normal(size)),
            "hour": rng.choice(24, size, p=np.r_[np.full(7, 0.01), np.full(17, 0.93 / 17)]),
            "weekday": moments.dt.weekday,
            "devices": (own > 1.2).astype(int) + 1,
            "rhythm": np.where(rng.random(size) < 0.2, np.nan, own + rng.standard_normal(size)),
            "since_opening": (moments - moments.min()).dt.total_seconds() + 3e6,
        }
    )
    return rows, clients, moments


def newest(moments: pd.Series, days: int) -> np.ndarray:
    return (moments >= pd.Timestamp(UNTIL) - timedelta(days=days)).to_numpy()


def test_a_bank_without_change_is_not_alarmed_about() -> None:
    alarmed = [bool(surges(*journal(seed), UNTIL, 0.01)) for seed in range(25)]
    assert sum(alarmed) <= 1  # of unchanged windows 5 % may alarm


def test_a_feature_that_grows_with_the_calendar_is_no_news() -> None:
    rows, clients, moments = journal(1)
    assert rows.loc[newest(moments, 3), "since_opening"].min() > rows.loc[~newest(moments, 3), "since_opening"].max()
    assert not surges(rows[["since_opening"]], clients, moments, UNTIL, 0.01)


@pytest.mark.parametrize("seed", range(5))
def test_a_campaign_of_three_percent_is_seen_within_three_days(seed: int) -> None:
    rows, clients, moments = journal(seed)
    rng = np.random.default_rng(1_000 + seed)
    struck = newest(moments, 3) & (rng.random(len(rows)) < 0.03)
    rows.loc[struck, "amount"] = rng.uniform(150, 250, struck.sum())
    clients[struck] = [f"victim{number}" for number in range(struck.sum())]
    found = surges(rows, clients, moments, UNTIL, 0.01)
    assert found[0].column == "amount"
    assert found[0].now - found[0].before > 0.01
    assert found[0].sigmas >= 5
    assert "of the rows of the last 3 days" in found[0].sentence


def test_one_busy_client_is_no_surge() -> None:
    rows, clients, moments = journal(3)
    struck = np.flatnonzero(newest(moments, 3))[:80]
    rows.loc[struck, "amount"] = 200.0
    clients.iloc[struck] = "one"
    assert not surges(rows, clients, moments, UNTIL, 0.01)


def test_what_was_missing_never_and_is_now_surges() -> None:
    rows, clients, moments = journal(4)
    rows.loc[newest(moments, 2), "hour"] = np.nan
    found = surges(rows, clients, moments, UNTIL, 0.01)
    assert (found[0].column, found[0].values) == ("hour", "missing")


def test_too_few_days_are_not_judged() -> None:
    rows, clients, moments = journal(5)
    rows.loc[newest(moments, 3), "amount"] = 1.0
    short = newest(moments, 10)
    assert not surges(rows[short], clients[short], moments[short].reset_index(drop=True), UNTIL, 0.01)


def test_nothing_is_estimated_until_the_labels_of_a_surge_have_come(database_url: str, tmp_path: Path) -> None:
    config = Settings(var=tmp_path, label_maturity_days={"fraud": 120})
    engine = open_journal(Settings(database_url=database_url))
    at = now()
    record_told(engine, "fraud", at, [Surge("amount", "up to 1,300", 0.005, 0.03, 9.0)])
    record_told(engine, "fraud", at, [Surge("amount", "up to 1,300", 0.005, 0.03, 9.0)])
    assert told_before(engine, "fraud", at - timedelta(days=1), at + timedelta(seconds=1)) == {"amount"}
    assert told_before(engine, "income", at - timedelta(days=1), at + timedelta(seconds=1)) == set()
    told = newest_told(engine, "fraud", at + timedelta(days=119), config)
    assert told is not None
    assert told.at == at
    assert "amount up to 1,300" in told.reason
    assert "only labels can tell" in told.reason
    assert newest_told(engine, "fraud", at + timedelta(days=121), config) is None
    assert newest_told(engine, "fraud", at - timedelta(days=1), config) is None
