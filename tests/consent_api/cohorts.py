"""Whom a release would count, by the condition that releases themselves go by."""

from datetime import datetime

from sqlalchemy import Connection, select

from consent_api import releases
from consent_api.tables import RECORDS


def cohort(connection: Connection, company: str, data_type: str, purpose: str, at: datetime) -> list[str]:
    """The clients whose consent for this company, data type and purpose is active at `at`."""
    active = releases.consenting(company, data_type, purpose, at)
    return list(connection.scalars(select(RECORDS.c.client_code).where(active).order_by(RECORDS.c.client_code)))
