"""The bank of a scenario: a lake that grows by each day's exports, and the online features as of each midnight."""

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from pathlib import Path

import ibis
from ibis.expr.types import Table

from database import open_database
from features.lake import open_lake
from features.online import OnlineStore
from features.tables import TABLES
from scenarios.catalogue import BEGIN, Scenario
from settings import Settings
from simulator import SimulationConfig
from simulator.daily import DailyExports

TABLES_OF = {
    "fraud": ("clients", "sessions", "payments", "fraud_labels"),
    "income": ("clients", "transactions", "transfers", "verified_incomes"),
}
"""The raw tables that a use case lives on."""


class Bank:
    """A simulated bank from the day on which a scenario begins.

    Args:
        scenario: what happens to it.
        config: where its lake and its online features lie.

    Attributes:
        exports: what it sends, and the truth.
        online: its online features, which a channel keeps fresh.
    """

    def __init__(self, scenario: Scenario, config: Settings) -> None:
        until = BEGIN + timedelta(days=scenario.days)
        months = scenario.months + -(-scenario.days // 30)
        simulated = SimulationConfig(
            clients=scenario.clients, months=months, seed=config.seed, until=until, chunk_clients=scenario.clients
        )
        self.exports = DailyExports(simulated, scenario.shift, TABLES_OF[scenario.use_case])
        self._config = config
        self._lake = open_lake(config)
        self.online = OnlineStore(open_database(config.database("online")))

    def begin(self) -> None:
        """Ingest what the bank has sent before the first day."""
        self._ingest(self.exports.before(BEGIN, self._config.var / "exports" / "before"))

    def live(self, day: date) -> Mapping[str, Table]:
        """Ingest the day's exports; returns the lake's tables.

        Whoever scores the day asks for features as of each moment, which see nothing of what comes later in the day.
        """
        self._ingest(self.exports.of(day, self._config.var / "exports" / day.isoformat()))
        return self._lake.tables()

    def _ingest(self, files: Mapping[str, Path]) -> None:
        for name, path in files.items():
            self._lake.ingest(TABLES[name], path)
            path.unlink()


def of_day(table: Table, column: str, day: date, back: int = 0) -> Table:
    """The rows of a table on `day` by the UTC moment in `column`, and of so many days before it."""
    end = datetime.combine(day + timedelta(days=1), time())
    start = end - timedelta(days=1 + back)
    return table.filter(table[column] >= ibis.timestamp(start), table[column] < ibis.timestamp(end))
