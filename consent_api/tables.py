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
ENDED = text("state IN ('rejected', 'revoked', 'expired', 'superseded')")

NOTICES = Table(
    "consent_notices",
    SCHEMA,
    Column("notice_id", Text, primary_key=True),
    *(Column(name, Text, nullable=False) for name in ("version", "language", "company", "data_type", "purpose", "document")),
    Column("at", UtcTime, nullable=False),
    UniqueConstraint("version", "language", "company", "data_type", "purpose", name="consent_notices_one_text"),
)
"""The texts that clients were shown, word for word; `document` is JSON with everything a text states."""

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
    Column("created_at", UtcTime, nullable=False),
    Column("valid_until", UtcTime, nullable=False),
    Column("previous_record_id", Text, ForeignKey("consent_records.record_id")),
    Column("notice_id", Text, nullable=False),
    UniqueConstraint("client_code", "company", "data_type", "purpose", "number", name="consent_records_number"),
    Index("consent_records_cohort", "company", "data_type", "purpose", "valid_until"),
)
"""What a client agreed to or was asked; `number` counts the records of one client, company, data type and purpose."""

EVENTS = Table(
    "consent_events",
    SCHEMA,
    Column("record_id", Text, ForeignKey("consent_records.record_id"), nullable=False),
    Column("state", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("actor", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("channel", Text, nullable=False),
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
    Column("expires_at", UtcTime),
    Index("consent_keys_of", "role", "subject"),
)
"""API keys: only their HMAC, never the key."""

TOKENS = Table(
    "consent_tokens",
    SCHEMA,
    Column("token_id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("good_until", UtcTime, nullable=False),
    Index("consent_tokens_forgettable", "good_until"),
)
"""Tokens that changed something already ("used") or were taken back ("revoked"), until nobody would accept them anyway."""

CREDENTIAL_ENDS = Table("consent_credential_ends", SCHEMA, Column("number", BigInteger, nullable=False))
"""One row: how often a key was changed or a token revoked; triggers count, so that no way of doing so is overlooked."""

ANSWERS = Table(
    "consent_answers",
    SCHEMA,
    Column("owner", Text, nullable=False),
    Column("idempotency_key", Text, nullable=False),
    Column("request_sha256", Text, nullable=False),
    Column("answer", LargeBinary, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("client_code", Text),
    PrimaryKeyConstraint("owner", "idempotency_key"),
    Index("consent_answers_about", "client_code"),
)
"""What was answered to a request that carried an Idempotency-Key; `owner` is the role and subject of its key, `client_code` whom
the request was about (null in rows from before that was kept)."""

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
    Index("consent_audit_object", "object", "sequence"),
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
    Index("consent_charges_budget", "year", "client_code", "rho_nano"),
)
"""The clients a release counts, and what it costs each."""

PUBLISHED = Table(
    "consent_published",
    SCHEMA,
    Column("release_id", Text, ForeignKey("consent_releases.release_id"), nullable=False),
    Column("segment", Text, nullable=False),
    Column("document", LargeBinary),
    Column("at", UtcTime, nullable=False),
    PrimaryKeyConstraint("release_id", "segment", name="consent_published_once"),
)
"""The bytes a partner gets by segment; null when too few clients were counted for anything to be shown."""

ERASURES = Table(
    "consent_erasures",
    SCHEMA,
    Column("client_code", Text, primary_key=True),
    Column("requested_at", UtcTime, nullable=False),
    Column("due_at", UtcTime, nullable=False),
)
"""Clients whose data is to be deleted; the row goes with the data."""

DELETIONS = Table(
    "consent_deletions",
    SCHEMA,
    Column("deletion_id", Text, primary_key=True),
    Column("what", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("how_many", BigInteger, nullable=False),
    Column("rows_hmac", Text, nullable=False),
    Column("due_at", UtcTime, nullable=False),
    Column("at", UtcTime, nullable=False),
)
"""Evidence of what was deleted, without anybody's identifier; `rows_hmac` is over the deleted rows as JSON."""

PERMITS = Table("consent_deletion_permits", SCHEMA, Column("name", Text, primary_key=True))
"""Tables whose guard lets rows be deleted; filled and emptied within the transaction that writes the evidence."""

APPEND_ONLY = (NOTICES, RECORDS, EVENTS, ANSWERS, AUDIT, RELEASES, CHARGES, PUBLISHED)
"""Tables whose rows the database itself refuses to change or delete."""
