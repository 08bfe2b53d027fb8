"""Order of the tests (fast first) and the places that only some machines have."""

import os
from pathlib import Path
from typing import Any

import hypothesis
import pytest

os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

# How long an example takes is bench/'s to say. Where a change is judged the same ones are tried every time; elsewhere new ones.
_UNTIMED: dict[str, Any] = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
hypothesis.settings.register_profile("exploring", **_UNTIMED)
hypothesis.settings.register_profile("repeatable", derandomize=True, **_UNTIMED)
hypothesis.settings.load_profile("repeatable" if os.environ.get("CI") else "exploring")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Integration tests last: a broken rule should show in seconds."""
    items.sort(key=lambda item: item.get_closest_marker("integration") is not None)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real data sets; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("OPORA_REAL_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set OPORA_REAL_DATA to run this test")
    return folder
