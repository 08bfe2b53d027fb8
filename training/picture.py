"""The SHAP summary picture of a model."""

from io import BytesIO

import numpy as np
import pandas as pd

from registry.encoding import encode
from registry.scorer import Scorer


def shap_summary(scorer: Scorer, output: str, frame: pd.DataFrame, most: int = 500) -> bytes:
    """A PNG beeswarm of the exact contributions of up to `most` rows of `frame` to `output`, in margin space."""
    import matplotlib as mpl

    mpl.use("Agg")
    import shap
    from matplotlib import pyplot as plt

    rows = frame.head(most)
    contributions = np.asarray(scorer.contributions(rows, output))[:, :-1]
    figure = plt.figure()
    matrix = encode(rows, scorer.columns_)
    shap.summary_plot(
        contributions, matrix, feature_names=list(scorer.columns), show=False, max_display=20, rng=np.random.default_rng(0)
    )
    plt.title(f"{scorer.metadata['use_case']}: what moves {output}")
    buffer = BytesIO()
    plt.savefig(buffer, format="png", dpi=110, bbox_inches="tight")
    plt.close(figure)
    return buffer.getvalue()
