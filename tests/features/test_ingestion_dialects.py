"""Every way in which a bank's exports are written gives the same table."""

import itertools
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.fingerprint import fingerprint
from features.lake import Lake
from features.source import create_view, open_source
from features.staging import create_staging
from features.tables import CLIENTS, TABLES, TRANSFERS

FORMS = {
    "day": ("%Y-%m-%d", "2025-01-05"),
    "second": ("%Y-%m-%d %H:%M:%S", "2025-01-05 16:32:02"),
    "quoted": ("'%Y-%m-%d %H:%M:%S.000'", "'2025-01-05 16:32:02.000'"),
    "fraction": ("%Y-%m-%d %H:%M:%S.0000000", "2025-01-05 16:32:02.000"),
}
MOMENTS = st.datetimes(datetime.fromisoformat("2000-01-01T00:00:00"), datetime.fromisoformat("2099-12-31T00:00:00")).map(
    lambda moment: moment.replace(microsecond=0)
)
AMOUNTS = st.decimals(Decimal("0.01"), Decimal("999999999999.99"), places=2)
CODES = st.text("абвгдеёжзАБВЯ0123456789", min_size=1, max_size=12)


def export(
    path: Path, rows: list[tuple[datetime, Decimal, str]], dialect: tuple[str, str, str, str], newline: str = "\n"
) -> Path:
    """Write transfers in a dialect: encoding, delimiter, decimal mark, form of the dates."""
    encoding, delimiter, decimal, form = dialect
    lines = [delimiter.join(["date", "type", "direction", "amount", "currency", "client_code"])]
    for moment, amount, code in rows:
        text = str(amount).replace(".", decimal)
        text = f'"{text}"' if delimiter == decimal else text
        lines.append(delimiter.join([moment.strftime(FORMS[form][0]), "salary_in", "in", text, "KZT", code]))
    path.write_bytes((newline.join(lines) + newline).encode(encoding))
    return path


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(MOMENTS, AMOUNTS, CODES), min_size=1, max_size=5),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "cp1251"]),
    delimiter=st.sampled_from([",", ";", "\t"]),
    decimal=st.sampled_from([".", ","]),
    form=st.sampled_from(sorted(FORMS)),
    newline=st.sampled_from(["\n", "\r\n"]),
)
def test_any_dialect_round_trips(
    rows: list[tuple[datetime, Decimal, str]],
    encoding: str,
    delimiter: str,
    decimal: str,
    form: str,
    newline: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("dialect")
    lake = Lake(str(folder / "lake"))
    summary = lake.ingest(TRANSFERS, export(folder / "export.csv", rows, (encoding, delimiter, decimal, form), newline))
    landed = lake.read("transfers").to_pyarrow().to_pylist()
    expected = [moment.replace(hour=0, minute=0, second=0) if form == "day" else moment for moment, _, _ in rows]
    assert [row["date"] for row in landed] == expected
    assert [row["amount"] for row in landed] == [amount for _, amount, _ in rows]
    assert [row["client_code"] for row in landed] == [code for _, _, code in rows]
    shown = "tab" if delimiter == "\t" else f"'{delimiter}'"
    known = encoding if encoding != "cp1251" or any(not code.isascii() for _, _, code in rows) else "utf-8"
    assert summary.dialect == f"{known}, {shown} separated, '{decimal}' decimals, dates as {FORMS[form][1]}"


@pytest.mark.parametrize(("delimiter", "decimal"), itertools.product([",", ";"], [".", ","]))
def test_the_decimal_mark_is_found_far_into_a_file(tmp_path: Path, delimiter: str, decimal: str) -> None:
    whole = [(datetime.fromisoformat("2025-01-05T00:00:00") + timedelta(seconds=n), Decimal(n + 1), f"к{n}") for n in range(6000)]
    rows = [*whole[:3000], *[(moment, amount + Decimal("0.25"), code) for moment, amount, code in whole[3000:]]]
    lake = Lake(str(tmp_path / "lake"))
    lake.ingest(TRANSFERS, export(tmp_path / "late.csv", rows, ("utf-8", delimiter, decimal, "second")))
    assert lake.read("transfers").amount.sum().to_pyarrow().as_py() == sum(amount for _, amount, _ in rows)


def test_a_grouped_number_among_decimal_commas_is_not_guessed(tmp_path: Path) -> None:
    lines = [f"{n};Айгерим;Студент;20;Алматы;{n},50" for n in range(100)]
    lines[7], lines[8] = "7;Айгерим;Студент;20;Алматы;1.234", "8;Айгерим;Студент;20;Алматы;1.234,50"
    (tmp_path / "c.csv").write_text("client_code;name;status;age;city;avg_monthly_balance_KZT\n" + "\n".join(lines), "utf-8")
    lake = Lake(str(tmp_path / "lake"))
    lake.ingest(CLIENTS, tmp_path / "c.csv")
    bad = lake.quarantine("clients").order_by("row").to_pyarrow().to_pylist()
    found = [(row["row"], row["rule"], row["value"]) for row in bad]
    assert found == [
        (8, "is a number", "1.234"),
        (9, "is a number", "1.234,50"),
    ]


def test_blanks_around_values_are_not_part_of_them(tmp_path: Path) -> None:
    (tmp_path / "blanks.csv").write_text(
        " client_code , product ,offered_at, accepted\n 17 ,\tИпотека , 2025-01-05 10:00:00 , 1 \n18,Ипотека,2025-01-05,\n",
        "utf-8",
    )
    lake = Lake(str(tmp_path / "lake"), quarantine_limit=0.5)
    lake.ingest(TABLES["product_uptake"], tmp_path / "blanks.csv")
    row = lake.read("product_uptake").to_pyarrow().to_pylist()
    assert row == [
        {"client_code": "17", "product": "Ипотека", "offered_at": datetime.fromisoformat("2025-01-05T10:00:00"), "accepted": 1}
    ]


@pytest.mark.parametrize("name", sorted(TABLES))
def test_checking_keeps_the_rows_in_order(tmp_path: Path, name: str) -> None:
    """Row numbers are counted on the stream, so the engine's plan must hold nothing that shuffles, like a join."""
    table, lake = TABLES[name], Lake(str(tmp_path / "lake"))
    path = tmp_path / "header.csv"
    path.write_text(",".join(column.name for column in table.columns) + "\n", "utf-8")
    create_view(lake.connection, table, open_source(table, path, fingerprint(path), tmp_path))
    query, _ = create_staging(lake.connection, table, ".")
    plan = str(lake.connection.con.sql(f"EXPLAIN {query}").fetchall())
    assert not any(operator in plan for operator in ("JOIN", "AGGREGATE", "WINDOW", "ORDER_BY"))
