"""Receiving a file: multipart straight to disk, under a name of our own; how much may come is `edge.limits`' business."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from edge.errors import RequestRefused
from features.fingerprint import NO_TABLE, SEND_INSTEAD

_HEAD = 64 << 10
_PARQUET = b"PAR1"


class _Receiver:
    """Callbacks of the multipart parser: the part called `file` goes to disk, any other part is passed over."""

    def __init__(self, target: BinaryIO) -> None:
        self._target = target
        self._name = self._value = b""
        self._wanted = False
        self.files = 0
        self.ended = False

    def on_part_begin(self) -> None:
        self._wanted = False

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            _, options = parse_options_header(self._value)
            self._wanted = options.get(b"name") == b"file"
        self._name = self._value = b""

    def on_headers_finished(self) -> None:
        self.files += self._wanted

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._wanted:
            self._target.write(data[start:end])

    def on_end(self) -> None:
        self.ended = True


def multipart_file(description: str) -> dict[str, Any]:
    """The body that `receive_table` takes, as the `openapi_extra` of an endpoint; `description` says what the file holds."""
    file = {"type": "string", "format": "binary", "description": description}
    form = {
        "schema": {"type": "object", "required": ["file"], "properties": {"file": file}},
        "encoding": {"file": {"contentType": "text/csv, application/vnd.apache.parquet"}},
    }
    return {"requestBody": {"required": True, "content": {"multipart/form-data": form}}}


async def receive_table(request: Request, folder: Path) -> Path:
    """Write the part `file` of a multipart body into `folder` as it arrives; gives the path of the new file.

    The caller's file name is never looked at: whether it is CSV or Parquet is told by the first bytes.

    Raises:
        RequestRefused: 415, no multipart body or no table; 422, broken, empty or no part `file`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arriving = folder / f"{uuid4().hex}.part"
    try:
        with arriving.open("xb") as target:
            await _receive(request.stream(), _boundary(request), _Receiver(target))
        complete = arriving.with_suffix(_suffix(arriving))
        arriving.rename(complete)
    except ClientDisconnect as error:
        raise _broken("the connection ended in the middle of the body") from error
    finally:
        arriving.unlink(missing_ok=True)
    return complete


def forget_uploads(folder: Path, days: float) -> None:
    """Delete the files that were uploaded more than `days` ago: the lake has had them since."""
    for file in folder.glob("*.*"):
        with suppress(FileNotFoundError):  # another upload is renamed, or forgotten by somebody else, meanwhile
            if file.stat().st_mtime < time.time() - days * 86_400:
                file.unlink()


async def _receive(chunks: AsyncIterator[bytes], boundary: bytes, receiver: _Receiver) -> None:
    names = (name for name in dir(receiver) if name.startswith("on_"))
    try:
        parser = MultipartParser(boundary, {name: getattr(receiver, name) for name in names})  # type: ignore[arg-type]
        async for chunk in chunks:
            parser.write(chunk)
        parser.finalize()
    except FormParserError as error:
        raise _broken("the multipart body is broken") from error
    if not receiver.ended:
        raise _broken("the multipart body ends before its last boundary")
    if receiver.files != 1:
        raise _broken(f"the multipart body has {receiver.files} parts called file, and has to have one")


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        message = "send the file as multipart/form-data in a part called file (curl -F file=@incomes.csv)"
        raise RequestRefused(415, "unsupported_media_type", message)
    return boundary


def _suffix(path: Path) -> str:
    with path.open("rb") as stream:
        head = stream.read(_HEAD)
    if not head.strip():
        raise RequestRefused(422, "empty_file", "the file is empty: send a CSV with a header row, or Parquet", "file")
    if head.startswith(_PARQUET):
        return ".parquet"
    for signature, form in NO_TABLE.items():
        if head.startswith(signature):
            raise RequestRefused(415, "not_a_table", f"the file is {form}: {SEND_INSTEAD}", "file")
    if b"\x00" in head:
        raise RequestRefused(415, "not_a_table", f"the file is neither text nor Parquet: {SEND_INSTEAD}", "file")
    return ".csv"


def _broken(what: str) -> RequestRefused:
    return RequestRefused(422, "broken_upload", f"{what}: send it again", "file")
