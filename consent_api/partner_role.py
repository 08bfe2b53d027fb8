"""What PostgreSQL itself lets a partner's read touch: releases and the audit log, and no row about a client."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from consent_api.prepared import execute

PARTNER_ROLE = "opora_partner_reads"
"""Made by migration 0006, which also says what it may; the name is one for the whole server."""


@contextmanager
def partner_role(connection: Connection) -> Iterator[None]:
    """Within the block the transaction may read what is released and write its audit row; SQLite knows no roles.

    A block that raises leaves the role to the rollback that follows.
    """
    knows_roles = connection.dialect.name == "postgresql"
    if knows_roles:
        execute(connection, f"SET LOCAL ROLE {PARTNER_ROLE}")
    yield
    if knows_roles:
        execute(connection, "RESET ROLE")
