"""The newest days of a journal: a source that breaks is named on its first day, and is taken for nothing else."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine

from database import open_database
from monitoring.journal import Journal, JournalRow
from monitoring.lately import Lately, lately
from monitoring.rows import create_tables
from monitoring.standing import record_told
from registry.encoding import ModelColumn
from registry.loading import LoadedModel
from registry.outputs import Output
from registry.scorer import Scorer
from settings import Settings

UNTIL = datetime(2026, 6, 30, tzinfo=UTC)
DAYS, A_DAY = 24, 240
NAMES = ["amount", "share", "region", "weekday"]
CONFIG = Settings(drift_surge=0.01)


def payments(days: int, seed: int) -> pd.DataFrame:
    """Payments of the last `days` days, oldest first; `age` in days."""
    rng = np.random.default_rng(seed)
    size = days * A_DAY
    return pd.DataFrame(
        {
            "age": np.sort(rng.random(size))[::-1] * days,
            "amount": rng.lognormal(9, 1, size),
            "share": np.where(rng.random(size) < 0.97, np.nan, rng.random(size)),  # an hour without any is no wonder
            "region": rng.choice(2, size).astype(float),
            "weekday": rng.choice(7, size).astype(float),
        }
    )


COLUMNS = tuple(ModelColumn(name) for name in NAMES)
SCORER = Scorer(COLUMNS, (Output("fraud", "logit", ()),), {}, {}, {}, payments(20, 1)[NAMES].assign(prediction_fraud=0.01))
MODEL = LoadedModel("fraud", "3", SCORER, "", UNTIL, "memory")


@pytest.fixture
def engine(database_url: str) -> Engine:
    engine = open_database(database_url)
    create_tables(engine)
    return engine


def seen(engine: Engine, change: Callable[[pd.DataFrame], pd.DataFrame], busy: float = 0.0) -> Lately:
    """What is told of a journal whose rows were changed like that; those of the last `busy` days are of one client."""
    rows = change(payments(DAYS, 2))
    with Journal(engine) as journal:
        journal.write([
            JournalRow(
                "fraud", "api", {name: row[name] for name in NAMES}, {"fraud": 0.01}, "3", 1.0,
                client_id="c" if row["age"] <= busy else f"c{place}", ts=UNTIL - timedelta(days=row["age"]),
            )
            for place, row in enumerate(rows.to_dict("records"))
        ])  # fmt: skip
    return lately(MODEL, engine, UNTIL, CONFIG)


def stuck(rows: pd.DataFrame, since: float, until: float = 0.0) -> pd.DataFrame:
    """The rows with one amount between the ages `since` and `until`, in days."""
    return rows.assign(amount=rows["amount"].where((rows["age"] > since) | (rows["age"] <= until), 1_000.0))


def test_nothing_is_told_where_nothing_happens(engine: Engine) -> None:
    assert seen(engine, lambda rows: rows) == Lately()


def test_one_client_who_repeats_a_payment_all_day_breaks_no_source(engine: Engine) -> None:
    assert not seen(engine, lambda rows: stuck(rows, 0.5), busy=0.5).broken


@pytest.mark.parametrize("days", [0.5, 1.0, 2.0, 5.0])
def test_a_column_that_got_stuck_is_broken_from_its_first_day_on_and_no_surge(engine: Engine, days: float) -> None:
    found = seen(engine, lambda rows: stuck(rows, days))
    assert [(one.column, one.kind) for one in found.broken] == [("amount", "constant")]
    assert found.surges == ()


def test_a_column_that_went_missing_is_broken_from_its_first_day_on(engine: Engine) -> None:
    found = seen(engine, lambda rows: rows.assign(region=rows["region"].where(rows["age"] > 1)))
    assert [(one.column, one.kind) for one in found.broken] == [("region", "empty")]


def test_what_was_broken_and_is_mended_is_no_surge(engine: Engine) -> None:
    found = seen(engine, lambda rows: stuck(rows, since=24, until=3))
    assert [one.column for one in found.surges] == ["amount"]  # nobody has told that it was broken
    during = lately(MODEL, engine, UNTIL - timedelta(days=3), CONFIG)
    assert [one.column for one in during.broken] == ["amount"]
    record_told(engine, "fraud", UNTIL - timedelta(days=3), during.told)
    assert lately(MODEL, engine, UNTIL, CONFIG) == Lately()


def test_what_a_few_days_cannot_show_is_no_surge(engine: Engine) -> None:
    def weekend(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(weekday=rows["weekday"].where(rows["age"] > 3, 5 + rows["weekday"] % 2))

    assert seen(engine, weekend) == Lately()


def test_a_sorted_batch_is_not_broken(engine: Engine) -> None:
    def sorted_by_region(rows: pd.DataFrame) -> pd.DataFrame:
        newest = rows["age"] < 1
        return rows.assign(region=rows["region"].where(~newest, np.sort(rows["region"].where(newest, -1))))

    assert seen(engine, sorted_by_region) == Lately()
