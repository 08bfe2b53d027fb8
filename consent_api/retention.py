"""Deleting in time what is not needed any more, daily: `python -m consent_api.retention` or the deployment `retention`.

Rows go a week before they have to, so that some days without a run make nothing overdue.
"""

import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import and_, delete, exists, func, not_, select

from clock import now
from consent_api.audit import Actor
from consent_api.callers import token_uses
from consent_api.forgetting import erasure
from consent_api.forgetting.deletion import Order, delete_rows, in_portions
from consent_api.record.states import FINAL
from consent_api.store import Store, open_store
from consent_api.tables import ANSWERS, CHARGES, DELETIONS, ERASURES, EVENTS, KEYS, RECORDS
from settings import Settings, settings

ACTOR = Actor("retention", "operator")
_AHEAD = timedelta(days=7)
_AGAIN = timedelta(days=2)
"""How long files are written anew after a deletion: what a long transaction (a backup) can still see, PostgreSQL keeps."""
_PORTION = 20_000
_RECORDS = 5_000
_TOUCHED = (ANSWERS, CHARGES, EVENTS, RECORDS, ERASURES, KEYS)


@dataclass(frozen=True)
class Policy:
    """How long what is kept; see docs/consent.md."""

    intermediate: timedelta
    evidence: timedelta

    @classmethod
    def of(cls, config: Settings) -> "Policy":
        """The configured one."""
        return cls(timedelta(days=config.intermediate_retention_days), timedelta(days=366 * config.evidence_retention_years))


def retain(store: Store, policy: Policy, at: datetime) -> dict[str, int]:
    """Carry out every erasure that was asked for and delete every row that is due; returns the number of rows by what they were.

    May be stopped at any moment and run again: what is deleted and its evidence are one transaction.

    Raises:
        DBAPIError: the database does not answer.
    """
    counts = {
        "erased": _erase(store, at),
        "answers": in_portions(lambda: _forget_answers(store, policy, at), _PORTION),
        "charges": in_portions(lambda: _forget_charges(store, policy, at), _PORTION),
        "records": in_portions(lambda: _forget_records(store, policy, at), _RECORDS),
    }
    with store.writing() as connection:
        connection.execute(delete(DELETIONS).where(DELETIONS.c.at <= at - policy.evidence))
        lately = connection.scalar(select(exists().where(DELETIONS.c.at > at - _AGAIN)))
        tokens = token_uses.forget(connection, at)  # they name nobody, so that their places need no new file
    if lately or any(counts.values()):
        _rewrite(store)
    return counts | {"tokens": tokens}


def overdue(store: Store, policy: Policy, at: datetime) -> dict[str, int]:
    """How many rows should have been deleted by now and are there still; all zeros as long as `retain` runs every few days."""
    with store.reading() as connection:
        chosen = {
            ERASURES: ERASURES.c.due_at < at,
            ANSWERS: ANSWERS.c.at < at - policy.intermediate,
            CHARGES: CHARGES.c.year < (at - policy.intermediate).year,
        }
        return {
            table.name: connection.scalar(select(func.count()).select_from(table).where(late)) or 0
            for table, late in chosen.items()
        }


def _erase(store: Store, at: datetime) -> int:
    with store.reading() as connection:
        asked = connection.scalars(select(ERASURES.c.client_code)).all()
    count = 0
    for client_code in asked:
        with store.writing() as connection:
            count += erasure.carry_out_asked(connection, client_code, ACTOR, at)
    return count


def _forget_answers(store: Store, policy: Policy, at: datetime) -> int:
    chosen = ANSWERS.c.at <= at - policy.intermediate + _AHEAD
    with store.writing() as connection:
        oldest = connection.scalar(select(func.min(ANSWERS.c.at)).where(chosen))
        due_at = (oldest or at) + policy.intermediate
        return delete_rows(connection, ANSWERS, chosen, Order("retention", due_at, ACTOR, at), _PORTION)


def _forget_charges(store: Store, policy: Policy, at: datetime) -> int:
    """What was charged in a year that is over for weeks: clients see it until then, and a clock days ahead resets no budget."""
    with store.writing() as connection:
        oldest = connection.scalar(select(func.min(CHARGES.c.year)))
        if oldest is None or oldest >= (at - policy.intermediate + _AHEAD).year:
            return 0
        due_at = datetime(oldest + 1, 1, 1, tzinfo=UTC) + policy.intermediate
        return delete_rows(connection, CHARGES, CHARGES.c.year == oldest, Order("retention", due_at, ACTOR, at), _PORTION)


def _forget_records(store: Store, policy: Policy, at: datetime) -> int:
    """Consents of a kind whose last one ended long ago; one that is younger needs its predecessors as its history."""
    before = at - policy.evidence
    order = Order("retention", at + policy.intermediate, ACTOR, at)
    other, ending = RECORDS.alias("other"), EVENTS.alias("ending")
    kind = and_(*(other.c[name] == RECORDS.c[name] for name in ("client_code", "company", "data_type", "purpose")))
    over = exists().where(ending.c.record_id == other.c.record_id, ending.c.state.in_(FINAL), ending.c.at <= before)
    needed = exists().where(kind, other.c.valid_until > before, not_(over))
    newest_first = select(RECORDS.c.record_id).where(not_(needed)).order_by(RECORDS.c.number.desc()).limit(_RECORDS)
    with store.writing() as connection:
        chosen = connection.scalars(newest_first).all()  # before their events, which say that they are over, are gone
        delete_rows(connection, EVENTS, EVENTS.c.record_id.in_(chosen), order)
        return delete_rows(connection, RECORDS, RECORDS.c.record_id.in_(chosen), order)


def _rewrite(store: Store) -> None:
    """Have the database write its files anew, because deleted rows stay readable in them until their place is used again."""
    if store.engine.dialect.name == "sqlite":
        file = store.engine.raw_connection()  # without the transaction that ours begin with
        try:
            file.cursor().execute("VACUUM")
            file.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            file.close()
        return
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for table in _TOUCHED:
            connection.exec_driver_sql(f"VACUUM (FULL, ANALYZE) {table.name}")
        connection.exec_driver_sql("VACUUM FULL pg_statistic")  # the planner's samples of the columns held some of the values


def main() -> int:
    """Run once; returns the exit status."""
    done = retain(open_store(settings()), Policy.of(settings()), now())
    print(", ".join(f"{count} {what}" for what, count in done.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
