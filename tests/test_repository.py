"""What the repository promises about itself: a lock that installs and runs, and settings that are documented."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from settings import Settings

ROOT = Path(__file__).parents[1]
LOCKS = ("requirements.lock", "requirements-dev.lock")


@pytest.mark.parametrize("module", ["clock", "database"])
def test_the_lowest_modules_import_nothing_of_ours(module: str) -> None:
    """import-linter checks packages only, and these are single files."""
    ours = {path.stem for path in ROOT.glob("*.py")} | {path.parent.name for path in ROOT.glob("*/__init__.py")}
    tree = ast.parse((ROOT / f"{module}.py").read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {name.split(".")[0] for name in names} & ours


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_package_has_a_version_and_a_hash_and_no_lock_names_a_host(name: str) -> None:
    text = (ROOT / name).read_text()
    entries = re.split(r"\n(?=\S)", text.strip())
    assert entries
    for entry in entries:
        assert re.match(r"[A-Za-z0-9._-]+==\S+", entry), entry
        assert "--hash=sha256:" in entry, entry
    assert not re.search(r"https?://|--index|--find-links|--extra", text)


@pytest.mark.parametrize("name", ["requirements", "requirements-dev"])
def test_every_direct_dependency_is_locked(name: str) -> None:
    locked = {line.split("==")[0].lower() for lock in LOCKS for line in (ROOT / lock).read_text().splitlines() if "==" in line}
    for line in (ROOT / f"{name}.in").read_text().splitlines():
        wanted = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", line)
        if wanted:
            assert wanted.group().lower() in locked


@pytest.mark.integration
@pytest.mark.parametrize("module", ["prefect.server.api.server", "evidently", "bentoml", "mlflow"])
def test_the_locked_set_not_only_installs_but_runs(module: str) -> None:
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True, timeout=120)


@pytest.mark.integration
def test_an_environment_that_was_left_half_made_is_made_anew(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "requirements.lock").touch()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / ".venv"], check=True, timeout=120)
    command = ["make", "--silent", f"PYTHON={sys.executable}", str(tmp_path / ".venv" / ".runtime")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    subprocess.run([tmp_path / ".venv" / "bin" / "python", "-m", "pip", "--version"], check=True, timeout=120)


def test_every_setting_is_documented() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description or name in {"var", "catalogues"}, name


def test_a_setting_outside_its_bounds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPORA_QUARANTINE_LIMIT", "2")
    with pytest.raises(ValueError, match="quarantine_limit"):
        Settings()


@pytest.mark.parametrize("uri", ["s3://bank/lake", "abfss://lake@bank.example/", "file:///mnt/lake"])
def test_a_lake_in_an_object_store_is_refused_at_the_start_and_the_message_says_what_to_name(
    monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    monkeypatch.setenv("OPORA_LAKE_URI", uri)
    with pytest.raises(ValueError, match=r"lake_uri\n.*name the path of one"):
        Settings()
