"""From a request and a table of the user's own to a training task and its frame, and to features of the next such table."""

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.wording import agreeing
from training.date_parts import BEFORE, date_features, learn_parts, part_name
from training.leakage import Suspect, suspects
from training.own_labels import Labels, learn_labels
from training.own_notes import column_notes
from training.own_refusals import check_columns
from training.own_request import TableRequest
from training.refusals import refuse_empty_features
from training.table import OpenTable, open_table
from training.table_columns import ColumnKind
from training.task import TrainingTask


@dataclass(frozen=True)
class OwnTable:
    """A table that is ready to be learned from.

    Attributes:
        task: what is to be learned; `task.table` says how the table was read.
        frame: features, label, weight, time, group and protected columns.
        notes: what the user should know about how the table was read.
        suspects: columns that a careful person would look at.
    """

    task: TrainingTask
    frame: pd.DataFrame
    notes: tuple[str, ...]
    suspects: tuple[Suspect, ...]


def read_own_table(request: TableRequest, scratch: Path | None = None, champion: Mapping[str, Any] | None = None) -> OwnTable:
    """Read the table of `request` and say what is to be learned from it.

    Args:
        request: which table, and what to learn.
        scratch: folder for an unpacked copy, where one is needed.
        champion: `task.table` of the version in force. What it learned from is read as well, though it be dropped from now on:
            the two are compared on the same rows, and neither is to lack its columns.

    Raises:
        RefusedFile: the file is no table with one header and rows of one length.
        NotTrainable: the table lacks a column, or has one that cannot be learned from.
    """
    known: dict[str, ColumnKind] = {name: "text" for name in (request.id, request.group) if name}
    with _opened(request, known, scratch) as table:
        check_columns(request, table)
        kinds = {column.name: column.kind for column in table.columns}
        read = {*request.protected, request.group, *(champion["kinds"] if champion else ())}
        unread = {name for name in (*request.drop, request.id) if name and name not in read}
        frame = table.frame(without=[name for name in kinds if name in unread])
        notes = table.notes(without=unread if request.kind == "regression" else {*unread, request.target})
    notes += column_notes(request, frame, kinds)
    labels = learn_labels(request, frame[request.target])
    frame, labels = _usable(request, frame, labels, notes)
    task, frame = _task(request, table, kinds, frame, labels, champion)
    labelled = frame[task.outputs[0]].to_numpy()
    found = [
        suspect
        for suspect in suspects(frame, list(task.features), labelled, task.kind, request.seed)
        if _of_the_table(suspect, task.table)
    ]
    if request.drop_suspects:
        task = _without(task, [suspect.column for suspect in found if suspect.why in ("leak", "id")])
    stored = {"notes": notes, "suspects": [suspect.record for suspect in found]}
    task = replace(task, table={**task.table, **stored, "suspects_dropped": request.drop_suspects})
    return OwnTable(task, frame, tuple(notes), tuple(found))


def _of_the_table(suspect: Suspect, form: Mapping[str, Any]) -> bool:
    """Whether it is worth telling: a day for each row is no id, and two dates may well have their weekdays in common."""
    if suspect.why == "id":
        return suspect.column not in form["dates"]
    return suspect.why != "copy" or suspect.column in form["kinds"]


@contextlib.contextmanager
def _opened(request: TableRequest, known: dict[str, ColumnKind], scratch: Path | None) -> Iterator[OpenTable]:
    """The table; classes that are nearly all numbers or dates are read as text, so that none of them counts as missing."""
    with contextlib.ExitStack() as stack:
        table = stack.enter_context(open_table(Path(request.table), request.names, known, scratch))
        if request.kind != "regression" and any(one.unfit for one in table.columns if one.name == request.target):
            known = {**known, request.target: "text"}
            table = stack.enter_context(open_table(Path(request.table), request.names, known, scratch))
        yield table


def own_features(frame: pd.DataFrame, form: Mapping[str, Any]) -> pd.DataFrame:
    """The features of rows that were read with the kinds of `form` (the `task.table` of the model)."""
    return _with(frame, date_features(frame, form["dates"], form["time"]))


def _with(frame: pd.DataFrame, columns: Mapping[str, Any]) -> pd.DataFrame:
    """The frame with columns added or replaced, all at once: one by one is slow for a wide frame."""
    kept = frame.drop(columns=[name for name in columns if name in frame.columns])
    return pd.concat([kept, pd.DataFrame(dict(columns), index=frame.index)], axis=1)


def _usable(request: TableRequest, frame: pd.DataFrame, labels: Labels, notes: list[str]) -> tuple[pd.DataFrame, Labels]:
    """The rows whose label and time are known; what is left out is noted."""
    known = labels.values.notna()
    if not known.all():
        notes.append(_left_out(~known, request.target))
    if request.time:
        timeless = frame[request.time].isna() & known
        if timeless.any():
            notes.append(_left_out(timeless, request.time))
            known &= ~timeless
    if known.all():
        return frame, labels
    return frame[known].reset_index(drop=True), replace(labels, values=labels.values[known].reset_index(drop=True))


def _left_out(rows: pd.Series, column: str) -> str:
    lost = int(rows.sum())
    return f"{lost:,} of {len(rows):,} rows {agreeing(lost, f'has no {column} and is', f'have no {column} and are')} left out"


def _task(
    request: TableRequest,
    table: OpenTable,
    kinds: Mapping[str, ColumnKind],
    frame: pd.DataFrame,
    labels: Labels,
    champion: Mapping[str, Any] | None,
) -> tuple[TrainingTask, pd.DataFrame]:
    """The task, and the frame with the label under the name of the output, dates as numbers and groups as codes."""
    aside = {request.target, request.weight, request.group, request.id, *request.drop}
    inputs = [name for name in kinds if name not in aside and name != request.time]
    dates = learn_parts(
        frame, [name for name in (*inputs, request.time) if name in frame and name and kinds[name] == "date"], request.time
    )
    derived = [part_name(name, part, request.time) for name, parts in dates.items() for part in parts]
    features = list(dict.fromkeys([*inputs, *derived]))
    output = _output(request.target, [name for name in [*kinds, *derived] if name != request.target])
    columns: dict[str, Any] = {**_dates_of(champion, request, kinds, frame), **date_features(frame, dates, request.time)}
    columns[output] = labels.values.to_numpy()
    if request.group:
        columns[request.group] = _groups(frame[request.group])
    if request.weight:
        columns[request.weight] = _evened(frame[request.weight])
    frame = _with(frame.drop(columns=request.target), columns)
    form = {
        "file": table.name,
        "form": table.form,
        "sha256": table.sha256,
        "rows": table.rows,
        "names": list(request.names),
        "kinds": {name: kinds[name] for name in (*inputs, *(name for name in dates if name == request.time))},
        "written": {column.name: column.form for column in table.columns if column.kind != "text"},
        "dates": dates,
        "target": request.target,
        "time": request.time,
        "id": request.id,
        "classes": list(labels.classes),
        "request": request.model_dump(mode="json"),
    }
    task = TrainingTask(
        request.name,
        (output,),
        request.kind,
        request.selects_by,
        tuple(features),
        weight=request.weight,
        time=request.time,
        group=request.group,
        positive=request.kind == "regression" and request.selects_by == "wmae" and _skewed(labels.values.to_numpy()),
        classes=labels.classes if request.kind == "multiclass" else (),
        monotone={name: int(sign) for name, sign in request.monotone.items() if name in features},
        protected=tuple(request.protected),
        table=form,
    )
    refuse_empty_features(task, frame)
    return task, frame


def _dates_of(
    champion: Mapping[str, Any] | None, request: TableRequest, kinds: Mapping[str, ColumnKind], frame: pd.DataFrame
) -> dict[str, np.ndarray]:
    """The features that the champion makes of dates; the column by which rows are ordered now stays a date."""
    if champion is None:
        return {}
    there = {name for name in frame.columns if kinds[name] == "date"}
    dates = {
        name: [part for part in parts if part != BEFORE or champion["time"] in there]
        for name, parts in champion["dates"].items()
        if name in there - {request.time}
    }
    return date_features(frame, dates, champion["time"])


def _output(target: str, others: Sequence[str]) -> str:
    """A name for the output that is safe as a file name and no other column's, nor are those kept beside the columns."""
    name = re.sub(r"\W+", "_", target).strip("_") or "target"
    while any(
        other in {name, f"label_{name}", f"prediction_{name}"} or other.startswith(f"prediction_{name}_") for other in others
    ):
        name += "_"
    return name


def _groups(values: pd.Series) -> np.ndarray:
    """A number for each group; a row without one is a group of its own."""
    codes = pd.factorize(values)[0].astype("int64")
    return np.where(codes < 0, codes.max(initial=-1) + 1 + np.arange(len(codes)), codes)


def _evened(weights: pd.Series) -> pd.Series:
    """Weights around 1, for which the libraries' least weight of a leaf is meant: with 1/n for each row no leaf reaches it."""
    mean = weights.mean()
    return weights / mean if 0 < mean < np.inf else weights


def _skewed(amounts: np.ndarray) -> bool:
    """Whether amounts above 0 are nearer to symmetric on a log scale, as incomes and payments are."""
    if amounts.min() <= 0:
        return False
    logs = pd.Series(np.log(amounts))
    return bool(abs(float(logs.skew())) < abs(float(pd.Series(amounts).skew())))  # type: ignore[arg-type]


def _without(task: TrainingTask, columns: Sequence[str]) -> TrainingTask:
    features = tuple(name for name in task.features if name not in columns)
    monotone = {name: sign for name, sign in task.monotone.items() if name in features}
    return replace(task, features=features, monotone=monotone)
