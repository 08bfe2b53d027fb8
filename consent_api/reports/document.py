"""The documents of a report: noise, consistency, suppression, and the statement of what was promised."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from consent_api import budget, privacy
from consent_api.catalogue import EVERYBODY
from consent_api.privacy import PrivacyNotKept
from consent_api.releases import Subject
from consent_api.reports.consistency import Noisy, consistent
from consent_api.reports.exact import Exact
from consent_api.reports.plan import Plan
from consent_api.reports.template import Cell, Estimate, Findings

MECHANISM = "discrete Gaussian noise (OpenDP make_gaussian) on bounded integer vectors"
CONSISTENCY = (
    "least squares: the cells of a segment add up to the figures of all clients, hidden cells included; none is negative"
)
BIAS = "sums are of the bounded figures of each client, so they are too low where clients exceed the bounds"
_DIGITS = 6


@dataclass(frozen=True)
class _Noised:
    """All cells of all segments with their noise, made consistent, and the zCDP that each measure of each segment cost."""

    cells: dict[str, list[Cell]]
    spent: dict[str, dict[str, float]]

    @property
    def rho(self) -> float:
        return sum(sum(measures.values()) for measures in self.spent.values())

    @property
    def whole(self) -> Cell:
        return self.cells[EVERYBODY][0]


def compose(subject: Subject, plan: Plan, exact: Exact, at: datetime) -> dict[str, bytes | None]:
    """What a partner gets, by segment; None where nothing reaches the threshold.

    Raises:
        PrivacyNotKept: the mechanism would cost more than the plan allows.
    """
    noised = _noised(plan, exact, str(subject.period))
    if budget.cost(noised.rho) > budget.cost(plan.rho):
        raise PrivacyNotKept(f"the figures of {subject} would cost rho {noised.rho}, which is more than {plan.rho}")
    whole = plan.template.findings(noised.whole, noised.whole)
    if whole is None:
        return dict.fromkeys(noised.cells)
    documents: dict[str, bytes | None] = {EVERYBODY: _document(subject, plan, noised, EVERYBODY, whole, at)}
    for segment in plan.segments:
        parts = _shown(plan, noised, segment)
        found = _broken_down(segment, parts, whole) if parts else None
        documents[segment] = _document(subject, plan, noised, segment, found, at) if found else None
    return documents


def _noised(plan: Plan, exact: Exact, period: str) -> _Noised:
    estimates: dict[str, dict[str, list[Estimate]]] = {}
    spent: dict[str, dict[str, float]] = {segment: {} for segment in plan.segment_shares}
    for measure in plan.template.measures:
        noisy: dict[str, Noisy] = {}
        for segment in plan.segment_shares:
            sums = exact[segment][measure.name]
            noised = privacy.noised(sums.ravel().tolist(), measure.sensitivity_squared, plan.rho_of(segment, measure))
            spent[segment][measure.name] = noised.rho
            noisy[segment] = Noisy(noised.array(sums.shape) / measure.unit, noised.standard_deviation / measure.unit)
        estimates[measure.name] = consistent(noisy)
    cells = {
        segment: [
            Cell({name: by_segment[segment][number] for name, by_segment in estimates.items()}, period, plan.fewest_clients)
            for number in range(len(plan.labels(segment)))
        ]
        for segment in plan.segment_shares
    }
    return _Noised(cells, spent)


def _shown(plan: Plan, noised: _Noised, segment: str) -> dict[str, Findings]:
    """The cells of a segment of which something may be shown."""
    cells = zip(plan.labels(segment), noised.cells[segment], strict=True)
    found = {label: plan.template.findings(cell, noised.whole) for label, cell in cells}
    return {label: findings for label, findings in found.items() if findings is not None}


def _broken_down(segment: str, parts: Mapping[str, Findings], whole: Findings) -> Findings:
    return Findings(
        {"segment": segment, "cells": {label: each.metrics | {"sample_size": each.clients} for label, each in parts.items()}},
        {"cells": {label: each.deviations | {"sample_size": each.clients_deviation} for label, each in parts.items()}},
        whole.clients,
        whole.clients_deviation,
    )


def _document(subject: Subject, plan: Plan, noised: _Noised, segment: str, found: Findings, at: datetime) -> bytes:
    return orjson.dumps(
        {
            "company": subject.company,
            "data_type": subject.data_type,
            "metrics": found.metrics,
            "sample_size": found.clients,
            "generated_at": at.isoformat(),
            "privacy": _statement(subject, plan, noised, segment, found),
        }
    )


def _statement(subject: Subject, plan: Plan, noised: _Noised, segment: str, found: Findings) -> dict[str, Any]:
    """What the figures promise and how far they may be off."""
    cell = noised.cells[segment][0]  # the noise of all cells of a segment is the same
    return {
        "unit": "client",
        "neighbours": "data with and without all rows of one client",
        "mechanism": MECHANISM,
        "consistency": CONSISTENCY,
        "period": str(subject.period),
        "purpose": plan.report.purpose,
        "rho": round(noised.rho, 9),
        "rho_split": _rounded(noised.spent),
        "epsilon": round(privacy.epsilon(noised.rho), 4),
        "delta": privacy.DELTA,
        "whole_report": {
            "rho": plan.report_rho,
            "epsilon": round(privacy.epsilon(plan.report_rho), 4),
            "this_data_type": plan.report.rho_share,
        },
        "bounds": plan.template.bounds,
        "bias": BIAS,
        "suppressed_below_clients": _rounded(plan.template.thresholds(cell), 1),
        "standard_deviation": _rounded(found.deviations | {"sample_size": found.clients_deviation}),
        "without_noise_of_their_own": plan.template.exact_by_design,
    }


def _rounded(figures: Any, digits: int = _DIGITS) -> Any:
    if isinstance(figures, Mapping):
        return {name: _rounded(each, digits) for name, each in figures.items()}
    return round(figures, digits)
