"""When the labels of a score have come."""

from datetime import datetime, timedelta

from settings import Settings


def maturity(use_case: str, config: Settings) -> timedelta:
    """How long after a score its label is waited for.

    Raises:
        ValueError: the settings say nothing about this use case.
    """
    days = config.label_maturity_days.get(use_case)
    if days is None:
        raise ValueError(f"OPORA_LABEL_MATURITY_DAYS says nothing about {use_case}: add its days")
    return timedelta(days=days)


def matured_window(use_case: str, at: datetime, days: int, config: Settings) -> tuple[datetime, datetime]:
    """The newest `days` days whose labels have come at the moment `at`."""
    until = at - maturity(use_case, config)
    return until - timedelta(days=days), until
