"""The prescoring features of one form, by the very expressions that made the training frame."""

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import duckdb
import ibis
import pandas as pd
import pyarrow

from features.sets import FEATURE_SETS
from features.tables import FORM


class FormFeatures:
    """Compiles the feature set once to SQL over a table of one row; thread-safe."""

    def __init__(self) -> None:
        columns = {column.name: column.dtype for column in FORM}
        schema = ibis.schema({"application_id": "string", "as_of": "timestamp(6)", "created_at": "timestamp(6)", **columns})
        features = FEATURE_SETS["prescoring"]
        self._schema = schema.to_pyarrow()
        self._sql = str(ibis.to_sql(features.features({}, ibis.table(schema, name="form")), dialect="duckdb"))
        self._connection = duckdb.connect(":memory:", config={"threads": 1})
        self._lock = threading.Lock()

    def __call__(self, form: Mapping[str, Any], at: datetime) -> dict[str, Any]:
        """Features of `form` (columns of the applications table), handed in at `at` (naive UTC); None = missing."""
        with self._lock:
            answer = self._asked([form], at)
            names = [column[0] for column in answer.description]
            (values,) = answer.fetchall()
        return dict(zip(names, values, strict=True))

    def frame(self, forms: Sequence[Mapping[str, Any]], at: datetime) -> pd.DataFrame:
        """One row of features for each form, in order; `at` as for one form."""
        with self._lock:
            return self._asked(forms, at).df()

    def _asked(self, forms: Sequence[Mapping[str, Any]], at: datetime) -> duckdb.DuckDBPyConnection:
        rows = [{**form, "application_id": "", "as_of": at, "created_at": at} for form in forms]
        self._connection.register("form", pyarrow.Table.from_pylist(rows, schema=self._schema))
        return self._connection.execute(self._sql)
