"""One pass over the bytes of a file: its content hash, and whether it is text that the engine can read as it is."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from features.cyrillic import OldEncoding, high_runs, old_encoding
from features.refusals import UnreadableFile

_BLOCK = 1 << 20
_EVIDENCE = 1 << 20
_NEWLINE = ord("\n")
NO_TABLE = {
    b"PK\x03\x04": "a ZIP archive (or a new Excel workbook)",
    b"PK\x05\x06": "an empty ZIP archive",
    b"\x1f\x8b": "compressed with gzip",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"%PDF": "a PDF",
    b"\xd0\xcf\x11\xe0": "an old Excel or Word file",
    b"\xff\xfe": "in UTF-16",
    b"\xfe\xff": "in UTF-16",
}
"""What the first bytes of a file that is neither CSV nor Parquet say it is."""
SEND_INSTEAD = "unpack or export it as CSV in UTF-8 or cp1251, or as Parquet"
_WORDS = 5000
"""Different words that are enough to tell the old encodings apart."""
Encoding = Literal["utf-8", "utf-8-sig"] | OldEncoding


@dataclass(frozen=True)
class Fingerprint:
    """Identity and outer form of a file.

    Attributes:
        sha256: hash of the content, in hex.
        encoding: of a text file; None for Parquet.
        uneven: blank lines between the rows or several kinds of line ends, which the engine cannot number or read.
    """

    sha256: str
    encoding: Encoding | None
    uneven: bool = False

    @property
    def unicode(self) -> bool:
        """Whether the file is Parquet, or text that the engine takes without another encoding."""
        return self.encoding is None or self.encoding.startswith("utf-8")


def fingerprint(path: Path) -> Fingerprint:
    """Hash the file at `path` and look at every byte of it once, in constant memory.

    Raises:
        UnreadableFile: not there, empty, binary, or with a line so long that it is no table.
    """
    if not path.is_file():
        raise UnreadableFile(f"there is no file at {path}: give the path of a CSV or Parquet file")
    digest, scan = hashlib.sha256(), _TextScan(path.name)
    with path.open("rb") as stream, ThreadPoolExecutor(1) as hashing:
        block = stream.read(_BLOCK)
        parquet = block.startswith(b"PAR1")
        if not block.strip():
            raise UnreadableFile(f"{path.name} is empty: export it again")
        while block:
            hashed = hashing.submit(digest.update, block)
            if not parquet:
                scan.feed(block)
            block = stream.read(_BLOCK)
            hashed.result()
    if parquet:
        return Fingerprint(digest.hexdigest(), None)
    return Fingerprint(digest.hexdigest(), scan.encoding(), scan.uneven())


class _TextScan:
    """What is seen of a text file so far."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._begun = False
        self._bom = False
        self._carry = b"\n"  # as if after a line end: a newline that comes first is a blank line
        self._judged = self._valid = self._invalid = 0
        self._runs: set[bytes] = set()
        self._blank = self._bare_feed = self._bare_return = self._pair = False

    def feed(self, block: bytes) -> None:
        """Look at the next block."""
        if not self._begun:
            self._refuse_signatures(block)
        self._refuse_binary(block)
        if self._judged < _EVIDENCE and not block.isascii():
            self._judge_encoding(block)
        self._look_at_line_ends(block)
        self._begun = True

    def encoding(self) -> Encoding:
        """What most of the first lines beyond ASCII are written in."""
        if self._bom:
            return "utf-8-sig"
        return old_encoding(self._runs) if self._invalid > self._valid else "utf-8"

    def uneven(self) -> bool:
        """Whether there are blank lines between rows, or more than one kind of line end."""
        return self._blank or self._bare_feed + self._bare_return + self._pair > 1

    def _refuse_signatures(self, block: bytes) -> None:
        for signature, form in NO_TABLE.items():
            if block.startswith(signature):
                raise UnreadableFile(f"{self._name} is {form}: {SEND_INSTEAD}")
        self._bom = block.startswith(b"\xef\xbb\xbf")

    def _refuse_binary(self, block: bytes) -> None:
        if b"\0" in block:
            raise UnreadableFile(f"{self._name} holds NUL bytes, so it is not text: {SEND_INSTEAD}")
        if len(block) == _BLOCK and b"\n" not in block and b"\r" not in block:
            raise UnreadableFile(f"{self._name} has a line of over 1 MiB, so it is no table with a row per line: export it again")

    def _judge_encoding(self, block: bytes) -> None:
        lines = block.splitlines()
        whole = lines[self._begun : len(lines) - (len(block) == _BLOCK)] or lines
        for line in whole:
            if not line.isascii():
                valid = _is_utf8(line)
                self._valid += valid
                self._invalid += not valid
                if not valid and len(self._runs) < _WORDS:
                    self._runs.update(high_runs(line))
        self._judged += len(block)

    def _look_at_line_ends(self, block: bytes) -> None:
        if block[:1] in (b"\n", b"\r"):
            block = self._carry + block
        else:
            self._blank |= _holds_blank_line(self._carry)
        body = block.rstrip(b"\r\n")
        self._carry = block[len(body) :][-4:]  # what follows may show that these were blank lines, not the end of the file
        if not body:
            return
        newline = np.frombuffer(body, np.uint8) == _NEWLINE
        self._blank |= bool((newline[1:] & newline[:-1]).any())
        if b"\r" in body:
            pairs, feeds, returns = body.count(b"\r\n"), body.count(b"\n", 1), body.count(b"\r")
            self._pair |= pairs > 0
            self._bare_feed |= feeds > pairs
            self._bare_return |= returns > pairs
            self._blank |= _holds_blank_line(body)
        else:
            self._bare_feed |= bool(newline[1:].any())


def _holds_blank_line(text: bytes) -> bool:
    return any(ends in text for ends in (b"\n\n", b"\n\r\n", b"\r\r"))


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
