"""Rows that real exports get wrong, so that ingestion has something to put into quarantine."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.random import Generator

from features.code_lists import TRANSFERS_IN, TRANSFERS_OUT
from features.tables import TABLES

SHARE = 0.016
"""Share of the rows of a file that are spoilt."""

Spoil = Callable[[pa.Table, str], pa.Array]


@dataclass(frozen=True)
class Fault:
    """One kind of error: the column it strikes and what it makes of the value."""

    column: str
    spoil: Spoil


def _as(text: str | None) -> Spoil:
    return lambda rows, _column: pa.array([text] * len(rows), pa.string())


def _negative(rows: pa.Table, column: str) -> pa.Array:
    return pc.binary_join_element_wise("-", pc.coalesce(rows[column], "1"), "").combine_chunks()


def _broken(rows: pa.Table, column: str) -> pa.Array:
    return pc.binary_join_element_wise(pc.coalesce(rows[column], "1"), "..7", "").combine_chunks()


def _wrong_direction(rows: pa.Table, _column: str) -> pa.Array:
    incoming = pc.is_in(rows["type"], pa.array(TRANSFERS_IN))
    outgoing = pc.is_in(rows["type"], pa.array(TRANSFERS_OUT))
    return pc.if_else(incoming, "out", pc.if_else(outgoing, "in", "внутри")).combine_chunks()


LOST = _as("1970-01-01 00:00:00")
EMPTY = _as(None)

FAULTS = {
    "clients": (
        Fault("age", _as("250")), Fault("age", _as("3")), Fault("status", _as("VIP")), Fault("client_code", EMPTY),
        Fault("avg_monthly_balance_KZT", _broken),
    ),
    "transactions": (
        Fault("amount", _negative), Fault("amount", _as("0")), Fault("amount", _broken), Fault("category", _as("Прочее")),
        Fault("currency", _as("XXX")), Fault("date", LOST), Fault("client_code", EMPTY),
    ),
    "transfers": (
        Fault("direction", _wrong_direction), Fault("amount", _negative), Fault("amount", _as("н/д")),
        Fault("type", _as("prize_in")), Fault("date", LOST), Fault("client_code", EMPTY),
    ),
    "sessions": (Fault("started_at", LOST), Fault("started_at", EMPTY), Fault("client_code", EMPTY)),
    "payments": (
        Fault("amount", _negative), Fault("amount", _broken), Fault("ts", LOST), Fault("destination_id", EMPTY),
        Fault("ts", _as("2999-12-31 00:00:00")),
    ),
    "fraud_labels": (Fault("is_fraud", _as("2")), Fault("reported_at", LOST), Fault("is_fraud", EMPTY)),
    "applications": (
        Fault("monthprofit", _negative), Fault("childcount", _as("99")), Fault("loan_term", _as("вечно")),
        Fault("created_at", LOST), Fault("application_id", EMPTY), Fault("bank_c", _as("7")),
    ),
    "verified_incomes": (Fault("income", _negative), Fault("income", EMPTY), Fault("w", _as("-1")), Fault("month", LOST)),
    "product_uptake": (Fault("product", _as("Карта мечты")), Fault("accepted", _as("да")), Fault("offered_at", LOST)),
}  # fmt: skip
"""What goes wrong in each export."""


def soil(rng: Generator, table: pa.Table, name: str) -> tuple[pa.Table, int]:
    """Spoil SHARE of the rows of a table of texts; rows with a unique key are also repeated. Returns the count as well."""
    faults = [fault for fault in FAULTS[name] if fault.column in table.column_names]  # the catalogue may not have this bank
    kinds = len(faults) + bool(TABLES[name].unique)
    chosen = rng.permutation(table.num_rows)[: round(SHARE * table.num_rows)]
    groups = np.array_split(chosen, kinds)
    for fault, rows in zip(faults, groups, strict=False):
        table = _spoilt(table, fault, np.sort(rows))
    if TABLES[name].unique and len(groups[-1]):
        table = pa.concat_tables([table, table.take(np.sort(groups[-1]))])
    return table, len(chosen)


def _spoilt(table: pa.Table, fault: Fault, rows: np.ndarray) -> pa.Table:
    if not len(rows):
        return table
    mask = np.zeros(table.num_rows, dtype=bool)
    mask[rows] = True
    replacement = fault.spoil(table.take(rows), fault.column)
    values = table[fault.column].combine_chunks()
    spoilt = pc.replace_with_mask(values, pa.array(mask), replacement)
    return table.set_column(table.column_names.index(fault.column), fault.column, spoilt)
