"""Prometheus figures about model versions: which one serves, swaps, versions kept out, and the challenger's shadow."""

from prometheus_client import Counter, Gauge

CHAMPIONS = Gauge(
    "opora_model_info", "1 for the version that serves, 0 for those before.", ("use_case", "version"), multiprocess_mode="livemax"
)
CHALLENGERS = Gauge(
    "opora_shadow_model_info",
    "1 for the version that scores in shadow, 0 for those before.",
    ("use_case", "version"),
    multiprocess_mode="livemax",
)
SWAPS = Counter("opora_model_swaps", "Versions that took over from another.", ("use_case",))
FAILURES = Counter("opora_model_load_failures", "Attempts at a version that was kept out, by error.", ("use_case", "error"))
REGISTRY_SEEN = Gauge(
    "opora_registry_seen_timestamp_seconds", "When the registry answered last.", ("use_case",), multiprocess_mode="livemax"
)
SHADOW_ROWS = Counter(
    "opora_shadow_rows",
    "Rows drawn for the challenger: scored, failed, incomplete (it needs columns the row lacks), dropped (queue full) or lost "
    "(journal away, or the challenger's process ended).",
    ("use_case", "outcome"),
)
SHADOW_WAITING = Gauge(
    "opora_shadow_queue_rows", "Rows that wait for the challenger.", ("use_case",), multiprocess_mode="livesum"
)


class Serving:
    """Keeps exactly one version of a use case at 1 in an info gauge."""

    def __init__(self, gauge: Gauge, use_case: str) -> None:
        self._gauge = gauge
        self._use_case = use_case
        self._version: str | None = None

    def now(self, version: str | None) -> None:
        """Say that `version`, or nothing, is in memory from now on."""
        if self._version is not None and self._version != version:
            self._gauge.labels(self._use_case, self._version).set(0)
        if version is not None:
            self._gauge.labels(self._use_case, version).set(1)
        self._version = version
