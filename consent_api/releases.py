"""Releases: begun once per company, data type and month, paid for before they are computed, stored, and served as stored."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, Row, bindparam, exists, insert, select

from consent_api import audit, budget, consents, release_log
from consent_api.audit import Actor, Entry
from consent_api.budget import Caps
from consent_api.catalogue import EVERYBODY
from consent_api.custody.anchors import note_head
from consent_api.periods import Period
from consent_api.prepared import Prepared
from consent_api.record.current import consenting
from consent_api.store import Store
from consent_api.tables import PUBLISHED, RECORDS, RELEASES

_STORED = (
    select(RELEASES.c.release_id, RELEASES.c.period, PUBLISHED.c.document)
    .join(PUBLISHED)
    .where(*(column == bindparam(column.name) for column in (RELEASES.c.company, RELEASES.c.data_type, PUBLISHED.c.segment)))
    .order_by(RELEASES.c.period.desc())
)
_NEWEST = Prepared(_STORED.limit(1))
_BETWEEN = Prepared(_STORED.where(RELEASES.c.period.between(bindparam("first"), bindparam("last"))))


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
class Order:
    """A release to be made: whose consents it counts, and the zCDP (rho) that it costs."""

    subject: Subject
    purpose: str
    rho: float


@dataclass(frozen=True)
class Begun:
    """A release that is paid for and not yet stored, and the clients it may count."""

    release_id: str
    subject: Subject
    counted: list[str]


@dataclass(frozen=True)
class Question:
    """What a partner asks for: a data type in a segment, in the months from the first to the last (None: the newest released)."""

    company: str
    data_type: str
    segment: str = EVERYBODY
    periods: tuple[Period, Period] | None = None

    @property
    def when(self) -> str:
        """The asked months, as a message names them."""
        if self.periods is None:
            return ""
        first, last = self.periods
        return f" for {first}" if first == last else f" for {first} to {last}"


Documents = Mapping[str, bytes | None]
"""The stored bytes by segment; None where too few clients were counted for anything to be shown."""


@dataclass(frozen=True)
class Shown:
    """What a partner may see: the stored documents (bytes, never made anew), or why there are none."""

    documents: list[bytes]
    releases: list[str]
    reason: str = ""


def require_over(period: Period, at: datetime) -> None:
    """Raises PeriodNotOver: the month has not ended at `at`."""
    if at < period.end:
        raise PeriodNotOver(f"{period} is not over: its reports are made from {period.end:%Y-%m-%d} on")


def begin(store: Store, orders: Sequence[Order], caps: Caps, actor: Actor, now: Callable[[], datetime]) -> list[Begun]:
    """Take the cohorts of all releases that are not stored yet and charge them, in one transaction.

    A release that was charged but not stored (the process died) goes on with those charged clients whose consent is still
    active, and costs nothing more: nobody has seen what its first computation would have said.

    Raises:
        PeriodNotOver: the month has not ended.
        BudgetExhausted: the company cannot pay for all of them; nobody is charged.
    """
    with store.writing() as connection:
        at = now()  # after waiting for other writers, so that nobody is counted whose time ran out meanwhile
        for company in {order.subject.company for order in orders}:
            consents.expire(connection, at, company)
        begun = [_begin(connection, order, caps, actor, at) for order in orders]
    return [each for each in begun if each is not None]


def publish(store: Store, made: Sequence[tuple[Begun, Documents]], actor: Actor, at: datetime) -> set[Subject]:
    """Store the documents of releases, all or none; returns the subjects that no other process has published before.

    Raises:
        OSError: the log of releases cannot be written, and nothing is published.
    """
    with store.writing() as connection:
        new = [begun for begun, documents in made if _publish(connection, begun, documents, actor, at)]
        release_log.note(connection, [begun.release_id for begun in new])
    note_head(store)
    return {begun.subject for begun in new}


def published(store: Store, subject: Subject) -> Documents:
    """The stored bytes of a release, whoever may see them; nothing when it is not published."""
    chosen = (RELEASES.c.company == subject.company, RELEASES.c.data_type == subject.data_type)
    rows = select(PUBLISHED.c.segment, PUBLISHED.c.document).join(RELEASES)
    with store.reading() as connection:
        found = connection.execute(rows.where(*chosen, RELEASES.c.period == str(subject.period)))
        return {row.segment: row.document for row in found}


def shown(connection: Connection, question: Question, consented: bool) -> Shown:
    """What a company gets: the releases of the asked periods, oldest first.

    `consented` says whether any client still consents to what is asked for. A release in which everything was suppressed, one
    without any client, and one whose consents have all ended since say the same.
    """
    found = _stored(connection, question)
    if not found:
        return Shown([], [], f"no report of {question.data_type} has been made{question.when} yet")
    served = [(row.release_id, row.document) for row in reversed(found) if row.document is not None]
    if not served or not consented:
        few = f"too few clients consent to {question.data_type} for anything of {found[0].period} to be shown"
        return Shown([], [row.release_id for row in found], few)
    return Shown([document for _, document in served], [release_id for release_id, _ in served])


class _Stored(NamedTuple):
    """A release as it was published in one segment."""

    release_id: str
    period: str
    document: bytes | None


def _stored(connection: Connection, question: Question) -> list[_Stored]:
    """Newest first."""
    asked = {"company": question.company, "data_type": question.data_type, "segment": question.segment}
    if question.periods is None:
        return [_Stored(*row) for row in _NEWEST.rows(connection, asked)]
    first, last = question.periods
    return [_Stored(*row) for row in _BETWEEN.rows(connection, {**asked, "first": str(first), "last": str(last)})]


def _begin(connection: Connection, order: Order, caps: Caps, actor: Actor, at: datetime) -> Begun | None:
    subject = order.subject
    require_over(subject.period, at)
    found = _find(connection, subject)
    if found and found.is_published:
        return None
    active = consenting(subject.company, subject.data_type, order.purpose, at)
    if not found:
        return _charge(connection, order, active, caps, actor, at)
    counted = budget.charged(connection, found.release_id)
    still = set(connection.scalars(select(RECORDS.c.client_code).where(active)))
    return Begun(found.release_id, subject, [client for client in counted if client in still])


def _charge(connection: Connection, order: Order, active: ColumnElement[bool], caps: Caps, actor: Actor, at: datetime) -> Begun:
    subject = order.subject
    budget.require_partner_budget(connection, subject.company, order.rho, at, caps)
    release_id = uuid4().hex
    connection.execute(
        insert(RELEASES).values(
            release_id=release_id,
            company=subject.company,
            data_type=subject.data_type,
            period=str(subject.period),
            begun_at=at,
            year=at.year,
            rho_nano=budget.cost(order.rho),
        )
    )
    left_out = budget.charge(connection, release_id, active, order.rho, at, caps)
    counted = budget.charged(connection, release_id)
    detail = {"release_id": release_id, "rho": order.rho, "clients": len(counted), "left_out": left_out}
    audit.append(connection, actor, at, [Entry("release.charged", str(subject), detail)])
    return Begun(release_id, subject, counted)


def _publish(connection: Connection, begun: Begun, documents: Documents, actor: Actor, at: datetime) -> bool:
    found = _find(connection, begun.subject)
    if found is None or found.is_published:
        return False
    rows = [
        {"release_id": begun.release_id, "segment": segment, "document": document, "at": at}
        for segment, document in documents.items()
    ]
    connection.execute(insert(PUBLISHED), rows)
    detail = {
        "release_id": begun.release_id,
        "shown": sorted(name for name, document in documents.items() if document is not None),
    }
    audit.append(connection, actor, at, [Entry("release.published", str(begun.subject), detail)])
    return True


def _find(connection: Connection, subject: Subject) -> Row[Any] | None:
    is_published = exists().where(PUBLISHED.c.release_id == RELEASES.c.release_id)
    return connection.execute(
        select(RELEASES.c.release_id, is_published.label("is_published")).where(
            RELEASES.c.company == subject.company,
            RELEASES.c.data_type == subject.data_type,
            RELEASES.c.period == str(subject.period),
        )
    ).one_or_none()
