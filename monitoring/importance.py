"""How much each feature of a model matters, from the exact contributions on its reference."""

import numpy as np

from registry.scorer import Scorer

_ROWS = 100


def importance(scorer: Scorer, seed: int) -> dict[str, float]:
    """Feature → its share of all contributions, mean of the absolute values over at most 100 rows; together 1.

    The outputs count alike, and so do the classes of an output.
    """
    rows = scorer.reference.sample(min(_ROWS, len(scorer.reference)), random_state=seed)
    if rows.empty:
        return dict.fromkeys(scorer.columns, 1 / len(scorer.columns))
    shares = np.mean([_shares(scorer.contributions(rows, output)) for output in scorer.outputs], axis=0)
    return dict(zip(scorer.columns, shares.tolist(), strict=True))


def _shares(contributions: np.ndarray) -> np.ndarray:
    sizes = np.abs(contributions[..., :-1])
    each = sizes.reshape(-1, sizes.shape[-1]).mean(axis=0)
    total = each.sum()
    return np.full(len(each), 1 / len(each)) if total == 0 else each / total
