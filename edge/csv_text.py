"""Rows as CSV in UTF-8, in cells that no spreadsheet takes for a formula."""

import csv
from collections.abc import Iterable, Sequence
from io import StringIO

FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""Beginnings that spreadsheets calculate, with their full-width forms."""


def csv_text(rows: Iterable[Sequence[object]]) -> bytes:
    """One line for each row; text that a spreadsheet would calculate gets an apostrophe in front, numbers stay as they are."""
    text = StringIO()
    csv.writer(text).writerows([_neutral(cell) for cell in row] for row in rows)
    return text.getvalue().encode("utf-8", "replace")


def _neutral(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA_SIGNS) else cell
