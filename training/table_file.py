"""From a path to a table file that the engine can read as it is: unpacked, in UTF-8, with its delimiter and header known."""

import codecs
import csv
import gzip
import io
import re
import shutil
import unicodedata
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from features.fingerprint import Fingerprint, fingerprint
from features.refusals import RefusedFile, UnreadableFile
from features.wording import agreeing, plural

MISSING = (
    *(
        "",
        "NA",
        "N/A",
        "na",
        "n/a",
        "NaN",
        "nan",
        "NAN",
        "null",
        "NULL",
        "Null",
        "none",
        "None",
        "NONE",
        "?",
        "-",
        "–",
        "—",
        "\\N",
    ),
    *("н/д", "Н/Д", "#N/A", "#Н/Д", "#DIV/0!", "#ДЕЛ/0!", "#VALUE!", "#ЗНАЧ!", "#REF!", "#ССЫЛКА!", "#NUM!", "#ЧИСЛО!"),
)
"""Cells that say that there is no value, in words or as a spreadsheet's error."""
MOST_COLUMNS = 2000
"""The engine's time to plan a query grows with the square of its columns: reading 5,000 takes it half a minute."""
_HEAD = 1 << 18
_LEAST_NULS = 0.1
"""Share of the characters that are ASCII in any table in UTF-16."""
_NO_TEXT = {"Cc", "Cn", "Co"}
"""Categories of control characters and of code points that nobody has given a meaning: what other bytes look like in UTF-16."""
_BLOCK = 1 << 22
_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "|"}
_HINT = re.compile(r"sep=.?")
"""What Excel and exports for it write on top: the delimiter. It is found out all the same."""
_VALUE = re.compile(
    r"[+-]?(\d[\d\s]*)?[.,]?\d+([eE][+-]?\d+)?%?|\([\d\s.,]*\d\)|\d[\d\s.,]*-|"
    r"\d{1,4}[-./]\d\d?[-./]\d{1,4}([ T][\d:.+Z-]*( ?[AaPp][Mm])?)?"
)


class NoHeader(RefusedFile):
    """A CSV file of `width` columns whose first line holds values: give the names of its columns."""

    def __init__(self, file: str, width: int, alike: int) -> None:
        super().__init__(
            f"{file} has no header: {alike} of the {width} fields of its first line "
            f"{agreeing(alike, 'is a value', 'are values')} like those below. Add a line with the names of the columns, or "
            f"give the {width} names in order (NAMES=first,second,…)"
        )
        self.width = width


@dataclass(frozen=True)
class TableFile:
    """A table on disk that the engine can read: UTF-8 text cut by `delimiter`, or Parquet (delimiter None).

    `header` holds the names of the columns, empty where a line gives none; `skip_first` says that the first line is that header;
    `sha256` is of the unpacked content, `form` describes it in words.
    """

    path: Path
    header: tuple[str, ...]
    delimiter: str | None
    skip_first: bool
    sha256: str
    form: str


def open_file(path: Path, scratch: Path, names: tuple[str, ...] = ()) -> TableFile:
    """Look at the file at `path`, with an unpacked copy in UTF-8 in the folder `scratch` where it is none itself.

    Args:
        path: CSV (UTF-8, UTF-16, cp1251, koi8-r or cp866; also gzipped) or Parquet.
        scratch: an empty folder.
        names: of the columns of a CSV file that has no header line.

    Raises:
        RefusedFile: no header, duplicate columns, too many of them, or no rows. UnreadableFile: not a table.
    """
    if path.is_dir():
        raise UnreadableFile(f"{path} is a directory: give the path of one CSV or Parquet file")
    if not path.is_file():
        raise UnreadableFile(f"there is no file at {path}: give the path of a CSV or Parquet file")
    plain, print_ = _plain(path, scratch)
    if print_.encoding is None:
        header = _parquet_header(plain)
        _refuse_header(header, path.name)
        return TableFile(plain, header, None, False, print_.sha256, "Parquet")
    delimiter, rows = _cut(_head(plain), path.name)
    header, first = _header(rows, names, path.name)
    _refuse_header(header, path.name)
    if len(rows) == first:
        raise RefusedFile(f"{path.name} has a header of {plural(len(header), 'column')} and no rows: export it again")
    form = f"{print_.encoding}, {_DELIMITERS[delimiter]} separated{'' if first else ', without a header'}"
    return TableFile(plain, header, delimiter, first, print_.sha256, form)


def _plain(path: Path, scratch: Path) -> tuple[Path, Fingerprint]:
    """The content unpacked and in UTF-8 with one kind of line end, and what is known of it; the file itself where it is that."""
    source = path
    if _begins(source, b"\x1f\x8b"):
        source = _unpacked(source, _empty(scratch / "unpacked") / path.name.removesuffix(".gz"))
    wide = _utf16(source)
    if wide:
        source = _rewritten(source, wide, _empty(scratch / "utf-16") / source.name)
    print_ = fingerprint(source)
    if print_.encoding is not None and (print_.uneven or not print_.unicode or _hinted(source)):
        source = _rewritten(source, print_.encoding, _empty(scratch / "utf-8") / source.name)
    return source, print_


def _begins(path: Path, signature: bytes) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(signature)) == signature


def _utf16(path: Path) -> str | None:
    """The encoding of a file in UTF-16; without a byte order mark it shows in digits and delimiters, of which each has a NUL."""
    with path.open("rb") as stream:
        head = stream.read(_HEAD)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    nuls = head[::2].count(0), head[1::2].count(0)
    if min(nuls) or max(nuls) <= _LEAST_NULS * len(head) / 2:
        return None
    encoding = "utf-16-le" if nuls[1] else "utf-16-be"
    marks = set(head.decode(encoding, errors="replace"))
    ends = marks & {"\r", "\n"}
    return encoding if ends and _NO_TEXT.isdisjoint(map(unicodedata.category, marks - ends - {"\t"})) else None


def _hinted(path: Path) -> bool:
    with path.open(encoding="utf-8-sig", errors="replace") as stream:
        return _HINT.fullmatch(stream.readline(_HEAD).strip()) is not None


def _empty(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _unpacked(path: Path, target: Path) -> Path:
    try:
        with gzip.open(path) as packed, target.open("wb") as copy:
            shutil.copyfileobj(packed, copy, _BLOCK)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UnreadableFile(f"{path.name} is a gzip file cut short or damaged ({error}): copy or export it again") from error
    return target


def _rewritten(path: Path, encoding: str, target: Path) -> Path:
    """A copy in UTF-8 whose lines end in one way; bytes that are no UTF-8 stay, for the engine to count their rows."""
    errors = "surrogateescape" if encoding.startswith("utf-8") else "strict"
    try:
        with path.open(encoding=encoding, errors=errors) as text, target.open("w", encoding="utf-8", errors=errors) as copy:
            # The engine would take a blank line or a hint on top for the header.
            copy.write(next((line for line in text if line.strip() and not _HINT.fullmatch(line.strip())), ""))
            shutil.copyfileobj(text, copy, _BLOCK)
    except UnicodeError as error:
        raise UnreadableFile(f"{path.name} is no text in {encoding} ({error}): export it in UTF-8 or cp1251") from error
    return target


def _parquet_header(path: Path) -> tuple[str, ...]:
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise UnreadableFile(f"{path.name} is a Parquet file cut short or damaged: copy or export it again") from error
    with file:
        if not file.metadata.num_rows:
            raise RefusedFile(f"{path.name} has {plural(len(file.schema_arrow.names), 'column')} and no rows: export it again")
        return tuple(name.strip() for name in file.schema_arrow.names)


def _head(path: Path) -> list[str]:
    """The first whole lines, with their ends."""
    with path.open(encoding="utf-8-sig", errors="replace") as stream:
        lines = list(io.StringIO(stream.read(_HEAD)))
        cut = bool(stream.read(1))
    return [line for line in (lines[:-1] if cut else lines) if line.strip()]


def _cut(lines: list[str], name: str) -> tuple[str, list[list[str]]]:
    """The delimiter that cuts most lines into as many fields as the first one has, two at least, and those fields."""
    best, found = (False, 1, 0.0), None
    for mark in _DELIMITERS:
        try:
            rows = [row for row in csv.reader(lines, delimiter=mark, skipinitialspace=True) if row]
        except csv.Error:
            continue
        width = len(rows[0]) if rows else 0
        share = sum(len(row) == width for row in rows) / max(len(rows), 1)
        if width > 1 and (share > 0.9, width, share) > best:
            best, found = (share > 0.9, width, share), (mark, rows)
    if found is None:
        raise UnreadableFile(
            f"the lines of {name} have one field only when cut at comma, semicolon, tab or |: export it as CSV with one of these"
        )
    return found


def _header(rows: list[list[str]], names: tuple[str, ...], file: str) -> tuple[tuple[str, ...], bool]:
    """The names of the columns and whether the first row is what gives them."""
    first = tuple(field.strip() for field in rows[0])
    if names:
        if first == names:
            return names, True
        if len(names) != len(first):
            raise RefusedFile(f"{file} has {len(first)} columns, but {len(names)} names were given: name every column, in order")
        return names, False
    alike = _values_on_top(rows)
    if alike:
        raise NoHeader(file, len(first), alike)
    return first, True


def _values_on_top(rows: list[list[str]]) -> int:
    """How many fields of the first row are values like those of their column; 0 where it is a header."""
    top = [field.strip() for field in rows[0]]
    below = [row for row in rows[1:] if [field.strip() for field in row] != top]  # the header once more says nothing
    columns = list(zip(*(row for row in below if len(row) == len(rows[0])), strict=True))
    given = [[field.strip() for field in column if field.strip() not in MISSING] for column in columns]
    valued = [index for index, fields in enumerate(given) if fields and _values(fields) > 0.9 * len(fields)]
    if valued:
        on_top = sum(_values([top[index]]) for index in valued)
        return on_top if on_top == sum(top[index] not in MISSING for index in valued) else 0
    recurring = sum(name in fields for name, fields in zip(top, given, strict=False))
    return recurring if recurring * 2 > len(top) else 0


def _values(fields: list[str]) -> int:
    """How many of the fields are numbers or dates."""
    return sum(_VALUE.fullmatch(field) is not None for field in fields)


def _refuse_header(header: tuple[str, ...], file: str) -> None:
    if len(header) > MOST_COLUMNS:
        raise RefusedFile(
            f"{file} has {len(header):,} columns, at most {MOST_COLUMNS:,} can be read: leave out those that say least"
        )
    twice = {name: count for name, count in Counter(header).items() if count > 1 and name}
    if twice:
        named = ", ".join(f"{name} ({count} times)" for name, count in twice.items())
        raise RefusedFile(f"{file} has {plural(len(twice), 'duplicate column name')}: {named}: leave one column of each name")
