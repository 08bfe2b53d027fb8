"""Reading any table: the same rows come out of every dialect, and what is no table is refused by name and count."""

import csv
import gzip
import io
import resource
import signal
import zipfile
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from features.refusals import RefusedFile
from training.table import open_table

ROWS = [
    ("1", "Алматы", "1234.5", "2025-01-31", "слесарь\nпятого разряда"),
    ("2", "Астана", "-0.25", "2025-02-01", 'ООО "Ромашка", отдел'),
    ("3", "", "", "", ""),
    ("4", "Шымкент", "1000000", "2024-12-31", "врач; хирург|детский\tврач"),
] * 5
HEADER = ("number", "город", "amount", "opened", "job")


def written(
    path: Path, delimiter: str = ",", decimal: str = ".", encoding: str = "utf-8", missing: str = "", thousands: str = ""
) -> Path:
    """The rows as a CSV file in a dialect."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=delimiter, lineterminator="\r\n")
    writer.writerow(HEADER)
    for number, city, amount, opened, job in ROWS:
        text = f"{float(amount):,}".translate({ord(","): thousands, ord("."): decimal}) if amount else missing
        day = f"{opened[8:]}.{opened[5:7]}.{opened[:4]}" if opened and decimal == "," else opened
        writer.writerow([number, city or missing, text, day or missing, job or missing])
    content = stream.getvalue().encode(encoding)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def read(path: Path, *names: str) -> pd.DataFrame:
    with open_table(path, names) as table:
        return table.frame()


def plain() -> pd.DataFrame:
    """What every dialect must give; ends of lines within a field are kept as they are or become one."""
    numbers, cities, amounts, days, jobs = zip(*ROWS, strict=True)
    return pd.DataFrame(
        {
            "number": [float(number) for number in numbers],
            "город": [city or np.nan for city in cities],
            "amount": [float(amount) if amount else np.nan for amount in amounts],
            "opened": pd.to_datetime(pd.Series([day or None for day in days])).astype("datetime64[us]"),
            "job": [job or np.nan for job in jobs],
        }
    )


@pytest.mark.parametrize(
    ("name", "dialect"),
    [
        ("a.csv", {}),
        ("a.csv", {"encoding": "utf-8-sig", "delimiter": ";", "decimal": ","}),
        ("a.csv", {"encoding": "cp1251", "delimiter": ";", "decimal": ",", "missing": "NA"}),
        ("a.txt", {"encoding": "utf-16", "delimiter": "\t", "decimal": ",", "missing": "\\N"}),
        ("a.txt", {"encoding": "utf-16-le", "delimiter": "\t", "decimal": ","}),
        ("a.csv.gz", {"encoding": "utf-16-be", "delimiter": ";", "decimal": ",", "thousands": "\u202f"}),
        ("a.csv", {"delimiter": "|", "missing": "?"}),
        ("a.csv.gz", {"encoding": "cp1251", "delimiter": ";", "missing": "-"}),
        ("a.csv", {"delimiter": ";", "decimal": ",", "thousands": "\u00a0", "missing": "null"}),
        ("a.csv", {"delimiter": ";", "decimal": ",", "thousands": " ", "missing": "None"}),
        ("a.csv", {"thousands": ",", "missing": "NaN"}),
        ("a.csv", {"delimiter": ";", "thousands": ".", "decimal": ","}),
    ],
)
def test_the_same_rows_come_out_of_every_dialect(name: str, dialect: dict[str, str], tmp_path: Path) -> None:
    pd.testing.assert_frame_equal(read(written(tmp_path / name, **dialect)), plain())


def test_parquet_gives_the_same_rows_also_where_numbers_and_dates_are_stored_as_text(tmp_path: Path) -> None:
    stored = plain()
    stored.to_parquet(tmp_path / "typed.parquet")
    stored.assign(
        amount=[amount or "?" for _, _, amount, _, _ in ROWS], opened=[day or None for _, _, _, day, _ in ROWS]
    ).to_parquet(tmp_path / "text.parquet")
    for name in ("typed", "text"):
        pd.testing.assert_frame_equal(read(tmp_path / f"{name}.parquet"), plain())


def test_the_row_numbers_that_pandas_adds_to_parquet_are_no_column(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": np.arange(30.0), "b": "x"}).query("a % 3 == 0 or a == 1")
    frame.to_parquet(tmp_path / "a.parquet")
    assert "__index_level_0__" in pq.read_schema(tmp_path / "a.parquet").names
    with open_table(tmp_path / "a.parquet") as table:
        assert [column.name for column in table.columns] == ["a", "b"]
        assert table.frame()["a"].tolist() == frame["a"].tolist()


def test_pieces_of_a_table_are_the_table(tmp_path: Path) -> None:
    with open_table(written(tmp_path / "a.csv")) as table:
        pieces = list(table.batches(7))
        whole = table.frame()
    assert table.rows == len(ROWS)
    together = pd.concat(pieces, ignore_index=True)
    pd.testing.assert_frame_equal(together, whole, check_dtype=False)


def test_codes_stay_text_and_odd_cells_are_counted(tmp_path: Path) -> None:
    lines = ["account;postcode;rate;flag"]
    lines += [f"4081781000000000{row:04d};0{row % 10}0000;{row},5;{'да' if row % 2 else 'нет'}" for row in range(200)]
    lines += ["40817810000000009999;010000;unknown;да"]
    (tmp_path / "a.csv").write_text("\n".join(lines), encoding="utf-8")
    with open_table(tmp_path / "a.csv") as table:
        frame, notes = table.frame(), table.notes()
    assert frame["account"].iloc[3] == "40817810000000000003"
    assert frame["postcode"].iloc[3] == "030000"
    assert frame["rate"].iloc[3] == 3.5
    assert np.isnan(frame["rate"].iloc[-1])
    assert notes == ["column rate: 1 of 201 cells is no number and counts as missing"]


def test_a_comma_before_three_digits_is_read_as_the_delimiter_of_the_file_suggests(tmp_path: Path) -> None:
    (tmp_path / "thousands.csv").write_text('n,sum\na,"1,234"\nb,"5,678"\n')
    (tmp_path / "decimals.csv").write_text("n;sum\na;1,234\nb;5,678\n")
    assert read(tmp_path / "thousands.csv")["sum"].tolist() == [1234.0, 5678.0]
    assert read(tmp_path / "decimals.csv")["sum"].tolist() == [1.234, 5.678]


def test_american_and_european_days_are_told_apart_by_the_whole_column(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("us,eu\n" + "".join(f"0{m}/{d}/2025,{d}/0{m}/2025\n" for m in (1, 2) for d in range(10, 28)))
    frame = read(tmp_path / "a.csv")
    assert (frame["us"] == frame["eu"]).all()
    assert frame["us"].iloc[0] == pd.Timestamp("2025-01-10")


def test_a_time_with_an_offset_is_a_moment_in_utc_in_text_as_in_parquet(tmp_path: Path) -> None:
    moments = pd.date_range("2025-01-31 22:30", periods=4, freq="7h", tz="UTC")
    zones = ("Asia/Almaty", "UTC", "America/New_York", "Asia/Kolkata")
    texts = [moment.tz_convert(zone).isoformat() for moment, zone in zip(moments, zones, strict=True)]
    (tmp_path / "a.csv").write_text("n, at\n" + "".join(f"{text[-1]}, {text}\n" for text in texts))
    pd.DataFrame({"at": moments.tz_convert("Asia/Almaty")}).to_parquet(tmp_path / "a.parquet")
    for name in ("a.csv", "a.parquet"):
        assert read(tmp_path / name)["at"].tolist() == moments.tz_localize(None).tolist()


def test_what_stands_behind_a_time_and_is_no_zone_makes_it_no_time(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n,at\n" + "1,2025-01-31 10:00:00\n" * 99 + "2,2025-01-31 10:00:00 later\n")
    with open_table(tmp_path / "a.csv") as table:
        assert table.notes() == ["column at: 1 of 100 cells is no date and counts as missing"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1251", "utf-16"])
@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_the_line_that_names_the_delimiter_for_excel_is_no_header(delimiter: str, encoding: str, tmp_path: Path) -> None:
    text = written(tmp_path / "plain.csv", delimiter, ",").read_text("utf-8")
    (tmp_path / "a.csv").write_text(f"sep={delimiter}\n{text}", encoding)
    pd.testing.assert_frame_equal(read(tmp_path / "a.csv"), plain())


def test_a_trailing_delimiter_makes_no_column_and_an_unnamed_index_column_gets_a_name(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(";age;city;\n0;31;Алматы;\n1;42;Астана;\n")
    assert list(read(tmp_path / "a.csv").columns) == ["column_1", "age", "city"]


def test_blank_lines_and_mixed_line_ends_are_no_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("\r\nage,city\r\n31,Алматы\n\n42,Ас\u2028тана\r\n\n".encode())
    assert read(tmp_path / "a.csv")["city"].tolist() == ["Алматы", "Ас\u2028тана"]


def test_a_file_without_header_is_read_by_the_names_given(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("39, State-gov, ?\n50, ?, 1\n38, Private, 2\n")
    with pytest.raises(RefusedFile, match=r"a\.csv has no header: 1 of the 3 fields .* give the 3 names"):
        read(tmp_path / "a.csv")
    with pytest.raises(RefusedFile, match="has 3 columns, but 2 names were given"):
        read(tmp_path / "a.csv", "age", "work")
    frame = read(tmp_path / "a.csv", "age", "work", "children")
    assert frame["work"].isna().tolist() == [False, True, False]
    assert len(frame) == 3


@pytest.mark.parametrize("top", ["(1 234,50)", "1 234-", "1/31/2025 10:15 PM"])
def test_a_first_line_of_values_as_accounting_and_am_pm_write_them_is_no_header(top: str, tmp_path: Path) -> None:
    below = ["2/28/2025 9:00 AM"] * 30 if "PM" in top else [str(n) for n in range(30)]
    (tmp_path / "a.csv").write_text("\n".join(f"{cell};x{n}" for n, cell in enumerate([top, *below])), encoding="utf-8")
    with pytest.raises(RefusedFile, match=r"has no header: 1 of the 2 fields"):
        read(tmp_path / "a.csv")


def test_names_that_stand_in_the_first_line_are_a_header_even_when_they_are_numbers(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("client,2023,2024\na1,5,6\na2,7,8\n")
    assert len(read(tmp_path / "a.csv", "client", "2023", "2024")) == 2


def lines(path: Path, header: str, cells: Iterable[str]) -> Path:
    path.write_text("\n".join([header, *cells]) + "\n", encoding="utf-8")
    return path


def test_signs_beside_a_number_say_nothing_of_its_size(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "a.csv",
        "tenge;dollars;share;loss;rouble",
        (f"{n} 200,50 ₸;$1,{n:03d}.50;{n},5 %;\u2212{n},5;1.{n:03d},5\u00a0₽" for n in range(1, 40)),
    )
    frame = read(path)
    assert frame.iloc[2].tolist() == [3200.5, 1003.5, 3.5, -3.5, 1003.5]


def test_years_of_two_digits_are_those_from_1930_to_2029(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.csv", "n;born;paid", (f"{n};05.04.{30 + n};{n % 12 + 1}/28/{n % 30:02d} 10:15" for n in range(60)))
    frame = read(path)
    assert frame["born"].dt.year.tolist() == [1930 + n for n in range(60)]
    assert frame["paid"].iloc[29] == pd.Timestamp("2029-06-28 10:15")


def test_dates_in_apostrophes_as_the_bank_s_exports_have_them_are_dates(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.csv", "n;at", (f"{n};'2025-01-{n:02d} 16:32:02.000'" for n in range(1, 29)))
    assert read(path)["at"].iloc[4] == pd.Timestamp("2025-01-05 16:32:02")


def test_cells_of_blanks_and_errors_of_a_spreadsheet_are_missing(tmp_path: Path) -> None:
    odd = ["   ", "\u00a0", "#N/A", "#ДЕЛ/0!", "н/д", "—"]
    path = lines(tmp_path / "a.csv", "n;number;text", (f"{n};{odd[n % 6] if n % 2 else n};{odd[n % 6]}" for n in range(60)))
    with open_table(path) as table:
        assert [(column.kind, column.given) for column in table.columns] == [("number", 60), ("number", 30), ("number", 0)]
        assert table.notes() == []


@pytest.mark.parametrize("words", [False, True])
def test_a_header_that_comes_again_is_no_row_and_is_told(words: bool, tmp_path: Path) -> None:
    rows = [f"{'abc'[n % 3]};{'да' if words else n};{'xy'[n % 2]}" for n in range(30)]
    path = lines(tmp_path / "a.csv", "city;sum;class", [*rows[:10], "city;sum;class", *rows[10:], "city ; sum;class"])
    with open_table(path) as table:
        assert table.notes() == ["2 rows repeat the header and are left out"]
        assert (table.rows, len(table.frame())) == (30, 30)
        assert [column.kind for column in table.columns] == ["text", "text" if words else "number", "text"]


def test_a_column_that_is_text_only_since_its_cells_differ_is_told(tmp_path: Path) -> None:
    days = (f"2025-01-{n:02d}" if n % 2 else f"{n:02d}.01.2025" for n in range(1, 29))
    path = lines(tmp_path / "a.csv", "rate;day;flat", (f"{n if n % 8 else 'many'};{day};{n}a" for n, day in enumerate(days, 1)))
    with open_table(path) as table:
        assert table.notes() == [
            "column rate is read as text: 25 of 28 cells are numbers written alike, a column of numbers has 98%: write the "
            "others like them, or empty them",
            "column day is read as text: 14 of 28 cells are dates written alike, a column of dates has 98%: write the others "
            "like them, or empty them",
        ]


def test_blanks_around_the_names_of_a_parquet_file_are_none_of_them(tmp_path: Path) -> None:
    pd.DataFrame({" left ": ["a", "b"], "sum": [1.0, 2.0]}).to_parquet(tmp_path / "a.parquet")
    assert list(read(tmp_path / "a.parquet").columns) == ["left", "sum"]


def test_a_wide_table_is_learned_by_expressions_for_all_columns_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    aggregate = duckdb.DuckDBPyRelation.aggregate
    monkeypatch.setattr(
        duckdb.DuckDBPyRelation, "aggregate", lambda self, text, *group: (asked.append(text), aggregate(self, text, *group))[1]
    )
    names = [f"c{n}" for n in range(300)]
    read(lines(tmp_path / "a.csv", ";".join(names), [";".join("1 000,5" for _ in names)] * 3))
    assert 0 < sum(map(len, asked)) < 10_000


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", "a,b\n1,2\n")


REFUSED = {
    "there is no file at": lambda path: None,
    "is a directory": lambda path: path.mkdir(),
    "is empty": lambda path: path.write_bytes(b""),
    "ZIP archive": zipped,
    "header of 2 columns and no rows": lambda path: path.write_text("a,b\n"),
    r"2 duplicate column names: a \(3 times\), b \(2 times\)": lambda path: path.write_text("a,b,a,b,a\n1,2,3,4,5\n"),
    r"2 rows do not have the 3 fields .*missing columns 1, too many columns 1; the first is line 3": lambda path: path.write_text(
        "a,b,c\n1,2,3\n1,2\n1,2,3,4\n5,6,x\n"
    ),
    "has 2,001 columns, at most 2,000": lambda path: path.write_text(
        f"{','.join(f'c{n}' for n in range(2001))}\n{'1,' * 2000}1\n"
    ),
    "one field only": lambda path: path.write_text("word\nword\nother\n"),
    "gzip file cut short": lambda path: path.write_bytes(gzip.compress(b"a,b\n1,2\n" * 1000)[:-20]),
    "NUL bytes": lambda path: path.write_bytes(b"a,b\n\0\0,\1\n"),
    "holds NUL bytes": lambda path: path.write_bytes(b"a,b,c\n" + b"1\0,2,\0\n" * 99),
    "is no text in utf-16-le": lambda path: path.write_bytes("a,b\n1,2\n".encode("utf-16-le") * 99 + b"\n"),
    "unquoted value|cannot be read": lambda path: path.write_text('a,b\n1,"2\n' + "3,4\n" * 100),
}


@pytest.mark.parametrize("message", list(REFUSED))
def test_what_is_no_table_is_refused_by_name_and_count(message: str, tmp_path: Path) -> None:
    path = tmp_path / "clients.csv"
    REFUSED[message](path)
    with pytest.raises(RefusedFile, match=message) as refusal:
        read(path)
    assert "clients.csv" in str(refusal.value)


def test_a_disk_without_room_for_a_copy_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "clients.csv", encoding="cp1251")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(RefusedFile, match=r"clients.csv cannot be read \(File too large\): .* room for a copy"):
            read(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


CELLS = st.text(st.characters(codec="cp1251", exclude_characters="\0\r\x98", exclude_categories=["Cc"]), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    amounts=st.lists(st.one_of(st.none(), st.floats(-1e9, 1e9)), min_size=5, max_size=30),
    words=st.lists(CELLS.map(lambda text: f"ъ{text}ь"), min_size=30, max_size=30),
    dialect=st.sampled_from([(",", "."), (";", ","), ("\t", ","), ("|", ".")]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "cp1251", "utf-16", "utf-16-le", "utf-16-be"]),
)
def test_what_is_written_is_what_is_read(
    amounts: list[float | None], words: list[str], dialect: tuple[str, str], encoding: str, tmp_path: Path
) -> None:
    delimiter, decimal = dialect
    path = tmp_path / "a.csv"
    with path.open("w", encoding=encoding, newline="") as stream:
        writer = csv.writer(stream, delimiter=delimiter)
        writer.writerow(["сумма", "слово"])
        for amount, word in zip(amounts, words, strict=False):
            writer.writerow(["" if amount is None else repr(amount).replace(".", decimal), word])
    frame = read(path)
    wanted = [np.nan if amount is None else amount for amount in amounts]
    np.testing.assert_array_equal(frame["сумма"].to_numpy(dtype="float64"), wanted)
    assert frame["слово"].tolist() == words[: len(amounts)]


def accounted(amount: float, sign: str, thousands: str, decimal: str) -> str:
    """An amount as accounting writes it."""
    text = f"{abs(amount):,.2f}".translate({ord(","): thousands, ord("."): decimal})
    return sign.replace("n", text) if amount < 0 else text


AMOUNTS = st.integers(-(10**11), 10**11).map(lambda cents: cents / 100)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    amounts=st.lists(AMOUNTS, min_size=1, max_size=30).map(lambda amounts: [-1234.5, 1.25, *amounts]),
    sign=st.sampled_from(["(n)", "n-", "(n ₸)", "(n) ₸", "$(n)", "n\u2212"]),
    separators=st.sampled_from([("", "."), ("", ","), (" ", ","), ("\u00a0", "."), (",", "."), (".", ",")]),
)
def test_negatives_written_as_in_accounting_are_read_as_those_numbers(
    amounts: list[float], sign: str, separators: tuple[str, str], tmp_path: Path
) -> None:
    path = lines(
        tmp_path / "a.csv", "n;sum", (f"x{n};{accounted(amount, sign, *separators)}" for n, amount in enumerate(amounts))
    )
    assert read(path)["sum"].tolist() == amounts


@pytest.mark.parametrize("odd", ["n/m", "(abc)", "1-2", "(-5)", "(5", "5-)", "--5", "(1)(2)"])
def test_one_cell_that_is_no_number_leaves_all_of_them_text_where_negatives_are_marked(odd: str, tmp_path: Path) -> None:
    cells = [*(f"({n}00)" if n % 2 else f"{n}00" for n in range(1, 20)), odd]
    with open_table(lines(tmp_path / "a.csv", "n;sum", (f"x;{cell}" for cell in cells))) as table:
        assert [column.kind for column in table.columns] == ["text", "text"]
        assert table.frame()["sum"].tolist() == cells


SHORT = st.integers(1, 99).map(str)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cells=st.one_of(
        st.lists(st.one_of(SHORT, SHORT.map("{}-".format)), min_size=5, max_size=30),
        st.lists(st.one_of(SHORT, SHORT.map("({})".format)), min_size=5, max_size=30),
        st.lists(st.integers(100, 10**6).map("({})".format), min_size=5, max_size=30),
        st.lists(st.integers(100, 10**6).map("{}-".format), min_size=5, max_size=30),
        st.lists(st.integers(1, 10**6).map("(0{})".format), min_size=5, max_size=30).map(lambda cells: [*cells, "7"]),
        st.lists(st.integers(10**16, 10**17).map("{}-".format), min_size=5, max_size=30).map(lambda cells: [*cells, "7"]),
    ).filter(lambda cells: any(not cell.isdigit() for cell in cells))
)
def test_marks_numbered_notes_and_codes_are_no_negatives_by_chance(cells: list[str], tmp_path: Path) -> None:
    assume(sum(not cell.isdigit() for cell in cells) > 0.02 * len(cells))
    path = lines(tmp_path / "a.csv", "n;mark", (f"x;{cell}" for cell in cells))
    assert read(path)["mark"].tolist() == cells


def test_a_column_that_is_known_to_be_numbers_may_be_all_negative(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.csv", "n;sum", ["x;(5)", "y;(1 234,50)"])
    with open_table(path, kinds={"sum": "number"}) as table:
        assert table.frame()["sum"].tolist() == [-5.0, -1234.5]


DAYS: dict[str, Callable[[datetime], str]] = {
    "us": lambda at: f"{at.month}/{at.day}/{at.year}",
    "eu": lambda at: f"{at:%d/%m/%Y}",
    "points": lambda at: f"{at:%d.%m.%y}",
    "iso": lambda at: f"{at:%Y-%m-%d}",
    "slashed": lambda at: f"{at:%Y/%m/%d}",
}
MOMENTS = st.datetimes(datetime.fromisoformat("1931-01-01"), datetime.fromisoformat("2029-12-31"))
CLOCKS = {"%I:%M %p": 60, "%I:%M:%S %p": 1, "%I:%M%p": 60}


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    moments=st.lists(MOMENTS, min_size=1, max_size=30),
    day=st.sampled_from(list(DAYS)),
    clock=st.sampled_from(list(CLOCKS)),
    lower=st.booleans(),
)
def test_times_with_am_and_pm_are_read_as_those_moments(
    moments: list[datetime], day: str, clock: str, lower: bool, tmp_path: Path
) -> None:
    # Of the first one the day is over 12, so that the order of day and month shows.
    known = [datetime.fromisoformat("2025-01-31T12:05"), *(at.replace(microsecond=0) for at in moments)]
    known = [at.replace(second=0) if CLOCKS[clock] == 60 else at for at in known]
    texts = [f"{DAYS[day](at)} {at.strftime(clock)}" for at in known]
    path = lines(tmp_path / "a.csv", "n;at", (f"x;{text.lower() if lower else text}" for text in texts))
    assert read(path)["at"].tolist() == [pd.Timestamp(at) for at in known]


def test_a_time_of_day_that_may_be_either_half_is_none(tmp_path: Path) -> None:
    at = [f"12/{n}/2025 10:15 {'AM' if n % 2 else 'PM'}" for n in range(1, 31)]
    with open_table(lines(tmp_path / "a.csv", "n;at", (f"x;{text}" for text in [*at * 4, "12/31/2025 10:15"]))) as table:
        assert table.notes() == ["column at: 1 of 121 cells is no date and counts as missing"]


def test_days_and_months_that_cannot_be_told_apart_stay_text_where_both_orders_are_usual(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.csv", "n;at", (f"x;{n}/{n + 1}/2025 10:15 PM" for n in range(1, 12)))
    with open_table(path) as table:
        assert table.notes() == [
            "column at is read as text: no date in it tells whether the day or the month comes first: write them like "
            "2025-12-31 22:15"
        ]
