"""A file that cannot land leaves the lake as it was and says what to do."""

import gzip
import io
import resource
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.lake import Lake
from features.refusals import RefusedFile, UnreadableFile
from features.tables import TRANSACTIONS

HEADER = b"date,category,amount,currency,client_code\n"
ROW = "2025-01-05,Такси,1.00,KZT,1\n".encode()
FILE = HEADER + ROW * 40


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.csv", FILE)
    return buffer.getvalue()


def parquet() -> bytes:
    buffer = io.BytesIO()
    columns = {"date": ["2025-01-05"], "category": ["Такси"], "amount": ["1.00"], "currency": ["KZT"], "client_code": ["1"]}
    pq.write_table(pa.table({name: values * 50_000 for name, values in columns.items()}), buffer, use_dictionary=False)
    return buffer.getvalue()


def damaged_parquet() -> bytes:
    content = bytearray(parquet())
    middle = len(content) // 2
    content[middle - 4000 : middle + 4000] = bytes(8000)
    return bytes(content)


MALFORMED = {
    "empty": (b"", UnreadableFile, "is empty"),
    "blank": (b"\n\n  \n", UnreadableFile, "is empty"),
    "header only": (HEADER, RefusedFile, "has no rows"),
    "missing columns": (FILE.replace(b"amount", b"sum"), RefusedFile, "lacks amount"),
    "a column twice": (HEADER[:-1] + b",amount\n" + ROW[:-1] + b",2\n", RefusedFile, "has amount twice"),
    "no header": (ROW * 40, RefusedFile, "names no column of transactions"),
    "zip": (zipped(), UnreadableFile, "a ZIP archive"),
    "gzip": (gzip.compress(FILE), UnreadableFile, "compressed with gzip"),
    "random bytes": (np.random.default_rng(0).bytes(70_000), UnreadableFile, "NUL bytes"),
    "binary without NUL": (
        np.random.default_rng(0).integers(1, 256, 70_000, np.uint8).tobytes(),
        RefusedFile,
        "names no column|neither UTF-8 nor cp1251",
    ),
    "utf-16": (FILE.decode().encode("utf-16"), UnreadableFile, "in UTF-16"),
    "utf-16 without mark": (FILE.decode().encode("utf-16-le"), UnreadableFile, "NUL bytes"),
    "neither encoding": (HEADER + "Такси".encode("cp1251") + b"\x98\n", UnreadableFile, "neither UTF-8 nor cp1251"),
    "a NUL byte late": (FILE * 2000 + b"\0", UnreadableFile, "NUL bytes"),
    "one line of 40 MB": (b"x" * 40_000_000, UnreadableFile, "a line of over 1 MiB"),
    "a value of 40 MB": (FILE + b"2025-01-05," + b"x" * 40_000_000 + b",1,KZT,1\n", UnreadableFile, "a line of over 1 MiB"),
    "an open quote": (FILE + ROW.replace(b",1.00", b',"1.00') + ROW * 30, RefusedFile, "row 41 .*opens a quotation mark"),
    "ragged": (HEADER + b"2025-01-05,1.00\n" * 40, RefusedFile, "40 of 40 rows .*has as many fields as the header: 40"),
    "too many bad rows": (FILE + ROW.replace(b"1.00", b"-1") * 3, RefusedFile, "3 of 43 rows are bad"),
    "html": (b"<html><body>Error</body></html>\n", RefusedFile, "names no column"),
    "json": (b'[{"date": "2025-01-05", "amount": 1}]\n', RefusedFile, "names no column|lacks"),
    "truncated parquet": (parquet()[:-2000], UnreadableFile, "cut short or damaged"),
    "parquet magic only": (b"PAR1", UnreadableFile, "cut short or damaged"),
    "damaged parquet": (damaged_parquet(), UnreadableFile, "cannot be read as a table"),
}  # fmt: skip


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, Path]:
    """A lake with one version of transactions."""
    folder = tmp_path_factory.mktemp("held")
    (folder / "good.csv").write_bytes(FILE + ROW.replace(b"1.00", b"0"))
    lake = Lake(str(folder / "lake"))
    lake.ingest(TRANSACTIONS, folder / "good.csv")
    return lake, folder


@pytest.mark.parametrize("kind", sorted(MALFORMED))
def test_a_malformed_file_is_refused_whole(held: tuple[Lake, Path], kind: str) -> None:
    lake, folder = held
    content, error, message = MALFORMED[kind]
    path = folder / "malformed.csv"
    path.write_bytes(content)
    before = sorted(file for file in folder.rglob("*") if file.is_file())
    with pytest.raises(error, match=message):
        lake.ingest(TRANSACTIONS, path)
    assert sorted(file for file in folder.rglob("*") if file.is_file()) == before
    assert lake.versions() == {"transactions": 0}
    assert lake.read("transactions").count().to_pyarrow().as_py() == 40
    assert lake.quarantine("transactions").count().to_pyarrow().as_py() == 1


def test_a_file_that_is_not_there_is_said(held: tuple[Lake, Path]) -> None:
    lake, folder = held
    for path in (folder / "nowhere.csv", folder):
        with pytest.raises(UnreadableFile, match="there is no file at"):
            lake.ingest(TRANSACTIONS, path)


@pytest.mark.parametrize("line_end", ["\n", "\n\n"])
def test_a_refusal_names_the_file_as_it_was_sent(held: tuple[Lake, Path], line_end: str) -> None:
    lake, folder = held
    (folder / "клиенты.csv").write_bytes(line_end.join(["имя;сумма", "Айгерим;1"]).encode("cp1251"))
    with pytest.raises(RefusedFile, match="the first line of клиенты.csv names no column"):
        lake.ingest(TRANSACTIONS, folder / "клиенты.csv")


def test_a_refused_first_file_leaves_no_table(tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_bytes(HEADER + ROW.replace(b"KZT", b"XXX") * 5)
    lake = Lake(str(tmp_path / "lake"))
    with pytest.raises(RefusedFile):
        lake.ingest(TRANSACTIONS, tmp_path / "bad.csv")
    assert lake.versions() == {}
    assert not [file for file in (tmp_path / "lake").rglob("*") if file.is_file()]


FULL_DISK = """
import resource, sys
from pathlib import Path
from features.lake import Lake
from features.refusals import UnwritableLake
from features.tables import TRANSACTIONS
lake = Lake(sys.argv[1])
lake.ingest(TRANSACTIONS, Path(sys.argv[2]))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]), resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
try:
    lake.ingest(TRANSACTIONS, Path(sys.argv[3]))
except UnwritableLake as error:
    print(error)
"""


@pytest.mark.parametrize("limit", [500, 20_000, 300_000])
def test_a_full_disk_is_said_and_leaves_nothing_behind(tmp_path: Path, limit: int) -> None:
    generator = np.random.default_rng(1)
    small, large = tmp_path / "small.csv", tmp_path / "large.csv"
    small.write_bytes(FILE)
    rows = [f"2025-01-05,Такси,{amount}.{amount % 90 + 10},KZT,{amount}" for amount in generator.integers(1, 10**9, 200_000)]
    large.write_text(HEADER.decode() + "\n".join(rows), "utf-8")
    lake = tmp_path / "lake"
    code = [sys.executable, "-c", FULL_DISK, str(lake), str(small), str(large), str(limit)]
    run = subprocess.run(code, capture_output=True, text=True, check=False)
    assert "make room and send the same file again" in run.stdout, run.stderr
    assert Lake(str(lake)).versions() == {"transactions": 0}
    assert len(list((lake / "transactions").glob("*.parquet"))) == 1
    assert not [file for file in (lake / "_scratch").rglob("*") if file.is_file()]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    assert Lake(str(lake)).ingest(TRANSACTIONS, large).version == 1
