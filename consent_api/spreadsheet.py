"""Stored documents as CSV: a row per figure, with its standard deviation beside it."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from consent_api.catalogue import EVERYBODY
from edge.csv_text import csv_text

HEADER = ("company", "data_type", "period", "segment", "cell", "figure", "item", "value", "standard_deviation")


def spreadsheet(documents: Iterable[bytes]) -> bytes:
    """All figures of `documents` in their order; the same documents always give the same bytes."""
    return csv_text([HEADER, *(row for document in documents for row in _rows(orjson.loads(document)))])


def _rows(document: Mapping[str, Any]) -> Iterator[tuple[object, ...]]:
    metrics, privacy = document["metrics"], document["privacy"]
    deviations = privacy["standard_deviation"]
    name = (document["company"], document["data_type"], privacy["period"])
    if "segment" in metrics:
        for cell, figures in metrics["cells"].items():
            for row in _figures(figures, deviations["cells"][cell]):
                yield (*name, metrics["segment"], cell, *row)
    else:
        for row in _figures(metrics | {"sample_size": document["sample_size"]}, deviations):
            yield (*name, EVERYBODY, EVERYBODY, *row)


def _figures(figures: Mapping[str, Any], deviations: Mapping[str, Any]) -> Iterator[tuple[str, str, object, object]]:
    """Figure, item, value, standard deviation (empty for what has none)."""
    for figure, value in figures.items():
        for item, number, deviation in _items(value, deviations.get(figure, "")):
            yield figure, item, number, deviation


def _items(value: Any, deviation: Any, item: str = "") -> Iterator[tuple[str, object, object]]:
    if not isinstance(value, Mapping):
        yield item, value, deviation
        return
    for name, each in value.items():
        own = deviation[name] if isinstance(deviation, Mapping) else deviation  # one for all items, or one each
        yield from _items(each, own, f"{item}/{name}" if item else name)
