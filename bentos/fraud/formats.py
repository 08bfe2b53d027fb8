"""How payments come in and answers go out: JSON, JSON lines and Arrow, each checked as a whole before anything is scored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, cast

import msgspec
import orjson
from pydantic import ValidationError

from bentos.fraud.requests import NUMBERS, TransactionBatch, TransactionScoringRequest, bounds_of
from bentos.fraud.rows import Payment, Payments, payments_of
from bentos.serving.bodies import ClientCode
from edge.errors import RequestRefused, validation_refusal
from edge.names import given_twice, read_once

JSON = "application/json"
JSON_LINES = "application/x-ndjson"
ARROW = "application/vnd.apache.arrow.stream"


@dataclass(frozen=True)
class BatchFormat:
    """A format of score_batch.

    Attributes:
        read: (body, most items) → payments; raises RequestRefused (422) naming the first wrong item.
        write: answers of the payments, in order → body.
    """

    media_type: str
    read: Callable[[bytes, int], Payments]
    write: Callable[[Sequence[dict[str, Any]]], bytes]


def _checked(name: str) -> Any:
    """The type and bounds of a numeric field of `TransactionScoringRequest`, for msgspec."""
    bounds = {kind: getattr(bound, kind) for bound in bounds_of(name) for kind in ("ge", "le", "lt") if hasattr(bound, kind)}
    return Annotated[float, msgspec.Meta(**bounds)]


_CODE = ClientCode.__metadata__[0]  # type: ignore[attr-defined]
_SHAPE = _CODE.pattern.removesuffix("$") + r"\Z"  # msgspec asks Python's re, whose $ lets a line break follow
_Payment = msgspec.defstruct(
    "Payment",
    [
        ("amount", _checked("amount")),
        (
            "client_id",
            Annotated[str, msgspec.Meta(min_length=_CODE.min_length, max_length=_CODE.max_length, pattern=_SHAPE)] | None,
            None,
        ),
        *((name, _checked(name) | None, None) for name in NUMBERS if name != "amount"),
    ],
    forbid_unknown_fields=True,
)
_Batch: Any = msgspec.defstruct("Batch", [("items", list[_Payment])], forbid_unknown_fields=True)  # type: ignore[valid-type]
_BATCH = msgspec.json.Decoder(_Batch)
_Texts: Any = msgspec.defstruct("Texts", [("items", list[msgspec.Raw])])
_TEXTS = msgspec.json.Decoder(_Texts)
_PAYMENT = msgspec.json.Decoder(_Payment)


_UNREAD = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises of a body: it reads quickly, and what it refuses is judged, and put into words, by pydantic."""


def read_payment(body: bytes) -> Payment:
    """One payment from JSON.

    Raises:
        RequestRefused: 422, the field named.
    """
    try:
        payment = _PAYMENT.decode(body)
    except _UNREAD:
        return _judged(body)
    values = msgspec.structs.astuple(payment)
    if body.count(b":") != len(values) - values.count(None):  # null, a colon inside a text, or a name that stands twice
        read_once(body)
    return cast(Payment, payment)


def read_json(body: bytes, most: int) -> Payments:
    """`{"items": [payment, …]}`."""
    try:
        items: Sequence[Any] = _BATCH.decode(body).items
    except _UNREAD:
        try:
            items = TransactionBatch.model_validate_json(body).items
        except ValidationError as error:
            raise _refusal(error) from None
    check_count(len(items), most)
    payments = payments_of(items)
    if body.count(b":") != 1 + payments.given:
        _refuse_twice(body)
    return payments


def read_lines(body: bytes, most: int) -> Payments:
    """One payment in each line; empty lines count for nothing."""
    try:
        items: Sequence[Any] = _PAYMENT.decode_lines(body)
    except _UNREAD:
        lines = _lines(body)
        check_count(len(lines), most)
        items = [_judged(line, "items", index) for index, line in enumerate(lines)]
    check_count(len(items), most)
    payments = payments_of(items)
    if body.count(b":") != payments.given:
        for index, line in enumerate(_lines(body)):
            read_once(line, "items", index)
    return payments


def _lines(body: bytes) -> list[bytes]:
    return [line for line in body.split(b"\n") if line.strip()]


def _refuse_twice(body: bytes) -> None:
    texts = [bytes(text) for text in _TEXTS.decode(body).items]
    for index, text in enumerate(texts):
        read_once(text, "items", index)
    if body.count(b":") != 1 + sum(text.count(b":") for text in texts):
        raise given_twice("items")


def _judged(body: bytes, *place: str | int) -> TransactionScoringRequest:
    """A payment that msgspec did not take, or the refusal that names its wrong field at `place` of the request."""
    try:
        payment = TransactionScoringRequest.model_validate_json(body)
    except ValidationError as error:
        raise _refusal(error, *place) from None
    read_once(body, *place)
    return payment


def write_json(answers: Sequence[dict[str, Any]]) -> bytes:
    """`{"results": [answer, …]}`."""
    return orjson.dumps({"results": answers})


def write_lines(answers: Sequence[dict[str, Any]]) -> bytes:
    """One answer in each line."""
    return b"".join(orjson.dumps(answer, option=orjson.OPT_APPEND_NEWLINE) for answer in answers)


def check_count(items: int, most: int) -> None:
    """Refuse more payments at once than are allowed.

    Raises:
        RequestRefused: 422.
    """
    if items > most:
        raise RequestRefused(
            422, "too_many_items", f"items: {items} payments in one request, at most {most} are taken: send several", "items"
        )


def _refusal(error: ValidationError, *place: str | int) -> RequestRefused:
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    return validation_refusal([{**one, "loc": ("body", *place, *one["loc"])} for one in errors[:6]])
