"""What each column of a table holds — numbers, dates or text — and how they are written, counted over all of its rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from duckdb import DuckDBPyRelation

from features.wording import agreeing

ColumnKind = Literal["number", "date", "text"]
Nearly = Literal["numbers", "dates", "days or months"]
FIT = 0.98
"""Share of the cells given that must be numbers (dates) for a column to count as one; the others count as missing."""
_CODES = 0.005
_HALF = 0.5
_NATIVE = "as stored"
_SIGNS = " \u00a0\u2007\u2009\u202f%₸₽$€£"
"""What may stand among the digits of a number and says nothing of its size: blanks, the per cent sign, currencies."""
_BARE = f"replace(regexp_replace({{c}}, '[{_SIGNS}]', '', 'g'), '\u2212', '-')"
_BLANKS = " \u00a0\t"


def _separated(bare: str) -> dict[str, str]:
    """Ways to separate thousands and decimals, with the expression that reads the number in `bare`."""
    return {
        "1 234.5": f"try_cast({bare} AS DOUBLE)",
        "1 234,5": f"CASE WHEN NOT contains({{c}}, '.') THEN try_cast(replace({bare}, ',', '.') AS DOUBLE) END",
        "1,234.5": f"CASE WHEN regexp_full_match({bare}, '[+-]?\\d{{{{1,3}}}}(,\\d{{{{3}}}})*(\\.\\d+)?') "
        f"THEN try_cast(replace({bare}, ',', '') AS DOUBLE) END",
        "1.234,5": f"CASE WHEN regexp_full_match({bare}, '[+-]?\\d{{{{1,3}}}}(\\.\\d{{{{3}}}})*(,\\d+)?') "
        f"THEN try_cast(replace(replace({bare}, '.', ''), ',', '.') AS DOUBLE) END",
    }


NUMBERS = {"1234.5": "try_cast({c} AS DOUBLE)", **_separated(_BARE)}
"""Ways to write numbers, with the expression that reads them; what is written otherwise becomes null."""
ACCOUNTS = {
    sign.replace("n", form): expression
    for sign, pattern in {"(n)": r"^\(([\d.,]+)\)$", "n-": r"^([\d.,]+)-$"}.items()
    for form, expression in _separated(rf"regexp_replace({_BARE}, '{pattern}', '-\1')").items()
}
"""The same where negatives are written as in accounting: (1 234) or 1 234-."""
_MARKED_THOUSANDS = ("1.234,5", "(1.234,5)", "1.234,5-")
_SIGNED = f"nullif(regexp_full_match({_BARE}, '\\([\\d.,]+\\)|[\\d.,]+-'), false)"
_LARGE = f"nullif(regexp_full_match({_BARE}, '\\(?([\\d.,]*\\d){{{{3}}}}[)-]'), false)"
"""Signed as in accounting, and too large for a mark (4-) or the number of a note (1)."""
_CLOCK = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f")
_HALVES = ("", " %I:%M%p", " %I:%M:%S%p", " %I:%M:%S.%f%p")
_DAYS = {"31.12.2025": "%d.%m.%Y", "31/12/2025": "%d/%m/%Y", "12/31/2025": "%m/%d/%Y", "31-12-2025": "%d-%m-%Y"}
_MOMENT = "trim({c}, ' ''')"
_CENTURY = _MOMENT
for _years, _century in (("[0-2]", 20), ("[3-9]", 19)):
    _CENTURY = rf"regexp_replace({_CENTURY}, '^(\d\d?[./-]\d\d?[./-])({_years}\d)(\D|$)', '\1{_century}\2\3')"
DATES = {
    "2025-12-31": f"CASE WHEN ({_MOMENT})[5] IN ('-', '/') THEN try_cast({_MOMENT} AS TIMESTAMPTZ)::TIMESTAMP END",
    **{
        form: f"CASE WHEN contains(substr({_MOMENT}, 2, 4), '{pattern[2]}') "
        f"THEN try_strptime({_CENTURY}, [{', '.join(repr(pattern + clock) for clock in _CLOCK)}]) END"
        for form, pattern in _DAYS.items()
    },
}
"""Ways to write dates, with or without the time of day, also in apostrophes; an offset from UTC is heeded, as TIMESTAMP alone
would not. Years of two digits are those from 1930 to 2029, as spreadsheets take them."""
_HALVED = rf"nullif(regexp_matches({_MOMENT}, '\d ?[AaPp][Mm]$'), false)"
_CLOSED_UP = f"regexp_replace({_CENTURY}, ' ([AaPp][Mm])$', '\\1')"
HALF_DAYS = {
    f"{form} 10:15 PM": f"try_strptime({_CLOSED_UP}, [{', '.join(repr(day + clock) for day in days for clock in _HALVES)}])"
    for form, days in {"2025-12-31": ("%Y-%m-%d", "%Y/%m/%d"), **{form: (day,) for form, day in _DAYS.items()}}.items()
}
"""The same with the time of day as AM or PM. A time without it is none: nobody can say which half it is of."""
_READ = {**NUMBERS, **ACCOUNTS, **DATES, **HALF_DAYS}
_CODE = r"regexp_full_match({c}, '\s*\(?(0\d+|\d{{16,}})[)-]?\s*')"


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        kind: what it holds.
        form: how that is written.
        given: cells that are not missing.
        alike: of these, those that are numbers (dates) in the way of writing that most of them have; also where it is text.
        nearly: what half of the cells of a text are: "numbers", or "dates" in whatever ways they are written; "days or months"
            where they are dates, but nobody can say which of the two comes first; otherwise None.
    """

    name: str
    kind: ColumnKind
    form: str
    given: int
    alike: int
    nearly: Nearly | None = None

    @property
    def unfit(self) -> int:
        """Cells given that are no numbers (dates) as the others are; 0 of a text."""
        return 0 if self.kind == "text" else self.given - self.alike

    @property
    def note(self) -> str:
        """What a user should know about how it was read, without any value; empty where nothing was lost."""
        if self.unfit:
            unfit = agreeing(self.unfit, f"is no {self.kind} and counts", f"are no {self.kind}s and count")
            return f"column {self.name}: {self.unfit:,} of {self.given:,} cells {unfit} as missing"
        if self.nearly == "days or months":
            return (
                f"column {self.name} is read as text: no date in it tells whether the day or the month comes first: write them "
                "like 2025-12-31 22:15"
            )
        if self.nearly:
            return (
                f"column {self.name} is read as text: {self.alike:,} of {self.given:,} cells are {self.nearly} written alike, a "
                f"column of {self.nearly} has {FIT:.0%}: write the others like them, or empty them"
            )
        return ""

    def expression(self, cell: str) -> str:
        """The SQL expression of its value: a double, a timestamp, or text without blanks around it; null where missing."""
        if self.kind == "text":
            return _text(f"{cell}::VARCHAR")
        if self.form == _NATIVE:
            return f"{cell}::{'DOUBLE' if self.kind == 'number' else 'TIMESTAMP'}"
        return _READ[self.form].format(c=cell)


def learn_columns(
    cells: DuckDBPyRelation,
    names: Sequence[str],
    stored: Mapping[str, ColumnKind],
    wanted: Mapping[str, ColumnKind],
    written: Mapping[str, str],
    comma: bool,
) -> tuple[int, tuple[Column, ...]]:
    """Count the rows, and decide what each column holds.

    Numbers with leading zeros or more than 15 digits are codes, so that their column is text.

    Args:
        cells: relation with the columns c0, c1, … of text or of a stored type.
        names: of these columns.
        stored: kind of the columns that are stored with a type.
        wanted: kind of columns where that is known; the form is still looked for.
        written: how columns were written in an earlier table: 1/2/2025 and 1.234 show nothing by themselves.
        comma: whether 1,234 is rather 1234 than 1.234, where a column shows no evidence.
    """
    texts = [index for index, name in enumerate(names) if name not in stored]
    plain = {"given": _text("{c}"), "1234.5": NUMBERS["1234.5"], "codes": f"nullif({_CODE}, false)"}
    counts = _count(cells, texts, plain)
    plainly = {
        index
        for index in texts
        if counts[index]["1234.5"] == counts[index]["given"] and written.get(names[index]) not in _MARKED_THOUSANDS
    }
    open_ = [index for index in texts if index not in plainly and wanted.get(names[index]) != "text"]
    others = {form: expression for form, expression in {**NUMBERS, **DATES}.items() if form not in plain}
    rare = {"signed": (_SIGNED, {**ACCOUNTS, "large": _LARGE}), "halved": (_HALVED, HALF_DAYS)}
    marks = {mark: expression for mark, (expression, _) in rare.items()}
    for index, fits in _count(cells, open_, {**others, **marks}).items():
        counts[index] |= fits
    for mark, (_, forms) in rare.items():  # only where a cell shows them: each expression is tried on every cell
        for index, fits in _count(cells, [index for index in open_ if counts[index][mark]], forms).items():
            counts[index] |= fits
    typed = [index for index in range(len(names)) if index not in counts]
    rows, given = _typed(cells, typed) if typed else (counts[0]["rows"], {})
    columns = []
    for index, name in enumerate(names):
        if index in given:
            kind: ColumnKind = "text" if wanted.get(name) == "text" else stored[name]
            columns.append(Column(name, kind, _NATIVE, given[index], given[index]))
        else:
            columns.append(_column(name, counts[index], wanted.get(name), written.get(name, ""), comma))
    return rows, tuple(columns)


def _count(cells: DuckDBPyRelation, tried: Sequence[int], expressions: Mapping[str, str]) -> dict[int, dict[str, int]]:
    """By column of text: its rows, and cells that fit each expression.

    The cells of each row are laid out one below the other: the engine plans a few expressions for all columns, instead of a few
    for each, which took it seconds.
    """
    if not tried:
        return {}
    columns = ", ".join(f"c{index}" for index in tried)
    laid_out = cells.project(f"unnest([{', '.join(map(str, tried))}]) AS place, unnest([{columns}]) AS cell")
    wanted = {"rows": "count(*)"} | {form: f"count({expression.format(c='cell')})" for form, expression in expressions.items()}
    found = laid_out.aggregate(f"place, {', '.join(wanted.values())}", "place").fetchall()
    nothing = {index: dict.fromkeys(wanted, 0) for index in tried}  # as when every row was rejected
    return nothing | {place: dict(zip(wanted, values, strict=True)) for place, *values in found}


def _typed(cells: DuckDBPyRelation, columns: Sequence[int]) -> tuple[int, dict[int, int]]:
    """The rows, and the cells given of each column that is stored with a type."""
    rows, *given = cells.aggregate(", ".join(["count(*)", *(f"count(c{index})" for index in columns)])).fetchall()[0]
    return rows, dict(zip(columns, given, strict=True))


def _column(name: str, counts: Mapping[str, int], wanted: ColumnKind | None, written: str, comma: bool) -> Column:
    """The kind and form that fit most cells, of equal ones that of the earlier table, then the plainest."""
    fits = {form: counts.get(form, 0) for form in _READ}
    given, coded = counts["given"], counts["codes"] > _CODES * counts["given"]
    separated = ["1 234.5", *(("1,234.5", "1 234,5") if comma else ("1 234,5", "1,234.5")), "1.234,5"]
    before = () if comma else _MARKED_THOUSANDS
    number = max(["1234.5", *separated], key=lambda form: (fits[form], written in before and form in before))
    account = max(
        (sign.replace("n", form) for sign in ("(n)", "n-") for form in separated),
        key=lambda form: (fits[form], written in before and form in before),
    )
    if fits[account] > fits[number] and (wanted or _undoubted(fits[account], given, counts)):
        number = account
    date = max((*DATES, *HALF_DAYS), key=lambda form: (fits[form], form == written))
    kind: ColumnKind = "text"
    if wanted:
        kind = wanted
    elif fits[number] >= FIT * given and not coded:
        kind = "number"
    elif given and fits[date] >= FIT * given and not _either(fits, date):
        kind = "date"
    form = {"number": number, "date": date, "text": "text"}[kind]
    nearly = None if kind != "text" or wanted or coded else _nearly(given, fits, number, date)
    return Column(name, kind, form, given, fits.get(form, max(fits[number], fits[date])), nearly)


def _undoubted(alike: int, given: int, counts: Mapping[str, int]) -> bool:
    """Whether negatives as in accounting are no marks by chance: all cells are numbers, some unsigned, some signed ones large."""
    return alike == given > counts["signed"] and counts["large"] > 0


def _either(fits: Mapping[str, int], date: str) -> bool:
    """Whether days and months cannot be told apart where both orders are usual."""
    both = ("31/12/2025 10:15 PM", "12/31/2025 10:15 PM")
    return date in both and fits[both[0]] == fits[both[1]]


def _nearly(given: int, fits: Mapping[str, int], number: str, date: str) -> Nearly | None:
    """What at least half of the cells of a text are. A date with two numbers up to 12 fits two forms."""
    if given and fits[number] >= _HALF * given:
        return "numbers"
    if given and fits[date] >= FIT * given:
        return "days or months"
    both = min(fits["31/12/2025"], fits["12/31/2025"])
    return "dates" if given and sum(fits[form] for form in DATES) - both >= _HALF * given else None


def _text(cell: str) -> str:
    """Without blanks around it, null where nothing else is in it."""
    return f"nullif(trim({cell}, '{_BLANKS}'), '')"
