"""The page at `/docs` and the OpenAPI description behind it; nothing of it is loaded from other machines."""

from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import FileResponse, HTMLResponse, Response

from edge.keys import Keyring
from edge.scopes import OPEN_PATHS, SCOPES

_SCHEME = "ApiKey"
_DECLARED = {
    "type": "apiKey",
    "in": "header",
    "name": "X-API-Key",
    "description": "Needed when the service has keys: python -m edge.keys new makes one. It is good for the scopes that it was "
    f"made with: {'; '.join(f'{scope}: {meaning}' for scope, meaning in SCOPES.items())}.",
}
_ONLY_OURS = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline'"
_NO_ICON = "data:,"


def document(app: FastAPI, keyring: Keyring | None = None, scopes: Mapping[str, str | None] | None = None) -> None:
    """Add `/docs` to `app` (made with docs_url=None), and with `keyring` say in the description which endpoints ask for a key.

    `scopes` are those that a key needs, by path template; None = any key will do.
    """
    app.add_api_route("/docs", _page_of(app.title), include_in_schema=False)
    for name, media_type in (("swagger-ui.js", "text/javascript"), ("swagger-ui.css", "text/css")):
        app.add_api_route(f"/docs/{name}", _file(name, media_type), include_in_schema=False)
    described = app.openapi
    app.openapi = lambda: _summarised(_secured(described(), keyring, scopes or {}))  # type: ignore[method-assign]


def _page_of(title: str) -> Any:
    page = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title=title,
        swagger_js_url="/docs/swagger-ui.js",
        swagger_css_url="/docs/swagger-ui.css",
        swagger_favicon_url=_NO_ICON,
    )

    async def page_at() -> Response:
        return HTMLResponse(page.body, headers={"Content-Security-Policy": _ONLY_OURS})

    return page_at


def _file(name: str, media_type: str) -> Any:
    async def file() -> Response:
        return FileResponse(_swagger() / name.replace("swagger-ui.js", "swagger-ui-bundle.js"), media_type=media_type)

    return file


@cache
def _swagger() -> Path:
    """Swagger UI as BentoML brings it along, found without importing BentoML."""
    found = find_spec("bentoml")
    if found is None or found.origin is None:
        raise FileNotFoundError(
            "BentoML is not installed, whose copy of Swagger UI /docs shows: pip install -r requirements.lock"
        )
    return Path(found.origin).parent / "_internal" / "server" / "static_content"


def _summarised(description: dict[str, Any]) -> dict[str, Any]:
    """The description with what each endpoint says of itself as its title, in place of the name of a function."""
    for operations in description["paths"].values():
        for operation in operations.values():
            if said := operation.get("description"):
                operation["summary"] = said.splitlines()[0].rstrip(".")
    return description


def _secured(description: dict[str, Any], keyring: Keyring | None, scopes: Mapping[str, str | None]) -> dict[str, Any]:
    """The description with the key and its scope declared: required where keys are in use, else optional; not on open paths."""
    if keyring is None:
        return description
    description.setdefault("components", {})["securitySchemes"] = {_SCHEME: _DECLARED}
    for path, operations in description["paths"].items():
        key = {_SCHEME: [scope] if (scope := scopes.get(path)) else []}
        needed: list[dict[str, list[str]]] = [key] if keyring.in_use else [{}, key]
        for operation in operations.values():
            operation["security"] = [] if path in OPEN_PATHS else needed
    return description
