"""What the parts of a split cannot show, said in one sentence that names the column, the part and the count."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from features.wording import agreeing, plural
from training.split import SHARES, Split
from training.task import NotTrainable, Part, TrainingTask

FEWEST_FOR_INTERVALS = 10
"""Calibration rows without which no bound holds nine in ten."""


@dataclass(frozen=True)
class _Asked:
    """Rows that have to show something: what they are for, in words, the rows, and whether a model is fitted on them."""

    purpose: str
    part: Part
    learned: bool = False


def check_parts(task: TrainingTask, parts: Split) -> None:
    """Refuse a split in which some part could not be learned from or judged on.

    Raises:
        NotTrainable: a part without rows, without weight or with one answer only, a class that no row to learn from has, columns
            of which none varies, too few rows for an interval.
    """
    asked = list(_asked(task, parts))
    for one in asked:
        _refuse_empty(task, one)
        _refuse_weightless(task, one)
        if one.learned:
            _refuse_unvarying(task, one)
    if task.kind == "multiclass":
        _refuse_unseen_classes(task, asked[0])
    for one in asked:
        # Calibration and thresholds do without, and so does a comparison of models on several classes.
        if one.learned or one.part is parts.holdout or (task.kind != "multiclass" and one.part is not parts.calibration):
            _refuse_one_answer(task, one)
    if task.kind == "regression":
        _refuse_few_for_intervals(task, parts.calibration)


def _asked(task: TrainingTask, parts: Split) -> Iterator[_Asked]:
    order = f" in order of {task.time}" if task.time else ""
    yield _Asked(f"to learn from (the first {SHARES['development']:.0%}{order})", parts.development, learned=True)
    for fold in parts.folds:
        yield _Asked(f"that a fold learns from{order}", parts.development.take(fold.train), learned=True)
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
                f"{task.name}: weight column {task.weight} is 0 in {_all(len(weights))} {asked.purpose}: "
                f"{_remedy(task, 'give some of them weight, or leave rows without weight out')}"
            )


def _refuse_one_answer(task: TrainingTask, asked: _Asked) -> None:
    for output in task.outputs:
        answers = asked.part.labels[output][asked.part.known(output) & (asked.part.weights > 0)]
        if answers.min() == answers.max():
            only = f"{answers[0]:g}" if task.kind == "regression" else repr(_class_names(task)[int(answers[0])])
            raise NotTrainable(
                f"{task.name}: {_all(len(answers))} {asked.purpose} {agreeing(len(answers), 'has', 'have')} {output} = {only}"
                f"{' where they have weight' if task.weight else ''}: {_remedy(task, 'bring more rows with another')}"
            )


def _refuse_unvarying(task: TrainingTask, asked: _Asked) -> None:
    columns = asked.part.matrix.T
    if not any(_varies(values) for values in columns):
        told = f"none of the {len(columns)} columns varies" if len(columns) > 1 else "the only column does not vary"
        raise NotTrainable(
            f"{task.name}: {told} in the {len(asked.part.weights):,} rows {asked.purpose}, "
            f"where text that few rows share counts as missing: {_remedy(task, 'bring columns that say something')}"
        )


def _varies(values: np.ndarray) -> bool:
    missing = np.isnan(values)
    return bool(missing.any() and not missing.all()) or bool((values[~missing] != values[0]).any())


def _refuse_few_for_intervals(task: TrainingTask, calibration: Part) -> None:
    for output in task.outputs:
        rows = int(calibration.known(output).sum())
        if rows < FEWEST_FOR_INTERVALS:
            by = f", since rows of one {task.group} stay together" if task.group else ""
            raise NotTrainable(
                f"{task.name}: {plural(rows, 'row')} with a label {output} {agreeing(rows, 'is', 'are')} left to calibrate "
                f"intervals on, at least {FEWEST_FOR_INTERVALS} are needed{by}: {_remedy(task, 'bring more rows')}"
            )


def _refuse_unseen_classes(task: TrainingTask, asked: _Asked) -> None:
    (output,) = task.outputs
    counts = _counts(task, asked.part, output)
    unseen = [name for name, count in zip(task.classes, counts, strict=True) if not count]
    if unseen:
        raise NotTrainable(
            f"{task.name}: {len(unseen)} of {len(counts)} classes of {output} {agreeing(len(unseen), 'has', 'have')} no row "
            f"{asked.purpose}: {', '.join(unseen)}: "
            f"{_remedy(task, 'merge them with others or leave their rows out')}"
        )


def _counts(task: TrainingTask, part: Part, output: str) -> np.ndarray:
    """Rows of each class that have weight."""
    codes = part.labels[output][part.known(output) & (part.weights > 0)].astype(int)
    return np.bincount(codes, minlength=len(_class_names(task)))


def _class_names(task: TrainingTask) -> Sequence[str]:
    return task.classes or task.table.get("classes") or ("0", "1")


def _all(rows: int) -> str:
    return f"all {rows:,} rows" if rows > 1 else "the only row"


def _remedy(task: TrainingTask, first: str) -> str:
    columns = [f"{name.upper()}={column}" for name, column in (("time", task.time), ("group", task.group)) if column]
    return f"{first}, or train without {' and '.join(columns)}" if columns else first
