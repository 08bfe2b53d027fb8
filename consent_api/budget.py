"""The privacy budget: what releases have cost clients and partners this year, and charging the next one.

Costs are whole numbers of 10^-9 rho, so that sums are exact: a cost is rounded up, a cap down.
"""

import math
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Select, func, insert, literal, select

from consent_api.tables import CHARGES, RECORDS, RELEASES
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


def charge(connection: Connection, release_id: str, active: ColumnElement[bool], rho: float, at: datetime, caps: Caps) -> int:
    """Charge every client with an `active` consent (a condition on `RECORDS`) who can still pay; returns how many cannot.

    Those who are charged, and they alone, may be counted. Call it in the transaction that wrote the release's own row, before
    anything is computed.
    """
    consenting = select(RECORDS.c.client_code).where(active)  # a client has one active consent of a kind at most
    price, cap = cost(rho), _cap(caps.client_rho)
    affordable = cap - price
    able = (
        consenting.where(_spent_by_client(at.year) <= affordable)
        if _anybody_spent_more(connection, at.year, affordable)
        else consenting
    )
    charge_all(connection, release_id, able, price, at.year)
    if able is consenting:
        return 0
    everyone = connection.scalar(select(func.count()).select_from(consenting.subquery())) or 0
    paying = connection.scalar(select(func.count()).where(CHARGES.c.release_id == release_id)) or 0
    return int(everyone - paying)


def charge_all(connection: Connection, release_id: str, clients: Select[tuple[str]], price: int, year: int) -> None:
    """Charge all `clients` (a select on `RECORDS`) whatever the year has cost them; `price` is in 10^-9 rho."""
    values = clients.add_columns(literal(release_id), literal(year), literal(price)).order_by(RECORDS.c.client_code)
    connection.execute(insert(CHARGES).from_select(["client_code", "release_id", "year", "rho_nano"], values))


def charged(connection: Connection, release_id: str) -> list[str]:
    """The clients who were charged for a release, in order of their codes."""
    chosen = select(CHARGES.c.client_code).where(CHARGES.c.release_id == release_id)
    return list(connection.scalars(chosen.order_by(CHARGES.c.client_code)))


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


def _spent_by_client(year: int) -> ColumnElement[int]:
    """What the client of a row of `RECORDS` has been charged."""
    chosen = (CHARGES.c.client_code == RECORDS.c.client_code, CHARGES.c.year == year)
    return select(func.coalesce(func.sum(CHARGES.c.rho_nano), 0)).where(*chosen).scalar_subquery()


def _anybody_spent_more(connection: Connection, year: int, limit: int) -> bool:
    """Whether a client may have been charged more than `limit`; nobody has where all releases together cost no more."""
    everything = connection.scalar(select(func.coalesce(func.sum(RELEASES.c.rho_nano), 0)).where(RELEASES.c.year == year))
    return int(everything or 0) > limit


def _cap(rho: float) -> int:
    return math.floor(round(rho * _NANO, 3))
