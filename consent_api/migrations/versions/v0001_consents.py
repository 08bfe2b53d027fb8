"""Consents, keys, audit, releases and budgets, and the guards that keep history as it was written."""

import sqlalchemy as sa
from alembic import op

from database import UtcTime

revision = "0001"
down_revision = None

_ENDED = sa.text("state IN ('revoked', 'expired', 'superseded')")
_GUARDED = (
    "consent_records",
    "consent_events",
    "consent_answers",
    "consent_audit",
    "consent_releases",
    "consent_charges",
    "consent_published",
)


def upgrade() -> None:
    """Create every table and guard."""
    _consents()
    _access()
    _releases()
    _guards()


def _consents() -> None:
    op.create_table(
        "consent_records",
        sa.Column("record_id", sa.Text, primary_key=True),
        sa.Column("consent_id", sa.Text, nullable=False),
        sa.Column("client_code", sa.Text, nullable=False),
        sa.Column("company", sa.Text, nullable=False),
        sa.Column("data_type", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("given_at", UtcTime, nullable=False),
        sa.Column("valid_until", UtcTime, nullable=False),
        sa.Column("previous_record_id", sa.Text, sa.ForeignKey("consent_records.record_id")),
        sa.UniqueConstraint("client_code", "company", "data_type", "purpose", "number", name="consent_records_number"),
    )
    op.create_index("consent_records_cohort", "consent_records", ["company", "data_type", "purpose", "valid_until"])
    op.create_table(
        "consent_events",
        sa.Column("record_id", sa.Text, sa.ForeignKey("consent_records.record_id"), nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("at", UtcTime, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("record_id", "state"),
    )
    op.create_index(
        "consent_events_one_end", "consent_events", ["record_id"], unique=True, sqlite_where=_ENDED, postgresql_where=_ENDED
    )


def _access() -> None:
    op.create_table(
        "consent_keys",
        sa.Column("key_id", sa.Text, primary_key=True),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("issued_at", UtcTime, nullable=False),
        sa.Column("revoked_at", UtcTime),
    )
    op.create_table(
        "consent_answers",
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("idempotency_key", sa.Text, nullable=False),
        sa.Column("request_sha256", sa.Text, nullable=False),
        sa.Column("answer", sa.LargeBinary, nullable=False),
        sa.Column("at", UtcTime, nullable=False),
        sa.PrimaryKeyConstraint("owner", "idempotency_key"),
    )
    op.create_table(
        "consent_audit",
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", UtcTime, nullable=False),
        *(
            sa.Column(name, sa.Text, nullable=False)
            for name in ("request_id", "actor", "role", "action", "object", "detail", "previous_hash", "hash")
        ),
    )


def _releases() -> None:
    op.create_table(
        "consent_releases",
        sa.Column("release_id", sa.Text, primary_key=True),
        sa.Column("company", sa.Text, nullable=False),
        sa.Column("data_type", sa.Text, nullable=False),
        sa.Column("period", sa.Text, nullable=False),
        sa.Column("begun_at", UtcTime, nullable=False),
        sa.Column("year", sa.Integer, nullable=False),
        sa.Column("rho_nano", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("company", "data_type", "period", name="consent_releases_fixed"),
    )
    op.create_index("consent_releases_budget", "consent_releases", ["company", "year"])
    op.create_table(
        "consent_charges",
        sa.Column("release_id", sa.Text, sa.ForeignKey("consent_releases.release_id"), nullable=False),
        sa.Column("client_code", sa.Text, nullable=False),
        sa.Column("year", sa.Integer, nullable=False),
        sa.Column("rho_nano", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("release_id", "client_code"),
    )
    op.create_index("consent_charges_budget", "consent_charges", ["year", "client_code"])
    op.create_table(
        "consent_published",
        sa.Column("release_id", sa.Text, sa.ForeignKey("consent_releases.release_id"), primary_key=True),
        sa.Column("document", sa.LargeBinary),
        sa.Column("at", UtcTime, nullable=False),
    )


def _guards() -> None:
    """History cannot be rewritten by a mistake in our own code: the database refuses."""
    postgresql = op.get_bind().dialect.name == "postgresql"
    if postgresql:
        op.execute(
            "CREATE FUNCTION consent_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
        )
    for table in _GUARDED:
        for action in ("UPDATE", "DELETE"):
            guard = f"CREATE TRIGGER {table}_no_{action.lower()} BEFORE {action} ON {table} FOR EACH ROW "
            if postgresql:
                op.execute(guard + "EXECUTE FUNCTION consent_append_only()")
            else:
                op.execute(guard + f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END")
