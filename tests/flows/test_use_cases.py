"""The names of the bank's own models stand in one place, and whoever lists something by use case lists all of them."""

from pathlib import Path

from features.sets import FEATURE_SETS
from registry.models import USE_CASES
from settings import Settings
from training import use_cases

ROOT = Path(__file__).parents[2]


def test_the_use_cases_are_listed_once() -> None:
    packages = ("features", "registry", "training", "monitoring", "bentos", "consent_api", "flows")
    listing = [
        str(path.relative_to(ROOT))
        for package in packages
        for path in (ROOT / package).rglob("*.py")
        if '"income", "prescoring"' in path.read_text(encoding="utf-8")
    ]
    assert listing == ["registry/models.py"]


def test_every_use_case_has_features_a_task_and_a_time_until_its_labels_come() -> None:
    assert set(USE_CASES) == set(FEATURE_SETS) == set(use_cases.USE_CASES) == set(Settings().label_maturity_days)
