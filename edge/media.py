"""Which formats a body may have: those that the services read, none of which can carry code."""

from collections.abc import Collection

from starlette.types import ASGIApp, Receive, Scope, Send

from edge.errors import RequestRefused

_READ = (
    b"application/json",
    b"application/x-ndjson",
    b"application/vnd.apache.arrow.stream",
    b"application/vnd.apache.arrow.file",
    b"multipart/form-data",
)
_FORM = b"application/x-www-form-urlencoded"
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


class MediaTypes:
    """ASGI middleware: 415 to a body that is said to be neither JSON, NDJSON, Arrow IPC nor a form: so never a pickle.

    Nor is a packed one (Content-Encoding) unpacked, which could unfold to any size.

    The paths in `forms` take the short kind of form instead (application/x-www-form-urlencoded), and nothing else.
    """

    def __init__(self, app: ASGIApp, forms: Collection[str] = ()) -> None:
        self._app = app
        self._forms = frozenset(forms)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] == "http" and scope["method"] in _WITH_BODY else None
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await refusal.response()(scope, receive, send)

    def _refusal(self, scope: Scope) -> RequestRefused | None:
        if not self._readable(scope):
            return _NO_FORM if scope["path"] in self._forms else _UNREADABLE
        packed = any(value.strip().lower() != b"identity" for name, value in scope["headers"] if name == b"content-encoding")
        return _PACKED if packed else None

    def _readable(self, scope: Scope) -> bool:
        given = [value for name, value in scope["headers"] if name == b"content-type"]
        if scope["path"] in self._forms:
            return all(_type(value) == _FORM for value in given)
        return all(_type(value) in _READ or _type(value).endswith(b"+json") for value in given)


def _type(content_type: bytes) -> bytes:
    return content_type.split(b";", 1)[0].strip().lower()


_UNREADABLE = RequestRefused(
    415, "unsupported_media_type", "send JSON (Content-Type: application/json), or one of the formats that /docs names here"
)
_PACKED = RequestRefused(
    415,
    "unsupported_content_encoding",
    "a body with a Content-Encoding is not unpacked here: send it as it is",
    headers={"Accept-Encoding": "identity"},
)
_NO_FORM = RequestRefused(415, "unsupported_media_type", f"send the fields as a form here (Content-Type: {_FORM.decode()})")
