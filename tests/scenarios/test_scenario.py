"""Two days of a small bank with everything real: lake, training, service, journal, monitoring, loop."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select

from database import open_database
from monitoring.rows import JOURNAL, LABELS
from settings import PROJECT

pytestmark = pytest.mark.integration


def test_a_bank_is_lived_through_in_its_own_folder_and_time(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "scenarios", "--name", "none", "--days", "2", "--clients", "1500"]
    (tmp_path / "scenarios" / "none").mkdir(parents=True)
    (tmp_path / "scenarios" / "none" / "old").write_text("from an earlier run")
    env = os.environ | {"OPORA_VAR": str(tmp_path), "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(command, env=env, cwd=PROJECT, capture_output=True, text=True, timeout=500, check=False)
    var = tmp_path / "scenarios" / "none"
    assert done.returncode in (0, 1), done.stderr  # two days keep or break no promise
    assert "it is cleared and the scenario begins anew" in done.stdout
    assert not (var / "old").exists()
    assert "  0 2026-01-05" in done.stdout, done.stdout + done.stderr
    assert "  1 2026-01-06" in done.stdout
    assert "none: nothing changes" in done.stdout
    engine = open_database(f"sqlite:///{var / 'journal.db'}")
    with engine.connect() as connection:
        first, last, rows, version = connection.execute(
            select(func.min(JOURNAL.c.ts), func.max(JOURNAL.c.ts), func.count(), func.max(JOURNAL.c.model_version))
        ).one()
        labels = connection.execute(select(func.count()).select_from(LABELS)).scalar_one()
    assert datetime(2026, 1, 5, tzinfo=UTC) <= first < last < datetime(2026, 1, 7, tzinfo=UTC)
    assert version == "1"
    assert labels == rows > 100  # at the end all of them are told
    assert {path.name for path in tmp_path.iterdir()} == {"scenarios"}
