"""Processes that make releases at the same time, or die while they do; `try_out` is run by the tests of the budget.

A trial tells how its processes ended, a list of exit statuses:

    killed      one after another, each killed at another line of the way
    finished    every tenth of the releases that were killed is made again
    race        all at once, where only one of them can be paid for

Each process is forked with everything imported, the database known, and the sums computed, which is nothing that a death could
spoil. The bank is that of OPORA_VAR and OPORA_DATABASE_URL in the environment.
"""

import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import consent_api
from consent_api import releases
from consent_api.audit import Actor
from consent_api.budget import BudgetExhausted, Caps
from consent_api.contributions import Source
from consent_api.periods import Period
from consent_api.releases import Order, Subject
from consent_api.reports import Plan, make_report, making
from consent_api.store import Store, open_store
from settings import Settings
from tests.privacy.crowds import COMPANY, PURPOSE, bank_of, every_plan, several, sums_of

KIND = "spending_dynamics"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ACTOR = Actor("flow:aggregate", "flow")
REFUSED, BROKEN = 3, 1
TENTH = 10
PACKAGE = str(Path(consent_api.__file__).parent)


def month(number: int) -> Period:
    """A month of its own for each process."""
    return Period(2001 + number // 12, number % 12 + 1)


@cache
def known_store() -> Store:
    """The database, known to this process and those that it forks, with no connection that they would share."""
    store = open_store(Settings())
    store.engine.dispose()
    return store


@cache
def plans() -> dict[str, Plan]:
    """The only report that is made."""
    return {KIND: every_plan()[KIND]}


@cache
def bank() -> Source:
    """A bank whose sums are known; whoever asks for them gets them."""
    crowd = several("c", 3)
    source = bank_of(crowd)
    sums = sums_of(source, [person.client_code for person in crowd], plans())
    making._exact = lambda *_: sums
    return source


def make(*numbers: int) -> None:
    """Whole releases, as the flow makes them."""
    for number in numbers:
        make_report(known_store(), COMPANY, month(number), plans(), Caps(1e6, 1e6), bank(), ACTOR, lambda: NOW)


def begin(number: int, rho: float, budget: float) -> None:
    """The charge of a release, by a partner that has this budget."""
    order = Order(Subject(COMPANY, KIND, month(number)), PURPOSE, rho)
    releases.begin(known_store(), [order], Caps(1e6, budget), ACTOR, lambda: NOW)


def lines_of(act: Callable[[], object], die_at: int = 0) -> int:
    """Do `act` and count the lines of consent_api that ran; at line `die_at` the process is killed, as by the kernel."""
    ran = 0

    def on_line(frame: FrameType, event: str, argument: Any) -> Callable[..., Any]:
        nonlocal ran
        if event == "line":
            ran += 1
            if ran == die_at:
                os.kill(os.getpid(), signal.SIGKILL)
        return on_line

    def on_call(frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        return on_line if frame.f_code.co_filename.startswith(PACKAGE) else None

    threading.settrace(on_call)
    sys.settrace(on_call)
    act()
    sys.settrace(None)
    return ran


def forked(act: Callable[[], object]) -> int:
    """The id of a process that does `act`."""
    child = os.fork()
    if child:
        return child
    status = BROKEN
    try:
        act()
        status = 0
    except BudgetExhausted:
        status = REFUSED
    except BaseException:  # noqa: BLE001 - a process that is forked may not return into the code above it
        traceback.print_exc()
    finally:
        os._exit(status)


def exit_status(child: int) -> int:
    """How a process ended: minus the signal, if it was killed."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed(count: int) -> list[int]:
    """Processes that die at lines spread evenly over the way of a release."""
    make(count + 1)  # so that no process has to compile statements, which is most of the way
    known_store().engine.dispose()
    read, write = os.pipe()
    exit_status(forked(lambda: os.write(write, str(lines_of(lambda: make(0))).encode())))
    lines = int(os.read(read, 20))
    steps = [number * lines // count for number in range(1, count + 1)]
    return [exit_status(forked(lambda: lines_of(lambda: make(number), step))) for number, step in enumerate(steps, start=1)]  # noqa: B023


def finished(count: int) -> list[int]:
    """One process that makes every tenth of what those of `killed` were to make."""
    return [exit_status(forked(lambda: make(*range(TENTH, count + 1, TENTH))))]


def race(count: int) -> list[int]:
    """Processes that all wait for the same moment and then want the budget."""
    rho = Settings().release_rho
    with suppress(BudgetExhausted):  # so that they do not have to compile statements
        begin(0, rho, budget=0)
    known_store().engine.dispose()
    gate, start = os.pipe()

    def contend(number: int) -> None:
        os.close(start)
        os.read(gate, 1)  # returns when the parent closes its end
        begin(number, rho, budget=rho)

    children = [forked(lambda: contend(number)) for number in range(count)]  # noqa: B023
    os.close(start)
    return [exit_status(child) for child in children]


TRIALS = {"killed": killed, "finished": finished, "race": race}


def try_out(how: str, count: int) -> None:
    """One trial, told on standard output."""
    print(json.dumps(TRIALS[how](count)), flush=True)
