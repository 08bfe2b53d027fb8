"""P3: no computation begun after a withdrawal is acknowledged counts the client, however they race."""

import os
import threading
import time
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection

from clock import now
from consent_api import consents
from consent_api.audit import Actor
from consent_api.consents import Grant
from consent_api.store import Store

RACES = int(os.environ.get("OPORA_RACES", "300"))
KIND = ("dala-market", "category_spending", "market_statistics")
ACTOR = Actor("test", "client")
Cohort = Callable[[Connection, datetime], list[str]]


def taken(connection: Connection, at: datetime) -> list[str]:
    return consents.cohort(connection, *KIND, at)


class Cached:
    """The fault: a cohort that is taken anew only every 50 ms."""

    def __init__(self) -> None:
        self._taken_at, self._clients = 0.0, list[str]()

    def __call__(self, connection: Connection, at: datetime) -> list[str]:
        if time.monotonic() - self._taken_at > 0.05:
            self._taken_at, self._clients = time.monotonic(), taken(connection, at)
        return self._clients


def violations(store: Store, races: int, cohort: Cohort) -> int:
    """How many clients were counted by a computation that began after their withdrawal was acknowledged."""
    clients = [f"R-{number}" for number in range(races)]
    with store.writing() as connection:
        consents.grant(connection, [Grant(client, *KIND) for client in clients], ACTOR, now())
    acknowledged: list[str] = []
    found: set[str] = set()
    computed = 0
    over = threading.Event()

    def publish() -> None:
        nonlocal computed
        while not over.is_set():
            before = set(acknowledged)
            with store.writing() as connection:
                found.update(before & set(cohort(connection, now())))
            computed += bool(before)
            time.sleep(0.002)  # whoever asks again at once would keep SQLite's lock from everybody else

    publisher = threading.Thread(target=publish)
    publisher.start()
    for number, client in enumerate(clients):
        with store.writing() as connection:
            consents.revoke(connection, client, KIND[0], ACTOR, now())
        acknowledged.append(client)
        seen = computed
        while number % 5 == 0 and computed == seen and publisher.is_alive():  # on a busy machine one of the two may get no turn
            time.sleep(0.001)
    over.set()
    publisher.join()
    assert computed >= races / 10, "the publisher hardly ran: this was no race"
    return len(found)


def test_p03_no_computation_begun_after_a_withdrawal_counts_the_client(store: Store) -> None:
    assert violations(store, RACES, taken) == 0


def test_p03_a_cache_of_50_ms_is_caught(store: Store) -> None:
    assert violations(store, 100, Cached()) > 0
