"""Rows as CSV in UTF-8, in cells that no spreadsheet takes for a formula."""

import csv
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from io import StringIO

_FORMULA_SIGNS = "=+-@\t\r\n＝＋－＠"
"""Beginnings that spreadsheets calculate, with their full-width forms."""
_BEGINNING = re.compile(f"(^|[;\r\n])(?=[{re.escape(_FORMULA_SIGNS)}])")
"""Of a cell, and of what a spreadsheet takes for one where decimals have a comma: it parts lines at semicolons, quoted or not."""


def csv_text(rows: Iterable[Sequence[object]]) -> bytes:
    """One line for each row; text that a spreadsheet would calculate gets an apostrophe in front, numbers stay as they are.

    Moments and truth values are written as in JSON.
    """
    text = StringIO()
    csv.writer(text).writerows([neutral(cell) if isinstance(cell, str) else _plain(cell) for cell in row] for row in rows)
    return text.getvalue().encode("utf-8", "replace")


def _plain(cell: object) -> object:
    if isinstance(cell, datetime):
        return cell.isoformat()
    return str(cell).lower() if isinstance(cell, bool) else cell


def neutral(cell: str) -> str:
    """The text, with an apostrophe before whatever in it a spreadsheet would calculate."""
    return _BEGINNING.sub(r"\1'", cell)
