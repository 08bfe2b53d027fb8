"""The figures of a service's workers: on a full disk, after a kill, and kept apart from those of other processes."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bentos.challenger import Challenger, ChallengerRefused
from bentos.serving.metric_files import VARIABLE
from registry.reader import Registered
from settings import PROJECT

WORKER = """
import os, bentos, edge.measurements
from bentos.serving.model_figures import CHAMPIONS
"""


def worker(var: Path, script: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """A process as BentoML starts workers, whose supervisor is this one."""
    environment = os.environ | {"OPORA_VAR": str(var), VARIABLE: str(var), "PYTHONPATH": str(PROJECT)}
    return subprocess.run(
        [sys.executable, "-c", before + WORKER + script], env=environment, capture_output=True, text=True, timeout=60
    )


def test_a_worker_has_all_the_blocks_of_its_figures_before_the_disk_is_full(tmp_path: Path) -> None:
    worker(tmp_path, "import monitoring.journal; edge.measurements.note_request('/', 503, 0.1)").check_returncode()
    files = list(tmp_path.glob("metrics/*/*.db"))
    assert {file.name.rpartition("_")[0] for file in files} == {"counter", "histogram", "gauge_livemax", "gauge_livesum"}
    assert [file.name for file in files if file.stat().st_blocks * 512 < file.stat().st_size] == []


def test_a_worker_for_whom_the_disk_has_no_room_keeps_its_figures_to_itself(tmp_path: Path) -> None:
    full = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))\n"
    started = worker(
        tmp_path, "edge.measurements.note_request('/', 503, 0.1); print(edge.measurements.exposition().decode())", full
    )
    assert 'opora_requests_total{endpoint="/",status="503"} 1.0' in started.stdout, started.stderr
    assert [file.name for file in tmp_path.glob("metrics/*/*")] == []


def test_a_killed_worker_counts_on_and_is_left_out_of_what_holds_now(tmp_path: Path) -> None:
    killed = worker(
        tmp_path,
        "edge.measurements.note_request('/here', 200, 0.1); CHAMPIONS.labels('fraud', '1').set(1); os.kill(os.getpid(), 9)",
    )
    assert killed.returncode == -9
    after = worker(tmp_path, "CHAMPIONS.labels('fraud', '2').set(1); print(edge.measurements.exposition().decode())")
    assert 'opora_requests_total{endpoint="/here",status="200"} 1.0' in after.stdout, after.stderr
    assert 'opora_model_info{use_case="fraud",version="2"} 1.0' in after.stdout
    assert 'version="1"' not in after.stdout


def test_figures_of_a_supervisor_that_has_ended_are_removed_and_those_of_others_stay(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {WORKER!r}], check=True)"],
        env=os.environ | {"OPORA_VAR": str(tmp_path), VARIABLE: str(tmp_path), "PYTHONPATH": str(PROJECT)},
        timeout=60,
    )
    ended.check_returncode()
    elsewhere = tmp_path / "metrics" / "another-machine.1.1"
    elsewhere.mkdir()
    (before,) = (folder for folder in elsewhere.parent.iterdir() if folder != elsewhere)
    worker(tmp_path, "").check_returncode()
    assert elsewhere.exists()
    assert not before.exists()


def test_figures_of_containers_that_are_no_more_are_removed_and_those_of_silent_ones_stay(tmp_path: Path) -> None:
    fresh = tmp_path / "metrics" / "88fd0a71c2de.7.100"
    elsewhere = "import socket; socket.gethostname = lambda: '1c6d22f0a9b3'\n"
    environment = os.environ | {"OPORA_VAR": str(tmp_path), VARIABLE: str(tmp_path), "PYTHONPATH": str(PROJECT)}
    script = elsewhere + WORKER + "print(os.environ['PROMETHEUS_MULTIPROC_DIR'], flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", script], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        silent = Path(other.stdout.readline().strip())
        fresh.mkdir()
        for path in (*silent.iterdir(), silent):
            os.utime(path, (0, time.time() - 2 * 86_400))
        worker(tmp_path, "").check_returncode()
        assert (silent.exists(), fresh.exists()) == (True, True)
        other.kill()
    worker(tmp_path, "").check_returncode()
    assert (silent.exists(), fresh.exists()) == (False, True)


def test_a_challenger_makes_no_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    monkeypatch.setenv("OPORA_VAR", str(tmp_path / "var"))
    challenger = Challenger(Registered("fraud", "2", "0" * 64), tmp_path)
    try:
        with pytest.raises(ChallengerRefused, match="is not a scorer"):
            challenger.wait_ready()
    finally:
        challenger.close()
    assert not (tmp_path / "var").exists()
