"""No cell of a CSV file is calculated by a spreadsheet, however it parts the lines."""

import csv
import re
from datetime import UTC, datetime
from io import StringIO

from hypothesis import given
from hypothesis import strategies as st

from edge.csv_text import csv_text

PIECES = ["=", "+", "-", "@", "\t", "\r", "\n", ";", ",", '"', "'", "cmd|' /C calc'!A0", "я", "＝", " "]
TEXTS = st.lists(st.sampled_from(PIECES)).map("".join)
MARK = re.compile("(^|[;\\r\\n])'(?=[-=+@\\t\\r\\n＝])")
FORMULA = re.compile("[=+\\-@\t＝]")


def read(text: bytes, delimiter: str) -> list[list[str]]:
    return list(csv.reader(StringIO(text.decode(), newline=""), delimiter=delimiter))


@given(TEXTS, TEXTS)
def test_no_cell_begins_a_formula_and_none_is_lost(first: str, second: str) -> None:
    written = csv_text([[first, second]])
    ((one, other),) = read(written, ",")
    assert not FORMULA.match(one)
    assert not FORMULA.match(other)
    assert (MARK.sub(r"\1", one), MARK.sub(r"\1", other)) == (MARK.sub(r"\1", first), MARK.sub(r"\1", second))


@given(TEXTS)
def test_where_semicolons_part_lines_none_begins_one_either(text: str) -> None:
    pieces = re.split(r"[;\r\n]", csv_text([["1", text]]).decode())
    assert not any(FORMULA.match(piece) for piece in pieces)


def test_numbers_moments_and_truth_values_are_written_plainly() -> None:
    row = [-5, -0.5, datetime(2026, 1, 2, tzinfo=UTC), True, "-5", "плюс"]
    assert csv_text([row]) == "-5,-0.5,2026-01-02T00:00:00+00:00,true,'-5,плюс\r\n".encode()
