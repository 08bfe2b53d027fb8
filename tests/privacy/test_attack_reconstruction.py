"""P17: two partners who put everything they may ask together cannot tell which clients have the secret they look for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import norm

from consent_api import consents, releases
from consent_api.catalogue import EVERYBODY
from consent_api.periods import Period
from consent_api.releases import Order, Subject
from consent_api.reports import compose
from consent_api.reports.exact import Exact
from tests.privacy.conftest import ACTOR, World
from tests.privacy.crowds import COMPANY, NAMES, PURPOSE, Person, bank_of, sums_of

PARTNERS = (COMPANY, "jolda-travel")
YEAR = [Period(2025, 11), Period(2025, 12), *(Period(2026, month) for month in range(1, 11))]
QUERIES = 300
CHURN = 0.1
"""Share of the clients whose consent to a partner changes in a month; both partners know exactly whose."""
FACES = [(age, city) for age in (30, 60) for city in ("Алматы", "Астана")]
EACH = 300
CELLS = {"25-34": 30, "55-64": 60, "Алматы": "Алматы", "Астана": "Астана"}
PURCHASES, AMOUNT = 10, 8_000.0
"""What a client with the secret bought in the month; one without it bought nothing."""


@dataclass(frozen=True)
class Query:
    """A number that a partner was told, whom it counts, and the standard deviation that was stated with it."""

    members: np.ndarray
    answer: float
    deviation: float


def reconstructed(queries: Sequence[Query], prior: float) -> np.ndarray:
    """The best linear estimate of every client's secret from all answers, given who was counted and how large the noise is.

    The secrets are independent with chance `prior`; the answers are sums of them plus noise. Cut at one half.
    """
    members = np.array([query.members for query in queries], dtype=float)
    answers, deviations = (np.array([getattr(query, name) for query in queries]) for name in ("answer", "deviation"))
    variance = prior * (1 - prior)
    estimate = prior + variance * members.T @ np.linalg.solve(
        _spread(members, deviations, prior), answers - prior * members.sum(axis=1)
    )
    return estimate > 0.5


def _spread(members: np.ndarray, deviations: np.ndarray, prior: float) -> np.ndarray:
    """The covariance of the answers: clients of whom nothing is known, and noise."""
    return prior * (1 - prior) * members @ members.T + np.diag(deviations**2 + 1e-9)


def expected_accuracy(queries: Sequence[Query]) -> float:
    """How often `reconstructed` is right on average over all secrets of chance one half, and over the noise.

    A client's estimate is normal around (1 ± known) / 2 with variance known (1 - known) / 4, where `known` is the share of the
    client's variance that the answers explain. Chance has no part in it, as it has in the guesses at one secret.
    """
    members = np.array([query.members for query in queries], dtype=float)
    deviations = np.array([query.deviation for query in queries])
    known = 0.25 * (members * np.linalg.solve(_spread(members, deviations, 0.5), members)).sum(axis=0)
    return float(norm.cdf(np.sqrt(known / (1 - known))).mean())


def accuracy(guess: np.ndarray, secret: np.ndarray) -> float:
    return float((guess == secret).mean())


GENERATOR = np.random.default_rng(17)


def test_p17_exact_answers_to_free_filters_would_give_everybody_away() -> None:
    """The attack works where templates and noise are missing: 300 sums over groups of its choice, 200 clients."""
    secret = GENERATOR.random(200) < 0.5
    groups = GENERATOR.random((QUERIES, 200)) < 0.5
    queries = [Query(group, float((group & secret).sum()), 0.01) for group in groups]
    assert accuracy(reconstructed(queries, 0.5), secret) > 0.99
    assert expected_accuracy(queries) > 0.99


@pytest.fixture
def secret() -> np.ndarray:
    return GENERATOR.random(EACH * len(FACES)) < 0.5


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_p17_three_hundred_queries_of_two_colluding_partners_hardly_beat_guessing(bank, world, secret) -> None:
    counted = released(world, secret)
    queries = list(asked(bank, counted))
    assert len(queries) > QUERIES
    off = np.array([(query.answer - (query.members & secret).sum()) / query.deviation for query in queries])
    assert 0.75 < np.sqrt((off**2).mean()) < 1.5  # the noise is what the expectation takes it for
    expected = expected_accuracy(queries)
    assert 0.51 < expected <= 0.5 + 0.05
    assert accuracy(reconstructed(queries, 0.5), secret) <= expected + 6 * (0.25 / len(secret)) ** 0.5


def released(world: World, secret: np.ndarray) -> dict[tuple[str, str, str], np.ndarray]:
    """A year of all reports for both partners while consents come and go; whom each counts, by company, data type and month."""
    codes, counted = [str(number) for number in range(len(secret))], {}
    units = _units(world)
    for company in PARTNERS:
        world.give([code for code in codes if GENERATOR.random() < 0.7], company)
    for month in YEAR:
        for company in PARTNERS:
            _churn(world, company, codes)
            orders = [Order(Subject(company, kind, month), PURPOSE, plan.rho) for kind, plan in world.plans.items()]
            made = []
            for begun in releases.begin(world.store, orders, world.caps, ACTOR, world.clock):
                members = np.isin(codes, begun.counted)
                kind = begun.subject.data_type
                counted[company, kind, str(month)] = members
                made.append(
                    (begun, compose(begun.subject, world.plans[kind], _sums(units[kind], members & secret), world.clock()))
                )
            releases.publish(world.store, made, ACTOR, world.clock())
    return counted


def _churn(world: World, company: str, codes: Sequence[str]) -> None:
    changing = [code for code in codes if GENERATOR.random() < CHURN]
    with world.store.writing() as connection:
        had = [code for code in changing if consents.revoke(connection, code, company, ACTOR, world.clock())]
    world.give(sorted(set(changing) - set(had)), company)


def _units(world: World) -> dict[str, list[Exact]]:
    """What one client with the secret adds to each sum, by data type and face; one without adds nothing that tells."""
    people = [Person(f"{age}{city}", age, city, purchases=[(NAMES[0], AMOUNT)] * PURCHASES) for age, city in FACES]
    source = bank_of(people)
    found = [sums_of(source, [person.client_code], world.plans) for person in people]
    return {kind: [each[kind] for each in found] for kind in world.plans}


def _sums(units: Sequence[Exact], having: np.ndarray) -> Exact:
    numbers = [int(part.sum()) for part in having.reshape(len(FACES), EACH)]
    return {
        segment: {
            name: sum(number * unit[segment][name] for number, unit in zip(numbers, units, strict=True)) for name in measures
        }
        for segment, measures in units[0].items()
    }


def asked(bank, counted: Mapping[tuple[str, str, str], np.ndarray]) -> Iterator[Query]:
    """Everything that 300 requests of both partners tell: each data type and segment of each month."""
    calls = {company: bank.caller("partner", company) for company in PARTNERS}
    wanted = [(*key, segment) for key in counted for segment in (EVERYBODY, "age_group", "city")]
    for number in range(QUERIES):
        company, kind, month, segment = wanted[number % len(wanted)]
        breakdown = {} if segment == EVERYBODY else {"segment": segment}
        answer = calls[company]("GET", f"/aggregated-data/{company}/{kind}", params={"period": month, **breakdown})
        assert answer.status_code == 200
        if number < len(wanted):
            for document in answer.json()["data"]:
                yield from _told(document, counted[company, kind, month])


def _told(document: dict, members: np.ndarray) -> Iterator[Query]:
    metrics, deviations = document["metrics"], document["privacy"]["standard_deviation"]
    if "cells" not in metrics:
        yield from _figures(document["data_type"], metrics | {"sample_size": document["sample_size"]}, deviations, members)
        return
    faces = np.repeat(np.array(FACES, dtype=object), EACH, axis=0)
    for label, cell in metrics["cells"].items():
        inside = (faces == CELLS[label]).any(axis=1)
        yield from _figures(document["data_type"], cell, deviations["cells"][label], members & inside)


def _figures(kind: str, metrics: dict, deviations: dict, members: np.ndarray) -> Iterator[Query]:
    """Every number as one of clients with the secret."""
    units = {"total": PURCHASES * AMOUNT, "number_of_purchases": PURCHASES, "active_clients": 1, "sample_size": 1}
    if kind == "spending_dynamics":
        (metrics,), (deviations,) = metrics["by_month"].values(), deviations["by_month"].values()
    elif kind == "income_segments":
        return  # counts everybody with an income, whatever was bought
    for name, unit in units.items():
        if name in metrics and name in deviations:
            yield Query(members, metrics[name] / unit, deviations[name] / unit)
