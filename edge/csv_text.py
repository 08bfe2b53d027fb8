"""Rows as CSV in UTF-8, in cells that no spreadsheet takes for a formula."""

import csv
from collections.abc import Iterable, Sequence
from datetime import datetime
from io import StringIO

FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""Beginnings that spreadsheets calculate, with their full-width forms."""


def csv_text(rows: Iterable[Sequence[object]]) -> bytes:
    """One line for each row; text that a spreadsheet would calculate gets an apostrophe in front, numbers stay as they are.

    Moments and truth values are written as in JSON.
    """
    text = StringIO()
    csv.writer(text).writerows([_neutral(_plain(cell)) for cell in row] for row in rows)
    return text.getvalue().encode("utf-8", "replace")


def _plain(cell: object) -> object:
    if isinstance(cell, datetime):
        return cell.isoformat()
    return str(cell).lower() if isinstance(cell, bool) else cell


def _neutral(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA_SIGNS) else cell
