"""How reports are made: their templates, and what each of their figures may cost."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from consent_api.catalogue import EVERYBODY, BrokenCatalogue, Catalogue, Report, Segment
from consent_api.reports.average_bill import AverageBill
from consent_api.reports.category_spending import CategorySpending
from consent_api.reports.income_segments import IncomeSegments
from consent_api.reports.spending_dynamics import SpendingDynamics
from consent_api.reports.template import Measure, Template
from settings import Settings


@dataclass(frozen=True)
class Plan:
    """How the report on one data type is made.

    Attributes:
        rho: zCDP it costs a client it counts, all segments together.
        report_rho: zCDP that the reports on all data types of a month cost together.
        fewest_clients: from how many clients, before the margin, on a cell is shown.
    """

    report: Report
    template: Template
    segments: Mapping[str, Segment]
    rho: float
    report_rho: float
    fewest_clients: int

    @cached_property
    def segment_shares(self) -> dict[str, float]:
        """How the rho is divided among all clients and the segments; a client is in one cell of each."""
        shares = {name: segment.rho_share for name, segment in self.segments.items()}
        return {EVERYBODY: 1 - sum(shares.values())} | shares

    def labels(self, segment: str) -> tuple[str, ...]:
        """The cells of a segment."""
        return (EVERYBODY,) if segment == EVERYBODY else self.segments[segment].labels

    def rho_of(self, segment: str, measure: Measure) -> float:
        """What the figures of a measure may cost in a segment."""
        return self.rho * self.segment_shares[segment] * self.report.shares[measure.name]


def plans(catalogue: Catalogue, config: Settings) -> dict[str, Plan]:
    """The plan of every data type that is reported on.

    Raises:
        BrokenCatalogue: data_types.toml gives a report bounds or shares that it does not have.
    """
    return {name: _plan(name, report, catalogue, config) for name, report in catalogue.reports.items()}


def _plan(name: str, report: Report, catalogue: Catalogue, config: Settings) -> Plan:
    template = _template(name, report, catalogue, config)
    measures = {measure.name for measure in template.measures}
    if measures != set(report.shares):
        raise BrokenCatalogue(f"data_types.toml: the shares of the report on {name} have to be {', '.join(sorted(measures))}")
    rho = config.release_rho * report.rho_share
    return Plan(report, template, catalogue.segments, rho, config.release_rho, config.cohort_threshold)


def _template(name: str, report: Report, catalogue: Catalogue, config: Settings) -> Template:
    try:
        match name:
            case "category_spending":
                return CategorySpending(**report.bounds)
            case "average_bill":
                return AverageBill(**report.bounds)
            case "spending_dynamics":
                return SpendingDynamics(**report.bounds)
            case "income_segments" if len(config.segment_borders) + 1 == len(catalogue.income_segments):
                return IncomeSegments(catalogue.income_segments, config.segment_borders, **report.bounds)
    except TypeError as error:
        raise BrokenCatalogue(f"data_types.toml: the bounds of the report on {name} are not what it needs ({error})") from error
    raise BrokenCatalogue(f"data_types.toml has a report on {name}, which there is no template for: remove it")
