"""The reference of a version as callers who cannot give everything would have it scored."""

from dataclasses import replace
from datetime import datetime

import numpy as np
import pandas as pd
from sqlalchemy import Engine

from monitoring import history
from monitoring.draining import reading
from monitoring.outcomes import features_of_rows
from registry.loading import LoadedModel
from registry.scorer import Scorer

_ROWS = 500


def as_served(model: LoadedModel, engine: Engine, since: datetime, until: datetime, seed: int) -> LoadedModel:
    """The model with the reference that its scores for since ≤ ts < until can fairly be compared with.

    The holdout of a version has what some callers never give (the destination of a payment): on it predictions are further apart,
    and better, than they can be where that is missing. So it is taken from as many rows of the reference as lack it in the
    window, and those are predicted anew.
    """
    optional = [name for name in model.scorer.metadata.get("sometimes_absent", ()) if name in model.scorer.columns]
    if not optional:
        return model
    with reading(engine) as connection:
        window = history.sample(connection, model.use_case, model.version, (since, until), _ROWS, seed).frame
    if window.empty:
        return model
    given = features_of_rows(window).reindex(columns=optional)
    return replace(model, scorer=without(model.scorer, optional, float(given.isna().all(axis=1).mean()), seed))


def without(scorer: Scorer, columns: list[str], share: float, seed: int) -> Scorer:
    """The scorer whose reference lacks `columns` in `share` of its rows, drawn with `seed`."""
    reference = scorer.reference
    lacking = np.random.default_rng(seed).random(len(reference)) < share
    if not lacking.any():
        return scorer
    blanked = reference.assign(**{name: reference[name].astype("float64").mask(lacking) for name in columns})
    predicted = scorer.table(blanked).add_prefix("prediction_")
    changed = pd.DataFrame({name: predicted[name].where(lacking, blanked[name]) for name in predicted})
    return replace(scorer, reference=blanked.assign(**changed))
