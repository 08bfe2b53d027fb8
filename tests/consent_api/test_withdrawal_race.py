"""P3: no release begun after a withdrawal is acknowledged counts the client, however they race."""

import os
import threading
import time
from datetime import datetime
from itertools import count

import pytest
from sqlalchemy import ColumnElement, select

from clock import now
from consent_api import consents, releases
from consent_api.audit import Actor
from consent_api.budget import Caps
from consent_api.consents import Grant
from consent_api.periods import Period
from consent_api.releases import Order, Subject
from consent_api.store import Store
from consent_api.tables import RECORDS

RACES = int(os.environ.get("OPORA_RACES", "300"))
KIND = ("dala-market", "category_spending", "market_statistics")
ACTOR = Actor("test", "client")
PLENTY = Caps(1e6, 1e6)


class Cached:
    """The fault: releases take their clients anew only every 50 ms, of which each look takes 5, on a busy machine too."""

    def __init__(self, store: Store) -> None:
        self._store, self._consenting = store, releases.consenting
        self._looks, self._records = count(), list[str]()

    def __call__(self, company: str, data_type: str, purpose: str, at: datetime) -> ColumnElement[bool]:
        if next(self._looks) % 10 == 0:
            active = select(RECORDS.c.record_id).where(self._consenting(company, data_type, purpose, at))
            with self._store.reading() as connection:
                self._records = list(connection.scalars(active))
        return RECORDS.c.record_id.in_(self._records)


def violations(store: Store, races: int) -> int:
    """How many clients were counted by a release that was begun after their withdrawal was acknowledged."""
    clients = [f"R-{number}" for number in range(races)]
    with store.writing() as connection:
        consents.grant(connection, [Grant(client, *KIND) for client in clients], ACTOR, now())
    acknowledged: list[str] = []
    found: set[str] = set()
    computed = 0
    over = threading.Event()

    def publish() -> None:
        nonlocal computed
        for number in count():
            before = set(acknowledged)
            order = Order(Subject(*KIND[:2], Period(1000 + number // 12, number % 12 + 1)), KIND[2], 0.001)
            (begun,) = releases.begin(store, [order], PLENTY, ACTOR, now)
            found.update(before & set(begun.counted))
            computed += bool(before)
            if over.wait(0.02):  # whoever asks again at once would keep SQLite's lock from everybody else
                return

    publisher = threading.Thread(target=publish)
    publisher.start()
    for number, client in enumerate(clients):
        with store.writing() as connection:
            consents.revoke(connection, client, KIND[0], ACTOR, now())
        acknowledged.append(client)
        seen = computed
        while number % 8 == 0 and computed == seen and publisher.is_alive():  # on a busy machine one of the two may get no turn
            time.sleep(0.001)
    over.set()
    publisher.join()
    assert computed >= races / 10, "the publisher hardly ran: this was no race"
    return len(found)


def test_p03_no_release_begun_after_a_withdrawal_counts_the_client(store: Store) -> None:
    assert violations(store, RACES) == 0


def test_p03_a_cache_of_50_ms_is_caught(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(releases, "consenting", Cached(store))
    assert violations(store, 100) > 0
