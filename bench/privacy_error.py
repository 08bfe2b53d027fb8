"""The error that the privacy parameters cause, by data type and size of the cohort: what a bank chooses them by.

`python -m bench.privacy_error` simulates a bank, takes each client's October, makes cohorts of any size by drawing clients with
replacement, has the real code bound, sum, noise and suppress, and compares what a partner reads with the sums over the same
clients without bounds and noise. The settings and catalogues in force are used, so that other parameters show their own error.
"""

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import orjson
import pandas as pd

from consent_api.catalogue import EVERYBODY, load_catalogue
from consent_api.contributions import BILL_EDGES_KZT, BILLS, INCOME, SPENDING, Source, contributions, pseudonymous
from consent_api.periods import Period
from consent_api.releases import Subject
from consent_api.reports import Plan, compose, plans
from consent_api.reports.exact import bounded, exact_sums
from features.categories import CATEGORIES
from features.lake import open_lake
from features.tables import CLIENTS, TRANSACTIONS
from settings import Settings, settings
from simulator import SimulationConfig, simulate

COHORTS = (200, 500, 5_000, 50_000)
SIMULATED = 5_000
RELEASES = 20
MONTH = Period(2026, 10)
NOW = datetime(2026, 11, 1, tzinfo=UTC)
Errors = Mapping[tuple[str, str, str], "list[float]"]
"""By data type, segment and figure: relative errors (of shares: differences) of all that was shown in all releases."""
Possible = Mapping[tuple[str, str, str], int]
"""How many figures there were to be shown."""


def main() -> None:
    """Simulate, release, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--releases", type=int, default=RELEASES)
    arguments = parser.parse_args()
    config = settings()
    chosen = plans(load_catalogue(config.catalogues), config)
    with tempfile.TemporaryDirectory() as folder:
        clients = simulated(Path(folder), chosen)
    by_cohort = {size: errors(clients, size, chosen, arguments.releases) for size in COHORTS}
    print("\n".join(table(by_cohort)))


def simulated(folder: Path, chosen: Mapping[str, Plan]) -> pd.DataFrame:
    """One row per client of a simulated bank, as the reports read it: not yet bounded."""
    simulate(SimulationConfig(clients=SIMULATED, until=MONTH.end.date()), folder / "raw", lambda *_: None)
    lake = open_lake(Settings(var=folder / "var"))
    for raw in (CLIENTS, TRANSACTIONS):
        for path in sorted((folder / "raw" / raw.name).iterdir()):
            lake.ingest(raw, path)
    truth = ibis.read_parquet(folder / "raw" / "truth" / "incomes.parquet")
    incomes = ibis.memtable(truth.filter(truth.month == MONTH.start.date()).to_pandas())
    source = Source(lake.read("transactions"), lake.connection, settings().exchange_rates, lake.read("clients"), incomes)
    codes = source.engine.to_pandas(source.clients.client_code)  # type: ignore[union-attr]
    cohort = pseudonymous(dict.fromkeys(chosen, sorted(set(codes))))
    segments = next(iter(chosen.values())).segments
    frame: pd.DataFrame = source.engine.to_pandas(contributions(source, cohort, MONTH, segments))
    return frame


def errors(clients: pd.DataFrame, size: int, chosen: Mapping[str, Plan], releases: int) -> tuple[Errors, Possible]:
    """The errors of so many releases over a cohort, and how many figures were there to be shown in each."""
    drawn = clients.sample(size, replace=True, random_state=settings().seed)
    engine = ibis.duckdb.connect()
    sums = exact_sums(engine, bounded(ibis.memtable(drawn), chosen), chosen)
    found: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    possible: dict[tuple[str, str, str], int] = defaultdict(int)
    for data_type, plan in chosen.items():
        true = {(segment, label): truth(data_type, part, plan) for segment, label, part in cells(drawn, plan)}
        for (segment, _), figures in true.items():
            for name in figures:
                possible[data_type, segment, name.partition("/")[0]] += releases
        for _ in range(releases):
            for segment, document in compose(Subject("bank", data_type, MONTH), plan, sums[data_type], NOW).items():
                for label, figures in told(data_type, document):
                    for name, value in figures.items():
                        expected = true[segment, label][name]
                        error = abs(value - expected)
                        key = (data_type, segment, name.partition("/")[0])
                        found[key].append(error if name.startswith("share") else error / expected)
    return found, possible


def cells(drawn: pd.DataFrame, plan: Plan) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """The clients of every cell of every segment that somebody is in."""
    yield EVERYBODY, EVERYBODY, drawn
    for segment in plan.segments:
        for number, label in enumerate(plan.labels(segment)):
            if len(part := drawn[drawn[segment] == number]):
                yield segment, label, part


def truth(data_type: str, clients: pd.DataFrame, plan: Plan) -> dict[str, float]:
    """What a report without bounds and noise would say of these clients; only figures above zero."""
    spent, bills = clients[list(SPENDING)].sum() / 100, clients[list(BILLS)].sum()
    match data_type:
        case "category_spending":
            figures = {f"spending in a category/{name}": spent.iloc[number] for number, name in enumerate(CATEGORIES)}
        case "average_bill":
            ranks = np.concatenate([[0], bills.cumsum()])
            median = np.exp(np.interp(bills.sum() / 2, ranks, np.log(BILL_EDGES_KZT)))
            figures = {"mean": spent.sum() / max(bills.sum(), 1), "median": median}
        case "spending_dynamics":
            active = (clients[list(BILLS)].sum(axis=1) > 0).sum()
            figures = {"total": spent.sum(), "number of purchases": bills.sum(), "active clients": active}
        case _:
            borders = [-np.inf, *settings().segment_borders, np.inf]
            shares = pd.cut(clients[INCOME], borders, right=False).value_counts(normalize=True, sort=False)
            figures = dict(zip((f"share/{name}" for name in plan.template.names), shares, strict=True))  # type: ignore[attr-defined]
    return {name: float(value) for name, value in figures.items() if value > 0}


def told(data_type: str, document: bytes | None) -> Iterator[tuple[str, dict[str, float]]]:
    """The cells of a document and their figures, named as in `truth`."""
    if document is not None:
        metrics = orjson.loads(document)["metrics"]
        for label, each in metrics.get("cells", {EVERYBODY: metrics}).items():
            yield label, _figures(data_type, each)


def _figures(data_type: str, metrics: dict[str, Any]) -> dict[str, float]:
    match data_type:
        case "category_spending":
            return {f"spending in a category/{name}": value for name, value in metrics["spending_by_category"].items()}
        case "average_bill":
            return {"mean": metrics["mean"], "median": metrics["quantiles"]["0.5"]}
        case "spending_dynamics":
            month = metrics["by_month"][str(MONTH)]
            names = {"total": "total", "number of purchases": "number_of_purchases", "active clients": "active_clients"}
            return {name: month[key] for name, key in names.items()}
        case _:
            return {f"share/{name}": value for name, value in metrics["share_by_segment"].items()}


def table(by_cohort: Mapping[int, tuple[Errors, Possible]]) -> Iterator[str]:
    """Median error, and how much of what there is was shown."""
    yield "| data type | of | figure | " + " | ".join(f"{size:,} clients" for size in by_cohort) + " |"
    yield "| --- | --- | --- |" + " ---: |" * len(by_cohort)
    for key in dict.fromkeys(key for _, possible in by_cohort.values() for key in possible):
        yield "| " + " | ".join([*key, *(_shown(key, *each) for each in by_cohort.values())]) + " |"


def _shown(key: tuple[str, str, str], found: Errors, possible: Possible) -> str:
    errors = found.get(key, [])
    if not errors:
        return "hidden"
    unit = " points" if key[2] == "share" else " %"
    share = len(errors) / possible[key]
    return f"{100 * float(np.median(errors)):.1f}{unit}" + (f" ({share:.0%} shown)" if share < 0.995 else "")


if __name__ == "__main__":
    main()
