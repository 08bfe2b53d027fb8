"""The push texts as CSV, a page at a time, in cells that no spreadsheet takes for a formula."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bentos.recommendation.store import StoredPush
from edge.csv_text import csv_text

HEADER = ("client_code", "product", "push_notification")


def csv_lines(pages: Iterable[Sequence[StoredPush]]) -> Iterator[bytes]:
    """The header and a line for every text, in UTF-8; one piece for each page."""
    yield csv_text([HEADER])
    for page in pages:
        yield csv_text((push.client_code, push.product, push.push_notification) for push in page)
