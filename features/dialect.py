"""Which dialect a CSV export is written in: delimiter, decimal separator and dates, as its header and a sample of rows show."""

import csv
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from features.raw_table import RawTable
from features.refusals import RefusedFile, UnreadableFile

_HEAD = 1 << 16
_PIECE = 1 << 13
_PIECES = 15
_DELIMITERS = (",", ";", "\t")
_DATES = {
    "2025-01-05": r"\d{4}-\d\d-\d\d",
    "2025-01-05 16:32:02": r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?",
    "2025-01-05 16:32:02.000": r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d\.\d+",
    "'2025-01-05 16:32:02.000'": r"'[^']*'",
}


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written; `dates` is an example of the form that its dates have, empty if none was seen."""

    encoding: str
    delimiter: str
    decimal: str
    dates: str

    def __str__(self) -> str:
        delimiter = "tab" if self.delimiter == "\t" else f"'{self.delimiter}'"
        dates = f", dates as {self.dates}" if self.dates else ""
        return f"{self.encoding}, {delimiter} separated, '{self.decimal}' decimals{dates}"


def detect_dialect(table: RawTable, path: Path, encoding: str) -> tuple[Dialect, list[str]]:
    """The dialect of a UTF-8 CSV file for `table` (written in `encoding` by its exporter) and the names of its columns in order.

    Raises:
        RefusedFile: no delimiter shows columns of this table.
    """
    lines = _sample(path)
    try:
        delimiter = (_by_header if table.header else _by_width)(table, path.name, lines)
        rows = list(csv.reader(lines, delimiter=delimiter))
    except csv.Error as error:
        raise UnreadableFile(f"{path.name} cannot be read as CSV ({error}): export it again") from error
    header = [name.strip() for name in rows[0]] if table.header else [column.name for column in table.columns]
    columns = {header.index(column.name): column.dtype for column in table.columns if column.name in header}
    fields = [
        (columns[index], field.strip()) for row in rows[table.header :] for index, field in enumerate(row) if index in columns
    ]
    decimal = _decimal([field for dtype, field in fields if dtype.is_decimal() or dtype.is_floating()])
    dates = _dates([field for dtype, field in fields if dtype.is_timestamp() and field])
    return Dialect(encoding, delimiter, decimal, dates), header


def _sample(path: Path) -> list[str]:
    """Whole lines from the beginning and from pieces spread over the file."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        lines = _whole_lines(stream.read(_HEAD), size > _HEAD)
        for piece in range(1, _PIECES + 1) if size > 2 * _HEAD else ():
            stream.seek(size * piece // (_PIECES + 1))
            lines += _whole_lines(stream.read(_PIECE), True)[1:]
    return [line.removeprefix("\ufeff") for line in lines if line.strip()]


def _whole_lines(block: bytes, cut: bool) -> list[str]:
    lines = block.decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines[:-1] if cut and len(lines) > 1 else lines


def _by_header(table: RawTable, name: str, lines: list[str]) -> str:
    known = {column.name for column in table.columns}
    shown = {
        mark: known.intersection(field.strip() for field in next(csv.reader(lines[:1], delimiter=mark))) for mark in _DELIMITERS
    }
    best = max(_DELIMITERS, key=lambda mark: len(shown[mark]))
    if not shown[best]:
        raise RefusedFile(
            f"the first line of {name} names no column of {table.name}: it must be a header with {', '.join(sorted(known))}, "
            "separated by comma, semicolon or tab"
        )
    return best


def _by_width(table: RawTable, name: str, lines: list[str]) -> str:
    widths = {mark: Counter(len(row) for row in csv.reader(lines, delimiter=mark)) for mark in _DELIMITERS}
    best = max(_DELIMITERS, key=lambda mark: widths[mark][len(table.columns)])
    if not widths[best][len(table.columns)]:
        raise RefusedFile(
            f"no row of {name} has the {len(table.columns)} fields of {table.name}, separated by comma, semicolon or tab: "
            "export all of its columns"
        )
    return best


def _decimal(fields: list[str]) -> str:
    """A comma only where more fields like 12,5 than like 12.5 are seen; without evidence a point."""
    commas = sum(re.fullmatch(r"[+-]?\d*,\d+", field) is not None for field in fields)
    points = sum(re.fullmatch(r"[+-]?\d*\.\d+", field) is not None for field in fields)
    return "," if commas > points else "."


def _dates(fields: list[str]) -> str:
    forms = Counter(form for field in fields for form, pattern in _DATES.items() if re.fullmatch(pattern, field))
    return forms.most_common(1)[0][0] if forms else ""
