"""Keys that end by themselves, and tokens that may not be sent again."""

import sqlalchemy as sa
from alembic import op

from database import UtcTime

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Keys get an end; tokens get a table; what ends early is counted."""
    op.add_column("consent_keys", sa.Column("expires_at", UtcTime))
    op.create_index("consent_keys_of", "consent_keys", ["role", "subject"])
    op.create_table(
        "consent_tokens",
        sa.Column("token_id", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("at", UtcTime, nullable=False),
        sa.Column("good_until", UtcTime, nullable=False),
    )
    op.create_index("consent_tokens_forgettable", "consent_tokens", ["good_until"])
    _count_ends()


def _count_ends() -> None:
    """Whatever ends a key or a token early is counted, so that processes need to look at one number only."""
    op.create_table("consent_credential_ends", sa.Column("number", sa.BigInteger, nullable=False))
    op.execute("INSERT INTO consent_credential_ends (number) VALUES (0)")
    postgresql = op.get_bind().dialect.name == "postgresql"
    counting = "UPDATE consent_credential_ends SET number = number + 1;"
    if postgresql:
        op.execute(
            "CREATE FUNCTION consent_credential_ended() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN {counting} RETURN NULL; END $$"
        )
    counted = "EXECUTE FUNCTION consent_credential_ended()" if postgresql else f"BEGIN {counting} END"
    revoked = "WHEN (NEW.state = 'revoked')"
    for table, action, when in (
        ("consent_keys", "UPDATE", ""),
        ("consent_keys", "DELETE", ""),
        ("consent_tokens", "INSERT", revoked),
        ("consent_tokens", "UPDATE", revoked),
    ):
        op.execute(f"CREATE TRIGGER {table}_{action.lower()}_ends AFTER {action} ON {table} FOR EACH ROW {when} {counted}")
