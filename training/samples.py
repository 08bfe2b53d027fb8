"""Labelled rows that are stored with a version: what live traffic is compared with, and what its quality is estimated from."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from registry.encoding import without_rare
from registry.outputs import Output
from registry.scorer import CALIBRATION, CLUSTER, REFERENCE
from training.ensemble import Blend
from training.split import Split
from training.task import Part, TrainingTask

ROWS = 5000
"""Most rows of a sample."""


def write_samples(
    task: TrainingTask, parts: Split, outputs: tuple[Output, ...], blends: Mapping[str, Blend], folder: Path, seed: int
) -> None:
    """A sample of the holdout, and of probabilities one of the calibration rows as well, each in order of time.

    Texts that few share are folded, and a client is a number of these samples: it names nobody.
    """
    kept = {REFERENCE: parts.holdout, **({CALIBRATION: parts.calibration} if task.kind == "binary" else {})}
    clients = _numbers(task, list(kept.values()))
    for (name, part), numbers in zip(kept.items(), clients, strict=True):
        rows = part.frame.sample(min(ROWS, len(part.frame)), random_state=seed).index.sort_values().to_numpy()
        drawn = part.take(rows)
        sample = without_rare(drawn.frame[list(task.features)], parts.columns)
        if numbers is not None:
            sample[CLUSTER] = numbers[rows]
        pd.concat([sample, _judged(drawn, outputs, blends)], axis=1).to_parquet(folder / name, index=False)


def _numbers(task: TrainingTask, parts: list[Part]) -> list[np.ndarray | None]:
    """A number for the client of each row, the same in all parts; None where rows have no clients."""
    if not task.entity:
        return [None] * len(parts)
    codes = pd.factorize(pd.concat([part.frame[task.entity] for part in parts]), use_na_sentinel=False)[0]
    return list(np.split(codes, np.cumsum([len(part.frame) for part in parts])[:-1]))


def _judged(part: Part, outputs: tuple[Output, ...], blends: Mapping[str, Blend]) -> pd.DataFrame:
    judged: dict[str, np.ndarray] = {}
    for output in outputs:
        predictions = output.predictions(blends[output.name].margin(part.matrix), part.matrix)
        if output.classes:
            judged |= {f"prediction_{output.name}_{name}": predictions[:, at] for at, name in enumerate(output.classes)}
        else:
            judged[f"prediction_{output.name}"] = predictions
        judged[f"label_{output.name}"] = part.labels[output.name]
    return pd.DataFrame(judged, index=part.frame.index)
