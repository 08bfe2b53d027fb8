"""Names that are listed apart from the tables, so that serving need not load what describes these."""

from features.code_lists import TABLE_NAMES
from features.columns.models import MODEL_COLUMNS
from features.sets import FEATURE_SETS
from features.tables import TABLES


def test_the_listed_tables_are_those_that_are_described_in_the_same_order() -> None:
    assert tuple(TABLES) == TABLE_NAMES


def test_every_model_has_its_feature_set() -> None:
    assert {name: feature_set.columns for name, feature_set in FEATURE_SETS.items()} == dict(MODEL_COLUMNS)
