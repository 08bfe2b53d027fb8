"""What an event leads to: the loop's limits hold for every history, and each reason for waiting is told."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.decisions import Event, Known, Limits, Past, decide

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
DRIFT = Event("fraud", "drift", "e1", "3")
QUALITY = replace(DRIFT, kind="quality")
KNOWN = Known("3", ("payments",))
LIMITS = Limits(2, timedelta(hours=24))


def past(hours: float, word: str = "retrain", outcome: str = "judged", kind: str = "drift", broken: bool = False) -> Past:
    return Past(NOON - timedelta(hours=hours), kind, word, broken, outcome, "4")


def test_fresh_data_and_nothing_in_the_way_lead_to_a_retraining_that_names_both() -> None:
    decision = decide(DRIFT, [], KNOWN, LIMITS, NOON)
    assert decision.word == "retrain"
    assert "version 3" in decision.reason
    assert "payments" in decision.reason


@pytest.mark.parametrize(
    ("event", "history", "known", "word", "said"),
    [
        (replace(DRIFT, broken=("amount",)), [], KNOWN, "mend", "amount"),
        (QUALITY, [past(20, "mend", "", broken=True)], KNOWN, "mend", "newest drift report"),
        (QUALITY, [past(60, "mend", "", broken=True)], KNOWN, "retrain", ""),
        (QUALITY, [past(20, "mend", "", broken=True), past(10, "wait", "")], KNOWN, "retrain", ""),
        (DRIFT, [], Known("4", ("payments",)), "wait", "version 4 is champion by now"),
        (DRIFT, [], Known(None, ("payments",)), "wait", "no champion"),
        (DRIFT, [], Known("3", ()), "wait", "no table"),
        (DRIFT, [past(50, outcome="running")], KNOWN, "wait", "another response is running"),
        (DRIFT, [past(50, outcome="asked")], KNOWN, "wait", "a person has been asked"),
        (DRIFT, [past(50, outcome="shadow")], KNOWN, "wait", "version 4 is in shadow"),
        (DRIFT, [past(23)], KNOWN, "wait", "cool-down"),
        (DRIFT, [past(23, outcome="refused")], KNOWN, "wait", "cool-down"),
        (DRIFT, [past(23, outcome="died")], KNOWN, "retrain", ""),
        (DRIFT, [past(25)], KNOWN, "retrain", ""),
        (DRIFT, [past(25), past(100)], KNOWN, "wait", "OPORA_RETRAININGS_PER_WEEK allows 2"),
        (DRIFT, [past(25), past(100, outcome="refused")], KNOWN, "retrain", ""),
        (DRIFT, [past(25), past(169)], KNOWN, "retrain", ""),
        (DRIFT, [past(1, outcome="died"), past(2, outcome="died")], KNOWN, "wait", "2 retrainings within seven days"),
    ],
)
def test_each_reason_not_to_retrain_is_found_and_told(
    event: Event, history: list[Past], known: Known, word: str, said: str
) -> None:
    decision = decide(event, history, known, LIMITS, NOON)
    assert decision.word == word
    assert said in decision.reason


EVENTS = st.lists(
    st.tuples(
        st.floats(0, 40),  # hours since the one before
        st.sampled_from(["drift", "quality"]),
        st.booleans(),  # broken
        st.sampled_from(["judged", "failed", "refused", "died"]),
        st.sampled_from([(), ("payments",), ("payments", "sessions")]),
    ),
    max_size=60,
)


@given(EVENTS, st.integers(0, 4), st.floats(0, 100))
def test_no_history_leads_to_more_retrainings_than_allowed_nor_to_one_on_a_broken_source(
    events: list[tuple], per_week: int, cooldown: float
) -> None:
    limits, at, history = Limits(per_week, timedelta(hours=cooldown)), NOON, []
    for hours, kind, broken, outcome, newer in events:
        at += timedelta(hours=hours)
        event = Event("fraud", kind, "e", "3", ("amount",) if broken else ())
        decision = decide(event, history, Known("3", newer), limits, at)
        assert not (decision.word == "retrain" and (broken or not newer))
        assert decision.reason
        history.append(Past(at, kind, decision.word, broken, outcome if decision.word == "retrain" else "", "4"))
    begun = [one for one in history if one.word == "retrain"]
    trained = [one.at for one in begun if one.outcome != "refused"]
    for moment in trained:
        assert sum(moment <= other < moment + timedelta(days=7) for other in trained) <= per_week
    alive = [one.at for one in begun if one.outcome != "died"]
    for first in alive:
        assert not [one for one in begun if first < one.at < first + limits.cooldown]
