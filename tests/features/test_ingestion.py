"""What the lake promises of a file that lands: once, exactly, in a version that stays readable."""

import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import ibis.expr.datatypes as dt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.lake import Lake
from features.raw_table import Column, RawTable
from features.refusals import RefusedFile, UnknownTable
from features.tables import CLIENTS, TABLES, TRANSACTIONS, TRANSFERS

HEADER = "date,category,amount,currency,client_code"


def purchases(path: Path, *rows: str, good: int = 40) -> Path:
    """A file of transactions: `good` good rows, then `rows`."""
    lines = [f"2025-01-05 16:32:{index % 60:02},Такси,{index + 1}.50,KZT,{1000 + index}" for index in range(good)]
    path.write_text("\n".join([HEADER, *lines, *rows]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def test_the_same_file_again_answers_with_its_version_and_changes_nothing(lake: Lake, tmp_path: Path) -> None:
    first = lake.ingest(TRANSACTIONS, purchases(tmp_path / "a.csv", "2025-01-05,Такси,-1,KZT,7"))
    lake.ingest(TRANSACTIONS, purchases(tmp_path / "b.csv", good=30))
    renamed = (tmp_path / "a.csv").rename(tmp_path / "renamed.csv")
    again = lake.ingest(TRANSACTIONS, renamed)
    assert again.already_ingested
    assert (again.version, again.sha256, again.quarantined) == (first.version, first.sha256, first.quarantined)
    assert lake.version("transactions") == 1
    assert lake.read("transactions").count().to_pyarrow().as_py() == 70
    assert lake.quarantine("transactions").count().to_pyarrow().as_py() == 1


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.lists(st.integers(0, 3), min_size=1, max_size=8))
def test_any_order_of_sends_lands_every_content_once(order: list[int], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("sends")
    lake = Lake(str(folder / "lake"))
    versions: dict[int, int] = {}
    for content in order:
        summary = lake.ingest(TRANSACTIONS, purchases(folder / "sent.csv", good=content + 1))
        assert summary.already_ingested == (content in versions)
        assert summary.version == versions.setdefault(content, len(versions))
    assert lake.read("transactions").count().to_pyarrow().as_py() == sum(content + 1 for content in versions)


def test_quarantine_gives_the_row_the_column_the_rule_and_the_value(lake: Lake, tmp_path: Path) -> None:
    rows = [f"2025-01-05 10:00:00,Кино,{n}.00,KZT,{n}" for n in range(1, 301)]
    rows[9] = "2025-01-05 10:00:00,Кино,-5,KZT,10"
    rows[49] = "2025-01-05 10:00:00,Кино,1.00"
    rows[50] = "1970-01-01,Кино,1.00,KZT,51"
    rows[99] = "2025-01-05 10:00:00,Кино,1.00,KZT,100,too,many"
    rows[100] = "2025-01-05 10:00:00,Прочее,1.00,KZT,101"
    rows[298] = '2025-01-05 10:00:00,"Ки"но,1.00,KZT,299'
    rows[299] = "2025-01-05 10:00:00,Кино,1.00,KZT,"
    summary = lake.ingest(TRANSACTIONS, purchases(tmp_path / "dirty.csv", *rows, good=0))
    bad = lake.quarantine("transactions").order_by("row").to_pyarrow().to_pylist()
    found = [(row["row"], row["column"], row["rule"], row["value"]) for row in bad]
    assert found == [
        (10, "amount", "is above 0 and below 10^12", "-5"),
        (50, None, "has as many fields as the header", None),
        (51, "date", "lies between 2000 and 2100", "1970-01-01"),
        (100, None, "has as many fields as the header", None),
        (101, "category", "is one of the known values", "Прочее"),
        (299, None, "closes its quotes", None),
        (300, "client_code", "is given", None),
    ]
    assert bad[1]["text"] == rows[49]
    assert '"category":"Прочее"' in bad[4]["text"]
    assert {row["file_sha256"] for row in bad} == {summary.sha256}
    assert (summary.read, summary.landed, sum(summary.quarantined.values())) == (300, 293, 7)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "cp1251"])
def test_row_numbers_do_not_count_blank_lines_or_breaks_inside_quotes(
    lake: Lake, tmp_path: Path, newline: str, encoding: str
) -> None:
    rows = [f"2025-01-05 10:00:00,Кино,{n}.00,KZT,{n},Магазин" for n in range(1, 201)]
    rows[4] = '2025-01-05 10:00:00,Кино,1.00,KZT,5,"два\n\nряда"'
    rows[59] = "2025-01-05 10:00:00,Кино"
    rows[60] = "2025-01-05 10:00:00,Кино,0,KZT,61,Магазин"
    lines = [HEADER + ",merchant", *rows[:30], "", "", *rows[30:], "", ""]
    (tmp_path / "blank.csv").write_bytes(newline.join(lines).encode(encoding))
    lake.ingest(TRANSACTIONS, tmp_path / "blank.csv")
    assert lake.quarantine("transactions").order_by("row")["row"].to_pyarrow().to_pylist() == [60, 61]
    merchants = lake.read("transactions").filter(lambda table: table.client_code == "5").merchant.to_pyarrow().to_pylist()
    assert merchants == ["два\n\nряда"]


KINDS = {
    "good": (b"2025-01-05,{kino},1.00,KZT,1,", True),
    "two lines": (b'2025-01-05,{kino},1.00,KZT,1,"a\n\nb"', True),
    "quotes": (b'2025-01-05,{kino},1.00,KZT,1,"a ""b"" c"', True),
    "wrong value": (b"2025-01-05,{kino},-1.00,KZT,1,", False),
    "short": (b"2025-01-05,{kino},1.00", False),
    "long": (b"2025-01-05,{kino},1.00,KZT,1,a,b,c,d", False),
    "torn quote": (b'2025-01-05,{kino},1.00,KZT,1,"a"b', False),
    "not utf-8": (b"2025-01-05,{kino},1.00,KZT,1,\xff\xfe", False),
    "blank": (b"", None),
}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kinds=st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=30), newline=st.sampled_from([b"\n", b"\r\n"]))
def test_row_numbers_are_exact_among_any_mixture_of_errors(
    kinds: list[str], newline: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("mixture")
    kinds = ["good"] * 31 + kinds  # with more broken than good lines the file would rightly be taken for cp1251
    lines = [KINDS[kind][0].replace(b"{kino}", "Кино".encode()) for kind in kinds]
    (folder / "mixture.csv").write_bytes(newline.join([HEADER.encode() + b",merchant", *lines]) + newline)
    rows = [KINDS[kind][1] for kind in kinds if kind != "blank"]
    lake = Lake(str(folder / "lake"), quarantine_limit=1)
    summary = lake.ingest(TRANSACTIONS, folder / "mixture.csv")
    numbers = lake.quarantine("transactions").order_by("row")["row"].to_pyarrow().to_pylist()
    assert numbers == [number for number, good in enumerate(rows, start=1) if not good]
    assert (summary.read, summary.landed) == (len(rows), sum(bool(good) for good in rows))


def test_row_numbers_hold_over_many_batches(lake: Lake, tmp_path: Path) -> None:
    rows = [f"2025-01-05,Кино,{n}.00,KZT,{n}" for n in range(1, 260_001)]
    wrong_shape, wrong_value = set(range(7, 260_000, 1009)), set(range(11, 260_000, 997))
    for number in wrong_shape:
        rows[number - 1] = f"2025-01-05,Кино,{number}.00"
    for number in wrong_value - wrong_shape:
        rows[number - 1] = f"2025-01-05,Кино,-{number}.00,KZT,{number}"
    lake.ingest(TRANSACTIONS, purchases(tmp_path / "long.csv", *rows, good=0))
    numbers = lake.quarantine("transactions").order_by("row")["row"].to_pyarrow().to_pylist()
    assert numbers == sorted(wrong_shape | wrong_value)


def test_money_is_exact_and_never_rounded(lake: Lake, tmp_path: Path) -> None:
    amounts = ["0.01", "0.10", "0.1", "5", "5.", ".5", "999999999999.99", "12.3400", "+7.00", "70368744177.66"]
    refused = ["12.345", "0.001", "1e3", "15e-1", "1_000", "1 000.50", "NaN", "Infinity", "-0.01", "1000000000000", "0x10"]
    rows = [f"2025-01-05,Кино,{amount},KZT,{index}" for index, amount in enumerate([*amounts, *refused])]
    summary = lake.ingest(TRANSACTIONS, purchases(tmp_path / "money.csv", *rows, good=400))
    landed = lake.read("transactions").filter(lambda table: table.category == "Кино").order_by(lambda table: table.client_code)
    assert landed.schema()["amount"] == dt.Decimal(18, 2)
    assert sorted(landed.amount.to_pyarrow().to_pylist()) == sorted(Decimal(amount) for amount in amounts)
    assert lake.quarantine("transactions").order_by("row")["value"].to_pyarrow().to_pylist() == refused
    assert summary.quarantined["amount has at most 2 decimals"] == 2


def test_flags_and_moments_are_never_guessed(lake: Lake, tmp_path: Path) -> None:
    flags = ["0", "1", "1.0", "0.4", "1.7", "true", "2"]
    lines = [f"a{index};{flag};2025-01-05 10:00:00" for index, flag in enumerate(flags)]
    lines += [
        f"b{index};1;{moment}" for index, moment in enumerate(["2025-01-05 10:00+05", "2025-01-05T10:00:00Z", "05.01.2025"])
    ]
    lines += [
        f"c{index};1;{moment}"
        for index, moment in enumerate(["2025-01-05T10:00:00", "'2025-01-05 10:00:00.1234567'", " 2025-01-05 "])
    ]
    lines += [f"d{index};0;2025-01-05" for index in range(200)]
    (tmp_path / "labels.csv").write_text("transaction_id;is_fraud;reported_at\n" + "\n".join(lines), encoding="utf-8")
    lake.ingest(TABLES["fraud_labels"], tmp_path / "labels.csv")
    bad = lake.quarantine("fraud_labels").order_by("row").to_pyarrow().to_pylist()
    assert [row["value"] for row in bad] == [
        "0.4",
        "1.7",
        "true",
        "2",
        "2025-01-05 10:00+05",
        "2025-01-05T10:00:00Z",
        "05.01.2025",
    ]
    landed = lake.read("fraud_labels").filter(lambda table: table.transaction_id.startswith("c")).order_by("transaction_id")
    assert landed.reported_at.to_pyarrow().to_pylist() == [
        datetime.fromisoformat("2025-01-05T10:00:00"),
        datetime.fromisoformat("2025-01-05T10:00:00.123456"),
        datetime.fromisoformat("2025-01-05"),
    ]


def clients(path: Path, codes: list[str]) -> Path:
    lines = [f"{code};Айгерим;Студент;20;Алматы;{index},5" for index, code in enumerate(codes)]
    text = "client_code;name;status;age;city;avg_monthly_balance_KZT\n" + "\n".join(lines)
    path.write_bytes(text.encode("cp1251"))
    return path


def test_of_a_repeated_key_the_first_row_lands(lake: Lake, tmp_path: Path) -> None:
    codes = [str(number) for number in range(100)]
    lake.ingest(CLIENTS, clients(tmp_path / "one.csv", [*codes[:60], "7", "7"]))
    summary = lake.ingest(CLIENTS, clients(tmp_path / "two.csv", [*codes[60:], "3", "60"]))
    table = lake.read("clients")
    assert sorted(table.client_code.to_pyarrow().to_pylist()) == sorted(codes)
    assert table.filter(table.client_code == "7").avg_monthly_balance_KZT.to_pyarrow().to_pylist() == [Decimal("7.50")]
    assert summary.quarantined == {
        "client_code repeats an earlier file": 1,
        "client_code repeats an earlier row of the file": 1,
    }
    bad = (
        lake.quarantine("clients")
        .filter(lambda rows: rows.file_sha256 == summary.sha256)
        .order_by("row")
        .to_pyarrow()
        .to_pylist()
    )
    assert [(row["row"], row["value"]) for row in bad] == [(41, "3"), (42, "60")]


def test_cyrillic_survives_every_encoding(lake: Lake, tmp_path: Path) -> None:
    lake.ingest(CLIENTS, clients(tmp_path / "cp1251.csv", ["1", "2"]))
    row = lake.read("clients").order_by("client_code").to_pyarrow().to_pylist()[0]
    assert (row["name"], row["status"], row["city"]) == ("Айгерим", "Студент", "Алматы")


def test_a_single_spoilt_byte_costs_its_row_and_not_the_encoding(lake: Lake, tmp_path: Path) -> None:
    path = purchases(tmp_path / "spoilt.csv")
    lines = path.read_bytes().split(b"\n")
    lines[1] = "2025-01-05,Такси,1.00,KZT,1".encode("cp1251")
    path.write_bytes(b"\n".join(lines))
    summary = lake.ingest(TRANSACTIONS, path)
    assert summary.dialect.startswith("utf-8,")
    assert summary.quarantined == {"row is valid UTF-8": 1}
    assert lake.quarantine("transactions")["row"].to_pyarrow().to_pylist() == [1]


def test_every_version_can_be_read_again_by_number_and_by_time(lake: Lake, tmp_path: Path) -> None:
    moments = []
    for good in (5, 6, 7):
        lake.ingest(TRANSACTIONS, purchases(tmp_path / "more.csv", good=good))
        moments.append(datetime.now(UTC))
        time.sleep(0.02)
    counts = [lake.read("transactions", version=version).count().to_pyarrow().as_py() for version in (0, 1, 2)]
    assert counts == [5, 11, 18]
    assert [lake.read("transactions", at=moment).count().to_pyarrow().as_py() for moment in moments] == counts
    assert lake.read("transactions", at=moments[1].replace(tzinfo=None)).count().to_pyarrow().as_py() == 11
    assert lake.versions() == {"transactions": 2}
    sizes = [lake.tables(pinned)["transactions"].count().to_pyarrow().as_py() for pinned in (None, {"transactions": 1})]
    assert sizes == [18, 11]
    with pytest.raises(UnknownTable, match="held no transactions yet"):
        lake.read("transactions", at=moments[0] - timedelta(days=1))
    with pytest.raises(UnknownTable, match="no version 3 of transactions"):
        lake.read("transactions", version=3)
    with pytest.raises(UnknownTable, match="make ingest TABLE=transfers"):
        lake.version("transfers")
    with pytest.raises(UnknownTable):
        lake.quarantine("transfers")


def test_columns_come_in_any_order_and_extra_ones_are_named(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "free.csv").write_text(
        "note\tclient_code\tcurrency\tamount\ttransaction_id\tcategory\tdate\nx\t17\tUSD\t3.10\tt1\tОтели\t2025-02-03\n", "utf-8"
    )
    summary = lake.ingest(TRANSACTIONS, tmp_path / "free.csv")
    assert summary.ignored_columns == ("note",)
    assert lake.read("transactions").to_pyarrow().to_pylist() == [
        {
            "date": datetime.fromisoformat("2025-02-03"),
            "category": "Отели",
            "amount": Decimal("3.10"),
            "currency": "USD",
            "client_code": "17",
            "merchant": None,
            "transaction_id": "t1",
        }
    ]


def test_parquet_is_taken_wherever_csv_is(lake: Lake, tmp_path: Path) -> None:
    moment = datetime.fromisoformat("2025-01-05T16:32:02")
    frame = pa.table(
        {
            "client_code": pa.array([5, 6, 7]),
            "amount": pa.array([12.34, 0.1, 70368744177.66]),
            "currency": ["KZT", "USD", "EUR"],
            "direction": ["in", "out", "in"],
            "type": ["salary_in", "card_out", "fx_buy"],
            "date": pa.array([moment.replace(tzinfo=UTC)] * 3, pa.timestamp("ns", "Asia/Almaty")),
            "year": [2025, 2025, 2025],
        }
    )
    pq.write_table(frame, tmp_path / "transfers.parquet")
    summary = lake.ingest(TRANSFERS, tmp_path / "transfers.parquet")
    assert (summary.dialect, summary.landed, summary.ignored_columns) == ("Parquet", 3, ("year",))
    landed = lake.read("transfers").to_pyarrow().to_pylist()
    assert [row["amount"] for row in landed] == [Decimal("12.34"), Decimal("0.10"), Decimal("70368744177.66")]
    assert {row["date"] for row in landed} == {moment}
    assert [row["client_code"] for row in landed] == ["5", "6", "7"]


def test_the_share_of_bad_rows_decides_exactly(tmp_path: Path) -> None:
    strict = Lake(str(tmp_path / "lake"), quarantine_limit=0.05)
    bad = [f"2025-01-05,Кино,-{n},KZT,1" for n in range(1, 4)]
    assert strict.ingest(TRANSACTIONS, purchases(tmp_path / "five.csv", *bad[:2], good=38)).landed == 38
    with pytest.raises(RefusedFile, match="3 of 41 rows are bad .*more than the accepted 5%"):
        strict.ingest(TRANSACTIONS, purchases(tmp_path / "more.csv", *bad, good=38))
    assert strict.versions() == {"transactions": 0}
    assert strict.quarantine("transactions").count().to_pyarrow().as_py() == 2


ADULT = RawTable(
    "adult",
    (
        Column("age", dt.int16),
        Column("workclass", dt.string, required=False),
        Column("fnlwgt", dt.int64),
        *(Column(name, dt.string, required=False) for name in ("education",)),
        Column("education_num", dt.int16),
        *(Column(name, dt.string, required=False) for name in ("marital_status", "occupation", "relationship", "race", "sex")),
        *(Column(name, dt.float64) for name in ("capital_gain", "capital_loss", "hours_per_week")),
        Column("native_country", dt.string, required=False),
        Column("income", dt.string),
    ),
    header=False,
    missing=("?",),
)


def test_a_file_without_header_and_with_its_own_missing_marker_lands(lake: Lake, real_data: Path) -> None:
    source = real_data / "adult-train.csv"
    lines = [line for line in source.read_text().splitlines() if line.strip()]
    summary = lake.ingest(ADULT, source)
    table = lake.read("adult")
    assert (summary.read, summary.landed) == (len(lines), len(lines))
    assert table.income.nunique().to_pyarrow().as_py() == 2
    assert table.workclass.isnull().sum().to_pyarrow().as_py() == sum(line.split(",")[1].strip() == "?" for line in lines)
    assert not table.filter(table.education.startswith(" ")).count().to_pyarrow().as_py()
    assert table.age.sum().to_pyarrow().as_py() == sum(int(line.split(",")[0]) for line in lines)
