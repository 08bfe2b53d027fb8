"""Making a release of `category_spending`: cohort and charge, bounded sums, noise, suppression, document, storage."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from ibis.backends import BaseBackend
from ibis.expr.types import Table

from consent_api import privacy, releases
from consent_api.audit import Actor
from consent_api.budget import Caps
from consent_api.catalogue import Report
from consent_api.contributions import TIYN, Bounds, Exact, contributions, exact_sums, pseudonymous
from consent_api.privacy import Noised
from consent_api.releases import Subject
from consent_api.store import Store
from features.tables import CATEGORIES
from settings import Settings

MECHANISM = "discrete Gaussian noise (OpenDP make_gaussian) on bounded integer vectors"
BIAS = "sums are of the clamped contributions, so they are too low where clients exceed the bounds"


@dataclass(frozen=True)
class Plan:
    """How a report is made: its configuration, the rho it may spend, and from how many clients on a cell is shown."""

    report: Report
    rho: float
    fewest_clients: int

    @classmethod
    def of(cls, report: Report, config: Settings) -> "Plan":
        """The plan of a configured report."""
        return cls(report, config.release_rho * report.rho_share, config.cohort_threshold)


@dataclass(frozen=True)
class Source:
    """Where the purchases are read from: the table, the engine it lies on, and tenge per unit of each currency."""

    transactions: Table
    engine: BaseBackend
    rates: dict[str, float]


@dataclass(frozen=True)
class Made:
    """A release after `make_release`: `new` if this call stored it; `document` is None when nothing may be shown."""

    subject: Subject
    new: bool
    document: bytes | None


@dataclass(frozen=True)
class _Cells:
    """Both vectors after the noise, and how the number of all clients came out."""

    spending: Noised
    clients: Noised

    @property
    def everyone(self) -> int:
        return max(self.clients.values[-1], 0)

    def published(self, threshold: float) -> dict[str, int]:
        """Tenge by category where enough clients were counted, never negative."""
        if self.everyone < threshold:
            return {}
        cells = zip(CATEGORIES, self.spending.values, self.clients.values[:-1], strict=True)
        return {category: max(tiyn, 0) // TIYN for category, tiyn, clients in cells if clients >= threshold}


def make_release(
    store: Store, subject: Subject, plan: Plan, caps: Caps, source: Source, actor: Actor, now: Callable[[], datetime]
) -> Made:
    """Make the release of `subject`, or find it made.

    Raises:
        PeriodNotOver, BudgetExhausted: see `releases.begin`.
        PrivacyNotKept: the computation broke its own bounds; nothing is stored.
    """
    begun = releases.begin(store, subject, plan.report.purpose, plan.rho, caps, actor, now)
    if begun is None:
        return Made(subject, False, releases.published_document(store, subject))
    bounds = Bounds.of(plan.report)
    rows = contributions(source.transactions, pseudonymous(begun.counted), subject.period, bounds, source.rates)
    document = compose(subject, plan, exact_sums(source.engine, rows, bounds), now())
    if releases.store_document(store, begun, document, actor, now()):
        return Made(subject, True, document)
    return Made(subject, False, releases.published_document(store, subject))


def compose(subject: Subject, plan: Plan, exact: Exact, at: datetime) -> bytes | None:
    """The document a partner gets, made from exact sums by adding noise; None when nothing reaches the threshold."""
    bounds = Bounds.of(plan.report)
    for_sums = plan.rho * plan.report.spending_share
    cells = _Cells(
        spending=privacy.noised(exact.spending, bounds.spending_squared, for_sums),
        clients=privacy.noised([*exact.clients, exact.everyone], bounds.clients_squared, plan.rho - for_sums),
    )
    threshold = privacy.suppression_threshold(plan.fewest_clients, cells.clients.standard_deviation)
    published = cells.published(threshold)
    if not published:
        return None
    return orjson.dumps(
        {
            "company": subject.company,
            "data_type": subject.data_type,
            "metrics": _metrics(published),
            "sample_size": cells.everyone,
            "generated_at": at.isoformat(),
            "privacy": _statement(subject, plan, cells, threshold, len(published)),
        }
    )


def _metrics(published: dict[str, int]) -> dict[str, Any]:
    return {
        "currency": "KZT",
        "spending_by_category": published,
        "top_category": max(published, key=lambda category: published[category]),
        "number_of_categories": len(published),
        "total": sum(published.values()),
    }


def _statement(subject: Subject, plan: Plan, cells: _Cells, threshold: float, shown: int) -> dict[str, Any]:
    """What the figures promise and how far they may be off."""
    spent = cells.spending.rho + cells.clients.rho
    deviation = cells.spending.standard_deviation / TIYN
    return {
        "unit": "client",
        "neighbours": "data with and without all rows of one client",
        "mechanism": MECHANISM,
        "period": str(subject.period),
        "purpose": plan.report.purpose,
        "rho": round(spent, 9),
        "rho_split": {"spending": round(cells.spending.rho, 9), "clients": round(cells.clients.rho, 9)},
        "epsilon": round(privacy.epsilon(spent), 4),
        "delta": privacy.DELTA,
        "bounds": {
            "categories_per_client": Bounds.of(plan.report).most_categories,
            "spending_per_client_and_category_KZT": plan.report.largest_spending_KZT,
        },
        "bias": BIAS,
        "suppressed_below_clients": round(threshold, 1),
        "standard_deviation": {
            "spending_by_category": round(deviation, 1),
            "total": round(deviation * shown**0.5, 1),
            "sample_size": round(cells.clients.standard_deviation, 2),
        },
        "without_noise_of_their_own": ["top_category", "number_of_categories"],
    }
