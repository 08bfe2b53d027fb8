"""What the parts of a split cannot show, said in one sentence that names the column, the part and the count."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from training.split import SHARES, Split
from training.task import NotTrainable, Part, TrainingTask


@dataclass(frozen=True)
class _Asked:
    """Rows that have to show something: what they are for, in words, and the rows."""

    purpose: str
    part: Part


def check_parts(task: TrainingTask, parts: Split) -> None:
    """Refuse a split in which some part could not be learned from or judged on.

    Raises:
        NotTrainable: a part without rows or without weight, with one class only, or a class that no row to learn from has.
    """
    asked = list(_asked(task, parts))
    for one in asked:
        _refuse_empty(task, one)
        _refuse_weightless(task, one)
    if task.kind == "binary":
        for one in asked:
            if one.part is not parts.calibration:  # thresholds and calibration do without
                _refuse_one_class(task, one)
    elif task.kind == "multiclass":
        _refuse_unseen_classes(task, asked[0])
        _refuse_one_class(task, asked[-1])


def _asked(task: TrainingTask, parts: Split) -> Iterator[_Asked]:
    order = f" in order of {task.time}" if task.time else ""
    yield _Asked(f"to learn from (the first {SHARES['development']:.0%}{order})", parts.development)
    for fold in parts.folds:
        yield _Asked(f"that a fold learns from{order}", parts.development.take(fold.train))
        yield _Asked(f"that models are compared on{order}", parts.development.take(fold.validation))
    yield _Asked(f"to calibrate on (the {SHARES['calibration']:.0%} before the last{order})", parts.calibration)
    yield _Asked(f"to judge on (the last {SHARES['holdout']:.0%}{order})", parts.holdout)


def _refuse_empty(task: TrainingTask, asked: _Asked) -> None:
    for output in task.outputs:
        if not len(asked.part.known(output)) or not asked.part.known(output).any():
            by = f", since rows of one {task.group} stay together" if task.group else ""
            raise NotTrainable(
                f"{task.name}: there are no rows with a label {output} {asked.purpose}{by}: {_remedy(task, 'bring more rows')}"
            )


def _refuse_weightless(task: TrainingTask, asked: _Asked) -> None:
    for output in task.outputs:
        weights = asked.part.weights[asked.part.known(output)]
        if not weights.any():
            raise NotTrainable(
                f"{task.name}: weight column {task.weight} is 0 in all {len(weights):,} rows {asked.purpose}: "
                f"{_remedy(task, 'give some of them weight, or leave rows without weight out')}"
            )


def _refuse_one_class(task: TrainingTask, asked: _Asked) -> None:
    for output in task.outputs:
        counts = _counts(task, asked.part, output)
        if np.count_nonzero(counts) < 2:
            only = _class_names(task)[int(np.argmax(counts))]
            raise NotTrainable(
                f"{task.name}: all {int(counts.sum()):,} rows {asked.purpose} have {output} = {only!r}"
                f"{' where they have weight' if task.weight else ''}: {_remedy(task, 'bring more rows of the other')}"
            )


def _refuse_unseen_classes(task: TrainingTask, asked: _Asked) -> None:
    (output,) = task.outputs
    counts = _counts(task, asked.part, output)
    unseen = [name for name, count in zip(task.classes, counts, strict=True) if not count]
    if unseen:
        raise NotTrainable(
            f"{task.name}: {len(unseen)} of {len(counts)} classes of {output} have no row {asked.purpose}: {', '.join(unseen)}: "
            f"{_remedy(task, 'merge them with others or leave their rows out')}"
        )


def _counts(task: TrainingTask, part: Part, output: str) -> np.ndarray:
    """Rows of each class that have weight."""
    codes = part.labels[output][part.known(output) & (part.weights > 0)].astype(int)
    return np.bincount(codes, minlength=len(_class_names(task)))


def _class_names(task: TrainingTask) -> Sequence[str]:
    return task.classes or task.table.get("classes") or ("0", "1")


def _remedy(task: TrainingTask, first: str) -> str:
    columns = [f"{name.upper()}={column}" for name, column in (("time", task.time), ("group", task.group)) if column]
    return f"{first}, or train without {' and '.join(columns)}" if columns else first
