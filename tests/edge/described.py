"""What an OpenAPI description says of requests."""

from collections.abc import Iterator
from typing import Any


def patterns(description: dict[str, Any]) -> set[str]:
    """The patterns of all parameters and of all fields of bodies."""
    operations = [operation for path in description["paths"].values() for operation in path.values()]
    asked = [operation.get(part, {}) for operation in operations for part in ("parameters", "requestBody")]
    return set(_patterns([*asked, description["components"]["schemas"]]))


def _patterns(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("pattern"), str):
            yield schema["pattern"]
        schema = list(schema.values())
    if isinstance(schema, list):
        for each in schema:
            yield from _patterns(each)
