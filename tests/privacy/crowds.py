"""Made-up clients, what they buy, and what the real code makes of them in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import ibis
import pandas as pd
from ibis.backends.duckdb import Backend

from consent_api.catalogue import load_catalogue
from consent_api.contributions import Source, contributions, pseudonymous
from consent_api.periods import Period
from consent_api.reports import Plan, plans
from consent_api.reports.exact import Exact, bounded, exact_sums
from features.categories import CATEGORIES
from settings import Settings

NAMES = list(CATEGORIES)
OCTOBER = Period(2026, 10)
COMPANY, PURPOSE = "dala-market", "market_statistics"


def every_plan() -> dict[str, Plan]:
    """The plans of the catalogues and settings that Opora comes with."""
    return plans(load_catalogue(Path(__file__).parents[2] / "catalogues"), Settings())


@dataclass(frozen=True)
class Person:
    """A client with a public face, a predicted income, and the same purchases (category, tenge) in every month."""

    client_code: str
    age: int = 40
    city: str = "Алматы"
    income: float = 300_000.0
    purchases: Sequence[tuple[str, float]] = ((NAMES[0], 20_000.0),)


def bank_of(people: Sequence[Person], months: Sequence[Period] = (OCTOBER,)) -> Source:
    """The raw tables of a bank with these clients."""
    rows = [
        (person.client_code, month.start.replace(tzinfo=None), category, amount, "KZT")
        for month in months
        for person in people
        for category, amount in person.purchases
    ]
    transactions = pd.DataFrame(rows, columns=["client_code", "date", "category", "amount", "currency"])
    transactions["date"] = pd.to_datetime(transactions["date"]).astype("datetime64[us]")
    clients = pd.DataFrame(
        {
            "client_code": [person.client_code for person in people],
            "age": [person.age for person in people],
            "city": [person.city for person in people],
            "status": "Зарплатный клиент",
        }
    )
    incomes = pd.DataFrame(
        {"client_code": [person.client_code for person in people], "income": [person.income for person in people]}
    )
    return Source(ibis.memtable(transactions), engine(), {"KZT": 1.0}, ibis.memtable(clients), ibis.memtable(incomes))


def engine() -> Backend:
    """DuckDB as a few rows need it."""
    return ibis.duckdb.connect(threads=1)


def sums_of(source: Source, cohort: Sequence[str], chosen: Mapping[str, Plan], month: Period = OCTOBER) -> dict[str, Exact]:
    """Exact sums over a cohort that consents to every data type, by the code that makes reports."""
    segments = next(iter(chosen.values())).segments
    clients = contributions(source, pseudonymous(dict.fromkeys(chosen, cohort)), month, segments)
    return exact_sums(source.engine, bounded(clients, chosen), chosen)


def several(prefix: str, count: int, **traits) -> list[Person]:
    """Clients who differ in nothing but their codes."""
    return [Person(f"{prefix}{number}", **traits) for number in range(count)]
