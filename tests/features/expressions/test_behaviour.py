"""Every behaviour feature against a naive re-computation from its written definition."""

import math
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from features.columns.sessions import BEHAVIOUR_COLUMNS
from features.sessions import behaviour

NAMES = [column.name for column in BEHAVIOUR_COLUMNS]


def naive(sessions: pd.DataFrame, code: str, as_of: pd.Timestamp) -> dict[str, float]:
    """The definitions of contracts/fraud.md, word by word, on one client's sessions."""
    own = sessions[(sessions.client_code == code) & (sessions.started_at < as_of)].sort_values("started_at")
    month, week = (own[own.started_at >= as_of - timedelta(days=days)] for days in (30, 7))
    logins_30, logins_7 = (part.started_at.dt.floor("min").nunique() for part in (month, week))
    gaps_30, gaps_7 = (part.started_at.diff().dt.total_seconds().dropna() for part in (month, week))
    mean, std, var = gaps_30.mean(), gaps_30.std(), gaps_30.var()
    ewm = gaps_7.ewm(alpha=0.3, adjust=True).mean().iloc[-1] if len(gaps_7) else math.nan
    per_day_7, per_day_30 = logins_7 / 7, logins_30 / 30
    return {
        "os_ver_cnt_30d": month.os_version.nunique(),
        "phone_model_cnt_30d": month.phone_model.nunique(),
        "login_sessions_7d": logins_7,
        "login_sessions_30d": logins_30,
        "logins_per_day_7d": per_day_7,
        "logins_per_day_30d": per_day_30,
        "login_freq_change_7d_vs_30d": (per_day_7 - per_day_30) / per_day_30 if per_day_30 else math.nan,
        "logins_7d_share_of_30d": logins_7 / logins_30 if logins_30 else math.nan,
        "avg_session_interval_30d": mean,
        "std_session_interval_30d": std,
        "var_session_interval_30d": var,
        "ewm_session_interval_7d": ewm,
        "burstiness_sessions": (std - mean) / (std + mean) if std + mean else math.nan,
        "fano_factor_sessions": var / mean if mean else math.nan,
        "zscore_interval_7d_vs_30d": (gaps_7.mean() - mean) / std if std else math.nan,
    }


@pytest.fixture(scope="module")
def both(bank, moments, tables_of, spine_of) -> tuple[pd.DataFrame, pd.DataFrame]:
    computed = behaviour(tables_of(bank)["sessions"], spine_of(moments)).to_pandas().set_index(["client_code", "as_of"])
    sessions = pd.DataFrame(bank["sessions"])
    expected = pd.DataFrame([naive(sessions, code, as_of) for code, as_of in computed.index], index=computed.index)
    return computed, expected


@pytest.mark.parametrize("name", NAMES)
def test_the_feature_is_what_its_definition_says(name: str, both: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    computed, expected = (frame[name].to_numpy(dtype="float64") for frame in both)
    assert np.isfinite(expected).sum() > 30
    np.testing.assert_allclose(computed, expected, rtol=1e-9, atol=1e-6)


def test_a_client_without_sessions_has_zero_counts_and_undefined_intervals(both: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    silent = both[0].loc["c11"]
    assert (silent[["os_ver_cnt_30d", "phone_model_cnt_30d", "login_sessions_7d", "login_sessions_30d"]] == 0).all(axis=None)
    assert silent[["avg_session_interval_30d", "ewm_session_interval_7d", "burstiness_sessions"]].isna().all(axis=None)


def test_a_session_at_the_very_moment_is_not_seen(tables_of, spine_of) -> None:
    at = pd.Timestamp("2026-05-01 12:00:00")
    sessions = tables_of({"sessions": [{"client_code": "c", "started_at": at.to_pydatetime()}]})["sessions"]
    spine = spine_of([{"client_code": "c", "as_of": at}, {"client_code": "c", "as_of": at + timedelta(microseconds=1)}])
    seen = behaviour(sessions, spine).to_pandas().sort_values("as_of").login_sessions_30d.tolist()
    assert seen == [0, 1]


def test_a_session_exactly_thirty_days_old_is_the_last_one_counted(tables_of, spine_of) -> None:
    at = pd.Timestamp("2026-05-01 12:00:00")
    old = [{"client_code": "c", "started_at": (at - timedelta(days=30, microseconds=late)).to_pydatetime()} for late in (0, 1)]
    seen = [
        behaviour(tables_of({"sessions": [row]})["sessions"], spine_of([{"client_code": "c", "as_of": at}])).to_pandas()
        for row in old
    ]
    assert [int(frame.login_sessions_30d.iloc[0]) for frame in seen] == [1, 0]
