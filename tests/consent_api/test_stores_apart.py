"""P24: what names clients and what partners get are apart, and nobody can link a client's pseudonyms."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from consent_api.custody.outside import Custody
from consent_api.partner_role import PARTNER_ROLE, partner_role
from consent_api.tables import AUDIT, PUBLISHED, RELEASES, SCHEMA
from settings import PROJECT, Settings

CLIENTS = [str(number) for number in range(1000)]


def test_p24_pseudonyms_of_two_partners_have_nothing_in_common(tmp_path: Path) -> None:
    custody = Custody.of(Settings(var=tmp_path))
    first, second, own = ([custody.pseudonym(client, name) for client in CLIENTS] for name in ("dala-market", "aspan-cinema", ""))
    assert len({*first, *second, *own}) == 3000
    assert first == [custody.pseudonym(client, "dala-market") for client in CLIENTS]
    elsewhere = replace(custody, secret=b"another bank's secret, as long as it has to be")
    assert not set(first) & {elsewhere.pseudonym(client, "dala-market") for client in CLIENTS}


def test_p24_the_serving_process_cannot_open_the_lake() -> None:
    """It does not even have the code that reads tables of purchases loaded."""
    code = (
        "import sys, consent_api.app; print([name for name in sys.modules if name in ('features.lake', 'deltalake', 'duckdb')])"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, timeout=120)
    assert ran.stdout.strip() == "[]", ran.stderr


ON_POSTGRESQL = pytest.mark.parametrize("store", ["postgresql"], indirect=True)


@ON_POSTGRESQL
def test_p24_the_role_of_partners_can_read_nothing_about_clients(store) -> None:
    with store.writing() as connection, partner_role(connection):
        for table in SCHEMA.sorted_tables:
            columns = (table.c.sequence, table.c.hash) if table is AUDIT else (func.count(),)
            if table in (AUDIT, PUBLISHED, RELEASES):
                connection.execute(select(*columns).select_from(table))
                continue
            with pytest.raises(DBAPIError, match="permission denied"), connection.begin_nested():
                connection.execute(select(*columns).select_from(table))
        for forbidden in (
            "SELECT actor FROM consent_audit",
            "DELETE FROM consent_published",
            "UPDATE consent_releases SET year = 1",
        ):
            with pytest.raises(DBAPIError, match="permission denied"), connection.begin_nested():
                connection.execute(text(forbidden))


@ON_POSTGRESQL
def test_p24_partners_read_in_that_role(bank) -> None:
    """Without the role's right nothing is read, although the service's own user has it."""
    call = bank.caller("partner", "dala-market")
    path = "/aggregated-data/dala-market"
    assert call("GET", path).status_code == 200
    with bank.store.engine.begin() as connection:
        connection.execute(text(f"REVOKE SELECT ON consent_published FROM {PARTNER_ROLE}"))
    refused = call("GET", path).status_code
    with bank.store.engine.begin() as connection:
        connection.execute(text(f"GRANT SELECT ON consent_published TO {PARTNER_ROLE}"))
    assert (refused, call("GET", path).status_code) == (503, 200)
    with bank.store.reading() as connection:
        assert connection.scalar(text("SELECT current_user")) != PARTNER_ROLE
