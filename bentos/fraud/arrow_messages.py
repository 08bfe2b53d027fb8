"""A look at an Arrow IPC stream before it is read: compressed parts are refused, which could unfold to any size.

The layout of a message: https://arrow.apache.org/docs/format/Columnar.html#encapsulated-message-format; its metadata is the
flatbuffer `Message` of format/Message.fbs.
"""

from __future__ import annotations

import struct

import pyarrow as pa

from edge.errors import RequestRefused

_HEADER_TYPE, _HEADER = 1, 2  # fields of Message
_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3  # values of header_type
_DATA = 1  # field of DictionaryBatch
_COMPRESSION = 3  # field of RecordBatch


def check_plain(body: bytes) -> None:
    """Refuse a stream that is cut short, damaged or compressed.

    Raises:
        RequestRefused: 422.
    """
    try:
        messages = pa.ipc.MessageReader.open_stream(body)
        compressed = any(_compressed(message.metadata.to_pybytes()) for message in messages)
    except (pa.ArrowException, OSError, struct.error, IndexError) as error:
        raise RequestRefused(422, "invalid_arrow", f"the body is no Arrow IPC stream: {type(error).__name__}", "body") from None
    if compressed:
        raise RequestRefused(422, "compressed_arrow", "body: send the Arrow stream without compression of its buffers", "body")


def _compressed(metadata: bytes) -> bool:
    message = struct.unpack_from("<I", metadata, 0)[0]
    kind_at, header_at = _field(metadata, message, _HEADER_TYPE), _field(metadata, message, _HEADER)
    if kind_at is None or header_at is None:
        return False
    kind, table = metadata[kind_at], _follow(metadata, header_at)
    if kind == _DICTIONARY_BATCH:
        data_at = _field(metadata, table, _DATA)
        if data_at is None:
            return False
        kind, table = _RECORD_BATCH, _follow(metadata, data_at)
    return kind == _RECORD_BATCH and _field(metadata, table, _COMPRESSION) is not None


def _field(metadata: bytes, table: int, field: int) -> int | None:
    """Position of a field of the flatbuffer table at `table`, None where it is absent."""
    names = table - struct.unpack_from("<i", metadata, table)[0]
    size, slot = struct.unpack_from("<H", metadata, names)[0], 4 + 2 * field
    offset = struct.unpack_from("<H", metadata, names + slot)[0] if slot < size else 0
    return table + offset if offset else None


def _follow(metadata: bytes, position: int) -> int:
    return int(position + struct.unpack_from("<I", metadata, position)[0])
