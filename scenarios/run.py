"""Live through a scenario: `python -m scenarios.run <name> <days> <clients>`, in the environment of `scenarios.__main__`."""

import logging
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from typing import Protocol

import pandas as pd
from ibis.expr.types import Table

from clock import tell
from flows.train import TrainRequest, train_version
from monitoring.estimates import Coverage, coverage, judge_estimates
from monitoring.maturity import maturity
from monitoring.rows import open_journal
from registry import promotion
from scenarios.bank import Bank
from scenarios.catalogue import BEGIN, SCENARIOS, Scenario
from scenarios.incomes import IncomeChannel
from scenarios.payments import PaymentChannel
from scenarios.service import Service, Tell
from scenarios.story import HEADER, Day, Outcome, outcome, trailing
from scenarios.watching import Watch
from settings import Settings, settings


class Channel(Protocol):
    """How a model lives through a day."""

    scores: pd.DataFrame

    def score(self, tables: Mapping[str, Table], day: date) -> int:
        """Ask the service for the scores of a day; returns how many."""

    def tell_labels(self, tables: Mapping[str, Table], day: date) -> int:
        """Tell it the labels that came on the day; returns how many joined."""

    def tell_the_rest(self, at: datetime) -> int:
        """Tell it the labels that are still out; returns how many joined."""


CHANNELS: Mapping[str, Callable[[Bank, Service, Tell], Channel]] = {"fraud": PaymentChannel, "income": IncomeChannel}


def live_through(scenario: Scenario, config: Settings, days: int) -> Outcome:
    """Simulate, train the first champion, start its service, live through the days, and say what came of it.

    Args:
        days: how many are lived; fewer than the scenario has show how it begins.
    """
    _tell(midnight(BEGIN))
    bank = Bank(scenario, config)
    bank.begin()
    request = TrainRequest(
        use_case=scenario.use_case, trials=config.retraining_trials, seconds=config.retraining_seconds, seed=config.seed
    )
    trained = train_version(request, promotion.gate)
    print(f"The bank looks back on {scenario.months} months; version {trained.version} {trained.reason}", flush=True)
    lived: list[Day] = []
    with Service(scenario.use_case, config.var) as service:
        channel = CHANNELS[scenario.use_case](bank, service, _tell)
        watch = Watch(scenario.use_case, config)
        print(HEADER, flush=True)
        for number in range(days):
            lived.append(_day(number, bank, channel, watch, service, scenario))
            print(lived[-1].line, flush=True)
        judged = _afterwards(channel, scenario, config)
    return outcome(scenario, lived, channel.scores, judged)


def _day(number: int, bank: Bank, channel: Channel, watch: Watch, service: Service, scenario: Scenario) -> Day:
    day = BEGIN + timedelta(days=number)
    _tell(midnight(day))
    tables = bank.live(day)
    rows = channel.score(tables, day)
    service.wait_for_shadow()
    _tell(midnight(day + timedelta(days=1)))
    labels = channel.tell_labels(tables, day)
    evening = watch.evening(midnight(day + timedelta(days=1)))
    if any(one.promoted for one in evening.gated):
        service.wait_for_version(evening.version)
    for version in filter(None, (answer.response.version for answer in evening.answers)):
        service.wait_for_challenger(version)
    return Day(number, day, rows, labels, trailing(scenario.use_case, channel.scores, day), evening)


def _afterwards(channel: Channel, scenario: Scenario, config: Settings) -> Coverage:
    """Let the labels come that are still out, from what the simulator knows, and judge the estimates by them."""
    end = midnight(BEGIN + timedelta(days=scenario.days)) + maturity(scenario.use_case, config)
    _tell(end)
    channel.tell_the_rest(end)
    engine = open_journal(config)
    judge_estimates(engine, scenario.use_case, end, config)
    return coverage(engine, scenario.use_case)


def midnight(day: date) -> datetime:
    """The first moment of a day, UTC."""
    return datetime.combine(day, time_of_day(), tzinfo=UTC)


def _tell(moment: datetime) -> None:
    tell(settings().var / "clock", moment)


def main(arguments: list[str]) -> int:
    """Live through the named scenario; the status is 0 when its promises were kept, 1 when not."""
    name, days = arguments[0], int(arguments[1])
    scenario = replace(SCENARIOS[name], clients=int(arguments[2]))
    logging.basicConfig(level=logging.WARNING)
    began = time.monotonic()
    found = live_through(scenario, settings(), days)
    print(f"\n{name}: {scenario.title}\n{found.summary}\n{len(found.days)} days in {time.monotonic() - began:.0f} s")
    return 0 if found.kept else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
