"""What each column of a table holds — numbers, dates or text — and how they are written, counted over all of its rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from duckdb import DuckDBPyRelation

ColumnKind = Literal["number", "date", "text"]
FIT = 0.98
"""Share of the cells given that must be numbers (dates) for a column to count as one; the others count as missing."""
_CODES = 0.005
_AT_ONCE = 250
"""Columns of one query: the engine's time to plan it grows with the square of what it counts."""
_NATIVE = "as stored"
_BARE = "{c}"
for _mark, _plain in ((" ", ""), ("\u00a0", ""), ("\u202f", ""), ("%", ""), ("\u2212", "-")):
    _BARE = f"replace({_BARE}, '{_mark}', '{_plain}')"
NUMBERS = {
    "1234.5": "try_cast({c} AS DOUBLE)",
    "1 234.5": f"try_cast({_BARE} AS DOUBLE)",
    "1 234,5": f"CASE WHEN NOT contains({{c}}, '.') THEN try_cast(replace({_BARE}, ',', '.') AS DOUBLE) END",
    "1,234.5": "CASE WHEN regexp_full_match({c}, '\\s*[+-]?\\d{{1,3}}(,\\d{{3}})*(\\.\\d+)?\\s*') "
    "THEN try_cast(replace({c}, ',', '') AS DOUBLE) END",
    "1.234,5": "CASE WHEN regexp_full_match({c}, '\\s*[+-]?\\d{{1,3}}(\\.\\d{{3}})*(,\\d+)?\\s*') "
    "THEN try_cast(replace(replace({c}, '.', ''), ',', '.') AS DOUBLE) END",
}
"""Ways to write numbers, with the expression that reads them; what is written otherwise becomes null."""
_CLOCK = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f")
DATES = {
    "2025-12-31": "CASE WHEN trim({c})[5] IN ('-', '/') THEN try_cast(trim({c}) AS TIMESTAMPTZ)::TIMESTAMP END",
    **{
        form: f"CASE WHEN contains(substr({{c}}, 2, 4), '{pattern[2]}') "
        f"THEN try_strptime(trim({{c}}), [{', '.join(repr(pattern + clock) for clock in _CLOCK)}]) END"
        for form, pattern in {
            "31.12.2025": "%d.%m.%Y",
            "31/12/2025": "%d/%m/%Y",
            "12/31/2025": "%m/%d/%Y",
            "31-12-2025": "%d-%m-%Y",
        }.items()
    },
}
"""Ways to write dates, with or without the time of day; an offset from UTC is heeded, as TIMESTAMP alone would not."""
_CODE = r"regexp_full_match({c}, '\s*(0\d+|\d{{16,}})\s*')"


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        kind: what it holds.
        form: how that is written.
        given: cells that are not missing.
        alike: of these, those that are numbers (dates) in the way of writing that most of them have; also where it is text.
    """

    name: str
    kind: ColumnKind
    form: str
    given: int
    alike: int

    @property
    def unfit(self) -> int:
        """Cells given that are no numbers (dates) as the others are; 0 of a text."""
        return 0 if self.kind == "text" else self.given - self.alike

    def expression(self, cell: str) -> str:
        """The SQL expression of its value: a double, a timestamp, or text without blanks around it; null where missing."""
        if self.kind == "text":
            return f"nullif(trim({cell}::VARCHAR), '')"
        if self.form == _NATIVE:
            return f"{cell}::{'DOUBLE' if self.kind == 'number' else 'TIMESTAMP'}"
        return {**NUMBERS, **DATES}[self.form].format(c=cell)


def learn_columns(
    cells: DuckDBPyRelation, names: Sequence[str], stored: Mapping[str, ColumnKind], wanted: Mapping[str, ColumnKind], comma: bool
) -> tuple[int, tuple[Column, ...]]:
    """Count the rows, and decide what each column holds.

    Numbers with leading zeros or more than 15 digits are codes, so that their column is text.

    Args:
        cells: relation with the columns c0, c1, … of text or of a stored type.
        names: of these columns.
        stored: kind of the columns that are stored with a type.
        wanted: kind of columns where that is known; the form is still looked for.
        comma: whether 1,234 is rather 1234 than 1.234, where a column shows no evidence.
    """
    texts = [index for index, name in enumerate(names) if name not in stored]
    forms = ["1234.5", "codes"]
    counts = _count(cells, range(len(names)), texts, {"1234.5": NUMBERS["1234.5"], "codes": f"nullif({_CODE}, false)"})
    given = {index: counts[f"c{index}"] for index in range(len(names))}
    open_ = [index for index in texts if counts[f"c{index} 1234.5"] < given[index] and wanted.get(names[index]) != "text"]
    if open_:
        others = {form: expression for form, expression in {**NUMBERS, **DATES}.items() if form not in forms}
        counts |= _count(cells, (), open_, others)
    columns = []
    for index, name in enumerate(names):
        if name in stored:
            kind: ColumnKind = "text" if wanted.get(name) == "text" else stored[name]
            columns.append(Column(name, kind, _NATIVE, given[index], given[index]))
        else:
            fits = {form: counts.get(f"c{index} {form}", 0) for form in (*NUMBERS, *DATES)}
            coded = counts[f"c{index} codes"] > _CODES * given[index]
            columns.append(_column(name, given[index], fits, coded, wanted.get(name), comma))
    return counts["rows"], tuple(columns)


def _count(cells: DuckDBPyRelation, given: Sequence[int], tried: Sequence[int], expressions: Mapping[str, str]) -> dict[str, int]:
    """Rows, cells given, and cells that fit each expression, in a pass over the table for each `_AT_ONCE` columns."""
    columns = sorted({*given, *tried})
    counts: dict[str, int] = {}
    for begin in range(0, len(columns), _AT_ONCE):
        some = columns[begin : begin + _AT_ONCE]
        wanted = {"rows": "count(*)", **{f"c{index}": f"count(c{index})" for index in some if index in given}}
        for index in (index for index in some if index in tried):
            wanted |= {
                f"c{index} {form}": f"count({expression.format(c=f'c{index}')})" for form, expression in expressions.items()
            }
        values = cells.aggregate(", ".join(wanted.values())).fetchall()[0]
        counts |= dict(zip(wanted, values, strict=True))
    return counts


def _column(name: str, given: int, fits: Mapping[str, int], coded: bool, wanted: ColumnKind | None, comma: bool) -> Column:
    """The kind and form that fit most cells, the plainest first."""
    numbers = ["1234.5", "1 234.5", *(("1,234.5", "1 234,5") if comma else ("1 234,5", "1,234.5")), "1.234,5"]
    number = max(numbers, key=lambda form: fits[form])
    date = max(DATES, key=lambda form: fits[form])
    kind: ColumnKind = "text"
    if wanted:
        kind = wanted
    elif fits[number] >= FIT * given and not coded:
        kind = "number"
    elif given and fits[date] >= FIT * given:
        kind = "date"
    form = {"number": number, "date": date, "text": "text"}[kind]
    return Column(name, kind, form, given, fits.get(form, max(fits[number], fits[date])))
