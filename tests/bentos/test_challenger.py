"""A challenger's process that does not keep to the way of asking and answering is given up in time."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from bentos.challenger import Challenger, ChallengerEnded
from registry.reader import Registered

READY = 'print(\'{"columns": ["amount"]}\', flush=True)'


@pytest.mark.parametrize("answer", ["'{\"scores\": ['", "''"], ids=["half-a-line", "nothing"])
def test_a_challenger_that_stops_in_the_middle_of_an_answer_is_given_up(
    answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = f"import sys, time\n{READY}\nsys.stdin.readline()\nprint({answer}, end='', flush=True)\ntime.sleep(600)"
    _started_as(script, monkeypatch)
    monkeypatch.setattr("bentos.challenger._SCORING_SECONDS", 0.3)
    challenger = Challenger(Registered("fraud", "2", "0" * 64), tmp_path)
    try:
        challenger.wait_ready()
        with pytest.raises(ChallengerEnded, match="did not answer in time"):
            challenger.scores([[1.0]])
    finally:
        challenger.close()


def test_an_answer_may_come_in_pieces_longer_than_a_pipe_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = textwrap.dedent(
        f"""
        import json, sys, time
        {READY}
        rows = json.loads(sys.stdin.readline())
        line = json.dumps({{"scores": [{{"fraud": row[0]}} for row in rows]}}) + "\\n"
        for start in range(0, len(line), 50_000):
            print(line[start:start + 50_000], end="", flush=True)
            time.sleep(0.01)
        """
    )
    _started_as(script, monkeypatch)
    challenger = Challenger(Registered("fraud", "2", "0" * 64), tmp_path)
    try:
        challenger.wait_ready()
        assert challenger.scores([[row / 3] for row in range(20_000)])[-1] == {"fraud": 19_999 / 3}
    finally:
        challenger.close()


def test_a_challenger_is_given_neither_keys_nor_passwords(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPORA_API_KEYS", '["for-services-only"]')
    monkeypatch.setenv("opora_database_url", "postgresql+psycopg://bank:for-services-only@postgres:5432/bank")
    challenger = Challenger(Registered("fraud", "2", "0" * 64), tmp_path)
    try:
        assert b"for-services-only" not in Path(f"/proc/{challenger.process_id}/environ").read_bytes()
    finally:
        challenger.close()


def _started_as(script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next challenger is a process with this script, whatever version it is asked to be."""
    started = subprocess.Popen
    monkeypatch.setattr(
        "bentos.challenger.subprocess.Popen", lambda _command, **given: started([sys.executable, "-c", script], **given)
    )
