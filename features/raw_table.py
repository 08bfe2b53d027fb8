"""What a raw table of the bank is: columns with their types, and the rules every row must keep.

A rule is an Ibis expression, so that one engine pass over a file checks millions of rows
(see docs/decisions/002-rules-as-expressions.md).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import ibis
import ibis.expr.datatypes as dt
from ibis.expr.types import BooleanValue, Table

EARLIEST = ibis.timestamp("2000-01-01 00:00:00")
LATEST = ibis.timestamp("2100-01-01 00:00:00")
"""A moment outside [EARLIEST, LATEST) is a typing error, not history: 1970 is a lost value, 2999 a placeholder."""
LARGEST_AMOUNT = 10**12

MONEY = dt.Decimal(18, 2)
"""Amounts keep two decimals exactly, so that totals and minor units never drift."""


@dataclass(frozen=True)
class Rule:
    """A named condition on a column; a row for which it is not true goes to quarantine."""

    name: str
    check: Callable[[Table], BooleanValue]


@dataclass(frozen=True)
class Column:
    """A column of a raw table: its type, whether it may be empty, and the rules it keeps."""

    name: str
    dtype: dt.DataType
    required: bool = True
    optional_column: bool = False
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True)
class RawTable:
    """A raw table of the bank as contracts/tables.md describes it.

    `unique` names columns whose values never repeat; `any_of` optional columns of which a file has at least one; `header` says
    whether files have a header row.
    """

    name: str
    columns: tuple[Column, ...]
    unique: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()
    header: bool = True
    missing: tuple[str, ...] = field(default=("",))

    def column(self, name: str) -> Column:
        """The column called `name`.

        Raises:
            KeyError: the table has no such column.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    @property
    def schema(self) -> ibis.Schema:
        """Column names and types as they lie in the lake."""
        return ibis.schema({column.name: column.dtype for column in self.columns})


def one_of(name: str, values: tuple[str, ...]) -> Rule:
    """The value is one of a public list."""
    return Rule("is one of the known values", lambda table: table[name].isin(values))


def one_of_numbers(name: str, values: tuple[int, ...]) -> Rule:
    """The value is one of a few whole numbers."""
    return Rule(f"is one of {', '.join(map(str, values))}", lambda table: table[name].isin(values))


def positive(name: str) -> Rule:
    """An amount above zero and below a trillion."""
    return Rule("is above 0 and below 10^12", lambda table: (table[name] > 0) & (table[name] < LARGEST_AMOUNT))


def between(name: str, low: float, high: float) -> Rule:
    """A number within closed bounds."""
    return Rule(f"is between {low:g} and {high:g}", lambda table: table[name].between(low, high))


def plausible(name: str) -> Rule:
    """A moment in this century."""
    return Rule("lies between 2000 and 2100", lambda table: (table[name] >= EARLIEST) & (table[name] < LATEST))
