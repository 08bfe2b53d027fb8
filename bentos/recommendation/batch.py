"""Recommendations of all clients: chunk by chunk, so that memory does not grow with the bank."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bentos.catalogue import Products
from bentos.push.facts import observed
from bentos.recommendation.facts import facts_of
from bentos.recommendation.pages import OnlineClient
from bentos.recommendation.ranking import MOST, Candidate, Scored, candidates, decision, ranked
from bentos.recommendation.store import RecommendationStore, Stored
from bentos.serving.rows import frame_of
from bentos.tariffs import Facts
from features.holdings import with_products
from monitoring.journal import Journal, JournalRow

if TYPE_CHECKING:
    from registry.loading import LoadedModel

Progress = Callable[[int], None]
"""Told after each chunk how many clients are done."""


@dataclass
class Processed:
    """What became of the clients of a run.

    Attributes:
        clients: in the clients table.
        without_data: of them, those without purchases or transfers.
        scores: client × product pairs that the model scored; each is a row of the journal.
        recommendations: kept, at most four a client.
    """

    clients: int = 0
    without_data: int = 0
    scores: int = 0
    recommendations: int = 0


@dataclass(frozen=True)
class _Case:
    """A client of a chunk with what it may have."""

    client: OnlineClient
    facts: Facts
    found: list[Candidate]


def process(
    model: LoadedModel,
    products: Products,
    pages: Iterable[list[OnlineClient]],
    store: RecommendationStore,
    journal: Journal,
    progress: Progress = lambda _done: None,
) -> Processed:
    """Compute the best products of every client and put them in force, all at once.

    The scores of a chunk are durable in the journal before its recommendations are stored. When anything fails the run before
    stays in force.
    """
    run, counts = store.begin(model.version), Processed()
    for page in pages:
        cases = [_case(products, client) for client in page if client.behaviour is not None]
        stored, rows = _recommended(model, [case for case in cases if case.found])
        journal.write(rows)
        store.add(run, stored)
        counts.clients += len(page)
        counts.without_data += len(page) - len(cases)
        counts.scores += len(rows)
        counts.recommendations += len(stored)
        progress(counts.clients)
    store.complete(run)
    return counts


def _case(products: Products, client: OnlineClient) -> _Case:
    behaviour = client.behaviour or {}
    facts = facts_of(client.profile, behaviour)
    return _Case(client, facts, candidates(products, client.profile, behaviour, facts))


def _recommended(model: LoadedModel, cases: Sequence[_Case]) -> tuple[list[Stored], list[JournalRow]]:
    """What is stored, and a journal row for every score."""
    if not cases:
        return [], []
    started = time.perf_counter()
    scored = _scored(model, cases)
    latency = (time.perf_counter() - started) * 1000 / sum(map(len, scored))
    stored, rows = [], []
    for case, found in zip(cases, scored, strict=True):
        for place, one in enumerate(ranked(found)):
            row = _journal_row(model, case, one, place, latency)
            rows.append(row)
            if place < MOST:
                stored.append(_stored(case, one, place, row.score_id))
    return stored, rows


def _scored(model: LoadedModel, cases: Sequence[_Case]) -> list[list[Scored]]:
    """The candidates of each case, all scored in one call of the model."""
    wide = with_products(frame_of(*(case.client.behaviour or {} for case in cases)))
    each = len(wide) // len(cases)
    place = {name: position for position, name in enumerate(wide["product"].iloc[:each])}
    chosen = [number * each + place[one.product.name] for number, case in enumerate(cases) for one in case.found]
    offered = wide.iloc[chosen]
    answers = zip(offered["product_affinity"].tolist(), model.scorer.predict(offered)["accepted"].tolist(), strict=True)
    columns = model.scorer.columns
    return [_with_rows(columns, case, answers) for case in cases]


def _with_rows(columns: Sequence[str], case: _Case, answers: Iterable[tuple[float, float]]) -> list[Scored]:
    """The candidates of a case with the next answers, and the rows that the model saw: the client's, product by product."""
    known = case.client.behaviour or {}
    seen = {name: known.get(name) for name in columns}
    found = []
    for candidate, (affinity, propensity) in zip(case.found, answers, strict=False):
        of_product = {"product": candidate.product.name, "product_affinity": affinity}
        found.append(Scored(candidate, {**seen, **{name: of_product[name] for name in of_product if name in seen}}, propensity))
    return found


def _journal_row(model: LoadedModel, case: _Case, one: Scored, place: int, latency: float) -> JournalRow:
    return JournalRow(
        use_case=model.use_case,
        source="batch",
        features=one.row,
        score={"accepted": one.propensity},
        model_version=model.version,
        latency_ms=latency,
        decision=decision(place),
        client_id=case.client.client_code,
    )


def _stored(case: _Case, one: Scored, place: int, score_id: str) -> Stored:
    candidate = one.candidate
    seen = observed(candidate.product.tariff, candidate.benefit, case.facts, case.client.month)
    return Stored(
        client_code=case.client.client_code,
        rank=place + 1,
        product=candidate.product.name,
        expected_benefit=round(candidate.benefit.tenge, 2),
        propensity=one.propensity,
        observed=seen.json(),
        score_id=score_id,
    )
