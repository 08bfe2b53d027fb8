"""What makes a consent record complete: the text that was shown, and who did what by which channel.

Records from before say "unrecorded" where nothing was kept.
"""

from hashlib import sha256

import orjson
import sqlalchemy as sa
from alembic import op

from database import UtcTime

revision = "0002"
down_revision = "0001"

_UNRECORDED = "unrecorded"
_UNKNOWN_LANGUAGE = "und"  # as ISO 639 has it
_ENDED = sa.text("state IN ('rejected', 'revoked', 'expired', 'superseded')")
_RECORDS = sa.table("consent_records", sa.column("given_at", UtcTime))
_NOTICES = sa.table(
    "consent_notices",
    *(sa.column(name) for name in ("notice_id", "version", "language", "company", "data_type", "purpose", "document")),
    sa.column("at", UtcTime),
)


def upgrade() -> None:
    """Texts get a table; records name theirs, events their role and channel; a request may end by being rejected."""
    _texts()
    op.execute("ALTER TABLE consent_records RENAME COLUMN given_at TO created_at")
    op.add_column("consent_records", sa.Column("notice_id", sa.Text, nullable=False, server_default=_UNRECORDED))
    for name in ("role", "channel"):
        op.add_column("consent_events", sa.Column(name, sa.Text, nullable=False, server_default=_UNRECORDED))
    op.drop_index("consent_events_one_end", "consent_events")
    op.create_index(
        "consent_events_one_end", "consent_events", ["record_id"], unique=True, sqlite_where=_ENDED, postgresql_where=_ENDED
    )


def _texts() -> None:
    op.create_table(
        "consent_notices",
        sa.Column("notice_id", sa.Text, primary_key=True),
        *(
            sa.Column(name, sa.Text, nullable=False)
            for name in ("version", "language", "company", "data_type", "purpose", "document")
        ),
        sa.Column("at", UtcTime, nullable=False),
        sa.UniqueConstraint("version", "language", "company", "data_type", "purpose", name="consent_notices_one_text"),
    )
    first = op.get_bind().scalar(sa.select(sa.func.min(_RECORDS.c.given_at)))
    if first is not None:
        op.execute(sa.insert(_NOTICES).values(_unrecorded() | {"at": first}))
    _guard("consent_notices")


def _unrecorded() -> dict[str, str]:
    stated = ("recipient", "purpose", "lawful_basis", "collection_method", "jurisdiction")
    document = {
        "version": _UNRECORDED,
        "language": _UNKNOWN_LANGUAGE,
        "text": "",
        "text_sha256": sha256(b"").hexdigest(),
        "controller": dict.fromkeys(("name", "address", "contact"), _UNRECORDED),
        **dict.fromkeys(stated, _UNRECORDED),
    }
    return {
        "notice_id": _UNRECORDED,
        "version": _UNRECORDED,
        "language": _UNKNOWN_LANGUAGE,
        "company": "",
        "data_type": "",
        "purpose": "",
        "document": orjson.dumps(document, option=orjson.OPT_SORT_KEYS).decode(),
    }


def _guard(table: str) -> None:
    for action in ("UPDATE", "DELETE"):
        guard = f"CREATE TRIGGER {table}_no_{action.lower()} BEFORE {action} ON {table} FOR EACH ROW "
        if op.get_bind().dialect.name == "postgresql":
            op.execute(guard + "EXECUTE FUNCTION consent_append_only()")
        else:
            op.execute(guard + f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END")
