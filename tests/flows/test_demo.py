"""Consents of the simulated bank: given once, and never over what people have changed since."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import settings as settings_module
from clock import now
from consent_api import consents
from consent_api.audit import Actor
from consent_api.store import open_store
from flows.demo import SHARE, give_consents, willing
from settings import Settings

CLIENTS = [str(code) for code in range(400)]


@pytest.fixture
def bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    monkeypatch.setenv("OPORA_VAR", str(tmp_path))
    settings_module.settings.cache_clear()
    yield settings_module.settings()
    settings_module.settings.cache_clear()


def test_about_the_stated_share_of_clients_is_willing() -> None:
    share = sum(willing(client, "dala-market", 1) for client in CLIENTS) / len(CLIENTS)
    assert abs(share - SHARE) < 0.1


def test_a_second_run_gives_no_consent_again_even_to_those_who_withdrew(bank: Settings) -> None:
    assert give_consents(CLIENTS) > 0
    client = next(code for code in CLIENTS if willing(code, "dala-market", bank.seed))
    store = open_store(bank)
    with store.writing() as connection:
        consents.revoke(connection, client, "dala-market", Actor("test", "client"), now())
    assert give_consents(CLIENTS) == 0
    with store.writing() as connection:
        states = {record.state for record in consents.of_client(connection, client, now(), "dala-market")}
    assert states == {"revoked"}
