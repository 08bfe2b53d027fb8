"""What a client may know about itself: everything that happened to its consents, and every release that could have counted it."""

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, exists, not_, or_, select, true

from consent_api import consents
from consent_api.catalogue import Catalogue
from consent_api.pages import Page, page
from consent_api.record.states import ACTIVE, FINAL
from consent_api.tables import CHARGES, EVENTS, PUBLISHED, RECORDS, RELEASES

_RECORD = ("record_id", "company", "data_type", "purpose", "valid_until")
_EVENT = ("state", "at", "role", "channel", "reason")
_RELEASE = ("release_id", "company", "data_type", "period", "begun_at")


def events(connection: Connection, client_code: str, at: datetime, limit: int, after: str | None) -> Page:
    """Every event of every record of a client, oldest first: grants, changes, withdrawals, ends.

    Raises:
        RequestRefused: 422, `after` is no page's `next`.
    """
    consents.expire(connection, at, clients={client_code})
    columns = [RECORDS.c[name] for name in _RECORD] + [EVENTS.c[name] for name in _EVENT]
    joined = select(*columns).join_from(RECORDS, EVENTS, EVENTS.c.record_id == RECORDS.c.record_id)
    key = (EVENTS.c.at, RECORDS.c.record_id, EVENTS.c.state)
    return page(connection.execute, joined.where(RECORDS.c.client_code == client_code), key, limit, after)


def disclosures(connection: Connection, client_code: str, catalogue: Catalogue, year: int, limit: int, after: str | None) -> Page:
    """Every release that was paid from a client's budget, and those of `year` that left it out because its budget was used up.

    Rows have the release, when it was published (None: not yet), `rho_nano` (None: left out).

    Raises:
        RequestRefused: 422, `after` is no page's `next`.
    """
    charge = and_(CHARGES.c.release_id == RELEASES.c.release_id, CHARGES.c.client_code == client_code)
    columns = [RELEASES.c[name] for name in _RELEASE]
    statement = select(*columns, CHARGES.c.rho_nano, _is_published().label("published")).outerjoin_from(RELEASES, CHARGES, charge)
    left_out = and_(RELEASES.c.year == year, _could_have_counted(client_code, catalogue))
    chosen = statement.where(or_(CHARGES.c.rho_nano.is_not(None), left_out))
    return page(connection.execute, chosen, (RELEASES.c.begun_at, RELEASES.c.release_id), limit, after)


def _is_published() -> ColumnElement[bool]:
    return exists().where(PUBLISHED.c.release_id == RELEASES.c.release_id)


def _could_have_counted(client_code: str, catalogue: Catalogue) -> ColumnElement[bool]:
    """Whether a consent of the client for what the release is about was active when it took its cohort."""
    began, ended, begun_at = EVENTS.alias("began"), EVENTS.alias("ended"), RELEASES.c.begun_at
    purposes = [
        and_(RECORDS.c.data_type == name, RECORDS.c.purpose == report.purpose) for name, report in catalogue.reports.items()
    ]
    has_begun = exists().where(began.c.record_id == RECORDS.c.record_id, began.c.state == ACTIVE, began.c.at <= begun_at)
    has_ended = exists().where(ended.c.record_id == RECORDS.c.record_id, ended.c.state.in_(FINAL), ended.c.at <= begun_at)
    return exists().where(
        RECORDS.c.client_code == client_code,
        RECORDS.c.company == RELEASES.c.company,
        RECORDS.c.data_type == RELEASES.c.data_type,
        RECORDS.c.valid_until > begun_at,
        or_(*purposes) if purposes else true(),
        has_begun.correlate(RECORDS, RELEASES),
        not_(has_ended.correlate(RECORDS, RELEASES)),
    )
