"""Clients whose income follows their spending, as the tests of the flows have them."""

import numpy as np
import pandas as pd

from training.task import TrainingTask

TASK = TrainingTask("income", ("income",), "regression", "wmae", ("spending", "city"), time="as_of", positive=True)


def clients(rows: int, seed: int, inflation: float = 1.0) -> pd.DataFrame:
    """One row per client; of other seeds, other clients. `inflation` multiplies what they spend, not what they earn."""
    rng = np.random.default_rng(seed)
    spending = rng.lognormal(11, 0.6, rows)
    return pd.DataFrame(
        {
            "client_code": [f"CANARY-{seed}-{index}" for index in range(rows)],
            "spending": spending * inflation,
            "city": rng.choice(["Алматы", "Астана"], rows),
            "income": spending * 2.5 * rng.lognormal(0, 0.15, rows),
            "as_of": pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(rows), "h"),
        }
    )
