"""The reference of a version as callers who cannot give everything would have it scored."""

from dataclasses import replace

import numpy as np
import pandas as pd

from monitoring.outcomes import features_of_rows
from registry.loading import LoadedModel
from registry.scorer import Scorer


def as_served(model: LoadedModel, scores: pd.DataFrame, seed: int) -> LoadedModel:
    """The model with the reference that its `scores`, rows of the journal, can fairly be compared with.

    The holdout of a version has what some callers never give (the destination of a payment): on it predictions are further apart,
    and better, than they can be where that is missing. So it is taken from as many rows of the reference as lack it among the
    scores, and those are predicted anew.
    """
    optional = [name for name in model.scorer.metadata.get("sometimes_absent", ()) if name in model.scorer.columns]
    if not optional or scores.empty:
        return model
    given = features_of_rows(scores).reindex(columns=optional)
    return replace(model, scorer=without(model.scorer, optional, float(given.isna().all(axis=1).mean()), seed))


def without(scorer: Scorer, columns: list[str], share: float, seed: int) -> Scorer:
    """The scorer whose reference and calibration rows lack `columns` in `share` of them, drawn with `seed`."""
    if not share:
        return scorer
    rng = np.random.default_rng(seed)
    reference = _lacking(scorer, scorer.reference, columns, share, rng)
    if scorer.calibration is None:
        return replace(scorer, reference=reference)
    return replace(scorer, reference=reference, calibration=_lacking(scorer, scorer.calibration, columns, share, rng))


def _lacking(scorer: Scorer, sample: pd.DataFrame, columns: list[str], share: float, rng: np.random.Generator) -> pd.DataFrame:
    lacking = rng.random(len(sample)) < share
    if not lacking.any():
        return sample
    blanked = sample.assign(**{name: sample[name].astype("float64").mask(lacking) for name in columns})
    predicted = scorer.table(blanked).add_prefix("prediction_")
    changed = pd.DataFrame({name: predicted[name].where(lacking, blanked[name]) for name in predicted})
    return blanked.assign(**changed)
