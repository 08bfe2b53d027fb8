"""Consents of the simulated bank's clients, so that a first release has a cohort."""

import hashlib
from contextlib import closing

from sqlalchemy import exists, select

from clock import now
from consent_api import consents
from consent_api.audit import Actor
from consent_api.catalogue import load_catalogue
from consent_api.store import open_store
from consent_api.tables import RECORDS
from settings import settings

SHARE = 0.6
ACTOR = Actor("flow:demo", "flow")


def willing(client_code: str, company: str, seed: int) -> bool:
    """Whether a simulated client lets a company count them: decided once and for all by the seed."""
    digest = hashlib.sha256(f"{seed}/{client_code}/{company}".encode()).digest()
    return int.from_bytes(digest[:8]) < SHARE * 2**64


def give_consents(clients: list[str]) -> int:
    """Grant what the willing clients of the simulated bank would grant, once per company; returns the number of new consents.

    A company that any of them has a record for is left alone: what people changed since stays as they left it.
    """
    config = settings()
    catalogue = load_catalogue(config.catalogues)
    given = 0
    with closing(open_store(config)) as store, store.writing() as connection:
        for company in catalogue.companies:
            if connection.scalar(select(exists().where(RECORDS.c.company == company))):
                continue
            grants = [
                consents.Grant(client, company, data_type, report.purpose)
                for client in clients
                if willing(client, company, config.seed)
                for data_type, report in catalogue.reports.items()
            ]
            given += len(consents.grant(connection, grants, ACTOR, now(), "simulated"))
    return given
