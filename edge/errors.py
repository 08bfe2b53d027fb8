"""The one error shape of every HTTP endpoint: `{"error": {"code", "message", "field"?}}`."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

_MOST_NAMED = 5
_LONGEST_NAME = 100
_WORDS = {
    "extra_forbidden": "is not a field of this request",
    "missing": "is required",
    "json_invalid": "is not valid JSON",
    "finite_number": "has to be a finite number",
    "model_attributes_type": "has to be a JSON object (Content-Type: application/json)",
}
_ADDRESS = {
    404: "there is nothing at this address: /docs lists what there is",
    405: "this address does not take this method: /docs says which it takes",
}


class RequestRefused(Exception):
    """A request that is answered with an error; raise it anywhere below a handler.

    Attributes:
        status: HTTP status, 4xx or 503.
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
    """`("body", "items", 3, "amount")` as `items[3].amount`; the body as a whole is `body`."""
    parts = list(location[1:])
    if not parts or (len(parts) == 1 and isinstance(parts[0], int)):  # a position in text that is not JSON
        return str(location[0])
    name = ""
    for part in parts:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else str(part)
    return name[:_LONGEST_NAME]


def _expectation(error: Mapping[str, Any]) -> str:
    text = str(error["msg"]).removeprefix("Value error, ")
    return _WORDS.get(error["type"], text[:1].lower() + text[1:])


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


async def _refused(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestRefused)
    return error.response()


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return validation_refusal(error.errors()).response()


async def _http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    phrase = HTTPStatus(error.status_code).phrase
    message = _ADDRESS.get(error.status_code, phrase) if error.detail == phrase else str(error.detail)
    code = phrase.lower().replace(" ", "_").replace("-", "_")
    return JSONResponse(error_body(code, message), error.status_code, error.headers)


async def _unexpected(_request: Request, _error: Exception) -> JSONResponse:
    message = "the service failed on this request; its log says why, and the request may be sent again"
    return JSONResponse(error_body("internal_error", message), HTTPStatus.INTERNAL_SERVER_ERROR)
