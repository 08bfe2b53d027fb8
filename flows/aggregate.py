"""The flow that makes the partners' anonymised reports of one month."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from uuid import UUID

import orjson
from prefect import flow, get_run_logger
from prefect.artifacts import create_progress_artifact, create_table_artifact, update_progress_artifact
from pydantic import BaseModel, ConfigDict, Field

from clock import now
from consent_api import releases
from consent_api.audit import Actor
from consent_api.budget import BudgetExhausted, Caps
from consent_api.catalogue import EVERYBODY, NotInCatalogue, load_catalogue
from consent_api.periods import PATTERN, Period
from consent_api.releases import PeriodNotOver, Subject
from consent_api.reports import Made, Plan, Source, make_report, plans
from consent_api.restore import BrokenLog, replay
from consent_api.store import Store, open_store
from features.lake import open_lake
from features.refusals import UnknownTable
from flows.incomes import predicted_incomes
from flows.refusing import refusing
from settings import Settings, settings

ACTOR = Actor("flow:aggregate", "flow")
NO_INCOMES = "not made: the income model has no champion yet; run the flow train for income, then this one again"


class AggregateRequest(BaseModel):
    """Whose report of which month."""

    model_config = ConfigDict(extra="forbid")

    company: str | None = Field(None, description="A company of catalogues/companies.toml; empty = all of them.")
    period: str = Field(pattern=PATTERN, description="A calendar month that is over, like 2026-10.")


@dataclass(frozen=True)
class ReleaseSummary:
    """What became of one release; the numbers are those the partner sees, with their noise.

    `cells` are those of all segments of which something is shown.
    """

    company: str
    data_type: str
    period: str
    outcome: str
    sample_size: int | None = None
    cells: int | None = None


@flow(name="aggregate", validate_parameters=True, flow_run_name="aggregate {request.period}")
@refusing(NotInCatalogue, PeriodNotOver, UnknownTable, BrokenLog)
def aggregate(request: AggregateRequest) -> list[ReleaseSummary]:
    """Make every report of the month that is not made yet; those that are made stay as they are.

    Raises:
        NotInCatalogue: the company is unknown.
        PeriodNotOver: the month has not ended.
        UnknownTable: no transactions have been ingested.
        BrokenLog: nobody can say whose consents were withdrawn before a backup was restored.
    """
    config = settings()
    catalogue = load_catalogue(config.catalogues)
    if request.company is not None:
        catalogue.require_company(request.company)
    companies = sorted(catalogue.companies) if request.company is None else [request.company]
    period = Period.of(request.period)
    releases.require_over(period, now())
    with closing(open_store(config)) as store:
        replay(store, now(), config.erasure_working_days)  # a backup may have been restored since the service last started
        summaries = _release(store, companies, plans(catalogue, config), period, config)
    for summary in summaries:
        get_run_logger().info("%s %s %s: %s", summary.company, summary.data_type, summary.period, summary.outcome)
    create_table_artifact(
        key="aggregate",
        table=[vars(summary) for summary in summaries],
        description=f"Reports of {request.period}, as partners see them.",
    )
    return summaries


def _release(
    store: Store, companies: list[str], planned: Mapping[str, Plan], period: Period, config: Settings
) -> list[ReleaseSummary]:
    subjects = [Subject(company, name, period) for company in companies for name in planned]
    by_income = [each for each in subjects if planned[each.data_type].template.needs_incomes]
    unmade = {each for each in by_income if not releases.published(store, each)}
    source = _source(period, config, with_incomes=bool(unmade))
    missing = unmade if source.incomes is None else set()
    progress = create_progress_artifact(0.0, key="aggregate-progress", description=f"Companies whose report of {period} is made")
    assert isinstance(progress, UUID)
    summaries: list[ReleaseSummary] = []
    for done, company in enumerate(companies, start=1):
        possible = {name: plan for name, plan in planned.items() if Subject(company, name, period) not in missing}
        summaries += _of_company(store, company, period, possible, Caps.of(config), source)
        summaries += [
            ReleaseSummary(company, each.data_type, str(period), NO_INCOMES) for each in missing if each.company == company
        ]
        update_progress_artifact(progress, 100 * done / len(companies))
    return summaries


def _source(period: Period, config: Settings, with_incomes: bool) -> Source:
    lake = open_lake(config)
    tables = lake.tables()
    return Source(
        transactions=lake.read("transactions"),
        engine=lake.connection,
        rates=config.exchange_rates,
        clients=tables.get("clients"),
        incomes=predicted_incomes(tables, period.end, config) if with_incomes else None,
    )


def _of_company(
    store: Store, company: str, period: Period, planned: Mapping[str, Plan], caps: Caps, source: Source
) -> list[ReleaseSummary]:
    try:
        made = make_report(store, company, period, planned, caps, source, ACTOR, now)
    except BudgetExhausted as error:
        return [ReleaseSummary(company, name, str(period), f"refused: {error}") for name in planned]
    return [_summary(each) for each in made]


def _summary(made: Made) -> ReleaseSummary:
    name = (made.subject.company, made.subject.data_type, str(made.subject.period))
    when = "made now" if made.new else "made before, unchanged"
    whole = made.documents.get(EVERYBODY)
    if whole is None:
        return ReleaseSummary(*name, f"{when}: too few consents for anything to be shown")
    shown = [orjson.loads(document)["metrics"] for document in made.documents.values() if document is not None]
    cells = sum(len(metrics["cells"]) for metrics in shown if "cells" in metrics)
    return ReleaseSummary(*name, when, orjson.loads(whole)["sample_size"], cells)
