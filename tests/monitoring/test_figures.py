"""The figures of the dashboard: traffic, latency, quality and the challenger in shadow, each with a panel that draws it."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine

from monitoring import figures
from monitoring.estimation import Estimated
from monitoring.journal import Journal, JournalRow
from monitoring.labels import record_labels
from monitoring.panels import panels_of
from monitoring.quality import realised
from monitoring.rows import open_journal
from settings import Settings
from tests.monitoring.frauds import CONFIG, MONTH, NOW, expected, journalled, model, scorer

DAY = timedelta(days=1)
WINDOW = NOW - DAY, NOW


@pytest.fixture
def engine(database_url: str) -> Engine:
    return open_journal(Settings(database_url=database_url))


def row(**fields: object) -> JournalRow:
    given = {
        "use_case": "fraud",
        "source": "api",
        "features": {},
        "score": {"fraud": 0.2},
        "model_version": "3",
        "ts": NOW - DAY / 2,
    }
    return JournalRow(**{"latency_ms": 1.0, **given, **fields})  # type: ignore[arg-type]


def write(engine: Engine, rows: list[JournalRow]) -> None:
    with Journal(engine) as journal:
        journal.write(rows)


def shadowed(given: JournalRow, score: dict[str, float] | None, status: str = "ok") -> JournalRow:
    return row(
        score_id=f"{given.score_id}.shadow.4", source="shadow", is_simulation=True, model_version="4", score=score, status=status
    )


def test_traffic_counts_what_was_asked_for_and_how_long_it_took(engine: Engine) -> None:
    rows = [row(client_id=str(number % 5), latency_ms=float(number)) for number in range(1, 21)]
    failed = [row(score=None, status="failed", latency_ms=100.0) for _ in range(5)]
    write(engine, [*rows, *failed, row(ts=NOW - 2 * DAY), shadowed(rows[0], {"fraud": 0.9})])
    found = figures.traffic(engine, "fraud", *WINDOW)
    assert (found["volume"], found["clients"], found["failed share"], found["simulation share"]) == (25, 5, 0.2, 0)
    assert (found["mean latency"], found["p95 latency"]) == (pytest.approx((210 + 500) / 25), 100)


def test_a_day_without_requests_has_a_volume_of_nought_and_no_latency(engine: Engine) -> None:
    write(engine, [row(ts=NOW - 2 * DAY)])
    assert figures.traffic(engine, "fraud", *WINDOW) == {"volume": 0, "clients": 0}
    assert figures.shadow(engine, "fraud", *WINDOW) == {}


def test_the_challenger_is_compared_on_the_same_rows_and_the_shared_outputs(engine: Engine) -> None:
    given = [row(score={"bank_a": score, "bank_b": 0.5}) for score in (0.1, 0.2, 0.3)]
    others = [
        shadowed(given[0], {"bank_a": 0.4, "bank_c": 0.9}),
        shadowed(given[1], {"bank_a": 0.1, "bank_c": 0.9}),
        shadowed(given[2], None, status="failed"),
        shadowed(row(), {"bank_a": 0.9}),  # of a row that is not there
    ]
    write(engine, [*given, *others])
    assert figures.shadow(engine, "fraud", *WINDOW) == {
        "shadow rows": 2,
        "shadow difference": pytest.approx((0.3 - 0.1) / 2),
        "shadow distance": pytest.approx((0.3 + 0.1) / 2),
    }


def test_quality_tells_the_realised_metric_the_estimate_and_what_stands_beside(engine: Engine) -> None:
    record_labels(engine, journalled(engine, NOW - 2 * MONTH, 2))
    journalled(engine, NOW - MONTH, 3)
    found = figures.quality(model(), engine, NOW - MONTH, NOW, CONFIG)
    known = realised(engine, "fraud", "3", NOW - 2 * MONTH, NOW - MONTH)
    estimate = expected(engine, scorer())
    assert isinstance(estimate, Estimated)
    assert (found["realised"], found["realised low"], found["realised high"]) == (known.value, known.low, known.high)
    assert (found["estimated"], found["estimated low"], found["estimated high"]) == (estimate.value, estimate.low, estimate.high)
    assert {"alert rate", "review capacity"} < set(found)


@pytest.mark.parametrize("rows", [0, 1])
def test_an_empty_journal_and_one_row_have_no_quality_and_crash_nothing(engine: Engine, rows: int) -> None:
    journalled(engine, NOW - MONTH, 4, rows=rows)
    found = figures.quality(model(), engine, NOW - MONTH, NOW, CONFIG)
    assert set(found) <= {"alert rate", "review capacity"}


def test_every_figure_that_is_gathered_has_a_panel(engine: Engine) -> None:
    record_labels(engine, journalled(engine, NOW - 2 * MONTH, 2))
    journalled(engine, NOW - MONTH, 3)
    given = row()
    write(engine, [given, shadowed(given, {"fraud": 0.9})])
    gathered = {
        *figures.traffic(engine, "fraud", *WINDOW),
        *figures.shadow(engine, "fraud", *WINDOW),
        *figures.quality(model(), engine, NOW - MONTH, NOW, CONFIG),
    }
    drawn = {one.metric_labels["name"] for panel in panels_of("fraud", []) for one in panel.values if "name" in one.metric_labels}
    assert gathered <= drawn


@pytest.mark.parametrize(
    ("use_case", "own"),
    [
        ("income", {"coverage"}),
        ("prescoring", {"fairness gap", "four-fifths ratio"}),
        ("recommendation", {"acceptance"}),
        ("fraud", {"alert rate", "review capacity"}),
    ],
)
def test_every_use_case_has_the_panels_that_its_contract_asks_for(use_case: str, own: set[str]) -> None:
    drawn = {one.metric_labels.get("name") for panel in panels_of(use_case, ["prediction_x"]) for one in panel.values}
    quality = {f"{known}{bound}" for known in ("realised", "estimated") for bound in ("", " low", " high")}
    assert own | quality | {"drift share", "drifted importance", "drift of prediction_x", "volume", "mean latency"} <= drawn
