"""The aggregate flow over a real lake: what it leaves in the store and in the Prefect UI."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
from prefect import get_client
from prefect.exceptions import ParameterTypeError
from sqlalchemy import select

import settings as settings_module
from clock import now
from consent_api import consents, releases
from consent_api.audit import Actor
from consent_api.catalogue import NotInCatalogue
from consent_api.consents import Grant
from consent_api.periods import Period
from consent_api.releases import PeriodNotOver, Subject
from consent_api.store import open_store
from consent_api.tables import CHARGES, RELEASES
from features.categories import CATEGORIES
from features.lake import open_lake
from features.tables import CLIENTS as CLIENT_TABLE
from features.tables import TRANSACTIONS
from flows.aggregate import AggregateRequest, aggregate
from settings import Settings
from tests.consent_api.conftest import backup_of

pytestmark = pytest.mark.integration
LAST_MONTH = (now().replace(day=1) - timedelta(days=1)).strftime("%Y-%m")
CLIENTS = [f"CANARY-{number}" for number in range(600)]
KINDS = ("category_spending", "average_bill", "spending_dynamics", "income_segments")


@pytest.fixture(scope="module")
def config(prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A lake with a month of purchases, and consents of all clients for one company."""
    var = tmp_path_factory.mktemp("var")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPORA_VAR", str(var))
        patch.delenv("OPORA_DATABASE_URL", raising=False)
        settings_module.settings.cache_clear()
        configured = settings_module.settings()
        _ingest(configured, var)
        with open_store(configured).writing() as connection:
            wanted = [Grant(client, "dala-market", kind, "market_statistics") for client in CLIENTS for kind in KINDS]
            consents.grant(connection, wanted, Actor("test", "test"), now())
        yield configured
    settings_module.settings.cache_clear()


def _ingest(config: Settings, var: Path) -> None:
    rows = [(f"{LAST_MONTH}-05", name, 15_000, "KZT", client) for client in CLIENTS for name in list(CATEGORIES)[:6]]
    people = [(client, "", "Студент", 30, "Алматы", 1_000) for client in CLIENTS]
    for table, columns, lines in (
        (TRANSACTIONS, ["date", "category", "amount", "currency", "client_code"], rows),
        (CLIENT_TABLE, CLIENT_TABLE.schema.names, people),
    ):
        path = var / f"{table.name}.csv"
        pd.DataFrame(lines, columns=columns).to_csv(path, index=False)
        open_lake(config).ingest(table, path)


def test_the_flow_releases_for_every_company_once_and_says_what_became_of_it(config: Settings) -> None:
    summaries = {(each.company, each.data_type): each for each in aggregate(AggregateRequest(period=LAST_MONTH))}
    companies = ("dala-market", "jolda-travel", "densaulyk-pharmacy", "aspan-cinema")
    assert set(summaries) == {(company, kind) for company in companies for kind in KINDS}
    for kind in KINDS[:3]:
        assert summaries["dala-market", kind].outcome == "made now"
        assert summaries["dala-market", kind].cells == 2
        assert "too few consents" in summaries["jolda-travel", kind].outcome
    assert "no champion" in summaries["dala-market", "income_segments"].outcome
    store = open_store(config)
    subjects = [Subject("dala-market", kind, Period.of(LAST_MONTH)) for kind in KINDS]
    documents = [releases.published(store, subject) for subject in subjects]
    assert documents[3] == {}
    again = {each.data_type: each for each in aggregate(AggregateRequest(company="dala-market", period=LAST_MONTH))}
    assert {again[kind].outcome for kind in KINDS[:3]} == {"made before, unchanged"}
    assert [releases.published(store, subject) for subject in subjects] == documents
    assert again["average_bill"].sample_size == json.loads(documents[1]["all"])["sample_size"]


def test_p23_the_artifacts_and_logs_of_the_flow_name_no_client(config: Settings) -> None:
    aggregate(AggregateRequest(period=LAST_MONTH))

    async def everything() -> str:
        async with get_client() as client:
            return f"{await client.read_artifacts()} {await client.read_logs()} {await client.read_flow_runs()}"

    text = asyncio.run(everything())
    assert "dala-market" in text
    assert "CANARY" not in text


def test_an_unknown_company_and_an_unfinished_month_are_refused(config: Settings) -> None:
    with pytest.raises(NotInCatalogue, match="dala-market"):
        aggregate(AggregateRequest(company="nobody", period=LAST_MONTH))
    with pytest.raises(PeriodNotOver):
        aggregate(AggregateRequest(period=now().strftime("%Y-%m")))
    with pytest.raises(ParameterTypeError):
        aggregate({"period": "October"})


def test_p22_after_a_restored_backup_no_report_counts_who_has_withdrawn(config: Settings) -> None:
    """Prefect starts what is due, whether or not the consent service was up before."""
    company, month = "aspan-cinema", "2024-02"
    with closing(open_store(config)) as store:
        with store.writing() as connection:
            wanted = [Grant(client, company, "average_bill", "market_statistics") for client in CLIENTS[:3]]
            consents.grant(connection, wanted, Actor("test", "test"), now())
        put_back = backup_of(store)
        with store.writing() as connection:
            consents.revoke(connection, CLIENTS[0], company, Actor("test", "test"), now())
        put_back()
        aggregate(AggregateRequest(company=company, period=month))
        with store.reading() as connection:
            about = (RELEASES.c.company == company, RELEASES.c.period == month)
            assert set(connection.scalars(select(CHARGES.c.client_code).join(RELEASES).where(*about))) == set(CLIENTS[1:3])
