"""From what a caller gave and what is known about the client to the one row that a model sees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import pandas as pd
from pydantic import PlainValidator, StringConstraints, WithJsonSchema

from edge.errors import RequestRefused, repeatable

if TYPE_CHECKING:
    from registry.scorer import Scorer

LARGEST = 1e15
"""No feature of a client is larger; what is, is a typing error."""

_LONGEST_TEXT = 200


def _feature_value(value: object) -> float | str | None:
    if value is None:
        return None
    if isinstance(value, str) and len(value) <= _LONGEST_TEXT and value.isprintable():
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST:
        return float(value)
    raise ValueError(
        f"should be a number between -1e15 and 1e15, a text of at most {_LONGEST_TEXT} printable characters, or null"
    )


FeatureName = Annotated[str, StringConstraints(min_length=1, max_length=100)]
FeatureValue = Annotated[
    float | str | None,
    PlainValidator(_feature_value),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "maxLength": _LONGEST_TEXT}, {"type": "null"}]}),
]


def check_given(given: Mapping[str, Any], scorer: Scorer) -> None:
    """Refuse names the model does not know and values of the wrong kind.

    Raises:
        RequestRefused: 422, the field named as `features.<name>`.
    """
    unknown = [name for name in given if name not in scorer.columns]
    if unknown:
        named = [repeatable(name) for name in unknown[:5]]
        raise RequestRefused(422, "unknown_feature", f"the model has no feature {', '.join(named)}", f"features.{named[0]}")
    for column in scorer.columns_:
        value = given.get(column.name)
        if value is not None and isinstance(value, str) != (column.vocabulary is not None):
            expected = "a number" if column.vocabulary is None else "a text"
            field = f"features.{column.name}"
            raise RequestRefused(422, "invalid_request", f"{field}: should be {expected} or null", field)


def seen_by(scorer: Scorer, *sources: Mapping[str, Any]) -> dict[str, Any]:
    """The value of every model column, from the first source that has one that is not null; otherwise None."""
    return {name: next((source[name] for source in sources if source.get(name) is not None), None) for name in scorer.columns}


def frame_of(*rows: Mapping[str, Any]) -> pd.DataFrame:
    """Rows as the data frame that a Scorer takes."""
    return pd.DataFrame.from_records(list(rows))


def records_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a data frame as mappings of names to values."""
    return [{str(name): value for name, value in record.items()} for record in frame.to_dict("records")]
