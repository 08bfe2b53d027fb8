"""The Scorer as an MLflow model-from-code, so that any MLflow client can load and score a version without pickle."""

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

from registry.scorer import Scorer


class ScorerModel(PythonModel):
    """Loads the scorer folder among the artifacts; predictions come as one column per output."""

    def load_context(self, context: Any) -> None:
        """Read and check the native files."""
        self.scorer = Scorer.load(Path(context.artifacts["scorer"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:  # noqa: ARG002
        """Predictions for feature rows, shape (rows, outputs)."""
        return self.scorer.table(model_input)


set_model(ScorerModel())
