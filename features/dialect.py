"""Which dialect a CSV export is written in: encoding, delimiter, decimal separator."""

import codecs
import csv
import io
from dataclasses import dataclass
from pathlib import Path

_SAMPLE = 1 << 18
_LONGEST_LINE = 1 << 20
_SIGNATURES = {
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "gzip",
    b"%PDF": "a PDF",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
}


class UnreadableFile(Exception):
    """The file is not a table that can be ingested; nothing of it has landed. The message says what it is instead."""


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written."""

    encoding: str
    delimiter: str
    decimal: str

    def __str__(self) -> str:
        delimiter = "tab" if self.delimiter == "\t" else f"'{self.delimiter}'"
        return f"{self.encoding}, {delimiter} separated, '{self.decimal}' decimals"


def detect_dialect(path: Path) -> tuple[Dialect, list[str]]:
    """The dialect of a CSV file and the values of its first line.

    Raises:
        UnreadableFile: empty, binary, or in an encoding other than UTF-8 and cp1251.
    """
    with path.open("rb") as stream:
        sample = stream.read(_SAMPLE)
    _refuse_binary(path, sample)
    encoding = _encoding(path, sample)
    text = codecs.getincrementaldecoder(encoding)("strict").decode(sample, final=len(sample) < _SAMPLE)
    lines = text.splitlines()
    if not lines or not lines[0].strip():
        raise UnreadableFile(f"{path.name} is empty: export it again")
    delimiter = max((";", "\t", ","), key=lambda mark: _columns(lines[:50], mark))
    first = next(csv.reader([lines[0]], delimiter=delimiter))
    return Dialect(encoding, delimiter, _decimal(lines[1:200], delimiter)), [value.strip() for value in first]


def _refuse_binary(path: Path, sample: bytes) -> None:
    for signature, name in _SIGNATURES.items():
        if sample.startswith(signature):
            raise UnreadableFile(f"{path.name} is {name}, not CSV or Parquet: unpack or export it as one of these")
    if b"\x00" in sample:
        raise UnreadableFile(
            f"{path.name} holds NUL bytes, so it is not a text table: export it as CSV in UTF-8 or cp1251, or as Parquet"
        )
    if len(sample) == _SAMPLE and len(sample.splitlines()[0]) > _SAMPLE - 1:
        raise UnreadableFile(
            f"{path.name} begins with a line of over {_SAMPLE // 1024} KiB: this is no table with one row per line"
        )


def _encoding(path: Path, sample: bytes) -> str:
    if sample.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    with path.open("rb") as stream:
        decoder = codecs.getincrementaldecoder("utf-8")("strict")
        try:
            while block := stream.read(1 << 24):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "cp1251"
    return "utf-8"


def _columns(lines: list[str], mark: str) -> tuple[float, int]:
    counts = [line.count(mark) for line in lines if line.strip()]
    return (sum(count == counts[0] for count in counts) / len(counts) if counts[0] else 0.0, counts[0])


def _decimal(lines: list[str], delimiter: str) -> str:
    """A comma only where fields like 12,5 (and no 12.5) are seen; a comma-delimited file needs quotes around such fields."""
    fields = [field.strip() for row in csv.reader(io.StringIO("\n".join(lines)), delimiter=delimiter) for field in row]
    commas = sum(_is_number(field.replace(",", ".")) and "," in field for field in fields)
    points = sum(_is_number(field) and "." in field for field in fields)
    return "," if commas > points else "."


def _is_number(text: str) -> bool:
    return text.lstrip("+-").replace(".", "", 1).isdigit()
