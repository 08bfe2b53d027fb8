"""The privacy budget: what releases have cost clients and partners this year, and charging the next one.

Costs are whole numbers of 10^-9 rho, so that sums are exact: a cost is rounded up, a cap down.
"""

import math
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, insert, select

from consent_api.tables import CHARGES, RELEASES
from settings import Settings

_NANO = 10**9


class BudgetExhausted(Exception):
    """The partner's budget of this year does not cover another report; the next one is possible from 1 January."""


@dataclass(frozen=True)
class Caps:
    """Most zCDP (rho) that a client and a partner may be charged in a calendar year (UTC)."""

    client_rho: float
    partner_rho: float

    @classmethod
    def of(cls, config: Settings) -> "Caps":
        """The configured caps."""
        return cls(config.yearly_client_rho, config.yearly_partner_rho)


def cost(rho: float) -> int:
    """`rho` in units of the ledger, rounded up."""
    return math.ceil(round(rho * _NANO, 3))


def charge(connection: Connection, release_id: str, clients: list[str], rho: float, at: datetime, caps: Caps) -> list[str]:
    """Charge every client who can still pay for the release `release_id`; returns those, who alone may be counted.

    Call it in the transaction that wrote the release's own row, before anything is computed.
    """
    price = cost(rho)
    spent = func.sum(CHARGES.c.rho_nano)
    exhausted = set(
        connection.scalars(
            select(CHARGES.c.client_code)
            .where(CHARGES.c.year == at.year)
            .group_by(CHARGES.c.client_code)
            .having(spent + price > _cap(caps.client_rho))
        )
    )
    counted = [client for client in clients if client not in exhausted] if price <= _cap(caps.client_rho) else []
    rows = [{"release_id": release_id, "client_code": client, "year": at.year, "rho_nano": price} for client in counted]
    if rows:
        connection.execute(insert(CHARGES), rows)
    return counted


def require_partner_budget(connection: Connection, company: str, rho: float, at: datetime, caps: Caps) -> None:
    """Check that the partner can pay `rho` more this year; the row of the release, written next, is the charge.

    Raises:
        BudgetExhausted: it cannot.
    """
    spent = partner_spent(connection, company, at.year)
    if spent + cost(rho) > _cap(caps.partner_rho):
        raise BudgetExhausted(
            f"{company} has used {spent / _NANO:g} of its {caps.partner_rho:g} rho of {at.year} and this report costs {rho:g}: "
            "wait for the next year, or raise OPORA_YEARLY_PARTNER_RHO"
        )


def partner_spent(connection: Connection, company: str, year: int) -> int:
    """What the reports of a partner have cost in a year, in 10^-9 rho."""
    chosen = (RELEASES.c.company == company, RELEASES.c.year == year)
    return int(connection.scalar(select(func.coalesce(func.sum(RELEASES.c.rho_nano), 0)).where(*chosen)) or 0)


def client_spent(connection: Connection, client_code: str, year: int) -> int:
    """What a client has been charged in a year by all partners' reports, in 10^-9 rho."""
    chosen = (CHARGES.c.client_code == client_code, CHARGES.c.year == year)
    return int(connection.scalar(select(func.coalesce(func.sum(CHARGES.c.rho_nano), 0)).where(*chosen)) or 0)


def _cap(rho: float) -> int:
    return math.floor(round(rho * _NANO, 3))
