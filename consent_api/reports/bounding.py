"""Bounds of one client's figures, as Ibis expressions on whole numbers; nothing is summed that has not been through here."""

from collections.abc import Sequence
from functools import reduce
from operator import add

import ibis
from ibis.expr.types import Column, IntegerColumn, NumericColumn

_MARGIN = 1 - 1e-9
"""What is shortened is this much shorter still, so that rounding errors of the factor never leave it above the bound."""


def at_most(value: IntegerColumn, bound: int) -> Column:
    """`value`, which is not negative, cut off at `bound`."""
    return ibis.least(value, bound)


def share_within(value: NumericColumn, bound: int) -> NumericColumn:
    """By which factor `value`, which is not negative, has to be multiplied to be no more than `bound`; at most 1."""
    short = bound * _MARGIN
    return short / ibis.greatest(value, short)  # without a condition, so that an engine computes it once for a whole vector


def scaled(value: IntegerColumn, share: NumericColumn) -> Column:
    """`share` of `value`; fractions are dropped."""
    return (value * share).floor().cast("int64")


def within(vector: Sequence[IntegerColumn], length: NumericColumn, norm: int) -> list[Column]:
    """`vector` of this L2 length shortened to `norm` where it is longer: proportions stay."""
    share = share_within(length, norm)
    return [scaled(column, share) for column in vector]


def squares(vector: Sequence[NumericColumn]) -> NumericColumn:
    """The squared L2 length of a vector."""
    return reduce(add, [column.cast("float64") * column.cast("float64") for column in vector])


def is_there(value: IntegerColumn) -> Column:
    """1 where `value` is above zero, else 0."""
    return (value > 0).cast("int64")
