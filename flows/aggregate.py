"""The flow that makes the partners' anonymised reports of one month."""

from dataclasses import dataclass

import orjson
from prefect import flow, get_run_logger
from prefect.artifacts import create_table_artifact
from pydantic import BaseModel, ConfigDict, Field

from clock import now
from consent_api.audit import Actor
from consent_api.budget import BudgetExhausted, Caps
from consent_api.catalogue import Catalogue, load_catalogue
from consent_api.periods import PATTERN, Period
from consent_api.releases import Subject
from consent_api.reports import Made, Plan, Source, make_release
from consent_api.store import Store, open_store
from features.lake import open_lake
from settings import Settings, settings

ACTOR = Actor("flow:aggregate", "flow")


class AggregateRequest(BaseModel):
    """Whose report of which month; the Prefect UI shows these fields as a form."""

    model_config = ConfigDict(extra="forbid")

    company: str | None = Field(None, description="A company of catalogues/companies.toml; empty = all of them.")
    period: str = Field(pattern=PATTERN, description="A calendar month that is over, like 2026-10.")


@dataclass(frozen=True)
class ReleaseSummary:
    """What became of one release; the numbers are those the partner sees, with their noise."""

    company: str
    data_type: str
    period: str
    outcome: str
    sample_size: int | None = None
    categories: int | None = None


@flow(name="aggregate", validate_parameters=True, flow_run_name="aggregate {request.period}")
def aggregate(request: AggregateRequest) -> list[ReleaseSummary]:
    """Make every report of the month that is not made yet; those that are made stay as they are.

    Raises:
        NotInCatalogue: the company is unknown.
        PeriodNotOver: the month has not ended.
        UnknownTable: no transactions have been ingested.
    """
    config = settings()
    catalogue = load_catalogue(config.catalogues)
    if request.company is not None:
        catalogue.require_company(request.company)
    companies = sorted(catalogue.companies) if request.company is None else [request.company]
    summaries = _release(companies, catalogue, Period.of(request.period), config)
    for summary in summaries:
        get_run_logger().info("%s %s %s: %s", summary.company, summary.data_type, summary.period, summary.outcome)
    create_table_artifact(
        key="aggregate",
        table=[vars(summary) for summary in summaries],
        description=f"Reports of {request.period}, as partners see them.",
    )
    return summaries


def _release(companies: list[str], catalogue: Catalogue, period: Period, config: Settings) -> list[ReleaseSummary]:
    lake = open_lake(config)
    source = Source(lake.read("transactions"), lake.connection, config.exchange_rates)
    store = open_store(config.database("consent"))
    return [
        _one(store, Subject(company, data_type, period), Plan.of(report, config), Caps.of(config), source)
        for company in companies
        for data_type, report in catalogue.reports.items()
    ]


def _one(store: Store, subject: Subject, plan: Plan, caps: Caps, source: Source) -> ReleaseSummary:
    try:
        made = make_release(store, subject, plan, caps, source, ACTOR, now)
    except BudgetExhausted as error:
        return ReleaseSummary(subject.company, subject.data_type, str(subject.period), f"refused: {error}")
    return _summary(made)


def _summary(made: Made) -> ReleaseSummary:
    name = (made.subject.company, made.subject.data_type, str(made.subject.period))
    when = "made now" if made.new else "made before, unchanged"
    if made.document is None:
        return ReleaseSummary(*name, f"{when}: too few consents for anything to be shown")
    document = orjson.loads(made.document)
    return ReleaseSummary(*name, when, document["sample_size"], document["metrics"]["number_of_categories"])
