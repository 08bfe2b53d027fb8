"""What was published, outside the database too: a restored backup serves the same bytes, and no month is made a second time."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, insert, select

from consent_api import audit, budget
from consent_api.audit import Actor, Entry
from consent_api.custody import released
from consent_api.custody.outside import custody_of
from consent_api.custody.released import Released
from consent_api.record.current import consenting
from consent_api.record.notices import notices_of
from consent_api.tables import PUBLISHED, RECORDS, RELEASES


def note(connection: Connection, release_ids: Collection[str]) -> None:
    """Write releases that the caller's transaction has published to the log; call it last, since the log takes nothing back.

    Of a commit that fails afterwards the log keeps what nobody has read, and `put_back` publishes just that.

    Raises:
        OSError: the log cannot be written: nothing may be published.
    """
    released.keep(custody_of(connection).released, _as_published(connection, release_ids))


def put_back(connection: Connection, actor: Actor, at: datetime) -> int:
    """Publish what the log has and the database does not, and write to the log what it lacks; returns how many were put back.

    Raises:
        NotAsWritten: the log was changed.
        OSError: it cannot be written.
    """
    logged = released.kept(custody_of(connection).released)
    subjects = select(RELEASES.c.company, RELEASES.c.data_type, RELEASES.c.period, RELEASES.c.release_id)
    begun = {tuple(row[:3]): row[3] for row in connection.execute(subjects)}
    published = set(connection.scalars(select(PUBLISHED.c.release_id).distinct()))
    lost = [each for subject, each in logged.items() if begun.get(subject) not in published]
    for each in lost:
        _publish_again(connection, each, begun.get(each.subject), actor, at)
    unlogged = [begun[subject] for subject in begun.keys() - logged.keys() if begun[subject] in published]
    if unlogged:
        note(connection, unlogged)
    return len(lost)


def _publish_again(connection: Connection, lost: Released, begun: str | None, actor: Actor, at: datetime) -> None:
    release_id = begun or lost.release_id
    if begun is None:
        connection.execute(insert(RELEASES).values({column.name: getattr(lost, column.name) for column in RELEASES.c}))
        _charge_again(connection, lost)
    stored = [(segment, None if document is None else document.encode()) for segment, document in lost.documents.items()]
    rows = [{"segment": segment, "document": document} for segment, document in stored]
    connection.execute(insert(PUBLISHED), [{**row, "release_id": release_id, "at": lost.published_at} for row in rows])
    audit.append(connection, actor, at, [Entry("release.put_back", "/".join(lost.subject), {"release_id": release_id})])


def _charge_again(connection: Connection, lost: Released) -> None:
    """Whom it counted is not known any more: whoever consented then, as far as the backup knows, has paid."""
    report = notices_of(connection).catalogue.reports.get(lost.data_type)
    if report is not None:
        then = consenting(lost.company, lost.data_type, report.purpose, lost.begun_at)
        paying = select(RECORDS.c.client_code).where(then)
        budget.charge_all(connection, lost.release_id, paying, lost.rho_nano, lost.year)


def _as_published(connection: Connection, release_ids: Collection[str]) -> list[Released]:
    documents: dict[str, dict[str, str | None]] = {}
    published_at: dict[str, datetime] = {}
    for row in connection.execute(select(PUBLISHED).where(PUBLISHED.c.release_id.in_(release_ids))):
        documents.setdefault(row.release_id, {})[row.segment] = None if row.document is None else bytes(row.document).decode()
        published_at[row.release_id] = row.at
    rows = connection.execute(select(RELEASES).where(RELEASES.c.release_id.in_(release_ids)).order_by(RELEASES.c.begun_at))
    return [
        Released(**row, published_at=published_at[row["release_id"]], documents=documents[row["release_id"]])
        for row in rows.mappings()
    ]
