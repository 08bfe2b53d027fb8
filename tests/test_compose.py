"""docker-compose.yml, Dockerfile and Procfile describe the same bank, and the containers keep its secrets."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from prefect.settings import Settings as PrefectSettings

from flows.addresses import ADDRESSES
from settings import Settings

ROOT = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = sorted(set(SERVICES) - {"postgres"})
PROCFILE = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text(encoding="utf-8").splitlines() if line.strip())
ONLY_ON_ONE_MACHINE = {"up"}  # in containers: docker compose run --rm flows python -m flows.run_pipeline
SCORING = ("income", "prescoring", "recommendation", "fraud")
LOGINS = ("bank", "consent", "mlflow", "prefect")
PASSWORDS = tuple(f"{login.upper()}_PASSWORD" for login in LOGINS)
GIVEN = ("POSTGRES_PASSWORD", *PASSWORDS, "OPORA_API_KEYS", "OPORA_KEY_PEPPER", "PREFECT_SERVER_API_AUTH_STRING")
"""Secrets that .env has; the others are one of these under the name that a client of Prefect reads."""
ISSUER = ("OPORA_TOKEN_ISSUER", "OPORA_TOKEN_AUDIENCE", "OPORA_TOKEN_JWKS")
"""No secrets, but without them no client could call."""
SECRETS = (*GIVEN, "PREFECT_API_AUTH_STRING", "OPORA_PREFECT_AUTH_STRING")
VAR = "/opora/var"


def options(command: str) -> tuple[list[str], dict[str, str]]:
    """Words and options of a command; `python -m registry.models && exec` prepares SQLite and has no place on PostgreSQL."""
    words = shlex.split(command.removeprefix("python -m registry.models && exec ").replace("$OPORA_VAR", VAR))
    flags = {words[index]: words[index + 1] for index in range(len(words) - 1) if words[index].startswith("--")}
    return [word for word in words if word not in flags and word not in flags.values()], flags


def environment(name: str) -> dict[str, str]:
    return SERVICES[name].get("environment", {})


def filled(value: str) -> str:
    """The value as Compose would pass it, with a secret of 64 zeros."""
    return re.sub(r"\$\{[^}]*\}", "0" * 64, value)


def ports() -> Iterator[tuple[str, str, int, int]]:
    """(service, host address, host port, container port) of everything published."""
    for name, service in SERVICES.items():
        for published in service.get("ports", []):
            address, outside, inside = published.split(":")
            yield name, address, int(outside), int(inside)


def test_every_process_has_a_service_and_every_service_a_process() -> None:
    assert set(OURS) == set(PROCFILE) - ONLY_ON_ONE_MACHINE


@pytest.mark.parametrize("name", OURS)
def test_a_service_runs_the_command_of_the_procfile_on_every_address_of_its_container(name: str) -> None:
    words, flags = options(SERVICES[name]["command"])
    expected_words, expected = options(PROCFILE[name])
    expected.pop("--backend-store-uri", None)  # PostgreSQL, by MLFLOW_BACKEND_STORE_URI: a password has no place in `ps`
    if "--host" in expected:
        assert expected.pop("--host") == "127.0.0.1"
        assert flags.pop("--host") == "0.0.0.0"
    assert set(expected.pop("--allowed-hosts", "").split(",")) <= set(flags.pop("--allowed-hosts", "").split(","))
    assert (words, flags) == (expected_words, expected)


def test_ports_agree_with_the_commands_and_with_the_table_of_addresses() -> None:
    for name, _, outside, inside in ports():
        assert outside == inside
        assert options(SERVICES[name]["command"])[1].get("--port", str(inside)) == str(inside)
    assert {outside for _, _, outside, _ in ports()} == {urlsplit(address.url).port for address in ADDRESSES}


def test_nothing_is_published_beyond_this_machine() -> None:
    assert {address for _, address, _, _ in ports()} == {"127.0.0.1"}
    assert not [name for name, service in SERVICES.items() if "network_mode" in service or service.get("privileged")]
    assert "ports" not in SERVICES["postgres"]


def test_every_service_has_a_health_check_and_it_asks_what_the_table_of_addresses_says() -> None:
    assert all("test" in service["healthcheck"] for service in SERVICES.values())
    ready = {urlsplit(address.url).port: address.ready for address in ADDRESSES}
    for name, _, _, inside in ports():
        assert f"http://127.0.0.1:{inside}{ready[inside]}'" in SERVICES[name]["healthcheck"]["test"][-1], name


def test_a_service_waits_for_what_it_needs() -> None:
    for name in OURS:
        awaited = SERVICES[name].get("depends_on", {})
        assert all(waits == {"condition": "service_healthy"} for waits in awaited.values())
        needs = {other for other in SERVICES if any(re.search(rf"[/@]{other}:\d", value) for value in environment(name).values())}
        assert needs <= set(awaited), name


def test_no_secret_has_a_default_or_a_value_in_the_repository() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    asked = re.findall(r"(?<!\$)\$\{(\w+)([^}]*)\}", text)
    assert {name for name, _ in asked} == {*GIVEN, *ISSUER}
    assert all(rest.startswith(":?") for _, rest in asked), "every ${…} fails with a message when unset or empty"
    for name in SERVICES:
        for key, value in environment(name).items():
            if key in SECRETS:
                assert re.fullmatch(r"\$\{\w+:\?[^}]+\}", value), f"{name}: {key}"
            for login, password in re.findall(r"//(\w+):(.*)@postgres", value):
                assert password.startswith(f"${{{login.upper()}_PASSWORD:?"), f"{name}: {key}"
    assert not (ROOT / ".env").exists() or "/.env" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_scoring_and_consent_ask_for_keys_and_prefect_for_a_password() -> None:
    for name in (*SCORING, "consent"):
        assert environment(name)["OPORA_HOST"] == "0.0.0.0"
        assert environment(name)["OPORA_API_KEYS"].startswith("${OPORA_API_KEYS:?")
    given = environment("prefect")["PREFECT_SERVER_API_AUTH_STRING"]
    assert given == environment("flows")["PREFECT_API_AUTH_STRING"] == environment("income")["OPORA_PREFECT_AUTH_STRING"]
    assert environment("prefect")["PREFECT_SERVER_CSRF_PROTECTION_ENABLED"] == "true"


def test_a_service_knows_only_the_secrets_it_needs() -> None:
    known = {name: {key for key in environment(name) if key in SECRETS} for name in OURS}
    assert known["evidently"] == set()
    assert known["mlflow"] == set()
    assert known["fraud"] == known["prescoring"] == known["recommendation"] == {"OPORA_API_KEYS"}
    assert known["income"] == {"OPORA_API_KEYS", "OPORA_PREFECT_AUTH_STRING"}
    assert known["prefect"] == {"PREFECT_SERVER_API_AUTH_STRING"}


@pytest.mark.parametrize("name", OURS)
def test_every_opora_variable_is_a_setting_and_its_value_is_accepted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {key: value for key, value in environment(name).items() if key.startswith("OPORA_")}
    assert {key.removeprefix("OPORA_").lower() for key in variables} <= set(Settings.model_fields)
    for key, value in variables.items():
        given = json.dumps(["0" * 64]) if key == "OPORA_API_KEYS" else filled(value)
        monkeypatch.setenv(key, given)
    assert str(Settings().var) == VAR


def test_imports_reach_prefect_and_the_flow_that_reads_the_uploaded_file_sees_it() -> None:
    assert environment("income")["OPORA_PREFECT_API_URL"] == environment("flows")["PREFECT_API_URL"] == "http://prefect:4200/api"
    for name in ("income", "recommendation", "flows"):  # uploads, raw tables and the lake lie in OPORA_VAR
        assert "var:/opora/var" in SERVICES[name]["volumes"]
        assert environment(name)["OPORA_VAR"] == VAR


def test_pages_that_ask_nobody_for_a_password_hold_their_own_files_and_no_data_of_clients() -> None:
    volumes = {name: dict(one.split(":") for one in SERVICES[name]["volumes"]) for name in OURS}
    assert volumes["prefect"] == {}
    assert volumes["mlflow"] == {"mlartifacts": options(SERVICES["mlflow"]["command"])[1]["--artifacts-destination"]}
    assert volumes["evidently"] == {"evidently": options(SERVICES["evidently"]["command"])[1]["--workspace"]}
    assert volumes["flows"] == {"var": VAR} | volumes["evidently"], "reports are filed where Evidently reads them"
    assert {volume for mounted in volumes.values() for volume in mounted} | {"postgres"} == set(COMPOSE["volumes"])
    made = re.findall(
        r"(/opora/\S+)", (ROOT / "Dockerfile").read_text(encoding="utf-8").split("install --directory")[1].splitlines()[0]
    )
    assert {path for mounted in volumes.values() for path in mounted.values()} == set(made)


@pytest.mark.parametrize("name", [*SCORING, "consent"])
def test_a_service_answers_to_its_name_among_the_containers(name: str) -> None:
    assert name in json.loads(environment(name)["OPORA_ALLOWED_HOSTS"])


@pytest.mark.parametrize("name", OURS)
def test_containers_are_as_silent_and_as_careful_as_make_up(name: str) -> None:
    exported = dict(re.findall(r"^export (\w+) :?\??= (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    exported = {key: value for key, value in exported.items() if key not in {"PATH", "PYTHONPATH", "OPORA_VAR"}}
    assert {"DO_NOT_TRACK", "BENTOML_DO_NOT_TRACK", "MLFLOW_ALLOW_PICKLE_DESERIALIZATION"} <= set(exported)
    for key, value in exported.items():
        assert environment(name).get(key) == value.replace("$(OPORA_VAR)", VAR), key
    assert all(isinstance(value, str) for value in environment(name).values()), "YAML would turn it into another type"


def test_every_service_has_the_login_and_the_databases_that_it_needs_and_nobody_is_the_superuser() -> None:
    used = {
        name: {
            (url.username, url.path)
            for value in environment(name).values()
            if "@postgres:" in value
            for url in [urlsplit(filled(value))]
        }
        for name in OURS
    }
    bank, consent = ("bank", "/bank"), ("consent", "/consent")
    assert all(used.pop(name) == {bank} for name in SCORING)
    assert used == {
        "consent": {("consent", "/bank"), consent},
        "flows": {bank, consent},
        "mlflow": {("mlflow", "/mlflow")},
        "prefect": {("prefect", "/prefect")},
        "evidently": set(),
    }
    given = {key for name in OURS for key, value in environment(name).items() if "POSTGRES_PASSWORD" in value}
    assert given == set()


def test_the_script_that_makes_the_databases_runs_once_and_is_given_every_password() -> None:
    assert COMPOSE["configs"]["databases"] == {"file": "./databases.sql"}
    assert SERVICES["postgres"]["configs"] == [{"source": "databases", "target": "/docker-entrypoint-initdb.d/databases.sql"}]
    script = (ROOT / "databases.sql").read_text(encoding="utf-8")
    assert set(re.findall(r"CREATE DATABASE (\w+) OWNER (\w+);", script)) == {(login, login) for login in LOGINS}
    assert (
        set(re.findall(r"\\getenv \w+ (\w+)", script)) == set(PASSWORDS) == set(environment("postgres")) - {"POSTGRES_PASSWORD"}
    )


def test_the_image_installs_the_lock_with_hashes_and_runs_without_privileges() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"pip install .*--no-deps --require-hashes --requirement requirements\.lock", text)
    assert "libgomp1" in text
    assert text.rstrip().splitlines()[-1] == "USER opora"
    assert not re.search(r"\b(ARG|ENV)\b.*(PASSWORD|SECRET|TOKEN|KEY)", text)
    assert all(SERVICES[name]["cap_drop"] == ["ALL"] for name in OURS)


def test_prefect_unpacks_its_pages_where_the_user_of_the_image_may_write(monkeypatch: pytest.MonkeyPatch) -> None:
    name, place = re.findall(r"^ENV (\w+UI_STATIC\w+)=(.*)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.M)[0]
    assert Path(place).is_relative_to(VAR)
    monkeypatch.setenv(name, place)
    assert PrefectSettings().server.ui.static_directory == place


def test_the_image_holds_every_package_that_runs_and_no_secret_data_or_test() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_in = {line.removeprefix("!") for line in lines if line.startswith("!")}
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "bench", "scenarios"}
    assert "*" in lines
    assert packages | {"chain.py", "clock.py", "database.py", "identifiers.py", "requirements.lock"} <= let_in
    assert not let_in & {".env", "var", "tests", ".git", ".venv"}
