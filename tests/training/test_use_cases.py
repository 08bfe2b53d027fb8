"""What the four use cases tell training about their rows."""

import ibis
import pytest

from features.sets import FEATURE_SETS
from features.tables import TABLES
from training.use_cases import USE_CASES, training_task


@pytest.mark.parametrize("use_case", USE_CASES)
def test_rows_of_one_client_go_together_wherever_rows_have_one(use_case: str) -> None:
    tables = {name: ibis.table(table.schema, name=name) for name, table in TABLES.items()}
    known = FEATURE_SETS[use_case].training_frame(tables).columns
    assert training_task(use_case, {}).entity == ("client_code" if "client_code" in known else "application_id")
