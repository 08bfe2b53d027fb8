"""From a request and a table of the user's own to a training task and its frame, and to features of the next such table."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from training.date_parts import date_features, learn_parts, part_name
from training.leakage import Suspect, suspects
from training.own_labels import Labels, learn_labels
from training.own_request import TableRequest
from training.refusals import refuse_empty_features
from training.table import OpenTable, open_table
from training.table_columns import ColumnKind
from training.task import NotTrainable, TrainingTask


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


def read_own_table(request: TableRequest, scratch: Path | None = None) -> OwnTable:
    """Read the table of `request` and say what is to be learned from it.

    Raises:
        RefusedFile: the file is no table with one header and rows of one length.
        NotTrainable: the table lacks a column, or has one that cannot be learned from.
    """
    known: dict[str, ColumnKind] = {name: "text" for name in (request.id, request.group) if name}
    with open_table(Path(request.table), request.names, known, scratch) as table:
        _check_columns(request, table)
        kinds = {column.name: column.kind for column in table.columns}
        unread = {name for name in (*request.drop, request.id) if name and name not in (*request.protected, request.group)}
        frame = table.frame(without=[name for name in kinds if name in unread])
        notes = table.notes(without=unread)
    labels = learn_labels(request, frame[request.target])
    frame, labels = _usable(request, frame, labels, notes)
    task, frame = _task(request, table, kinds, frame, labels)
    labelled = frame[task.outputs[0]].to_numpy()
    found = [
        suspect
        for suspect in suspects(frame, list(task.features), labelled, task.kind, request.seed)
        if suspect.why != "id" or suspect.column not in task.table["dates"]  # a day of its own for each row is no id
    ]
    if request.drop_suspects:
        task = _without(task, [suspect.column for suspect in found if suspect.why != "constant"])
    stored = {"notes": notes, "suspects": [{"column": one.column, "why": one.why, "score": one.score} for one in found]}
    task = replace(task, table={**task.table, **stored, "suspects_dropped": request.drop_suspects})
    return OwnTable(task, frame, tuple(notes), tuple(found))


def own_features(frame: pd.DataFrame, form: Mapping[str, Any]) -> pd.DataFrame:
    """The features of rows that were read with the kinds of `form` (the `task.table` of the model)."""
    return _with(frame, date_features(frame, form["dates"], form["time"]))


def _with(frame: pd.DataFrame, columns: Mapping[str, Any]) -> pd.DataFrame:
    """The frame with columns added or replaced, all at once: one by one is slow for a wide frame."""
    kept = frame.drop(columns=[name for name in columns if name in frame.columns])
    return pd.concat([kept, pd.DataFrame(dict(columns), index=frame.index)], axis=1)


def _check_columns(request: TableRequest, table: OpenTable) -> None:
    known = [column.name for column in table.columns]
    roles = [request.target, request.weight, request.time, request.group, request.id]
    wanted = [*filter(None, roles), *request.drop, *request.protected, *request.monotone]
    absent = sorted({name for name in wanted if name not in known})
    if absent:
        alike = [match for name in absent for match in difflib.get_close_matches(name, known, 2, 0.5)]
        hint = f"did you mean {', '.join(dict.fromkeys(alike))}?" if alike else f"it has {', '.join(known[:20])}"
        raise NotTrainable(f"{request.name}: {table.name} has no column {', '.join(absent)}: {hint}")
    if request.time:
        column = next(column for column in table.columns if column.name == request.time)
        if column.kind == "text" or column.unfit:
            unfit = f"{column.unfit or column.given:,} of {column.given:,}"
            raise NotTrainable(
                f"{request.name}: time column {request.time} does not parse: {unfit} cells are no dates or numbers; write them "
                "like 2025-12-31 or 31.12.2025, or train without it"
            )


def _usable(request: TableRequest, frame: pd.DataFrame, labels: Labels, notes: list[str]) -> tuple[pd.DataFrame, Labels]:
    """The rows whose label and time are known; what is left out is noted."""
    known = labels.values.notna()
    if not known.all():
        notes.append(f"{int((~known).sum()):,} of {len(frame):,} rows have no {request.target} and are left out")
    if request.time:
        timeless = frame[request.time].isna() & known
        if timeless.any():
            notes.append(f"{int(timeless.sum()):,} rows have no {request.time} and are left out")
            known &= ~timeless
    if known.all():
        return frame, labels
    return frame[known].reset_index(drop=True), replace(labels, values=labels.values[known].reset_index(drop=True))


def _task(
    request: TableRequest, table: OpenTable, kinds: Mapping[str, ColumnKind], frame: pd.DataFrame, labels: Labels
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
    columns: dict[str, Any] = date_features(frame, dates, request.time)
    columns[output] = labels.values.to_numpy()
    if request.group:
        columns[request.group] = _groups(frame[request.group])
    frame = _with(frame.drop(columns=request.target), columns)
    form = {
        "file": table.name,
        "form": table.form,
        "sha256": table.sha256,
        "rows": table.rows,
        "names": list(request.names),
        "kinds": {name: kinds[name] for name in (*inputs, *(name for name in dates if name == request.time))},
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


def _output(target: str, others: Sequence[str]) -> str:
    """A name for the output that is safe as a file name and no other column's."""
    name = re.sub(r"\W+", "_", target).strip("_") or "target"
    while name in others:
        name += "_"
    return name


def _groups(values: pd.Series) -> np.ndarray:
    """A number for each group; a row without one is a group of its own."""
    codes = pd.factorize(values)[0].astype("int64")
    return np.where(codes < 0, codes.max(initial=-1) + 1 + np.arange(len(codes)), codes)


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
