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

    The paths in `forms` take the short kind of form instead (application/x-www-form-urlencoded), and nothing else.
    """

    def __init__(self, app: ASGIApp, forms: Collection[str] = ()) -> None:
        self._app = app
        self._forms = frozenset(forms)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] in _WITH_BODY and not self._readable(scope):
            refusal = _NO_FORM if scope["path"] in self._forms else _UNREADABLE
            await refusal.response()(scope, receive, send)
        else:
            await self._app(scope, receive, send)

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
_NO_FORM = RequestRefused(415, "unsupported_media_type", f"send the fields as a form here (Content-Type: {_FORM.decode()})")
