"""Numbers as people read them."""

import math

from training.report.estimates import Estimate


def number(value: float | None, significant: int = 4) -> str:
    """A figure with `significant` digits, thousands apart: 0.8934, 12.35, 182,400; a dash for what is missing.

    Between -1 and 1 never more than four decimals, unless nothing but zeros were left.
    """
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    digits = significant - 1 - math.floor(math.log10(abs(value)))
    if 1e-3 <= abs(value) < 1:
        digits = min(digits, 4)
    return f"{round(value, digits):,.{max(0, min(digits, 8))}f}".replace("-", "−")


def percent(share: float | None, digits: int = 1) -> str:
    """A share as a percentage."""
    return "–" if share is None or not math.isfinite(share) else f"{100 * share:.{digits}f} %"


def points(difference: float) -> str:
    """A difference of two shares."""
    return f"{100 * difference:.1f} percentage points"


def ratio(value: float | None) -> str:
    """A ratio with two decimals."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.2f}"


def signed(value: float) -> str:
    """A difference with its sign."""
    return f"{'−' if value < 0 else '+'}{number(abs(value), 3)}"


def span(low: float, high: float) -> str:
    """The ends of an interval."""
    return f"{number(low)} to {number(high)}"


def count(rows: float) -> str:
    """A whole number, thousands apart."""
    return f"{rows:,.0f}"


def between(low: float, high: float) -> str:
    """A range whose ends may be open."""
    if math.isinf(low):
        return "all" if math.isinf(high) else f"under {number(high)}"
    return f"{number(low)} and over" if math.isinf(high) else span(low, high)


def estimate(value: Estimate) -> str:
    """A metric with its 90 % interval."""
    if value.interval is None:
        return number(value.value)
    return f"{number(value.value)} ({span(*value.interval)})"
