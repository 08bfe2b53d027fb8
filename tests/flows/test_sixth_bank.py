"""Banks are configuration: one more table in banks.toml is simulated, ingested, trained and served without a change of code."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from features.tables import BANKS
from registry import models
from settings import Settings

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]
TERMS = """
[bank.{code}]
name = "{name}"
rate_yearly = 0.2
fee = 0.0
least_amount = 10_000
largest_amount = 9_000_000
shortest_term = 2
longest_term = 60
"""
SERVED = """
import sys
from pathlib import Path

import orjson
from starlette.testclient import TestClient

from bentos.serving.application import guarded
from bentos.serving.backend import Backend
from bentos.prescoring.service import prescoring_app
from features.lake import open_lake
from features.tables import APPLICATIONS
from flows.train import TrainRequest, train_version
from registry import promotion
from settings import settings

lake = open_lake(settings())
for file in sorted((Path(sys.argv[1]) / "applications").iterdir()):
    lake.ingest(APPLICATIONS, file)
trained = train_version(TrainRequest(use_case="prescoring", trials=1, seconds=5), promotion.gate)
assert trained.promoted, trained.reason
backend = Backend("prescoring", settings())
backend.champion.look()
backend.start()
http = TestClient(guarded(prescoring_app(backend), settings()), base_url="http://127.0.0.1")
form = {"monthprofit": 900000, "monthexpense": 90000, "loan_amount": 200000, "loan_term": 12, "snils": 1}
answer = http.post("/prescore", json={"features": form}).json()
rows = lake.read("applications").count().to_pandas()
backend.stop()
Path(sys.argv[2]).write_bytes(orjson.dumps({"answer": answer, "landed": int(rows)}))
"""


def catalogues(folder: Path, **banks: str) -> Path:
    """The project's catalogues with further banks in banks.toml: code → name."""
    shutil.copytree(ROOT / "catalogues", folder)
    with (folder / "banks.toml").open("a", encoding="utf-8") as file:
        file.writelines(TERMS.format(code=code, name=name) for code, name in banks.items())
    return folder


def python(*arguments: str, **environment: object) -> None:
    """Run in a process of its own, since banks are read when one starts."""
    variables = os.environ | {name: str(value) for name, value in environment.items()} | {"PYTHONPATH": str(ROOT)}
    variables.pop("PREFECT_API_URL", None)
    done = subprocess.run([sys.executable, *arguments], env=variables, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


def test_a_sixth_bank_is_simulated_ingested_trained_and_served_and_one_without_decisions_waits(tmp_path: Path) -> None:
    six = catalogues(tmp_path / "six", bank_f="Банк F")
    python("-m", "simulator", "--clients", "600", "--out", str(tmp_path / "raw"), OPORA_CATALOGUES=six)
    header = next((tmp_path / "raw" / "applications").iterdir()).open("rb").readline()
    assert b"bank_f" in header
    assert b"bank_g" not in header
    seven = catalogues(tmp_path / "seven", bank_f="Банк F", bank_g="Банк G")
    answered = tmp_path / "answer.json"
    models.client(Settings(var=tmp_path / "var"))  # makes the registry's empty database, which costs that process seconds
    python("-c", SERVED, str(tmp_path / "raw"), str(answered), OPORA_CATALOGUES=seven, OPORA_VAR=tmp_path / "var")
    found = orjson.loads(answered.read_bytes())
    answer = found["answer"]
    assert {name for name in answer if name.startswith("bank_")} == {*BANKS, "bank_f"}
    assert answer["bank_f"]["decision"] == "approve"
    assert "Банк F" in {offer["name"] for offer in answer["offers"]}
    assert set(answer["reasons"]) == {*BANKS, "bank_f"}
    assert found["landed"] > 500
