"""What callers are told while a database does not answer: no fault of theirs, and no defect."""

import logging
import sqlite3

from sqlalchemy.exc import InterfaceError, OperationalError, TimeoutError

from edge.errors import RequestRefused

AWAY = OperationalError, InterfaceError, TimeoutError, sqlite3.OperationalError
"""How a database fails that does not answer, or is held too long by somebody else."""
logger = logging.getLogger("opora.scoring")


def database_away(error: Exception) -> RequestRefused:
    """503 with a time to come again; the log gets the kind of the error, since its text may hold addresses and values."""
    logger.error("a database does not answer: %s", type(error).__name__)
    message = "the database with clients and scores does not answer at the moment: send the request again"
    return RequestRefused(503, "database_unavailable", message, headers={"Retry-After": "1"})
