"""What each client adds to a report: bounded and clamped here, before any sum is taken."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b

import ibis
import pandas as pd
from ibis.backends import BaseBackend
from ibis.expr.types import Table

from consent_api.catalogue import Report
from consent_api.periods import Period
from consent_api.privacy import PrivacyNotKept
from features.tables import CATEGORIES, in_tenge

TIYN = 100
"""Minor units in a tenge."""


@dataclass(frozen=True)
class Bounds:
    """The most one client can add: to so many categories, and so many tiyn to each of them."""

    most_categories: int
    largest_spending: int

    @classmethod
    def of(cls, report: Report) -> "Bounds":
        """The bounds a report is configured with; there are never more categories than the public list has."""
        return cls(min(report.most_categories, len(CATEGORIES)), report.largest_spending_KZT * TIYN)

    @property
    def spending_squared(self) -> int:
        """Squared L2 change of the sums when one client comes or goes."""
        return self.most_categories * self.largest_spending**2

    @property
    def clients_squared(self) -> int:
        """Squared L2 change of the numbers of clients by category, with the number of all clients beside them."""
        return self.most_categories + 1


@dataclass(frozen=True)
class Exact:
    """Sums (tiyn) and numbers of clients by category in the order of CATEGORIES, and of all clients; never to be shown."""

    spending: list[int]
    clients: list[int]
    everyone: int


def pseudonymous(clients: list[str]) -> Table:
    """The clients with pseudonyms under a key that is made for this one release and forgotten, so that no two can be linked."""
    key = secrets.token_bytes(32)
    pseudonyms = [blake2b(client.encode(), key=key, digest_size=16).hexdigest() for client in clients]
    return ibis.memtable(
        {"client_code": clients, "pseudonym": pseudonyms}, schema={"client_code": "string", "pseudonym": "string"}
    )


def contributions(transactions: Table, cohort: Table, period: Period, bounds: Bounds, rates: Mapping[str, float]) -> Table:
    """One row per pseudonym and kept category: `category`, `spending` (tiyn, clamped), `first` (1 on one row of each client).

    A client with more categories than the bound keeps those whose keyed hash is smallest: any category is as likely to be kept
    as another, while keeping the largest would make rarely large categories vanish.
    """
    start, end = (ibis.timestamp(f"{moment:%Y-%m-%d %H:%M:%S}") for moment in (period.start, period.end))
    month = transactions.filter(transactions.date >= start, transactions.date < end, transactions.category.isin(list(CATEGORIES)))
    named = month.join(cohort, "client_code").select("pseudonym", "category", "amount", "currency")
    tiyn = (in_tenge(named.amount, named.currency, dict(rates)) * TIYN).round()
    # each purchase is clamped as well, so that no sum of a client can overflow
    purchases = named.mutate(tiyn=ibis.greatest(ibis.least(tiyn, float(bounds.largest_spending)), 0.0).cast("int64"))
    spending = purchases.group_by("pseudonym", "category").agg(spending=purchases.tiyn.sum())
    clamped = spending.mutate(
        spending=ibis.least(spending.spending, bounds.largest_spending),
        lot=(spending.pseudonym + spending.category).hexdigest("sha256"),
    )
    ranked = clamped.mutate(rank=ibis.row_number().over(group_by="pseudonym", order_by="lot"))
    kept = ranked.filter(ranked["rank"] < bounds.most_categories)
    return kept.select("pseudonym", "category", "spending", first=(kept["rank"] == 0).cast("int64"))


def exact_sums(engine: BaseBackend, rows: Table, bounds: Bounds) -> Exact:
    """Add the contributions up on `engine`.

    Raises:
        PrivacyNotKept: the sums are larger than the bounds allow for so many clients.
    """
    summed = rows.group_by("category").agg(spending=rows.spending.sum(), clients=rows.count(), everyone=rows["first"].sum())
    frame: pd.DataFrame = engine.to_pandas(summed).set_index("category").reindex(list(CATEGORIES)).fillna(0).astype("int64")
    exact = Exact(frame["spending"].tolist(), frame["clients"].tolist(), int(frame["everyone"].sum()))
    within = all(
        0 <= total <= count * bounds.largest_spending for total, count in zip(exact.spending, exact.clients, strict=True)
    )
    if not within or sum(exact.clients) > exact.everyone * bounds.most_categories:
        raise PrivacyNotKept("the sums exceed what so many clients may add: their contributions were not clamped")
    return exact
