"""The settings that a model version was learned with, so that it can be made again under others."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from settings.whole import Settings, settings

_LEARNED_BY = {
    "exchange_rates",
    "training_days",
    "segment_borders",
    "missed_fraud_cost",
    "question_cost",
    "review_capacity",
}
"""What makes another model of the same tables and seed."""
_recorded: ContextVar[Settings | None] = ContextVar("recorded", default=None)


def learning_settings() -> Settings:
    """What features and training go by: the settings of this process, or those of a version that is made again."""
    return _recorded.get() or settings()


def recordable() -> dict[str, Any]:
    """Of these what a version records in order to be made again, as JSON has it."""
    return learning_settings().model_dump(mode="json", include=_LEARNED_BY)


@contextmanager
def learned_with(recorded: Mapping[str, Any]) -> Iterator[None]:
    """Within it, what a version `recorded` holds in `learning_settings`; what it did not record is as the process has it."""
    token = _recorded.set(Settings(**settings().model_dump() | dict(recorded)))
    try:
        yield
    finally:
        _recorded.reset(token)
