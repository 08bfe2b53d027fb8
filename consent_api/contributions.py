"""The clients a report counts, one row each under a pseudonym: what they spent, and the public cells they belong to."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import ibis
import pandas as pd
from ibis import _
from ibis.backends import BaseBackend
from ibis.expr.types import Column, IntegerColumn, Table

from consent_api.catalogue import Segment
from consent_api.periods import Period
from features.categories import CATEGORIES
from features.tables import in_tenge

SPENDING = tuple(f"spent_{number}" for number in range(len(CATEGORIES)))
"""Columns with the tiyn spent by category, in the order of CATEGORIES."""
_BILLS_PER_DECADE, _DECADES = 6, 4
BILL_EDGES_KZT = tuple(100 * 10 ** (number / _BILLS_PER_DECADE) for number in range(_BILLS_PER_DECADE * _DECADES + 1))
"""Public borders of purchases by size: from 100 to 1,000,000 tenge; what lies beyond is in the first and the last bin."""
BILLS = tuple(f"bills_{number}" for number in range(len(BILL_EDGES_KZT) - 1))
"""Columns with the number of purchases by size."""
SPENT, PURCHASES = "spent", "purchases"
"""Columns with all tiyn spent, and the number of all purchases."""
INCOME = "income"
"""Column with the predicted monthly income in tenge; null without a prediction."""
_LARGEST_TIYN = 10.0**11
_CODES = ibis.memtable(
    {"category": list(CATEGORIES), "code": list(range(len(CATEGORIES)))}, schema={"category": "string", "code": "int8"}
)
"""Numbers are compared faster than names."""
_TIYN = 100


@dataclass(frozen=True)
class Source:
    """Where rows are read from: raw tables, predicted incomes (client_code, income in tenge a month), and their engine.

    `rates` are tenge per unit of each currency. Whoever `clients` does not name belongs to no public cell.
    """

    transactions: Table
    engine: BaseBackend
    rates: dict[str, float]
    clients: Table | None = None
    incomes: Table | None = None


def pseudonymous(counted: Mapping[str, Sequence[str]]) -> Table:
    """The clients that some report counts, with a column per data type that says whether that one does.

    Pseudonyms are numbers under a key that is made for this one report and forgotten, so that no two can be linked.
    """
    members = {data_type: set(clients) for data_type, clients in counted.items()}
    clients = sorted(set().union(*members.values()))
    key = secrets.token_bytes(32)
    frame = pd.DataFrame({"client_code": pd.Series(clients, dtype="str"), "pseudonym": [_number(key, each) for each in clients]})
    for data_type, chosen in members.items():
        frame[data_type] = pd.Series([client in chosen for client in clients], dtype=bool)
    types = {"client_code": "string", "pseudonym": "int64"} | dict.fromkeys(members, "boolean")
    return ibis.memtable(frame, schema=ibis.schema(types))


def contributions(source: Source, cohort: Table, period: Period, segments: Mapping[str, Segment]) -> Table:
    """One row per client of `cohort`, whatever the tables hold.

    Columns: pseudonym, the columns of `cohort` that say who is counted in what, a number for the cell of each segment, INCOME,
    SPENDING, BILLS, SPENT and PURCHASES of the period. Amounts and counts are whole numbers from zero up, and not yet bounded.
    """
    known = _with_cells(source.clients, cohort, segments)
    if source.incomes is None:
        known = known.mutate(**{INCOME: ibis.null("float64")})
    else:
        incomes = source.incomes.filter(~_.income.isnan()).group_by("client_code").agg(**{INCOME: _.income.max()})
        known = known.left_join(incomes, "client_code").select(*known.columns, INCOME)
    spent = _spent(source, cohort, period)
    figures = {name: ibis.coalesce(spent[name], 0).cast("int64") for name in (*SPENDING, *BILLS, SPENT, PURCHASES)}
    others = [name for name in known.columns if name != "client_code"]
    return known.left_join(spent, "pseudonym").select(*(known[name] for name in others), **figures)


def _spent(source: Source, cohort: Table, period: Period) -> Table:
    """The figures of the cohort's clients who bought something, in one pass over the purchases."""
    start, end = (ibis.timestamp(f"{moment:%Y-%m-%d %H:%M:%S}") for moment in (period.start, period.end))
    month = source.transactions.filter(_.date >= start, _.date < end)
    tiyn = in_tenge(month.amount, month.currency, source.rates) * _TIYN
    named = month.select("client_code", "category", tiyn=tiyn)
    # what is no number is no purchase: an engine's least() would turn it into the largest one
    sound = named.filter(named.tiyn.notnull(), ~named.tiyn.isnan(), named.tiyn >= 1)
    bounded = sound.mutate(tiyn=ibis.least(sound.tiyn, _LARGEST_TIYN).round().cast("int64"))  # so that no sum can overflow
    coded = bounded.join(_CODES, "category").join(cohort.select("client_code", "pseudonym"), "client_code")
    purchases = coded.select("pseudonym", "code", "tiyn", bill=_bill(coded.tiyn))
    by_category = {name: purchases.tiyn.sum(where=purchases.code == number) for number, name in enumerate(SPENDING)}
    by_size = {name: (purchases.bill == number).sum() for number, name in enumerate(BILLS)}
    everything = {SPENT: purchases.tiyn.sum(), PURCHASES: purchases.count()}
    return purchases.group_by("pseudonym").agg(**by_category, **by_size, **everything)


def _bill(tiyn: IntegerColumn) -> Column:
    """The number of the bin that a purchase of `tiyn` falls into."""
    steps = ((tiyn / (BILL_EDGES_KZT[0] * _TIYN)).log10() * _BILLS_PER_DECADE).floor()
    return ibis.greatest(ibis.least(steps, len(BILLS) - 1), 0).cast("int8")


def _with_cells(clients: Table | None, cohort: Table, segments: Mapping[str, Segment]) -> Table:
    if clients is None:
        return cohort.mutate(**{name: len(segment.cells) for name, segment in segments.items()})
    columns = {segment.column for segment in segments.values()}
    facts = clients.group_by("client_code").agg(**{name: clients[name].max() for name in columns})  # one row each, come what may
    cells = facts.select("client_code", **{name: _cell(facts[segment.column], segment) for name, segment in segments.items()})
    known = {name: ibis.coalesce(cells[name], len(segment.cells)) for name, segment in segments.items()}
    return cohort.left_join(cells, "client_code").select(*(cohort[name] for name in cohort.columns), **known)


def _cell(value: Column, segment: Segment) -> Column:
    if segment.column == "age":
        inside = ((value.between(first, last), number) for number, (first, last) in enumerate(segment.ranges()))
        return ibis.cases(*inside, else_=len(segment.cells))
    return value.cases(*((cell, number) for number, cell in enumerate(segment.cells)), else_=len(segment.cells))


def _number(key: bytes, client: str) -> int:
    return int.from_bytes(blake2b(client.encode("utf-8", "surrogatepass"), key=key, digest_size=8).digest(), signed=True)
