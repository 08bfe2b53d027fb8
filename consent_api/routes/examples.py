"""Examples of every answer, for the OpenAPI description: what the service really said, long texts and lists cut short."""

from functools import cache
from pathlib import Path
from typing import Any

import orjson

_FILE = Path(__file__).parent / "examples.json"
_JSON = "application/json"


def with_examples(description: dict[str, Any]) -> dict[str, Any]:
    """`description` with an example in each answer that has none yet: that of the route, or of the status."""
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            for status, answer in operation["responses"].items():
                if int(status) >= 400:  # FastAPI gives refusals the media type of the route
                    answer["content"] = {_JSON: next(iter(answer["content"].values()))}
                for media_type, content in answer.get("content", {}).items():
                    if "example" not in content:
                        content["example"] = _example(f"{method.upper()} {path}", status, media_type)
    return description


def _example(route: str, status: str, media_type: str) -> Any:
    of_route = _examples()["answers"].get(route, {}).get(status)
    return _examples()["refusals"][status] if of_route is None else of_route[media_type]


@cache
def _examples() -> dict[str, Any]:
    """`answers` by route, status and media type; `refusals` by status, for the routes that have none of their own."""
    found: dict[str, Any] = orjson.loads(_FILE.read_bytes())
    return found
