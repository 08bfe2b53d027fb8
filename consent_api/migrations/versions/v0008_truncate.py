"""History cannot be emptied on PostgreSQL either: guards of rows are not asked by TRUNCATE."""

from alembic import op

revision = "0008"
down_revision = "0007"

_GUARDED = (
    "consent_notices",
    "consent_records",
    "consent_events",
    "consent_answers",
    "consent_audit",
    "consent_releases",
    "consent_charges",
    "consent_published",
)


def upgrade() -> None:
    """A guard of the whole table beside those of its rows; SQLite has no TRUNCATE."""
    if op.get_bind().dialect.name != "postgresql":
        return
    for table in _GUARDED:
        op.execute(
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION consent_append_only()"
        )
