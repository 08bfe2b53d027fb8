"""The one source of time, and a simulated bank's."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import clock
from settings import PROJECT


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHONPATH": str(PROJECT)} | environment
    return subprocess.run([sys.executable, "-c", code], env=env, cwd=PROJECT, capture_output=True, text=True, check=False)


def test_the_time_is_the_machines_unless_a_file_tells_it() -> None:
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=60)
    assert not clock.simulated()


def test_every_process_follows_the_file_as_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "clock"
    clock.tell(file, datetime(2030, 1, 2, 3, tzinfo=UTC))
    code = (
        "import clock, pathlib, datetime\n"
        "from monitoring.rows import JournalRow\n"
        "first = clock.now()\n"
        f"clock.tell(pathlib.Path({str(file)!r}), first + datetime.timedelta(days=1))\n"
        "row = JournalRow('fraud', 'api', {}, None, None, 0.0)\n"
        "print(first.isoformat(), row.ts.isoformat(), clock.simulated())"
    )
    done = run(code, **{clock.CLOCK_FILE: str(file)})
    assert done.stdout.split() == ["2030-01-02T03:00:00+00:00", "2030-01-03T03:00:00+00:00", "True"], done.stderr


def test_beyond_loopback_no_service_goes_by_a_simulated_clock(tmp_path: Path) -> None:
    code = (
        "from pydantic import SecretStr\n"
        "from settings import Settings\n"
        "from edge.keys import ConfigurationError\n"
        "from bentos.serving.backend import Backend\n"
        "for host in ('127.0.0.1', '0.0.0.0'):\n"
        "    try:\n"
        f"        Backend('fraud', Settings(var={str(tmp_path)!r}, host=host, api_keys=(SecretStr('k' * 40),)))\n"
        "        print('served')\n"
        "    except ConfigurationError as error:\n"
        "        print(error)\n"
    )
    done = run(code, **{clock.CLOCK_FILE: str(tmp_path / "clock")})
    served, refused = done.stdout.splitlines()
    assert served == "served"
    assert clock.CLOCK_FILE in refused
    assert "unset it" in refused
