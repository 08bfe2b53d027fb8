"""A version on its way to a comparison: its files, its scorer, and its predictions once it has shown that it can serve."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from registry import models
from registry.admission import declared_obstacles, predicted_obstacles
from registry.holdout import Holdout
from registry.scorer import DamagedModel, Scorer
from settings import Settings, settings


class Unservable(Exception):
    """A version that no service could serve; the message says why."""


@dataclass(frozen=True)
class Candidate:
    """A loaded version and the folder its files lie in."""

    use_case: str
    version: str
    scorer: Scorer
    folder: Path

    @property
    def members(self) -> int:
        """Boosters that a prediction of all outputs runs through."""
        return sum(len(output.members) for output in self.scorer.outputs_)

    @property
    def size(self) -> int:
        """Bytes of the native files of these boosters, which grow with trees and leaves."""
        files = {member.file for output in self.scorer.outputs_ for member in output.members}
        return sum((self.folder / file).stat().st_size for file in files)


def load_candidate(use_case: str, version: str, config: Settings | None = None) -> Candidate:
    """Load a version as a service would.

    Raises:
        Unservable: its files are missing or altered, or were not registered by us.
    """
    config = config or settings()
    registered = models.client(config).get_model_version(use_case, version)
    if models.SHA256_TAG not in registered.tags:
        raise Unservable(f"it was not registered by Opora: it has no tag {models.SHA256_TAG} to check its files by")
    try:
        folder = models.download(registered, config)
        scorer = Scorer.load(folder, registered.tags[models.SHA256_TAG])
    except DamagedModel as error:
        raise Unservable(str(error)) from error
    return Candidate(use_case, version, scorer, folder)


def admitted(candidate: Candidate, holdout: Holdout) -> dict[str, np.ndarray]:
    """The candidate's predictions for the holdout.

    Raises:
        Unservable: something that its service needs is missing, or a prediction is not one.
    """
    obstacles = declared_obstacles(candidate.use_case, candidate.scorer, holdout.features, holdout.labels)
    if obstacles:
        raise Unservable("; ".join(obstacles))
    predictions = predicted(candidate, holdout)
    obstacles = predicted_obstacles(candidate.scorer, holdout.features, predictions)
    if obstacles:
        raise Unservable("; ".join(obstacles))
    return predictions


def predicted(candidate: Candidate, holdout: Holdout) -> dict[str, np.ndarray]:
    """Predictions by output, finite wherever the holdout has a label.

    Raises:
        Unservable: the boosters refuse the rows, or a prediction is not finite.
    """
    try:
        predictions = candidate.scorer.predict(holdout.features)
    except Exception as error:  # each library has errors of its own, and any of them means that nothing is served
        first_line = next(iter(str(error).splitlines()), "")
        raise Unservable(f"its boosters do not take the rows it declares ({type(error).__name__}: {first_line})") from error
    for output, values in predictions.items():
        unfinished = int((~np.isfinite(values)).sum())
        if unfinished:
            raise Unservable(f"output {output} is not finite {unfinished} times in {values.size}")
    return predictions
