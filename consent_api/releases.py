"""Releases: begun once per company, data type and month, paid for before they are computed, stored, and served as stored."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Row, insert, select

from consent_api import audit, budget, consents
from consent_api.audit import Actor, Entry
from consent_api.budget import Caps
from consent_api.periods import Period
from consent_api.store import Store
from consent_api.tables import CHARGES, PUBLISHED, RECORDS, RELEASES


class PeriodNotOver(Exception):
    """A month is released after it has ended, because its release is never computed anew."""


@dataclass(frozen=True)
class Subject:
    """What a release is about; there is one release of each."""

    company: str
    data_type: str
    period: Period

    def __str__(self) -> str:
        return f"{self.company}/{self.data_type}/{self.period}"


@dataclass(frozen=True)
class Begun:
    """A release that is paid for and not yet stored, and the clients it may count."""

    release_id: str
    subject: Subject
    counted: list[str]


@dataclass(frozen=True)
class Shown:
    """What a partner may see: the stored documents (bytes, never made anew), or why there are none."""

    documents: list[bytes]
    releases: list[str]
    reason: str = ""


def begin(
    store: Store, subject: Subject, purpose: str, rho: float, caps: Caps, actor: Actor, now: Callable[[], datetime]
) -> Begun | None:
    """Take the cohort and charge it, in one transaction; None when the release is stored already.

    A release that was charged but not stored (the process died) goes on with those charged clients whose consent is still
    active, and costs nothing more: nobody has seen what its first computation would have said.

    Raises:
        PeriodNotOver: the month has not ended.
        BudgetExhausted: the company cannot pay.
    """
    with store.writing() as connection:
        at = now()  # after waiting for other writers, so that nobody is counted whose time ran out meanwhile
        if at < subject.period.end:
            raise PeriodNotOver(f"{subject.period} is not over: its reports are made from {subject.period.end:%Y-%m-%d} on")
        found = _find(connection, subject)
        if found and found.published_at is not None:
            return None
        consents.expire(connection, at, RECORDS.c.company == subject.company)
        active = consents.cohort(connection, subject.company, subject.data_type, purpose, at)
        if found:
            charged = set(connection.scalars(select(CHARGES.c.client_code).where(CHARGES.c.release_id == found.release_id)))
            return Begun(found.release_id, subject, [client for client in active if client in charged])
        return _charge(connection, subject, active, rho, caps, actor, at)


def store_document(store: Store, begun: Begun, document: bytes | None, actor: Actor, at: datetime) -> bool:
    """Publish `document` (None: nothing may be shown); False when another process has published this release first."""
    with store.writing() as connection:
        found = _find(connection, begun.subject)
        if found is None or found.published_at is not None:
            return False
        connection.execute(insert(PUBLISHED).values(release_id=begun.release_id, document=document, at=at))
        detail = {"release_id": begun.release_id, "shown": document is not None}
        audit.append(connection, actor, at, [Entry("release.published", str(begun.subject), detail)])
    return True


def published_document(store: Store, subject: Subject) -> bytes | None:
    """The stored bytes of a release, whoever may see them; None when there is nothing to show."""
    with store.reading() as connection:
        found = _find(connection, subject)
        return found.document if found else None


def shown(
    connection: Connection, company: str, data_type: str, purpose: str | None, period: Period | None, at: datetime
) -> Shown:
    """What a company gets of a data type at `at`: the release of `period`, by default the newest one.

    `purpose` is that of the report; None for a data type that has none. A release in which everything was suppressed, one
    without any client, and one whose consents have all ended since say the same.
    """
    chosen = (RELEASES.c.company == company, RELEASES.c.data_type == data_type)
    statement = select(RELEASES.c.release_id, RELEASES.c.period, PUBLISHED.c.document).join(PUBLISHED).where(*chosen)
    if period is not None:
        statement = statement.where(RELEASES.c.period == str(period))
    found = connection.execute(statement.order_by(RELEASES.c.period.desc()).limit(1)).one_or_none()
    if found is None or purpose is None:
        return Shown([], [], f"no report of {data_type} has been made{f' for {period}' if period else ''} yet")
    if found.document is None or not consents.any_active(connection, company, data_type, purpose, at):
        return Shown([], [found.release_id], f"too few clients consent to {data_type} for anything of {found.period} to be shown")
    return Shown([found.document], [found.release_id])


def _charge(
    connection: Connection, subject: Subject, active: list[str], rho: float, caps: Caps, actor: Actor, at: datetime
) -> Begun:
    budget.require_partner_budget(connection, subject.company, rho, at, caps)
    release_id = uuid4().hex
    connection.execute(
        insert(RELEASES).values(
            release_id=release_id,
            company=subject.company,
            data_type=subject.data_type,
            period=str(subject.period),
            begun_at=at,
            year=at.year,
            rho_nano=budget.cost(rho),
        )
    )
    counted = budget.charge(connection, release_id, active, rho, at, caps)
    detail = {"release_id": release_id, "rho": rho, "clients": len(counted), "left_out": len(active) - len(counted)}
    audit.append(connection, actor, at, [Entry("release.charged", str(subject), detail)])
    return Begun(release_id, subject, counted)


def _find(connection: Connection, subject: Subject) -> Row[*tuple[Any, ...]] | None:
    return connection.execute(
        select(RELEASES.c.release_id, PUBLISHED.c.document, PUBLISHED.c.at.label("published_at"))
        .outerjoin(PUBLISHED)
        .where(
            RELEASES.c.company == subject.company,
            RELEASES.c.data_type == subject.data_type,
            RELEASES.c.period == str(subject.period),
        )
    ).one_or_none()
