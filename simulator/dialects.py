"""The CSV dialect of each export: no two departments of a bank write files alike."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from features.tables import TABLES


@dataclass(frozen=True)
class Dialect:
    """How a table is written: codec, separator, decimal mark, dates (to the day, the second, or quoted with milliseconds)."""

    encoding: Literal["utf-8", "utf-8-sig", "cp1251"] = "utf-8"
    separator: str = ","
    decimal: str = "."
    dates: Literal["day", "second", "quoted"] = "second"


DIALECTS = {
    "clients": Dialect("cp1251", ";", ","),
    "transactions": Dialect(),
    "transfers": Dialect(dates="quoted"),
    "sessions": Dialect("utf-8-sig"),
    "payments": Dialect(separator=";"),
    "fraud_labels": Dialect(),
    "applications": Dialect("cp1251", ";", ","),
    "verified_incomes": Dialect(separator=";", decimal=",", dates="day"),
    "product_uptake": Dialect(),
}


def write(table: pa.Table, name: str, path: Path) -> None:
    """Write a table of texts (dates `2026-03-01 12:00:00`, decimal points, null = empty) in the dialect of table `name`."""
    dialect = DIALECTS[name]
    columns = [_spelled(name, column, table[column], dialect) for column in table.column_names]
    text = BytesIO()
    text.write((dialect.separator.join(table.column_names) + "\n").encode())
    options = csv.WriteOptions(include_header=False, delimiter=dialect.separator, quoting_style="none", batch_size=65_536)
    csv.write_csv(pa.table(columns, names=table.column_names), text, options)
    written = text.getbuffer()
    with path.open("wb") as file:
        file.write(written if dialect.encoding == "utf-8" else bytes(written).decode().encode(dialect.encoding))


def _spelled(name: str, column: str, values: pa.ChunkedArray, dialect: Dialect) -> pa.ChunkedArray:
    dtype = TABLES[name].column(column).dtype
    if dtype.is_timestamp() and dialect.dates == "day":
        return pc.utf8_slice_codeunits(values, 0, 10)
    if dtype.is_timestamp() and dialect.dates == "quoted":
        return pc.binary_join_element_wise("'", values, ".000'", "")
    if (dtype.is_decimal() or dtype.is_floating()) and dialect.decimal != ".":
        return pc.replace_substring(values, ".", dialect.decimal, max_replacements=1)
    return values
