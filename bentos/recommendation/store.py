"""The stored recommendations and push texts of all clients: one run is in force, for every worker and after a restart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import Engine, delete, exists, func, insert, select, update

from bentos.recommendation.tables import PUSHES, RECOMMENDATIONS, RUNS, SCHEMA, Run, Stored, StoredPush
from clock import now
from database import create_tables

__all__ = ["RecommendationStore", "Run", "RunGone", "Stored", "StoredPush"]

_KEPT_RUNS = 2
"""The run in force and the one before, which an export that began earlier may still be reading."""
_ABANDONED = timedelta(days=1)
_PAGE = 1_000


class RunGone(Exception):
    """The run that was being read or written to is two runs old and was removed: begin again."""


class RecommendationStore:
    """Runs in SQLite or PostgreSQL; a run is in force from the moment it is complete, all of it at once.

    Args:
        engine: from `database.open_database`; the tables are made when absent.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reader = engine.execution_options(read_only=True)
        create_tables(engine, SCHEMA)

    def begin(self, model_version: str) -> str:
        """Start a run; what is added to it shows once it is complete."""
        run = uuid4().hex
        with self._engine.begin() as connection:
            connection.execute(insert(RUNS).values(run=run, started=now(), model_version=model_version))
        return run

    def add(self, run: str, rows: Sequence[Stored]) -> None:
        """Add recommendations to a run that is not complete."""
        if rows:
            with self._engine.begin() as connection:
                connection.execute(insert(RECOMMENDATIONS), [{"run": run, **vars(row)} for row in rows])

    def complete(self, run: str) -> None:
        """Put the run in force, in one transaction; older runs, and those that a crash left unfinished, are removed."""
        with self._engine.begin() as connection:
            connection.execute(update(RUNS).where(RUNS.c.run == run).values(completed=now()))
            done = select(RUNS.c.run).where(RUNS.c.completed.is_not(None)).order_by(RUNS.c.completed.desc())
            kept = connection.execute(done.limit(_KEPT_RUNS)).scalars().all()
            stale = RUNS.c.run.not_in(kept) & (RUNS.c.completed.is_not(None) | (RUNS.c.started < now() - _ABANDONED))
            for gone in connection.execute(select(RUNS.c.run).where(stale)).scalars().all():
                for table in (RUNS, PUSHES, RECOMMENDATIONS):  # the run first: that waits for whoever adds texts to it
                    connection.execute(delete(table).where(table.c.run == gone))

    def current(self) -> Run | None:
        """The run in force, None before the first."""
        done = select(RUNS).where(RUNS.c.completed.is_not(None)).order_by(RUNS.c.completed.desc()).limit(1)
        with self._reader.connect() as connection:
            row = connection.execute(done).mappings().first()
        return None if row is None else Run(row["run"], row["model_version"], row["completed"])

    def recommendations(self, run: str, after: str = "", clients: int = _PAGE) -> list[Stored]:
        """The recommendations of the next clients whose code comes after `after`, by client and rank."""
        table = RECOMMENDATIONS
        some = (
            select(table.c.client_code)
            .where(table.c.run == run, table.c.client_code > after)
            .distinct()
            .order_by(table.c.client_code)
            .limit(clients)
        )
        return self._stored(run, table.c.client_code.in_(some.scalar_subquery()))

    def of_clients(self, run: str, codes: Sequence[str]) -> list[Stored]:
        """The recommendations of these clients, by client and rank."""
        return self._stored(run, RECOMMENDATIONS.c.client_code.in_(codes))

    def add_pushes(self, run: str, rows: Sequence[StoredPush]) -> None:
        """Keep push texts, in place of those that these clients had in this run; one writer at a time.

        Raises:
            RunGone: the run was removed meanwhile.
        """
        if not rows:
            return
        codes = [row.client_code for row in rows]
        mine = select(RUNS.c.run).where(RUNS.c.run == run).with_for_update()  # two inserts of one text would collide
        with self._engine.begin() as connection:
            if connection.execute(mine).first() is None:
                raise _gone()
            connection.execute(delete(PUSHES).where(PUSHES.c.run == run, PUSHES.c.client_code.in_(codes)))
            connection.execute(insert(PUSHES), [{"run": run, **vars(row)} for row in rows])

    def pushes(self, run: str) -> Iterator[list[StoredPush]]:
        """Every push text of a run by client, in pages.

        Raises:
            RunGone: the run was removed meanwhile.
        """
        after, columns = "", [column for column in PUSHES.c if column.name != "run"]
        while True:
            page = select(*columns).where(PUSHES.c.run == run, PUSHES.c.client_code > after)
            with self._reader.connect() as connection:
                rows = connection.execute(page.order_by(PUSHES.c.client_code).limit(_PAGE)).mappings().all()
                if not connection.execute(select(exists().where(RUNS.c.run == run))).scalar_one():
                    raise _gone()
            if not rows:
                return
            yield [StoredPush(**row) for row in rows]
            after = rows[-1]["client_code"]

    def has_pushes(self, run: str) -> bool:
        """Whether any push text was made in this run."""
        with self._reader.connect() as connection:
            return bool(connection.execute(select(exists().where(PUSHES.c.run == run))).scalar_one())

    def statistics(self, run: str) -> dict[str, Any]:
        """by_product (name → recommendations), clients with any, mean_benefit (tenge a year, None without any), pushes."""
        table = RECOMMENDATIONS
        with self._reader.connect() as connection:
            of_run = select(table.c.product, func.count(), func.sum(table.c.expected_benefit)).where(table.c.run == run)
            rows = connection.execute(of_run.group_by(table.c.product)).all()
            clients = connection.execute(
                select(func.count(table.c.client_code.distinct())).where(table.c.run == run)
            ).scalar_one()
            pushes = connection.execute(select(func.count()).select_from(PUSHES).where(PUSHES.c.run == run)).scalar_one()
        count = sum(number for _, number, _ in rows)
        return {
            "by_product": {product: number for product, number, _ in sorted(rows, key=lambda row: (-row[1], row[0]))},
            "clients": clients,
            "mean_benefit": round(sum(total for *_, total in rows) / count, 2) if count else None,
            "pushes": pushes,
        }

    def _stored(self, run: str, which: Any) -> list[Stored]:
        columns = [column for column in RECOMMENDATIONS.c if column.name != "run"]
        query = select(*columns).where(RECOMMENDATIONS.c.run == run, which)
        ordered = query.order_by(RECOMMENDATIONS.c.client_code, RECOMMENDATIONS.c.rank)
        with self._reader.connect() as connection:
            return [Stored(**row) for row in connection.execute(ordered).mappings()]


def _gone() -> RunGone:
    return RunGone("the recommendations were computed anew twice meanwhile: ask again")
