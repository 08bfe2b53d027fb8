"""What a search chose, as a recipe; and the boosters that it gives."""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from registry.boosters import SUFFIXES
from registry.encoding import ModelColumn
from registry.outputs import Member, inverse_link, link
from registry.scorer import category_positions
from training.families import FAMILIES, Fitted, Problem, Rows
from training.task import Part, TrainingTask

CORES = os.cpu_count() or 1
MOST_SLOTS = 4
CELLS_PER_SLOT = 30_000_000
"""A table with more cells than this is not held several times: then one fit at a time takes all cores."""


@dataclass(frozen=True)
class Ingredient:
    """A booster to fit: family, parameters, boosting rounds, convex weight in margin space."""

    family: str
    params: dict[str, Any]
    rounds: int
    weight: float


Recipe = Mapping[str, tuple[Ingredient, ...]]
"""By output: what the blend is made of. With the same rows, seed and threads it gives the same bytes."""


@dataclass(frozen=True)
class Workers:
    """How many fits run at once, and how many threads each takes."""

    slots: int
    threads: int

    @staticmethod
    def of(matrix: np.ndarray) -> "Workers":
        """Single-threaded fits beside each other for tables that may be held once for each, else one fit on all cores."""
        slots = min(CORES, MOST_SLOTS) if matrix.size <= CELLS_PER_SLOT else 1
        return Workers(slots, max(1, CORES // slots))


@dataclass(frozen=True)
class Blend:
    """The fitted boosters of one output with their weights."""

    link: str
    ingredients: tuple[Ingredient, ...]
    boosters: tuple[Fitted, ...]

    def margin(self, matrix: np.ndarray) -> np.ndarray:
        """Weighted sum of the margins, shape (rows,) or (rows, classes)."""
        pairs = zip(self.ingredients, self.boosters, strict=True)
        return np.sum([part.weight * np.asarray(fitted.margin(matrix), dtype=np.float64) for part, fitted in pairs], axis=0)

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        """Predictions before calibration."""
        return inverse_link(self.link, self.margin(matrix))

    def save(self, folder: Path, output: str) -> tuple[Member, ...]:
        """Write the native files into `folder`."""
        members = []
        for index, (part, fitted) in enumerate(zip(self.ingredients, self.boosters, strict=True)):
            file = f"{output}-{index}{SUFFIXES[part.family]}"
            fitted.save(folder / file)
            members.append(Member(part.family, file, part.weight))
        return tuple(members)


def cook(
    task: TrainingTask, part: Part, columns: tuple[ModelColumn, ...], recipe: Recipe, seed: int, workers: Workers
) -> dict[str, Blend]:
    """Fit every booster of a recipe on all rows of `part`; by output."""
    base = replace(problem(task, columns, seed), threads=workers.threads)

    def fit(job: tuple[str, Ingredient]) -> Fitted:
        output, ingredient = job
        return FAMILIES[ingredient.family].refit(base, rows(task, part, output), ingredient.params, ingredient.rounds)

    jobs = [(output, ingredient) for output, ingredients in recipe.items() for ingredient in ingredients]
    with ThreadPoolExecutor(workers.slots) as pool:
        fitted = iter(list(pool.map(fit, jobs)))
    return {
        output: Blend(task.link, ingredients, tuple(next(fitted) for _ in ingredients)) for output, ingredients in recipe.items()
    }


def stored_recipe(recipe: Recipe) -> dict[str, list[dict[str, Any]]]:
    """The recipe as JSON."""
    return {output: [asdict(ingredient) for ingredient in ingredients] for output, ingredients in recipe.items()}


def read_recipe(stored: Mapping[str, list[dict[str, Any]]]) -> Recipe:
    """The recipe from its JSON."""
    return {output: tuple(Ingredient(**ingredient) for ingredient in ingredients) for output, ingredients in stored.items()}


def problem(task: TrainingTask, columns: tuple[ModelColumn, ...], seed: int) -> Problem:
    """The description of the task that the families need."""
    categorical = category_positions(columns)
    monotone = tuple(0 if index in categorical else task.monotone.get(column.name, 0) for index, column in enumerate(columns))
    loss = {"binary": "log_loss", "multiclass": "softmax", "regression": "squared"}[task.kind]
    watched = "rmse" if task.metric == "rmse" else "mae"
    return Problem(
        loss,  # type: ignore[arg-type]
        categorical,
        seed % 2**31,
        watched=watched,  # type: ignore[arg-type]
        classes=max(2, len(task.classes)),
        monotone=monotone,
    )


def rows(task: TrainingTask, part: Part, output: str) -> Rows:
    """The rows of `part` whose label for `output` is known, with regression labels in margin space."""
    known = part.known(output)
    labels = part.labels[output][known]
    return Rows(part.matrix[known], link(task.link, labels) if task.kind == "regression" else labels, part.weights[known])
