"""Where the ledger ended when it was last written, noted a second time as a tag of the registered model in MLflow.

A row that was noted there cannot be cut off or written anew without the two databases disagreeing.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from mlflow.entities.model_registry import RegisteredModel

from registry import models
from registry.ledger_table import LedgerRow
from settings import Settings

_TAG = "opora.ledger"


@dataclass(frozen=True)
class Anchor:
    """A row of the ledger as noted with a model: its sequence number, which is also the count of rows, and its hash."""

    model: str
    sequence: int
    hash: str


def anchors(config: Settings | None = None) -> Iterator[Anchor]:
    """The newest noted row of every registered model."""
    for model in _registered(config):
        if _TAG in model.tags:
            yield _anchor(model.name, model.tags[_TAG])


def champions(config: Settings | None = None) -> Iterator[tuple[str, str | None]]:
    """Every registered model with the version that its alias `champion` lies on, None where there is none."""
    for model in _registered(config):
        version = model.aliases.get(models.CHAMPION)
        yield model.name, None if version is None else str(version)


def anchor_of(model: str, config: Settings | None = None) -> Anchor | None:
    """The newest row noted with a model, None when there is none."""
    note = models.client(config).get_registered_model(model).tags.get(_TAG)
    return None if note is None else _anchor(model, note)


def note(model: str, row: LedgerRow, config: Settings | None = None) -> None:
    """Note `row` with a model as the newest of the ledger."""
    models.client(config).set_registered_model_tag(model, _TAG, f"{row.sequence}:{row.hash}")


def _registered(config: Settings | None) -> Iterator[RegisteredModel]:
    api, page = models.client(config), None
    while page is None or page.token:
        page = api.search_registered_models(page_token=page.token if page else None)
        yield from page


def _anchor(model: str, noted: str) -> Anchor:
    sequence, _, digest = noted.partition(":")
    return Anchor(model, int(sequence), digest)
