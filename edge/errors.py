"""The one error shape of every HTTP endpoint: `{"error": {"code", "message", "field"?}}`."""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match

from edge.patterns import IN_WORDS

_MOST_NAMED = 5
_LONGEST_NAME = 100
_PLAIN_NAME = re.compile(r"[A-Za-z_]+(?:[0-9]{1,3}(?:[A-Za-z_]+|$))*")
"""A misspelt field; never a name in Cyrillic, a phone, a card or a person's number."""
_CALLERS = ("body", "query")
WITHHELD = "(a name that is not repeated here)"
_WORDS = {
    "extra_forbidden": "is not a field of this request",
    "missing": "is required",
    "json_invalid": "is not valid JSON",
    "finite_number": "has to be a finite number",
    "model_attributes_type": "has to be a JSON object (Content-Type: application/json)",
}
_RETRY_AFTER = {
    "Retry-After": {"description": "Seconds after which to try again.", "schema": {"type": "string", "pattern": "^[0-9]+$"}}
}
_ADDRESS = {
    404: "there is nothing at this address: /docs lists what there is",
    405: "this address does not take this method: /docs says which it takes",
}


class Failure(BaseModel):
    """What went wrong, and what to do."""

    code: str = Field(description="Machine-readable word, lower case with underscores.", examples=["invalid_request"])
    message: str = Field(description="What is wrong and what to do, for people.", examples=["amount: is required"])
    field: str | None = Field(None, description="Dotted name of the offending field, where there is one.", examples=["amount"])


class ErrorAnswer(BaseModel):
    """Every error of every endpoint."""

    error: Failure = Field(description="What went wrong, and what to do.")


class RequestRefused(Exception):
    """A request that is answered with an error; raise it anywhere below a handler.

    Attributes:
        status: HTTP status, 4xx or 5xx.
        code: machine-readable word, lower case with underscores.
        message: what is wrong and what to do, for people.
        field: dotted name of the offending field, where there is one.
        headers: extra response headers (Retry-After, WWW-Authenticate).
    """

    def __init__(
        self, status: int, code: str, message: str, field: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.field = field
        self.headers = dict(headers or {})

    def response(self) -> JSONResponse:
        """The answer in the one error shape."""
        return JSONResponse(error_body(self.code, self.message, self.field), self.status, self.headers)


def error_body(code: str, message: str, field: str | None = None) -> dict[str, dict[str, str]]:
    """The JSON body of an error; text that is not valid Unicode (lone surrogates) is replaced so that it always encodes."""
    error = {"code": code, "message": _encodable(message)}
    if field is not None:
        error["field"] = _encodable(field)
    return {"error": error}


def described(meanings: Mapping[int, str]) -> dict[int | str, dict[str, Any]]:
    """Statuses with their meanings as FastAPI's `responses`, all in the one error shape."""
    return {
        status: {"model": ErrorAnswer, "description": meaning} | ({"headers": _RETRY_AFTER} if status in (429, 503) else {})
        for status, meaning in meanings.items()
    }


def install_error_handlers(app: FastAPI) -> None:
    """Make `app` answer every error in the one shape: refusals, 422 with the field named, 404, 405 and 500 without a trace."""
    app.add_exception_handler(RequestRefused, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


def validation_refusal(errors: Sequence[Mapping[str, Any]]) -> RequestRefused:
    """Pydantic's errors as one refusal: `field` is the first offender, the message names up to five and what is expected."""
    names = [field_name(error["loc"]) for error in errors[:_MOST_NAMED]]
    said = [f"{name}: {_expectation(error)}" for name, error in zip(names, errors, strict=False)]
    if len(errors) > _MOST_NAMED:
        said.append(f"and {len(errors) - _MOST_NAMED} more")
    code = "invalid_json" if errors[0]["type"] == "json_invalid" else "invalid_request"
    return RequestRefused(HTTPStatus.UNPROCESSABLE_ENTITY, code, "; ".join(said), names[0])


def field_name(location: Sequence[str | int]) -> str:
    """`("body", "items", 3, "amount")` as `items[3].amount`; the body as a whole is `body`.

    Names that the caller made up, as those in bodies and queries can be, are repeated as far as `repeatable` allows.
    """
    parts = [repeatable(part) if isinstance(part, str) and location[0] in _CALLERS else part for part in location[1:]]
    if not parts or (len(parts) == 1 and isinstance(parts[0], int)):  # a position in text that is not JSON
        return str(location[0])
    name = ""
    for part in parts:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else str(part)
    return name[:_LONGEST_NAME]


def repeatable(name: str) -> str:
    """A caller's own field name as an answer may repeat it: anything that could be a person's name or number is withheld."""
    return name if _PLAIN_NAME.fullmatch(name) else WITHHELD


def _expectation(error: Mapping[str, Any]) -> str:
    text = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "string_pattern_mismatch":
        text = IN_WORDS.get(text.removeprefix("String should match pattern '").removesuffix("'"), text)
    return _WORDS.get(error["type"], text[:1].lower() + text[1:])


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


async def _refused(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestRefused)
    return error.response()


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return validation_refusal(error.errors()).response()


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_methods(request))
    phrase = HTTPStatus(error.status_code).phrase
    message = _ADDRESS.get(error.status_code, phrase) if error.detail == phrase else str(error.detail)
    code = phrase.lower().replace(" ", "_").replace("-", "_")
    return JSONResponse(error_body(code, message), error.status_code, headers)


def _methods(request: Request) -> list[str]:
    """What every route with this address takes; Starlette itself names the methods of the first one only."""
    routes = [route for route in iter_route_contexts(request.app.routes) if route.matches(request.scope)[0] is not Match.NONE]
    return sorted({method for route in routes for method in route.methods or ()})


async def _unexpected(_request: Request, _error: Exception) -> JSONResponse:
    return UNEXPECTED.response()


UNEXPECTED = RequestRefused(
    500, "internal_error", "the service failed on this request; its log says why, and the request may be sent again"
)
"""What a caller is told of a failure inside: nothing about it."""
