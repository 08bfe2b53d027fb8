"""The prescoring features of one form, by the very expressions that made the training frame."""

import threading
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import duckdb
import ibis
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
        row = {**form, "application_id": "", "as_of": at, "created_at": at}
        table = pyarrow.Table.from_pylist([row], schema=self._schema)
        with self._lock:
            self._connection.register("form", table)
            answer = self._connection.execute(self._sql)
            names = [column[0] for column in answer.description]
            (values,) = answer.fetchall()
        return dict(zip(names, values, strict=True))
