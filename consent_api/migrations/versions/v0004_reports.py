"""Releases of several data types, each with a document per segment; what a client has spent is read off an index."""

import sqlalchemy as sa
from alembic import op

from database import UtcTime

revision = "0004"
down_revision = "0003"

_COLUMNS = ("release_id", "document", "at")


def upgrade() -> None:
    """The published table gets a segment, which earlier releases have one of: all clients."""
    op.drop_index("consent_charges_budget", "consent_charges")
    op.create_index("consent_charges_budget", "consent_charges", ["year", "client_code", "rho_nano"])
    op.rename_table("consent_published", "consent_published_whole")
    new = op.create_table(
        "consent_published",
        sa.Column("release_id", sa.Text, sa.ForeignKey("consent_releases.release_id"), nullable=False),
        sa.Column("segment", sa.Text, nullable=False),
        sa.Column("document", sa.LargeBinary),
        sa.Column("at", UtcTime, nullable=False),
        sa.PrimaryKeyConstraint("release_id", "segment", name="consent_published_once"),
    )
    old = sa.table("consent_published_whole", *(sa.column(name) for name in _COLUMNS))
    rows = sa.select(*(old.c[name] for name in _COLUMNS), sa.literal("all"))
    op.execute(sa.insert(new).from_select([*_COLUMNS, "segment"], rows))
    op.drop_table("consent_published_whole")
    _guard()


def _guard() -> None:
    for action in ("UPDATE", "DELETE"):
        guard = f"CREATE TRIGGER consent_published_no_{action.lower()} BEFORE {action} ON consent_published FOR EACH ROW "
        if op.get_bind().dialect.name == "postgresql":
            op.execute(guard + "EXECUTE FUNCTION consent_append_only()")
        else:
            op.execute(guard + "BEGIN SELECT RAISE(ABORT, 'consent_published is append-only'); END")
