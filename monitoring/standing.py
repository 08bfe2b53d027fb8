"""Surges that no label has explained yet: until then nobody can say how good the scores are."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Column, Engine, Table, Text, func, select
from sqlalchemy.dialects import postgresql, sqlite

from database import UtcTime
from monitoring.maturity import maturity
from monitoring.rows import SCHEMA, create_tables
from monitoring.surges import Surge
from settings import Settings

SURGES = Table(
    "journal_surges",
    SCHEMA,
    Column("use_case", Text, primary_key=True),
    Column("at", UtcTime, primary_key=True),
    Column("feature", Text, primary_key=True),
    Column("sentence", Text, nullable=False),
)


def record_surges(engine: Engine, use_case: str, at: datetime, found: Sequence[Surge]) -> None:
    """Keep what a drift report found at the moment `at`; harmless to repeat."""
    create_tables(engine)
    if found:
        dialect = postgresql if engine.dialect.name == "postgresql" else sqlite
        rows = [{"use_case": use_case, "at": at, "feature": one.column, "sentence": one.sentence} for one in found]
        with engine.begin() as connection:
            connection.execute(dialect.insert(SURGES).on_conflict_do_nothing(), rows)


def told_before(engine: Engine, use_case: str, since: datetime, until: datetime) -> set[str]:
    """Features of which a surge was recorded for since ≤ at < until."""
    create_tables(engine)
    query = select(SURGES.c.feature).where(SURGES.c.use_case == use_case, SURGES.c.at >= since, SURGES.c.at < until)
    with engine.connect().execution_options(read_only=True) as connection:
        return set(connection.execute(query).scalars())


def unexplained(engine: Engine, use_case: str, at: datetime, config: Settings) -> str:
    """Why nothing can be estimated at the moment `at`: the newest surge whose labels have not come; empty when there is none."""
    create_tables(engine)
    surge = SURGES.c
    since = at - maturity(use_case, config)
    newest = select(func.max(surge.at)).where(surge.use_case == use_case, surge.at > since, surge.at <= at).scalar_subquery()
    query = (
        select(surge.at, surge.sentence).where(surge.use_case == use_case, surge.at == newest).order_by(surge.feature).limit(1)
    )
    with engine.connect().execution_options(read_only=True) as connection:
        found = connection.execute(query).first()
    return "" if found is None else f"on {found.at:%Y-%m-%d} {found.sentence}; what that means only labels can tell"
