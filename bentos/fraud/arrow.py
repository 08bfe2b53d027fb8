"""score_batch as an Arrow IPC stream: a column for each field of the request, null where a payment does not have it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import TypeAdapter, ValidationError

from bentos.fraud.arrow_messages import check_plain
from bentos.fraud.formats import check_count
from bentos.fraud.requests import TransactionScoringRequest, bounds_of
from bentos.fraud.rows import Payments
from bentos.serving.bodies import ClientCode
from edge.errors import RequestRefused

_ANSWER = pa.schema(
    [("fraud_probability", pa.float64()), ("risk_level", pa.string()), ("model_version", pa.string()), ("score_id", pa.string())]
)
_BREAKS: dict[str, tuple[Callable[[np.ndarray, float], np.ndarray], str]] = {
    "ge": (np.less, "greater than or equal to"),
    "le": (np.greater, "less than or equal to"),
    "lt": (np.greater_equal, "less than"),
}
_CODES = TypeAdapter(list[ClientCode | None])


@dataclass(frozen=True, order=True)
class _Fault:
    """What is wrong with an item; the smallest is that of the first item."""

    index: int
    name: str
    said: str

    def refusal(self) -> RequestRefused:
        field = f"items[{self.index}].{self.name}"
        return RequestRefused(422, "invalid_request", f"{field}: {self.said}", field)


def read_arrow(body: bytes, most: int) -> Payments:
    """Payments from an uncompressed Arrow stream.

    Raises:
        RequestRefused: 422, the column or the first wrong item named.
    """
    check_plain(body)
    try:
        table = _table(body, most)
    except (pa.ArrowException, OSError, UnicodeDecodeError, OverflowError) as error:
        raise RequestRefused(422, "invalid_arrow", f"the body is no Arrow IPC stream: {type(error).__name__}", "body") from None
    if "amount" not in table.column_names:
        raise _Fault(0, "amount", "is required").refusal()
    numbers = {name: _values(table[name]) for name in table.column_names if name != "client_id"}
    clients: list[str | None] = table["client_id"].to_pylist() if "client_id" in table.column_names else [None] * len(table)
    faults = [*_bad_clients(clients), *(fault for name, values in numbers.items() for fault in _bad_numbers(name, table, values))]
    if faults:
        raise min(faults).refusal()
    return Payments(clients, numbers)


def write_arrow(answers: Sequence[dict[str, Any]]) -> bytes:
    """Answers as an Arrow stream with the columns of `TransactionScoringResponse`."""
    columns = [pa.array([answer[field.name] for answer in answers], field.type) for field in _ANSWER]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, _ANSWER) as writer:
        writer.write_table(pa.table(columns, schema=_ANSWER))
    return bytes(sink.getvalue())


def _table(body: bytes, most: int) -> pa.Table:
    with pa.ipc.open_stream(body) as reader:
        _check_schema(reader.schema)
        batches, rows = [], 0
        for batch in reader:
            rows += batch.num_rows
            check_count(rows, most)
            batch.validate(full=True)  # offsets and lengths that lie would be read past otherwise
            batches.append(batch)
        return pa.Table.from_batches(batches, reader.schema)


def _check_schema(schema: pa.Schema) -> None:
    for field in schema:
        if field.name not in TransactionScoringRequest.model_fields:
            raise _wrong_column(field.name, "is not a field of this request")
        text = field.name == "client_id"
        if not (_is_text(field.type) if text else _is_number(field.type)):
            raise _wrong_column(field.name, f"should be a column of {'texts' if text else 'numbers'}, not of {field.type}")
        if schema.names.count(field.name) > 1:
            raise _wrong_column(field.name, "is there twice")


def _wrong_column(name: str, said: str) -> RequestRefused:
    return RequestRefused(422, "invalid_request", f"{name}: {said}", name)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind))


def _values(column: pa.ChunkedArray) -> np.ndarray:
    """The numbers in float64, null as NaN."""
    return np.array(column.cast(pa.float64(), safe=False).to_numpy())


def _bad_numbers(name: str, table: pa.Table, values: np.ndarray) -> Iterator[_Fault]:
    """The first item that breaks each rule of a numeric field."""
    given = table[name].is_valid().to_numpy()
    rules = [(given & ~np.isfinite(values), "has to be a finite number")]
    if name == "amount":
        rules.append((~given, "is required"))
    for bound in bounds_of(name):
        for kind, (breaks, expected) in _BREAKS.items():
            if hasattr(bound, kind):  # NaN breaks no bound
                limit = getattr(bound, kind)
                rules.append((breaks(values, limit), f"should be {expected} {limit:g}"))
    for wrong, said in rules:
        if wrong.any():
            yield _Fault(int(wrong.argmax()), name, said)


def _bad_clients(codes: list[str | None]) -> Iterator[_Fault]:
    try:
        _CODES.validate_python(codes)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        said = str(first["msg"])
        yield _Fault(int(first["loc"][0]), "client_id", said[:1].lower() + said[1:])
