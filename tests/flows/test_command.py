"""What the commands promise: their answer is the last thing on the screen, and the exit status is true."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]


def run(code: str, tmp_path: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **more, "PYTHONPATH": str(PROJECT)}
    environment |= {"OPORA_VAR": str(tmp_path / "var"), "PREFECT_HOME": str(tmp_path)}
    environment["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"] = "120"  # as make exports it
    return subprocess.run(
        [sys.executable, *code.split(), *arguments], env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.mark.integration
def test_a_refused_training_ends_with_one_sentence_and_status_1(tmp_path: Path, prefect_database: Path) -> None:
    shutil.copy(prefect_database, tmp_path / "prefect.db")  # of the temporary server that the command starts
    table = tmp_path / "clients.csv"
    table.write_text("age,answer\n" + "".join(f"{20 + row % 50},{row % 2}\n" for row in range(300)))
    options = ("--name", "x", "--table", str(table), "--target", "nope", "--kind", "binary", "--seconds", "5")
    done = run("-m flows.train_table", tmp_path, *options)
    assert done.returncode == 1
    assert done.stderr.startswith("Runs are recorded by ")
    assert "Not trained: x: clients.csv has no column nope" in done.stderr
    assert "Traceback" not in done.stderr
    assert "leaked" not in done.stderr


@pytest.mark.integration
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "the lake has no purchases, transfers or payments: ingest them"),
        (("--stored-features",), "no features of any client|champion"),
    ],
)
def test_pushes_without_anything_to_push_end_with_one_sentence_and_status_1(
    tmp_path: Path, prefect_server: str, options: tuple[str, ...], said: str
) -> None:
    done = run("-m flows.push", tmp_path, *options, PREFECT_API_URL=prefect_server)
    assert done.returncode == 1
    assert re.search(f"No push texts: .*({said})", done.stderr)
    assert "Traceback" not in done.stderr
    assert "leaked" not in done.stderr


ENDING = """
import sys
from flows.command import Command
command = Command()
import duckdb
kept = duckdb.connect()
sys.modules["kept"] = kept
print("answer")
{end}
"""


@pytest.mark.parametrize(("end", "status"), [("command.end(0)", 0), ("command.end(3)", 3), ("1 / 0", 1), ("", 1)])
def test_the_exit_status_is_that_of_the_command_and_1_where_it_broke(tmp_path: Path, end: str, status: int) -> None:
    script = tmp_path / "script.py"
    script.write_text(ENDING.format(end=end))
    done = run("", tmp_path, str(script))
    assert done.returncode == status
    assert done.stdout == "answer\n"
    assert ("ZeroDivisionError" in done.stderr) == ("1 / 0" in end)
    assert "leaked" not in done.stderr
