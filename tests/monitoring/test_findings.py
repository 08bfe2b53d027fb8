"""Promises about bad input: the report says what is wrong with the rows, nothing crashes, no false alarm."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from clock import now
from monitoring.drift import DriftLimits, DriftOutcome, Model, drift_report
from monitoring.findings import clock_findings, staleness_findings
from registry.encoding import ModelColumn, without_rare
from registry.scorer import CLUSTER

FEATURES = ["amount", "balance", "city", "flag"]
MODEL = Model(FEATURES, ["prediction_fraud"])


def rows(count: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "amount": rng.lognormal(8, 1, count),
            "balance": rng.normal(0, 1, count),
            "city": rng.choice(["Алматы", "Астана", "Шымкент"], count),
            "flag": rng.random(count) < 0.2,
            "prediction_fraud": rng.beta(1, 30, count),
        }
    )


def compare(current: pd.DataFrame, reference: pd.DataFrame | None = None) -> DriftOutcome:
    return drift_report(rows(1500, 1) if reference is None else reference, current, MODEL, DriftLimits())


def kinds(outcome: DriftOutcome) -> set[tuple[str, str | None]]:
    return {(finding.kind, finding.column) for finding in outcome.findings}


def test_a_constant_column_is_named_as_broken() -> None:
    outcome = compare(rows(500, 2).assign(balance=0.1, city="Астана", flag=False))
    assert {("constant", "balance"), ("constant", "city"), ("constant", "flag")} == kinds(outcome)
    assert set(outcome.broken) == {"balance", "city", "flag"}


def test_columns_that_were_always_constant_or_empty_are_nothing_new() -> None:
    def still(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(balance=1.0, city=None, flag=True)

    outcome = compare(still(rows(500, 2)), still(rows(1500, 1)))
    assert (outcome.drifted, outcome.findings) == ((), ())


def test_an_all_missing_column_is_drift_and_named_as_empty() -> None:
    outcome = compare(rows(500, 2).assign(balance=np.nan, city=None))
    assert {("empty", "balance"), ("empty", "city")} == kinds(outcome)
    assert set(outcome.drifted) == {"balance", "city"}


def test_a_few_rows_without_a_value_that_is_nearly_always_missing_are_no_finding() -> None:
    reference = rows(1500, 1)
    reference["balance"] = reference["balance"].where(reference.index % 50 == 0)
    current = rows(120, 2).assign(balance=np.nan)
    assert ("empty", "balance") not in kinds(compare(current, reference))
    assert ("empty", "balance") in kinds(compare(rows(1000, 2).assign(balance=np.nan), reference))


def test_a_changed_schema_is_told_column_by_column() -> None:
    current = rows(500, 2).drop(columns="balance").assign(amount="12,5", kind="new")
    outcome = compare(current)
    assert {("absent", "balance"), ("type", "amount"), ("unknown", None), ("empty", "amount")} == kinds(outcome)
    assert set(outcome.broken) == {"balance", "amount"}
    assert "kind" in next(finding.sentence for finding in outcome.findings if finding.kind == "unknown")


def test_flags_with_gaps_as_the_journal_gives_them_are_still_flags() -> None:
    current = rows(500, 2)
    current["flag"] = current["flag"].astype(object).where(np.arange(500) % 50 > 0, None)
    outcome = compare(current)
    assert (outcome.drifted, outcome.findings) == ((), ())


def test_new_categories_are_counted_but_not_quoted() -> None:
    current = rows(500, 2)
    current.loc[current.index < 60, "city"] = "Иванов Иван Иванович"
    (finding,) = compare(current).findings
    assert (finding.kind, finding.column, finding.sentence) == (
        "categories",
        "city",
        "1 values of city are new, in 12.0% of the rows",
    )


def test_a_few_rare_new_values_are_no_finding() -> None:
    current = rows(500, 2)
    current.loc[current.index < 4, "city"] = ["a", "b", "c", "d"]
    assert compare(current).findings == ()


def test_values_beyond_all_that_was_known_are_a_finding() -> None:
    current = rows(500, 2)
    current.loc[current.index < 50, "balance"] = 1e9
    assert ("range", "balance") in kinds(compare(current))
    current.loc[current.index < 500, "balance"] = rows(500, 2)["balance"]
    current.loc[current.index < 2, "balance"] = 1e9
    assert ("range", "balance") not in kinds(compare(current))


@pytest.mark.parametrize(("repeated", "kind"), [({"balance": 1e9}, "range"), ({"city": "Тараз"}, "categories")])
def test_one_client_is_no_finding_however_often_and_many_clients_are(repeated: dict[str, object], kind: str) -> None:
    current = rows(500, 2)
    changed = current.assign(**{name: current[name].mask(current.index < 60, value) for name, value in repeated.items()})  # type: ignore[arg-type]
    alone = np.where(current.index < 60, -1, current.index)
    assert kinds(compare(changed.assign(**{CLUSTER: alone}))) == set()
    assert kinds(compare(changed.assign(**{CLUSTER: current.index}))) == {(kind, *repeated)}


@pytest.mark.parametrize("value", [0.1, np.nan])
def test_a_window_of_one_client_breaks_no_source(value: float) -> None:
    changed = rows(500, 2).assign(balance=value)
    assert "balance" not in compare(changed.assign(**{CLUSTER: 7})).broken
    assert "balance" in compare(changed.assign(**{CLUSTER: range(500)})).broken


def test_infinite_and_huge_values_do_not_crash_a_report() -> None:
    current = rows(500, 2)
    current.loc[current.index < 3, "amount"] = [np.inf, -np.inf, 1e308]
    assert all(np.isfinite(column.score) for column in compare(current).features)


def test_rows_from_the_future_are_told() -> None:
    assert clock_findings(0, now()) == []
    (finding,) = clock_findings(12, now())
    assert (finding.kind, finding.sentence.startswith("12 rows lie after")) == ("clock", True)


@pytest.mark.parametrize(("days", "stale"), [(6.9, False), (7.1, True)])
def test_old_online_features_are_told_from_the_limit_on(days: float, stale: bool) -> None:
    until = now()
    found = staleness_findings(until - timedelta(days=days), until, timedelta(days=7))
    assert [finding.kind for finding in found] == (["stale"] if stale else [])
    assert staleness_findings(None, until, timedelta(days=7)) == []


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_texts_that_a_version_does_not_store_are_no_drift_and_no_finding(share: float) -> None:
    def named(count: int, seed: int) -> pd.DataFrame:
        known = np.random.default_rng(seed).random(count) < share
        return rows(count, seed).assign(city=np.where(known, "Алматы", [f"{seed}-{index}" for index in range(count)]))

    outcome = compare(named(500, 2), without_rare(named(1500, 1), (ModelColumn("city", ("Алматы",)),)))
    assert (outcome.drifted, outcome.findings) == ((), ())


def test_a_value_that_is_new_and_frequent_is_found_beside_texts_that_are_not_stored() -> None:
    reference = without_rare(rows(1500, 1), (ModelColumn("city", ("Алматы", "Астана")),))
    seen = rows(500, 2)
    assert "categories" in {kind for kind, _ in kinds(compare(seen, reference))}  # a third of the rows: it cannot have been rare
    few = seen.assign(city=seen["city"].replace("Шымкент", "Астана"))
    few.loc[few.index < 6, "city"] = "Тараз"
    assert compare(few, reference.assign(city=reference["city"].replace("(rare)", "Астана"))).findings != ()
    assert "categories" not in {kind for kind, _ in kinds(compare(few, reference))}  # six of it may have been among the rare
