"""The loop's record: one decision an event under two processes, leases that end with their holder, steps that stay as written."""

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from clock import now
from monitoring.decisions import Decision, Event, Past
from monitoring.leases import LeaseLost, holder_of, kept, take
from monitoring.loop_log import UNANSWERED, LoopLog, main
from monitoring.loop_tables import STEPS, open_loop, reading, writing
from settings import Settings
from tests.fork_server import ForkServer

ROOT = Path(__file__).parents[2]
LEASE = timedelta(seconds=60)
EVENT = Event("fraud", "drift", "event-1", "3", ("amount",))

DELIVER = """
import os, sys, time
from datetime import timedelta
from clock import now
from monitoring.decisions import Event, Known, Limits, decide
from monitoring.loop_log import LoopLog
from monitoring.loop_tables import open_loop
from settings import Settings

url, moment, *events = sys.argv[1:]
log = LoopLog(open_loop(Settings(database_url=url)))
known, limits = Known("3", ("payments",)), Limits(100, timedelta(0))
time.sleep(max(0.0, float(moment) - time.time()))
for name in events:
    event = Event("fraud", "drift", name, "3")
    rule = lambda past: decide(event, past, known, limits, now())
    begun = log.begin(event, f"holder-{os.getpid()}", rule, now(), timedelta(seconds=60))
    print(name, begun.state, begun.decision.word)
"""


@pytest.fixture
def engine(database_url: str) -> Engine:
    return open_loop(Settings(database_url=database_url))


def retrain(_past: Sequence[Past]) -> Decision:
    return Decision("retrain", "because")


def outcomes(log: LoopLog, at: datetime) -> list[str]:
    """What the rule is told of earlier events of fraud at the moment `at`."""
    seen: list[Past] = []

    def look(past: Sequence[Past]) -> Decision:
        seen.extend(past)
        return Decision("wait", "a look")

    log.begin(replace(EVENT, event_id=f"look-{time.time_ns()}"), "looker", look, at, LEASE)
    return [one.outcome for one in seen if one.word == "retrain"]


def test_two_processes_that_deliver_the_same_events_decide_each_once_and_retrain_once(database_url: str, engine: Engine) -> None:
    events = [f"event-{number}" for number in range(20)]
    with ForkServer("monitoring.loop_log") as server:
        moment = str(time.time() + 1)
        processes = [server.python(DELIVER, database_url, moment, *order) for order in (events, events[::-1])]
        lines = [line.split() for process in processes for line in process.communicate()[0].splitlines()]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(line[0] for line in lines if line[1] == "new") == sorted(events)
    assert sorted(line[0] for line in lines if line[1] == "known") == sorted(events)
    assert sum(line[1:] == ["new", "retrain"] for line in lines) == 1  # the first one runs, the others wait for it


def test_a_second_decision_on_an_event_is_refused_by_the_database_itself(engine: Engine) -> None:
    LoopLog(engine).begin(EVENT, "a", retrain, now(), LEASE)
    with reading(engine) as connection:
        row = connection.execute(STEPS.select()).mappings().one()
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(STEPS.insert().values({name: value for name, value in row.items() if name != "sequence"}))


@pytest.mark.parametrize("change", ["UPDATE loop_steps SET reason = 'other'", "DELETE FROM loop_steps"])
def test_no_step_is_changed_or_deleted(engine: Engine, change: str) -> None:
    LoopLog(engine).begin(EVENT, "a", retrain, now(), LEASE)
    with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
        connection.execute(text(change))


def test_a_response_is_running_while_its_lease_lasts_and_has_died_after_it(engine: Engine) -> None:
    log, at = LoopLog(engine), now()
    log.begin(EVENT, "a", retrain, at, LEASE)
    assert outcomes(log, at) == ["running"]
    assert outcomes(log, at + 2 * LEASE) == ["died"]


def test_the_run_that_decided_goes_on_with_its_event_and_any_other_is_told_it_is_known(engine: Engine) -> None:
    log = LoopLog(engine)
    log.begin(EVENT, "a", retrain, now(), LEASE)
    assert log.begin(EVENT, "b", retrain, now(), LEASE).state == "known"
    assert log.begin(EVENT, "a", retrain, now(), LEASE).state == "resumed"
    log.add(EVENT, "trained", "challenger", "is challenger", "a", challenger="4")
    assert log.begin(EVENT, "a", retrain, now(), LEASE).state == "known"
    assert outcomes(log, now()) == ["shadow"]


def test_a_run_that_lost_its_lease_does_not_come_back_beside_the_one_that_took_over(engine: Engine) -> None:
    log, other = LoopLog(engine), replace(EVENT, event_id="event-2")
    log.begin(EVENT, "a", retrain, now(), timedelta(0))
    log.begin(other, "b", retrain, now(), LEASE)
    assert log.begin(EVENT, "a", retrain, now(), LEASE).state == "known"
    with pytest.raises(LeaseLost):
        log.add(EVENT, "trained", "challenger", "too late", "a", challenger="4")
    log.add(other, "trained", "challenger", "in time", "b", challenger="5")
    assert [one.version for one in log.challengers()] == ["5"]


def test_a_lease_is_renewed_while_its_holder_works_and_given_back_after(engine: Engine) -> None:
    short = timedelta(seconds=0.3)
    with writing(engine) as connection:
        assert take(connection, "fraud", "a", short, now())
    with kept(engine, "fraud", "a", short):
        time.sleep(0.8)
        with writing(engine) as connection:
            assert holder_of(connection, "fraud", now()) == "a"
            assert not take(connection, "fraud", "b", short, now())
    with writing(engine) as connection:
        assert take(connection, "fraud", "b", short, now())


def test_an_answer_that_does_not_come_in_time_counts_as_no_and_is_recorded_once(engine: Engine) -> None:
    log, at = LoopLog(engine), now()
    log.begin(EVENT, "a", retrain, at, LEASE)
    log.add(EVENT, "asked", "ask", "asked", "a", until=at + timedelta(hours=1))
    assert outcomes(log, at + timedelta(minutes=59)) == ["asked"]
    assert log.close_unanswered(at + timedelta(minutes=59)) == []
    assert outcomes(log, at + timedelta(minutes=61)) == ["refused"]
    assert log.close_unanswered(at + timedelta(minutes=61)) == [EVENT]
    assert log.close_unanswered(at + timedelta(minutes=62)) == []
    assert log.begin(EVENT, "a", retrain, at, LEASE).state == "known"
    assert [one.reason for one in log.told(20) if one.decision.startswith("retrain")] == [UNANSWERED]


def test_make_loop_prints_each_event_with_its_decision_and_the_gates_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = Settings(var=tmp_path)
    monkeypatch.setattr("monitoring.loop_log.settings", lambda: config)
    assert main([]) == 0
    assert "No event" in capsys.readouterr().out
    log = LoopLog(open_loop(config))
    log.begin(EVENT, "a", retrain, now(), LEASE)
    log.add(EVENT, "trained", "challenger", "is challenger", "a", challenger="4")
    log.add(EVENT, "gated", "refused", "refused: worse", "g", challenger="4")
    log.begin(replace(EVENT, event_id="event-2"), "b", lambda past: Decision("wait", "cool-down"), now(), LEASE)
    assert main([]) == 0
    titles, newest, oldest = capsys.readouterr().out.splitlines()
    assert titles.split()[0] == "time"
    assert "cool-down" in newest
    for told in ("fraud", "drift of version 3", "retrain", "because", "4", "refused: worse"):
        assert told in oldest
