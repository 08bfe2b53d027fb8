"""databases.sql on a real PostgreSQL: each login has its own database and no way into another's."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pandas as pd
import pytest
from sqlalchemy import URL, make_url, text
from sqlalchemy.exc import DBAPIError, ProgrammingError

from consent_api.partner_role import partner_role
from consent_api.store import open_store
from database import open_database
from features.online import OnlineStore
from settings import Settings

SCRIPT = Path(__file__).parents[1] / "databases.sql"
NAMES = ("bank", "consent", "mlflow", "prefect")


@pytest.fixture(scope="module")
def places() -> Iterator[dict[tuple[str, str], URL]]:
    """URL by (login, database), after the script has run with names of this test's own."""
    url = os.environ.get("OPORA_TEST_POSTGRES_URL")
    if not url or shutil.which("psql") is None:
        pytest.skip("no PostgreSQL with psql: set OPORA_TEST_POSTGRES_URL to run this test on it")
    own = {name: f"{name}_{uuid4().hex[:12]}" for name in NAMES}
    script = re.sub(rf"\b({'|'.join(NAMES)})\b", lambda found: own[found[0]], SCRIPT.read_text(encoding="utf-8"))
    passwords = {f"{name.upper()}_PASSWORD": f"it's {name}" for name in NAMES}
    server = make_url(url)
    asked = [
        "psql",
        "--no-psqlrc",
        "--quiet",
        "--dbname",
        server.set(drivername="postgresql").render_as_string(hide_password=False),
    ]
    try:
        subprocess.run(asked, input=script, text=True, check=True, env=os.environ | passwords, timeout=120)
        yield {(login, place): server.set(username=own[login], database=own[place]) for login in NAMES for place in NAMES}
    finally:
        drops = [f"DROP DATABASE IF EXISTS {name} WITH (FORCE);" for name in own.values()]
        drops += [f"DROP ROLE IF EXISTS {name};" for name in own.values()]
        subprocess.run(asked, input="\n".join(drops), text=True, check=True, timeout=120)


def run(url: URL, statement: str) -> list[tuple[object, ...]]:
    engine = open_database(url.render_as_string(hide_password=False))
    try:
        with engine.begin() as connection:
            found = connection.execute(text(statement))
            return [tuple(row) for row in found] if found.returns_rows else []
    finally:
        engine.dispose()


def settings(places: dict[tuple[str, str], URL], var: Path) -> Settings:
    urls = [places["consent", place].render_as_string(hide_password=False) for place in ("bank", "consent")]
    return Settings(var=var, database_url=urls[0], consent_database_url=urls[1])


def test_no_login_is_more_than_a_login_and_each_has_a_password(places: dict[tuple[str, str], URL]) -> None:
    logins = sorted({str(url.username) for url in places.values()})
    rights = "rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls"
    query = f"SELECT rolname, {rights}, rolpassword LIKE 'SCRAM-SHA-256$%' FROM pg_authid WHERE rolname IN "
    named = ", ".join(repr(login) for login in logins)
    found = run(make_url(os.environ["OPORA_TEST_POSTGRES_URL"]), f"{query} ({named}) ORDER BY rolname")
    assert found == [(login, False, True) for login in logins]


@pytest.mark.parametrize("login", NAMES)
def test_a_login_makes_tables_in_its_own_database_and_reaches_no_other(places: dict[tuple[str, str], URL], login: str) -> None:
    run(places[login, login], "CREATE TABLE own (id int)")
    run(places[login, login], "DROP TABLE own")
    for place in set(NAMES) - {login} - ({"bank"} if login == "consent" else set()):
        with pytest.raises(DBAPIError, match="permission denied for database"):
            run(places[login, place], "SELECT 1")


def test_prefect_may_make_the_extension_that_its_tables_need(places: dict[tuple[str, str], URL]) -> None:
    run(places["prefect", "prefect"], "CREATE EXTENSION IF NOT EXISTS pg_trgm")


def test_the_consent_service_reads_the_online_features_and_changes_nothing_of_the_banks(
    places: dict[tuple[str, str], URL], tmp_path: Path
) -> None:
    bank = open_database(places["bank", "bank"].render_as_string(hide_password=False))
    rows = pd.DataFrame({"client_code": ["7"], "as_of": [datetime(2026, 9, 1, tzinfo=UTC)], "age": [40]})
    OnlineStore(bank).write("profile", rows)
    bank.dispose()
    read = open_database(settings(places, tmp_path).database("online"))
    online = OnlineStore(read)
    assert online.knows("7")
    with pytest.raises(ProgrammingError, match="permission denied for table"):
        online.write("profile", rows)
    with pytest.raises(ProgrammingError, match="permission denied for schema"), read.begin() as connection:
        connection.execute(text("CREATE TABLE own (id int)"))
    read.dispose()


@pytest.mark.parametrize("made", ["CREATE TABLE scores (client_code text)", "CREATE TABLE scores AS SELECT 'C-1' AS client_code"])
def test_the_consent_service_reads_no_other_table_of_the_banks(places: dict[tuple[str, str], URL], made: str) -> None:
    run(places["bank", "bank"], made)
    with pytest.raises(ProgrammingError, match="permission denied for table scores"):
        run(places["consent", "bank"], "SELECT * FROM scores")
    run(places["bank", "bank"], "DROP TABLE scores")


def test_consents_are_kept_with_no_right_to_make_roles_and_partners_still_read_apart(
    places: dict[tuple[str, str], URL], tmp_path: Path
) -> None:
    with closing(open_store(settings(places, tmp_path))) as store:
        with store.writing() as connection, partner_role(connection):
            assert connection.execute(text("SELECT count(*) FROM consent_published")).scalar_one() == 0
        refused = pytest.raises(ProgrammingError, match="permission denied for table")
        with refused, store.writing() as connection, partner_role(connection):
            connection.execute(text("SELECT count(*) FROM consent_records"))
