"""Deletion with evidence: what a client asked to have erased, what was deleted, and guards that let nothing else be."""

import sqlalchemy as sa
from alembic import op

from database import UtcTime

revision = "0005"
down_revision = "0004"

_DELETABLE = ("consent_records", "consent_events", "consent_answers", "consent_charges")


def upgrade() -> None:
    """Tables of retention, an index for questions about one client, and the new guards."""
    op.create_index("consent_audit_object", "consent_audit", ["object", "sequence"])
    op.create_table(
        "consent_erasures",
        sa.Column("client_code", sa.Text, primary_key=True),
        sa.Column("requested_at", UtcTime, nullable=False),
        sa.Column("due_at", UtcTime, nullable=False),
    )
    op.create_table(
        "consent_deletions",
        sa.Column("deletion_id", sa.Text, primary_key=True),
        sa.Column("what", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("how_many", sa.BigInteger, nullable=False),
        sa.Column("rows_hmac", sa.Text, nullable=False),
        sa.Column("due_at", UtcTime, nullable=False),
        sa.Column("at", UtcTime, nullable=False),
    )
    op.create_table("consent_deletion_permits", sa.Column("name", sa.Text, primary_key=True))
    if op.get_bind().dialect.name == "postgresql":
        _guard_on_postgresql()
    else:
        _guard_on_sqlite()


def _guard_on_sqlite() -> None:
    for table in _DELETABLE:
        op.execute(f"DROP TRIGGER {table}_no_delete")
        op.execute(
            f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} FOR EACH ROW "  # noqa: S608 - names of ours
            f"WHEN NOT EXISTS (SELECT 1 FROM consent_deletion_permits WHERE name = '{table}') "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )


def _guard_on_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION consent_deleted_with_permit() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN IF NOT EXISTS (SELECT 1 FROM consent_deletion_permits WHERE name = TG_TABLE_NAME) "
        "THEN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END IF; RETURN OLD; END $$"
    )
    for table in _DELETABLE:
        op.execute(f"DROP TRIGGER {table}_no_delete ON {table}")
        op.execute(
            f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION consent_deleted_with_permit()"
        )
