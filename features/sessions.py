"""How a client behaves in mobile banking: logins, devices and the rhythm of sessions, as contracts/fraud.md defines them."""

import ibis
from ibis.expr.types import Table, Value

from features.windows import EPOCH, attach, days_before, moments_of, recent, sample_variance, seconds_between

EWM_ALPHA = 0.3
_MICRO = 1_000_000


def behaviour(sessions: Table, spine: Table) -> Table:
    """Behaviour in mobile banking before each as_of: `BEHAVIOUR_COLUMNS` as contracts/fraud.md defines them.

    An interval belongs to a window when both of its sessions lie in it. Variances divide by n − 1. What is undefined
    (no sessions, one session, division by zero) is null; counts are 0.

    Args:
        sessions: logins (`features.tables.SESSIONS`).
        spine: client_code and as_of.

    Returns:
        One row per distinct (client_code, as_of) of the spine.
    """
    moments = moments_of(spine)
    pairs = recent(_with_previous(sessions), moments, "started_at", 30)
    return _ratios(attach(moments, _windows(_with_gaps(pairs))))


def _with_previous(sessions: Table) -> Table:
    in_order = ibis.window(group_by="client_code", order_by=sessions.started_at)
    return sessions.select(
        "client_code",
        "started_at",
        "os_version",
        "phone_model",
        previous=sessions.started_at.lag().over(in_order),
        number=ibis.row_number().over(in_order),
        slot=sessions.started_at.delta(EPOCH, unit="minute"),
    )


def _with_gaps(pairs: Table) -> Table:
    gap = seconds_between(pairs.previous, pairs.started_at)
    newest = pairs.number.max().over(group_by=["client_code", "as_of"])
    week = days_before(pairs.as_of, 7)
    pairs = pairs.mutate(
        gap=ibis.ifelse(pairs.previous >= days_before(pairs.as_of, 30), gap, ibis.null("int64")),
        gap_7=ibis.ifelse(pairs.previous >= week, gap, ibis.null("int64")),
        in_week=pairs.started_at >= week,
        age=newest - pairs.number,
    )
    weight = (1 - ibis.literal(EWM_ALPHA)) ** pairs.age
    # Whole microseconds add up to the same bits in any order; the rest is lost far below a second.
    return pairs.mutate(weighted=(weight * pairs.gap_7 * _MICRO).round().cast("int64"))


def _windows(pairs: Table) -> Table:
    return pairs.group_by("client_code", "as_of").agg(
        os_ver_cnt_30d=pairs.os_version.nunique(),
        phone_model_cnt_30d=pairs.phone_model.nunique(),
        login_sessions_7d=pairs.slot.nunique(where=pairs.in_week),
        login_sessions_30d=pairs.slot.nunique(),
        gaps=pairs.gap.count(),
        gap_sum=pairs.gap.sum(),
        gap_squares=(pairs.gap * pairs.gap).sum(),
        gaps_7=pairs.gap_7.count(),
        gap_7_sum=pairs.gap_7.sum(),
        weighted=pairs.weighted.sum(),
    )


def _ratios(seen: Table) -> Table:
    counts = ("os_ver_cnt_30d", "phone_model_cnt_30d", "login_sessions_7d", "login_sessions_30d", "gaps", "gaps_7")
    seen = seen.mutate(**{name: seen[name].fill_null(0).cast("int64") for name in counts})
    per_day_7, per_day_30 = seen.login_sessions_7d / 7, seen.login_sessions_30d / 30
    mean = _divide(seen.gap_sum, seen.gaps)
    variance = sample_variance(seen.gaps, seen.gap_sum, seen.gap_squares)
    seen = seen.mutate(mean=mean, variance=variance, std=variance.sqrt(), mean_7=_divide(seen.gap_7_sum, seen.gaps_7))
    weights = (1 - (1 - ibis.literal(EWM_ALPHA)) ** seen.gaps_7) / EWM_ALPHA
    return seen.select(
        "client_code",
        "as_of",
        *counts[:4],
        logins_per_day_7d=per_day_7,
        logins_per_day_30d=per_day_30,
        login_freq_change_7d_vs_30d=_divide(per_day_7 - per_day_30, per_day_30),
        logins_7d_share_of_30d=_divide(seen.login_sessions_7d, seen.login_sessions_30d),
        avg_session_interval_30d=seen["mean"],
        std_session_interval_30d=seen["std"],
        var_session_interval_30d=seen.variance,
        ewm_session_interval_7d=_divide(seen.weighted, weights) / _MICRO,
        burstiness_sessions=_divide(seen["std"] - seen["mean"], seen["std"] + seen["mean"]),
        fano_factor_sessions=_divide(seen.variance, seen["mean"]),
        zscore_interval_7d_vs_30d=_divide(seen.mean_7 - seen["mean"], seen["std"]),
    )


def _divide(above: Value, below: Value) -> Value:
    return above.cast("float64") / below.cast("float64").nullif(0.0)
