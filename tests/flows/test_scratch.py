"""What a killed flow leaves on the disk is gone with the next one; what another one works in stays."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import settings
from flows.scratch import scratch

WORKING = """
import sys, time
from pathlib import Path
from flows.scratch import scratch
with scratch() as folder:
    (Path(folder) / "clients.csv").write_text("rows of clients")
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def var(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("OPORA_VAR", str(tmp_path))
    settings.settings.cache_clear()
    yield tmp_path
    settings.settings.cache_clear()


def working() -> tuple[subprocess.Popen[str], Path]:
    """Another process, and the folder that it works in."""
    process = subprocess.Popen([sys.executable, "-c", WORKING], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    return process, Path(process.stdout.readline().strip())


def test_what_a_killed_process_left_is_removed_by_the_next_and_what_is_in_use_is_not() -> None:
    (living, used), (dying, left) = working(), working()
    try:
        dying.send_signal(signal.SIGKILL)
        dying.wait()
        assert (left / "clients.csv").is_file()
        with scratch() as folder:
            assert not left.exists()
            assert (used / "clients.csv").is_file()
            assert Path(folder).is_dir()
    finally:
        living.kill()
        living.wait()


def fails_with_rows() -> None:
    with scratch() as folder:
        (Path(folder) / "clients.csv").write_text("rows of clients")
        raise OSError("the disk is full")


def test_nothing_is_left_of_work_that_failed(var: Path) -> None:
    with pytest.raises(OSError, match="disk"):
        fails_with_rows()
    assert [path.name for path in (var / "training").iterdir()] == [".lock"]
