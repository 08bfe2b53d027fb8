"""Rows of one client are not independent: a few clients with many rows raise no alarm of drift, and a real change still does."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom
from sqlalchemy import Engine

from monitoring.columns import PSI, pair_columns
from monitoring.dependence import Dependence, design_effect
from monitoring.drift import DriftLimits, DriftOutcome, Model, drift_report
from monitoring.journal import Journal, JournalRow
from monitoring.rows import open_journal
from monitoring.watch import watch
from registry.loading import LoadedModel
from registry.outputs import Member, Output
from registry.scorer import CLUSTER
from settings import Settings
from tests.monitoring.frauds import MONTH, NOW, drawn, model

ROWS, STRUCK = 1_500, 4
MODEL = Model(["amount", "city"], ["prediction_fraud"])


def bank(seed: int, struck: int, rows: int = ROWS) -> pd.DataFrame:
    """Scored payments of 300 clients; of those in whose account a stranger is, all of theirs get the highest risk."""
    rng = np.random.default_rng(seed)
    clients = rng.integers(0, 300, rows)
    fooled = rng.permutation(300)[:struck]
    risk = np.where(np.isin(clients, fooled), rng.uniform(0.7, 1.0, rows), rng.beta(1, 60, rows))
    home = np.random.default_rng([seed, 1]).choice(["Алматы", "Астана", "Шымкент"], 300)
    return pd.DataFrame({"amount": rng.lognormal(9, 1, rows), "city": home[clients], "prediction_fraud": risk, CLUSTER: clients})


def compared(struck: int, seed: int, change: float = 1.0) -> DriftOutcome:
    current = bank(2 * seed + 1, struck)
    current["prediction_fraud"] **= change
    return drift_report(bank(2 * seed, STRUCK), current, MODEL, DriftLimits())


def test_at_most_five_percent_of_unchanged_windows_are_flagged_though_few_clients_make_the_highest_risks() -> None:
    rng = np.random.default_rng(1)
    outcomes = [compared(rng.poisson(STRUCK), 100 + seed) for seed in range(30)]
    flagged = sum(outcome.predictions_drifted or bool(outcome.drifted) for outcome in outcomes)
    assert flagged <= binom.ppf(0.999, 30, 0.05)


def test_the_same_rows_as_if_independent_would_be_flagged() -> None:
    sides = [bank(seed, struck).drop(columns=CLUSTER) for seed, struck in ((2, STRUCK), (3, 3 * STRUCK))]
    assert drift_report(sides[0], sides[1], MODEL, DriftLimits()).predictions_drifted
    assert not drift_report(bank(2, STRUCK), bank(3, 3 * STRUCK), MODEL, DriftLimits()).predictions_drifted


@pytest.mark.parametrize("change", [0.5, 0.7])
def test_a_change_of_all_predictions_is_seen_though_rows_go_together(change: float) -> None:
    assert compared(STRUCK, 7, change).predictions_drifted


def test_who_a_row_is_about_is_no_unknown_column() -> None:
    assert not compared(STRUCK, 8).findings


@pytest.mark.parametrize("method", ["wasserstein", PSI])
def test_rows_written_five_times_are_worth_no_more_than_once(method: str) -> None:
    once = bank(4, STRUCK).assign(**{CLUSTER: np.arange(ROWS)})
    many = once.loc[once.index.repeat(5)]
    name = "city" if method == PSI else "amount"
    (pair,) = pair_columns(many, many, [name])
    assert pair.method == method
    assert Dependence(once, once).spread(pair) == 1
    assert Dependence(many, many).spread(pair) == pytest.approx(5 if method == PSI else np.sqrt(5), rel=0.01)
    gaps = many.assign(amount=many["amount"].where(many[CLUSTER] % 3 > 0))
    assert Dependence(gaps, gaps).missing_spread("amount") == pytest.approx(np.sqrt(5), rel=0.01)


def test_one_client_is_one_observation() -> None:
    values = np.random.default_rng(5).normal(size=(200, 1))
    assert design_effect(values, np.zeros(200)) == 200
    assert design_effect(values, np.arange(200)) == 1
    assert design_effect(np.ones((200, 1)), np.arange(200) // 2) == 1
    assert design_effect(np.empty((0, 1)), np.empty(0)) == 1


class Plain:
    """A booster whose margin is its feature."""

    def margin(self, matrix: np.ndarray) -> np.ndarray:
        return matrix[:, 0]

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        return np.column_stack([matrix[:, 0], np.zeros(len(matrix))])


def version() -> LoadedModel:
    """The model of these tests, with a booster whose contributions can be asked for."""
    outputs = (Output("fraud", "logit", (Member("plain", "one", 1.0),)),)
    return replace(model(), scorer=replace(model().scorer, outputs_=outputs, boosters={"one": Plain()}))


def scored(engine: Engine, client_of: list[str | None]) -> None:
    """Scores of 400 payments, the twentieth of highest risk by the clients of `client_of` in turn."""
    feature, probability, _ = drawn(400, 4)
    probability[:20] = 0.99
    clients = [client_of[number % len(client_of)] if number < 20 else f"client{number}" for number in range(400)]
    rows = [
        JournalRow(
            use_case="fraud", source="api", features={"x": float(x)}, score={"fraud": float(p)}, client_id=client,
            model_version="3", latency_ms=1.0, ts=NOW - timedelta(days=1 + number % 28),
        )
        for number, (x, p, client) in enumerate(zip(feature, probability, clients, strict=True))
    ]  # fmt: skip
    with Journal(engine) as journal:
        journal.write(rows)


@pytest.mark.parametrize(("client_of", "alarm"), [([None], True), (["a stranger", "another"], False)], ids=["everybody", "two"])
def test_the_journal_says_whose_the_scores_are(database_url: str, client_of: list[str | None], alarm: bool) -> None:
    engine = open_journal(Settings(database_url=database_url))
    scored(engine, client_of)
    with Journal(engine) as journal:
        sample = journal.sample("fraud", "3", NOW - MONTH, NOW, 10_000, 1)
    assert watch(version(), sample, DriftLimits(), NOW).alarm == alarm
