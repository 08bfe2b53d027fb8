"""Looks for canaries in every file of a folder, inside what packs them: SQLite, Parquet, gzip and ZIP."""

import gzip
import io
import sqlite3
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet

from tests.integration.canaries import spellings

_SPELLINGS = spellings()


def found_in(path: Path) -> Counter[str]:
    """What was found in a file: matched text → how often."""
    found: Counter[str] = Counter()
    content = path.read_bytes()
    found += _looked(content)
    if content.startswith(b"SQLite format 3\x00"):
        found += _looked("\n".join(_spelled(_cells(path))).encode())
    return found


def _looked(content: bytes) -> Counter[str]:
    """Matches in bytes, and in what they hold when they are packed."""
    found: Counter[str] = Counter()
    for beginning, whole in _SPELLINGS.items():
        if beginning in content:  # much quicker than the pattern, and most files hold none
            found.update(_readable(match) for match in whole.findall(content))
    for inner in _unpacked(content):
        found += _looked(inner)
    return found


def _unpacked(content: bytes) -> Iterator[bytes]:
    if content.startswith(b"\x1f\x8b"):
        yield gzip.decompress(content)
    elif content.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            yield from (archive.read(name) for name in archive.namelist())
    elif content.startswith(b"PAR1"):
        table = parquet.read_table(io.BytesIO(content))
        for column in table.column_names:
            yield "\n".join(_spelled(table[column].to_pylist())).encode()


def _cells(path: Path) -> Iterator[Any]:
    """Every cell of every table; the write-ahead log beside the file is read with it."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        connection.text_factory = bytes
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (name,) in tables:
            for row in connection.execute(f'SELECT * FROM "{name.decode()}"'):
                yield from row


def _spelled(cells: Any) -> Iterator[str]:
    for cell in cells:
        if isinstance(cell, bytes):
            yield from _of_bytes(cell)
        elif isinstance(cell, float):
            yield f"{cell:.2f}"
        elif cell is not None:
            yield str(cell)


def _of_bytes(cell: bytes) -> Iterator[str]:
    yield cell.decode("utf-8", "replace")
    yield from (inner.decode("utf-8", "replace") for inner in _unpacked(cell))


def _readable(match: bytes) -> str:
    return match.replace(b"\x00", b"").decode("utf-8", "backslashreplace")
