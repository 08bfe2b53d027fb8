"""What the settings promise: nothing in the environment is silently without effect, and no value is repeated."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from settings import Settings, UnknownSetting

ROOT = Path(__file__).parents[1]
NO_VARIABLE = {"OPORA_RISK_THRESHOLD"}  # the beginning of two
SECRET = "b7c1f0d2e9"


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("OPORA_KEY_PEPER", "OPORA_KEY_PEPPER"),
        ("OPORA_RATE_LIMIT_PER_SECONDS", "OPORA_RATE_LIMIT_PER_SECOND"),
        ("OPORA_BODYLIMIT", "OPORA_BODY_LIMIT"),
        ("opora_databse_url", "OPORA_DATABASE_URL"),
    ],
)
def test_a_misspelt_variable_is_refused_by_name_with_the_one_that_was_meant(
    misspelt: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(misspelt, SECRET)
    with pytest.raises(UnknownSetting, match=f"{misspelt} is no setting, the nearest is {meant}[:;]") as refused:
        Settings()
    assert SECRET not in str(refused.value)


def links(service: str, address: str) -> dict[str, str]:
    """What Kubernetes tells every container about a service, by the beginning of the variables' names."""
    url = f"tcp://[{address}]:3004" if ":" in address else f"tcp://{address}:3004"
    return {
        f"{service}_SERVICE_HOST": address,
        f"{service}_SERVICE_PORT": "3004",
        f"{service}_SERVICE_PORT_HTTP_API": "3004",
        f"{service}_PORT": url,
        f"{service}_PORT_3004_TCP": url,
        f"{service}_PORT_3004_TCP_PROTO": "tcp",
        f"{service}_PORT_3004_TCP_PORT": "3004",
        f"{service}_PORT_3004_TCP_ADDR": address,
    }


@pytest.mark.parametrize("service", ["OPORA", "OPORA_FRAUD", "OPORA_SELF_SERVICE"])
@pytest.mark.parametrize("address", ["10.96.0.12", "fd00:10:96::c"])
def test_what_kubernetes_tells_of_services_named_opora_is_left_alone(
    service: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in links(service, address).items():
        monkeypatch.setenv(name, value)
    Settings()
    monkeypatch.setenv("OPORA_KEY_PEPER", SECRET)
    with pytest.raises(UnknownSetting, match="^OPORA_KEY_PEPER is no setting, the nearest is OPORA_KEY_PEPPER:"):
        Settings()


@pytest.mark.parametrize("there", [{}, links("OPORA_FRAUD", "10.96.0.12")], ids=["no service", "a service"])
@pytest.mark.parametrize(
    ("name", "value"),
    [("OPORA_FRAUD_PORT", "3004"), ("OPORA_FRAUD_SERVICE_HOST", "fraud.bank.example"), ("OPORA_PRESCORING_SERVICE_PORT", "3002")],
)
def test_a_person_who_writes_such_a_variable_is_told_that_it_has_no_effect(
    name: str, value: str, there: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for link, told in there.items():
        monkeypatch.setenv(link, told)
    monkeypatch.setenv(name, value)
    with pytest.raises(UnknownSetting, match=f"^{name} is no setting"):
        Settings()


@pytest.mark.parametrize(
    ("name", "value"), [("OPORA_API_KEYS", f'"{SECRET}"'), ("OPORA_API_KEYS", SECRET), ("OPORA_BODY_LIMIT", SECRET)]
)
def test_a_value_that_is_not_allowed_is_refused_in_lines_that_name_the_variable_and_do_not_repeat_it(
    name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=name.removeprefix("OPORA_").lower()) as refused:
        Settings()
    assert SECRET not in str(refused.value)
    done = check({name: value}, tmp_path)
    assert done.returncode == 1
    assert name.removeprefix("OPORA_") in done.stderr.upper()
    assert SECRET not in done.stderr
    assert "Traceback" not in done.stderr


def test_the_check_before_the_start_refuses_what_is_misspelt_and_passes_what_is_not(tmp_path: Path) -> None:
    refused = check({"OPORA_KEY_PEPER": SECRET, "OPORA_SEDE": "1"}, tmp_path)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert re.fullmatch(r"OPORA_KEY_PEPER is .*; OPORA_SEDE is .*OPORA_SEED: .*\n", refused.stderr)
    assert SECRET not in refused.stderr
    understood = check({"OPORA_KEY_PEPPER": SECRET, "OPORA_KILLS": "200"}, tmp_path)
    assert (understood.returncode, understood.stderr) == (0, "")


def test_make_up_and_make_serve_start_nothing_with_an_environment_that_is_not_understood() -> None:
    started = re.findall(r"^\t@(.*honcho start.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    assert len(started) == 2
    assert all(command.startswith("python -m settings && exec honcho") for command in started)


def test_every_variable_that_the_repository_names_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [folder for folder in ROOT.iterdir() if folder.is_dir() and folder.name[0] != "."]
    files = [ROOT / "Makefile", ROOT / "Procfile", ROOT / "Dockerfile"]
    for kind in ("*.py", "*.md", "*.yml"):
        files += [*ROOT.glob(kind), *(path for folder in folders for path in folder.rglob(kind))]
    named = {
        name
        for path in files
        if path != Path(__file__)
        for name in re.findall(r"OPORA_[A-Z]+(?:_[A-Z]+)*", path.read_text(encoding="utf-8"))
    }
    assert {"OPORA_CLOCK_FILE", "OPORA_VAR", "OPORA_TEST_POSTGRES_URL"} <= named
    for name in named - NO_VARIABLE - {field for field in os.environ if field.startswith("OPORA_")}:
        monkeypatch.setenv(name, "1")
    try:
        Settings()
    except UnknownSetting as error:
        pytest.fail(str(error))
    except ValueError:
        pass  # 1 is no value of theirs, but they are known


def check(variables: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    """`python -m settings` with nothing of ours in the environment but these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OPORA_")}
    environment = {**kept, "OPORA_VAR": str(folder), "PYTHONPATH": str(ROOT), **variables}
    return subprocess.run([sys.executable, "-m", "settings"], env=environment, capture_output=True, text=True, timeout=60)
