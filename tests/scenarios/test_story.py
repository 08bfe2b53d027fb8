"""What a scenario says at its end: the definitions of lost and regained, and a verdict on every promise."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from flows.quality import QualityResult
from flows.respond import Gated, RespondRequest, Response
from monitoring.early import Early
from monitoring.estimates import Coverage
from monitoring.estimation import NotEstimable
from monitoring.findings import Finding
from monitoring.lately import NOTHING, Lately
from monitoring.quality import Realised
from monitoring.surges import Surge
from monitoring.watch import Watched
from scenarios.__main__ import environment
from scenarios.catalogue import BEGIN, ONSET, SCENARIOS, Promise, Scenario
from scenarios.run import midnight
from scenarios.story import Day, outcome, true_metric
from scenarios.watching import Answer, Evening
from simulator.shifts import NewFraud

START = BEGIN + timedelta(days=ONSET)


def scores(quality: dict[int, tuple[float, str]], days: int, seed: int = 0) -> pd.DataFrame:
    """Scores of some days; from each of the given days on as good as stated (0 = chance), by that version."""
    rng = np.random.default_rng(seed)
    frames = []
    for number in range(days):
        good, version = quality[max(day for day in quality if day <= number)]
        truth = (rng.random(300) < 0.05).astype(float)
        frames.append(
            pd.DataFrame({
                "day": BEGIN + timedelta(days=number), "truth": truth, "version": version,
                "prediction": good * truth + rng.random(300),
            })
        )  # fmt: skip
    return pd.concat(frames, ignore_index=True)


def day(number: int, lately: Lately = NOTHING, gated: tuple[Gated, ...] = (), answers: tuple[Answer, ...] = ()) -> Day:
    at = midnight(BEGIN + timedelta(days=number + 1))
    quality = QualityResult(
        use_case="fraud", version="1", reference=0.3, realised=Realised("pr_auc", None, None, None, 0, "none"),
        estimated=NotEstimable("withheld"), early=None, figures={}, coverage=Coverage(0, 0), loss=0.0, alarm=False,
    )  # fmt: skip
    watched = Watched(at, None, "too little", (), {}, lately)
    return Day(number, BEGIN + timedelta(days=number), 300, 0, 0.5, Evening(watched, quality, gated, answers, "1"))


SURGED = Lately(surges=(Surge("amount", "up to 1,300", 0.005, 0.03, 9.0),))
PROMOTED = (Gated("fraud", "2", True, "promoted: better"),)
SCENARIO = Scenario("test", NewFraud(START), "fraud", 60, Promise(detected_within=3, promotions=(1, 2), regained=0.8))


def test_what_was_lost_and_regained_is_measured_against_the_champion_of_the_onset() -> None:
    given = scores({0: (2.0, "1"), ONSET: (0.0, "1"), 40: (2.0, "2")}, 60)
    lived = [day(number, SURGED if number == ONSET + 2 else NOTHING, PROMOTED if number == 39 else ()) for number in range(60)]
    found = outcome(SCENARIO, lived, given, Coverage(50, 46))
    assert found.before == true_metric("fraud", given[given["day"] < START])
    assert found.after == true_metric("fraud", given[(given["day"] >= START) & (given["version"] == "1")])
    assert found.last == true_metric("fraud", given[given["day"] > BEGIN + timedelta(days=45)])
    assert found.regained == pytest.approx((found.last - found.after) / (found.before - found.after))
    assert found.detected == 3
    assert found.kept
    assert "BROKEN" not in found.summary


@pytest.mark.parametrize(
    ("alarm", "regain", "coverage", "broken"),
    [
        (ONSET + 3, 2.0, Coverage(50, 46), "detected within 3 days"),
        (ONSET - 3, 2.0, Coverage(50, 46), "detected within 3 days"),
        (ONSET, 0.1, Coverage(50, 46), "regains 80% of what was lost"),
        (ONSET, 2.0, Coverage(50, 40), "of the estimates' intervals hold"),
        (ONSET, 2.0, Coverage(0, 0), "of the estimates' intervals hold"),
    ],
)
def test_a_promise_that_was_not_kept_is_named(alarm: int, regain: float, coverage: Coverage, broken: str) -> None:
    given = scores({0: (2.0, "1"), ONSET: (0.0, "1"), 40: (regain, "2")}, 60)
    lived = [day(number, SURGED if number == alarm else NOTHING, PROMOTED if number == 39 else ()) for number in range(60)]
    found = outcome(SCENARIO, lived, given, coverage)
    assert not found.kept
    (line,) = [line for line in found.summary.splitlines() if line.startswith("BROKEN")]
    assert broken in line


def test_where_nothing_changes_alarms_and_promotions_are_counted() -> None:
    quiet = replace(SCENARIO, shift=None, promise=Promise(alarms=3, promotions=(0, 0), coverage=None))
    given = scores({0: (2.0, "1")}, 10)
    assert outcome(quiet, [day(number, SURGED if number < 3 else NOTHING) for number in range(10)], given, Coverage(0, 0)).kept
    assert not outcome(
        quiet, [day(number, SURGED if number < 4 else NOTHING) for number in range(10)], given, Coverage(0, 0)
    ).kept
    promoted = [day(number, gated=PROMOTED if number == 5 else ()) for number in range(10)]
    assert not outcome(quiet, promoted, given, Coverage(0, 0)).kept


def test_a_day_is_told_in_words() -> None:
    event = RespondRequest(use_case="fraud", kind="drift", event_id="1", version="1")
    told = day(20, SURGED, PROMOTED, (Answer(event, Response("wait", "the cool-down runs")),)).line
    assert told.startswith(" 20 2026-01-25")
    for part in ("surge", "promoted: better", "drift: wait: the cool-down runs", "amount up to 1,300"):
        assert part in told


def test_a_loss_that_early_labels_show_is_told_with_its_figures() -> None:
    quiet = day(60)
    early = Early(Realised("wmae", 120_000.0, 90_000.0, 150_000.0, 80), Realised("wmae", 50_000.0, 40_000.0, 60_000.0, 70), 30)
    lost = replace(quiet.evening.quality, early=early, alarm=True)
    told = replace(quiet, evening=replace(quiet.evening, quality=lost)).line.splitlines()
    assert told[0].endswith("quality")
    assert told[1].strip() == early.sentence
    assert "120,000" in early.sentence
    assert "early labels" not in replace(quiet, evening=replace(quiet.evening, quality=replace(lost, alarm=False))).line


def test_a_broken_column_is_told_before_what_follows_from_it() -> None:
    stuck = Finding("constant", "amount", "amount has one value only")
    told = day(20, replace(SURGED, broken=(stuck,))).line.splitlines()
    assert told[0].endswith("broken: amount, surge")
    assert told[1].strip() == stuck.sentence


def test_a_scenario_sees_nothing_of_the_bank_outside(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPORA_DATABASE_URL", "postgresql+psycopg://elsewhere/bank")
    monkeypatch.setenv("OPORA_ALERT_WEBHOOK", "https://elsewhere")
    given = environment(tmp_path, 7)
    assert given["OPORA_VAR"] == str(tmp_path)
    assert given["OPORA_SEED"] == "7"
    assert not {"OPORA_DATABASE_URL", "OPORA_ALERT_WEBHOOK"} & given.keys()


def test_every_scenario_begins_before_its_shift_and_outlives_it() -> None:
    for name, scenario in SCENARIOS.items():
        if scenario.shift is not None:
            assert BEGIN < scenario.shift.onset < BEGIN + timedelta(days=scenario.days), name
    assert date(2026, 1, 5) == BEGIN
