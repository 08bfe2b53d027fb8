"""The tables of the consent service: everything that happened is a row, and no row is ever changed."""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from database import UtcTime

SCHEMA = MetaData()
ENDED = text("state IN ('revoked', 'expired', 'superseded')")

RECORDS = Table(
    "consent_records",
    SCHEMA,
    Column("record_id", Text, primary_key=True),
    Column("consent_id", Text, nullable=False),
    Column("client_code", Text, nullable=False),
    Column("company", Text, nullable=False),
    Column("data_type", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("given_at", UtcTime, nullable=False),
    Column("valid_until", UtcTime, nullable=False),
    Column("previous_record_id", Text, ForeignKey("consent_records.record_id")),
    UniqueConstraint("client_code", "company", "data_type", "purpose", "number", name="consent_records_number"),
    Index("consent_records_cohort", "company", "data_type", "purpose", "valid_until"),
)
"""What a client agreed to; `number` counts the records of one client, company, data type and purpose."""

EVENTS = Table(
    "consent_events",
    SCHEMA,
    Column("record_id", Text, ForeignKey("consent_records.record_id"), nullable=False),
    Column("state", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    PrimaryKeyConstraint("record_id", "state"),
    Index("consent_events_one_end", "record_id", unique=True, sqlite_where=ENDED, postgresql_where=ENDED),
)
"""The states a record has entered; the unique index lets a record end once only."""

KEYS = Table(
    "consent_keys",
    SCHEMA,
    Column("key_id", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("issued_at", UtcTime, nullable=False),
    Column("revoked_at", UtcTime),
)
"""API keys: only their HMAC, never the key."""

ANSWERS = Table(
    "consent_answers",
    SCHEMA,
    Column("owner", Text, nullable=False),
    Column("idempotency_key", Text, nullable=False),
    Column("request_sha256", Text, nullable=False),
    Column("answer", LargeBinary, nullable=False),
    Column("at", UtcTime, nullable=False),
    PrimaryKeyConstraint("owner", "idempotency_key"),
)
"""What was answered to a request that carried an Idempotency-Key; `owner` is the role and subject of its key."""

AUDIT = Table(
    "consent_audit",
    SCHEMA,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("at", UtcTime, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("previous_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
)
"""One hash-chained row per read, grant, revocation, release and refusal."""

RELEASES = Table(
    "consent_releases",
    SCHEMA,
    Column("release_id", Text, primary_key=True),
    Column("company", Text, nullable=False),
    Column("data_type", Text, nullable=False),
    Column("period", Text, nullable=False),
    Column("begun_at", UtcTime, nullable=False),
    Column("year", Integer, nullable=False),
    Column("rho_nano", BigInteger, nullable=False),
    UniqueConstraint("company", "data_type", "period", name="consent_releases_fixed"),
    Index("consent_releases_budget", "company", "year"),
)
"""A release that was begun, which is what its partner's budget is charged with (in 10^-9 rho)."""

CHARGES = Table(
    "consent_charges",
    SCHEMA,
    Column("release_id", Text, ForeignKey("consent_releases.release_id"), nullable=False),
    Column("client_code", Text, nullable=False),
    Column("year", Integer, nullable=False),
    Column("rho_nano", BigInteger, nullable=False),
    PrimaryKeyConstraint("release_id", "client_code"),
    Index("consent_charges_budget", "year", "client_code"),
)
"""The clients a release counts, and what it costs each."""

PUBLISHED = Table(
    "consent_published",
    SCHEMA,
    Column("release_id", Text, ForeignKey("consent_releases.release_id"), primary_key=True),
    Column("document", LargeBinary),
    Column("at", UtcTime, nullable=False),
)
"""The bytes a partner gets; null when too few clients were counted for anything to be shown."""

APPEND_ONLY = (RECORDS, EVENTS, ANSWERS, AUDIT, RELEASES, CHARGES, PUBLISHED)
"""Tables whose rows the database itself refuses to change or delete."""
