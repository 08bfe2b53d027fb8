"""Promises of the first migration: consents from before texts and channels were kept stay in force, and say what is not known."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jsonschema
import pytest
import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory

from consent_api import consents, receipts, releases, restore, revisions
from consent_api.audit import Actor
from consent_api.catalogue import EVERYBODY
from consent_api.consents import Grant
from consent_api.custody import released
from consent_api.periods import Period
from consent_api.record import resources
from consent_api.releases import Subject
from consent_api.store import Store, open_store
from database import UtcTime, open_database
from settings import Settings
from tests.consent_api.cohorts import cohort

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
KIND = ("dala-market", "category_spending", "market_statistics")
SCHEMA = json.loads((Path(consents.__file__).parent / "routes" / "record.schema.json").read_text())
RECORDS = sa.table(
    "consent_records",
    *(sa.column(name) for name in ("record_id", "consent_id", "client_code", "company", "data_type", "purpose", "number")),
    *(sa.column(name, UtcTime) for name in ("given_at", "valid_until")),
)
EVENTS = sa.table(
    "consent_events", *(sa.column(name) for name in ("record_id", "state", "actor", "reason")), sa.column("at", UtcTime)
)

ANSWERS = sa.table(
    "consent_answers",
    *(sa.column(name) for name in ("owner", "idempotency_key", "request_sha256", "answer")),
    sa.column("at", UtcTime),
)

RELEASES = sa.table(
    "consent_releases",
    *(sa.column(name) for name in ("release_id", "company", "data_type", "period", "year", "rho_nano")),
    sa.column("begun_at", UtcTime),
)
PUBLISHED = sa.table("consent_published", sa.column("release_id"), sa.column("document"), sa.column("at", UtcTime))
DOCUMENT = b'{"metrics":{}}'


@pytest.fixture(params=["sqlite", "postgresql"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Where a database of the first version holds the active consent of client 1, the withdrawn one of client 2, a release."""
    url = "" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    config = Settings(var=tmp_path, database_url=url)
    engine = open_database(config.database("consent"))
    with engine.begin() as connection:
        revisions.upgrade(connection, "0001")
        for client in ("1", "2"):
            record = dict(zip(("company", "data_type", "purpose"), KIND, strict=True))
            record |= {"record_id": client * 32, "consent_id": f"{client}_{KIND[0]}", "client_code": client, "number": 1}
            moments = {"given_at": AT, "valid_until": AT + timedelta(days=300)}
            connection.execute(sa.insert(RECORDS).values(**record, **moments))
            event = {"record_id": client * 32, "at": AT, "actor": "test", "reason": "granted"}
            connection.execute(sa.insert(EVENTS).values(**event, state="active"))
        connection.execute(sa.insert(EVENTS).values(**event, state="revoked"))
        release = {"release_id": "r", "company": KIND[0], "data_type": KIND[1], "period": "2026-10", "year": 2026, "rho_nano": 1}
        connection.execute(sa.insert(RELEASES).values(**release, begun_at=AT))
        connection.execute(sa.insert(PUBLISHED).values(release_id="r", document=DOCUMENT, at=AT))
    engine.dispose()
    return config


@pytest.fixture
def migrated(config: Settings) -> Store:
    return open_store(config)


def test_a_consent_from_before_texts_were_kept_stays_in_force_and_says_so(migrated: Store) -> None:
    later = AT + timedelta(days=1)
    with migrated.writing() as connection:
        assert cohort(connection, *KIND, later) == ["1"]
        for client, state in (("1", "active"), ("2", "revoked")):
            body = resources.of_company(connection, client, KIND[0], later)
            receipt = receipts.verify(receipts.issue(connection, body, later), migrated.custody.receipt_keys.published())
            (record,) = json.loads(receipt.model_dump_json())["records"]
            jsonschema.validate(record, SCHEMA, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
            assert (record["status"], record["given_at"]) == (state, "2026-11-21T12:00:00Z")
            assert (record["notice"]["version"], record["language"], record["jurisdiction"]) == (
                "unrecorded",
                "und",
                "unrecorded",
            )
            assert {(event["who"], event["channel"]) for event in record["events"]} == {("unrecorded", "unrecorded")}
    migrated.close()


def test_renewing_it_is_a_new_record_under_the_text_in_force(migrated: Store) -> None:
    with migrated.writing() as connection:
        consents.grant(connection, [Grant("1", *KIND)], Actor("c", "client"), AT + timedelta(days=1))
        (record,) = resources.of_company(connection, "1", KIND[0], AT + timedelta(days=1)).records
    assert (record.previous_record_id, record.notice.version) == ("1" * 32, migrated.notices.version)
    migrated.close()


def test_p02_a_release_from_before_segments_is_the_same_bytes_for_all_clients(migrated: Store) -> None:
    assert releases.published(migrated, Subject(*KIND[:2], Period(2026, 10))) == {EVERYBODY: DOCUMENT}
    restore.replay(migrated, AT, 10)
    (kept,) = released.kept(migrated.custody.released).values()
    assert kept.documents == {EVERYBODY: DOCUMENT.decode()}
    migrated.close()


def test_migrating_again_changes_nothing(config: Settings) -> None:
    for _ in range(2):
        store = open_store(config)
        assert store.is_ready()
        store.close()


def test_the_newest_revision_is_where_all_migrations_lead() -> None:
    steps = Config()
    steps.set_main_option("script_location", str(Path(revisions.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(steps).get_current_head() == revisions.NEWEST


@pytest.mark.parametrize("config", ["postgresql"], indirect=True)
def test_p21_an_upgrade_forgets_the_samples_of_clients_that_the_planner_has(config: Settings) -> None:
    engine = open_database(config.database("consent"))
    with engine.begin() as connection:
        revisions.upgrade(connection, "0006")
        for number in range(20):
            values = {"owner": f"client:CANARY-{number}", "idempotency_key": f"CANARY-{number}", "request_sha256": ""}
            connection.execute(sa.insert(ANSWERS).values(**values, answer=f"CANARY-{number}".encode(), at=AT))
        connection.execute(sa.text("ANALYZE"))
        assert {column for column, held in samples(connection).items() if "CANARY" in held} == {"owner", "idempotency_key"}
        assert b"CANARY".hex() in samples(connection)["answer"]
    store = open_store(config)
    with store.engine.begin() as connection:
        for _ in range(2):
            assert not {"owner", "idempotency_key", "answer", "client_code"} & samples(connection).keys()
            assert "request_sha256" in samples(connection)
            connection.execute(sa.text("ANALYZE"))
    store.close()


def samples(connection: sa.Connection) -> dict[str, str]:
    """What the planner keeps of the columns of the answers."""
    kept = "SELECT attname, concat(most_common_vals, histogram_bounds) FROM pg_stats WHERE tablename = 'consent_answers'"
    return dict(connection.execute(sa.text(f"{kept} AND schemaname = current_schema")).tuples().all())
