"""What caches on an answer's way may keep: a bank's proxies would not know whose an answer to X-API-Key is."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge.keys import OPEN_PATHS


def keep_nowhere(headers: MutableHeaders) -> None:
    """Let no cache keep the answer with these headers, unless its endpoint has said what may be done."""
    headers.setdefault("Cache-Control", "no-store")


class KeptNowhere:
    """ASGI middleware: `keep_nowhere` for every answer but probes and documentation."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                keep_nowhere(MutableHeaders(scope=message))
            await send(message)

        personal = scope["type"] == "http" and scope["path"] not in OPEN_PATHS
        await self._app(scope, receive, marked if personal else send)
