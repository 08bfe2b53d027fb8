"""Every row of a file typed and checked in the engine: null code for a good row, else the number of the rule it breaks."""

from dataclasses import dataclass
from functools import reduce
from operator import and_

import ibis
from ibis.backends.duckdb import Backend
from ibis.expr.types import BooleanValue, StringValue, Table, Value

from features.raw_table import Column, RawTable
from features.source import TEXTS

FAILED, RAW = "_failed", "_raw"
"""Columns beside those of the table, null for a good row: the number of the check that a row fails, and its texts as JSON."""

_TEXT = "_text_{}"
_PLAIN = r"^\s*[+-]?\d*\.?\d*\s*$"
_WHOLE = r"^\s*[+-]?\d+(\.0*)?\s*$"
_EXACT = r"^\s*[+-]?\d*(\.\d{{0,{scale}}}0*)?\s*$"
_MOMENT = r"^\s*'?\d{4}-\d{1,2}-\d{1,2}([ T]\d{1,2}:\d{2}(:\d{2}(\.\d{1,9})?)?)?'?\s*$"


@dataclass(frozen=True)
class Check:
    """A rule that a column of every row keeps."""

    column: str
    rule: str


def create_staging(connection: Backend, table: RawTable, decimal: str) -> tuple[str, list[Check]]:
    """Build the query that types and checks the view `TEXTS`, and the checks that its codes number.

    Views separate the steps because the engine would otherwise compute a typed value again for every rule that reads it.
    """
    texts = connection.table(TEXTS)
    cleaned = connection.create_view("ingest_cleaned", _cleaned(texts, table, decimal), overwrite=True)
    typed = connection.create_view("ingest_typed", _typed(cleaned, table), overwrite=True)
    broken = _broken(typed, table)
    numbered = ((condition, ibis.literal(number, "int16")) for number, (_, condition) in enumerate(broken))
    code = ibis.cases((_plainly_good(typed, table), ibis.null("int16")), *numbered)
    checked = typed.mutate(**{FAILED: code})
    connection.create_view("ingest_checked", checked, overwrite=True)
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    fields = ", ".join(f'"{column.name}" := "{_TEXT.format(column.name)}"' for column in table.columns)
    raw = f"CASE WHEN {FAILED} IS NOT NULL THEN to_json(struct_pack({fields}))::VARCHAR END AS {RAW}"
    return f"SELECT {names}, {FAILED}, {raw} FROM ingest_checked", [check for check, _ in broken]


def _cleaned(texts: Table, table: RawTable, decimal: str) -> Table:
    """`_text_<column>` as it stands in the file, and `<column>` with a decimal point."""
    columns: dict[str, Value] = {}
    for column in table.columns:
        text = texts[column.name]
        columns[_TEXT.format(column.name)] = text
        fractional = column.dtype.is_decimal() or column.dtype.is_floating()
        columns[column.name] = _with_point(text) if fractional and decimal == "," else text
    return texts.select(**columns)


def _with_point(text: StringValue) -> StringValue:
    """12,5 becomes 12.5; what already has a point (1.234,50 or 1.234) is ambiguous, so that it fits no number."""
    return ibis.ifelse(text.contains("."), ibis.literal("ambiguous"), text.replace(",", "."))


def _typed(cleaned: Table, table: RawTable) -> Table:
    """Values, null where nothing is given or the text does not fit; `_plain_<column>` is the text that was parsed."""
    columns: dict[str, Value] = {}
    for column in table.columns:
        text = cleaned[column.name]
        columns[_TEXT.format(column.name)] = cleaned[_TEXT.format(column.name)]
        columns[f"_plain_{column.name}"] = text
        columns[column.name] = _parsed(text, column, table)
    return cleaned.select(**columns)


def _parsed(text: StringValue, column: Column, table: RawTable) -> Value:
    if column.dtype.is_string():
        blank_edge = (text < "!") | (text[-1] < "!")  # sorts white space first; to strip every text would cost more than all else
        stripped = ibis.ifelse(blank_edge, text.strip(), text)
        return ibis.ifelse(stripped.isin(_missing(table)), ibis.null("string"), stripped)
    value = text.try_cast(column.dtype)
    if column.dtype.is_timestamp():
        return value.coalesce(text.strip().replace("'", "").try_cast(column.dtype))
    return value


def _missing(table: RawTable) -> tuple[str, ...]:
    return tuple(sorted({"", *table.missing}))


def _plainly_good(typed: Table, table: RawTable) -> BooleanValue:
    """A sufficient condition for a good row that holds for nearly all and costs little: the checks see only the others."""
    conditions: list[BooleanValue] = []
    for column in table.columns:
        value, text = typed[column.name], typed[_TEXT.format(column.name)]
        kept = [rule.check(typed) for rule in column.rules]
        if not column.dtype.is_string():
            kept.append(_settled(typed, column))
        if column.required:
            conditions += [value.notnull(), *kept]
        elif kept:
            conditions.append(text.isnull() | reduce(and_, kept))
    return reduce(and_, conditions)


def _settled(typed: Table, column: Column) -> BooleanValue:
    """Whether the value says exactly what its text says, as can be seen without a pattern."""
    value, text = typed[column.name], typed[f"_plain_{column.name}"]
    if column.dtype.is_timestamp():
        whole = (text.length() == len("2025-01-05 16:32:02")) & (text[16] == ":")
        return value.notnull() & ((text.length() == len("2025-01-05")) | whole)
    if column.dtype.is_floating():
        return value.notnull() & ~value.isnan() & ~value.isinf()
    return (value.cast("string") == text).fill_null(False)


def _broken(typed: Table, table: RawTable) -> list[tuple[Check, BooleanValue]]:
    """Every check with the condition under which a row breaks it, in order of the columns."""
    broken: list[tuple[Check, BooleanValue]] = []
    for column in table.columns:
        value = typed[column.name]
        absent = _absent(typed, column, table)
        if column.required:
            broken.append((Check(column.name, "is given"), absent))
        if not column.dtype.is_string():
            broken += _misfits(typed, column, absent)
        for rule in column.rules:
            kept = rule.check(typed).fill_null(False)
            broken.append((Check(column.name, rule.name), value.notnull() & ~kept))
    return broken


def _absent(typed: Table, column: Column, table: RawTable) -> BooleanValue:
    value, text = typed[column.name], typed[_TEXT.format(column.name)]
    if column.dtype.is_string():
        return value.isnull()
    return ibis.ifelse(value.notnull(), False, text.isnull() | text.strip().isin(_missing(table)))


def _misfits(typed: Table, column: Column, absent: BooleanValue) -> list[tuple[Check, BooleanValue]]:
    """A text that is no value of the type, or that the type would silently round, shift or let overflow."""
    value, text = typed[column.name], typed[f"_plain_{column.name}"]
    unfit = value.isnull() & ~absent
    if column.dtype.is_floating():
        return [(Check(column.name, "is a number"), unfit), (Check(column.name, "is finite"), value.isnan() | value.isinf())]

    def written_otherwise(pattern: str) -> BooleanValue:
        return ibis.ifelse(value.isnull() | _settled(typed, column), False, ~text.re_search(pattern))

    if column.dtype.is_timestamp():
        return [(Check(column.name, "is a date"), unfit | written_otherwise(_MOMENT))]
    if column.dtype.is_integer():
        return [(Check(column.name, "is a whole number"), unfit | written_otherwise(_WHOLE))]
    exact = _EXACT.format(scale=column.dtype.scale)
    return [
        (Check(column.name, "is a number"), unfit | written_otherwise(_PLAIN)),
        (Check(column.name, f"has at most {column.dtype.scale} decimals"), written_otherwise(exact)),
    ]
