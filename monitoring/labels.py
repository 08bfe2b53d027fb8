"""What became of the scores: labels that come later and join the rows of the journal."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from hashlib import sha256
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, select

from clock import now
from database import Turn, add_new, take_turn
from monitoring.draining import reading
from monitoring.label_targets import AMOUNTS, Target, targets_by_id, targets_by_month
from monitoring.rows import LABELS, LABELS_ASIDE

_AT_ONCE = 500  # labels a transaction: the journal's own writers wait meanwhile
_IDS_AT_ONCE = 10_000  # databases take some ten thousand parameters a statement, and one label may belong to more scores


@dataclass(frozen=True, slots=True)
class Label:
    """What happened after a score.

    Attributes:
        label: 0 or 1, for income tenge a month.
        score_id: of the scored row; or else
        transaction_id: of the payment (the journal does not keep it, so that such a label is put aside); or else
        client_id, month: of an income, month as 2026-05: it is the label of every score of the client in that month, in UTC.
        output: which prediction it belongs to, e.g. bank_a; None where the score has one only.
        labelled_at: when it became known.
        source: who says so, e.g. "api" or the name of a file.
    """

    label: float
    score_id: str | None = None
    transaction_id: str | None = None
    client_id: str | None = None
    month: str | None = None
    output: str | None = None
    labelled_at: datetime = field(default_factory=now)
    source: str = "api"


@dataclass(frozen=True)
class LabelsOutcome:
    """How many labels came to what.

    Attributes:
        joined: labels that a score has now; one of a client and month counts for each of its scores.
        unknown: there is no such score, or none that was given out.
        duplicates: the score had this very label already.
        conflicting: the score had another label already, which stays.
        invalid: no number, neither 0 nor 1 where it has to be, or it does not say what it is the label of.
        early: among the joined, labels older than their score: a clock is wrong.
    """

    joined: int = 0
    unknown: int = 0
    duplicates: int = 0
    conflicting: int = 0
    invalid: int = 0
    early: int = 0

    def __add__(self, other: "LabelsOutcome") -> "LabelsOutcome":
        return LabelsOutcome(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


def record_labels(engine: Engine, labels: Sequence[Label]) -> LabelsOutcome:
    """Join labels to the scores of the journal at `engine`; durable when this returns, and harmless to repeat.

    What does not join is kept in `journal_labels_aside` with the reason, and can be sent again once its score is there.
    """
    outcome = LabelsOutcome()
    for start in range(0, len(labels), _AT_ONCE):
        some = labels[start : start + _AT_ONCE]
        with reading(engine) as connection:
            found = _targets(connection, some)
        with engine.begin() as connection:
            take_turn(connection, Turn.JOIN_LABELS)  # two writers must not both find a score unlabelled
            outcome += _joined(connection, some, found)
    return outcome


def _targets(connection: Connection, labels: Sequence[Label]) -> list[Sequence[Target]]:
    """The scores that each label belongs to."""
    by_id = targets_by_id(connection, {label.score_id for label in labels if label.score_id})
    by_month = targets_by_month(
        connection, {(label.client_id, label.month) for label in labels if not label.score_id and label.client_id and label.month}
    )
    return [
        by_id.get(label.score_id, ()) if label.score_id else by_month.get((label.client_id or "", label.month or ""), ())
        for label in labels
    ]


def _joined(connection: Connection, labels: Sequence[Label], targets: Sequence[Sequence[Target]]) -> LabelsOutcome:
    """Keep what is new and put the rest aside, in the transaction of `connection`."""
    known = _known(connection, {target.score_id for some in targets for target in some})
    counts = dict.fromkeys((one.name for one in fields(LabelsOutcome)), 0)
    fresh, aside = [], []
    for label, some in zip(labels, targets, strict=True):
        reasons = {_unfit(label, some)} - {""}
        for target in () if reasons else some:
            output = label.output or target.outputs[0]
            had = known.setdefault((target.score_id, output), math.nan)
            if math.isnan(had):
                known[target.score_id, output] = label.label
                fresh.append(_row(label, target.score_id, output))
                counts["joined"] += 1
                counts["early"] += label.labelled_at < target.ts
            elif had == label.label:
                counts["duplicates"] += 1
            else:
                counts["conflicting"] += 1
                reasons.add("conflicting")
        for reason in reasons:
            aside.append(_aside(label, reason))
            counts[reason] += reason != "conflicting"
    add_new(connection, LABELS, fresh)
    add_new(connection, LABELS_ASIDE, aside)
    return LabelsOutcome(**counts)


def _unfit(label: Label, targets: Sequence[Target]) -> str:
    """Why a label joins nothing; empty when it can."""
    if not math.isfinite(label.label) or not (label.score_id or label.transaction_id or (label.client_id and label.month)):
        return "invalid"
    if not targets:
        return "unknown"
    for target in targets:
        if target.use_case == AMOUNTS and label.label < 0:
            return "invalid"
        if target.use_case != AMOUNTS and label.label not in (0, 1):
            return "invalid"
        if (label.output not in target.outputs) if label.output else len(target.outputs) != 1:
            return "invalid"
    return ""


def _known(connection: Connection, ids: Collection[str]) -> dict[tuple[str, str], float]:
    known: dict[tuple[str, str], float] = {}
    ordered = sorted(ids)
    for start in range(0, len(ordered), _IDS_AT_ONCE):
        some = LABELS.c.score_id.in_(ordered[start : start + _IDS_AT_ONCE])
        query = select(LABELS.c.score_id, LABELS.c.output, LABELS.c.label).where(some)
        known |= {(score_id, output): label for score_id, output, label in connection.execute(query)}
    return known


def _row(label: Label, score_id: str, output: str) -> dict[str, Any]:
    return {
        "score_id": score_id,
        "output": output,
        "label": label.label,
        "labelled_at": label.labelled_at,
        "source": label.source,
    }


def _aside(label: Label, reason: str) -> dict[str, Any]:
    row = {one.name: getattr(label, one.name) for one in fields(Label)}
    row["label"] = label.label if math.isfinite(label.label) else None
    told = [row[name] for name in ("score_id", "transaction_id", "client_id", "month", "output", "label")]
    return {"id": sha256(orjson.dumps([reason, *told])).hexdigest(), "reason": reason, **row}
