"""Promises of access: who may call what, and that keys are secrets nobody can read back."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select

from consent_api.auth import Keyring, pepper
from consent_api.store import open_store
from consent_api.tables import ANSWERS, AUDIT, KEYS
from edge.keys import ConfigurationError
from settings import Settings

ROOT = Path(__file__).parents[2]
BODY = {"client_id": "17", "company": "dala-market", "data_types": ["category_spending"], "is_active": True}

# route → how to call it, and the status each caller gets:
# own client, other client, own partner, other partner, staff; nobody (no key) gets 401 except from the open routes
CALLERS = (("client", "17"), ("client", "18"), ("partner", "dala-market"), ("partner", "jolda-travel"), ("staff", "aigerim"))
OPEN = {("get", "/"), ("get", "/healthz"), ("get", "/readyz")}
MATRIX = {
    ("post", "/consent"): ("/consent", (200, 403, 403, 403, 403)),
    ("get", "/client/{client_id}/consents"): ("/client/17/consents", (200, 403, 403, 403, 200)),
    ("delete", "/consent/{consent_id}"): ("/consent/17_dala-market", (200, 403, 403, 403, 403)),
    ("get", "/companies"): ("/companies", (200, 200, 200, 200, 200)),
    ("get", "/data-types"): ("/data-types", (200, 200, 200, 200, 200)),
    ("get", "/aggregated-data/{company}"): ("/aggregated-data/dala-market", (403, 403, 200, 403, 200)),
    ("get", "/aggregated-data/{company}/{data_type}"): (
        "/aggregated-data/dala-market/category_spending",
        (403, 403, 200, 403, 200),
    ),
}


def routes(bank) -> list[tuple[str, str]]:
    return [(method, path) for path, methods in bank.http.get("/openapi.json").json()["paths"].items() for method in methods]


def test_p05_every_route_has_declared_roles_and_keeps_them(bank) -> None:
    callers = [bank.caller(*caller) for caller in CALLERS]
    assert set(routes(bank)) == OPEN | set(MATRIX)
    for (method, _), (path, expected) in MATRIX.items():
        arguments = {"json": BODY} if method == "post" else {}
        statuses = tuple(call(method, path, **arguments).status_code for call in callers)
        assert statuses == expected, (method, path)


def test_p05_without_a_key_only_the_probes_answer(bank) -> None:
    for method, path in routes(bank):
        wanted = MATRIX.get((method, path), (path,))[0]
        for key in ({}, {"X-API-Key": "x"}, {"X-API-Key": "opora-" + "0" * 16 + "-" + "A" * 43}):
            status = bank.http.request(method, wanted, headers=key).status_code
            assert status == (200 if (method, path) in OPEN else 401), (method, path)


def test_p05_every_route_but_the_probes_declares_its_key(bank) -> None:
    schema = bank.http.get("/openapi.json").json()
    assert schema["components"]["securitySchemes"]["APIKeyHeader"] | {"description": ""} == {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "",
    }
    for path, methods in schema["paths"].items():
        for method, route in methods.items():
            assert ("security" in route) == ((method, path) not in OPEN), (method, path)


def test_p05_a_client_whose_code_looks_like_part_of_another_sees_its_own_only(bank) -> None:
    call = bank.caller("client", "1")
    for path in ("/client/17/consents", "/client/1_17/consents"):
        assert call("GET", path).status_code == 403
    for identifier in ("17_dala-market", "1_1_dala-market", "_dala-market", "dala-market"):
        assert call("DELETE", f"/consent/{identifier}").status_code in (403, 404, 422)


def test_p29_a_revoked_key_is_refused_at_once(bank) -> None:
    key = bank.service.keyring.issue("staff", "aigerim", bank.clock())
    headers = {"X-API-Key": key}
    assert bank.http.get("/companies", headers=headers).status_code == 200
    assert bank.service.keyring.revoke(key.split("-")[1], bank.clock())
    assert bank.http.get("/companies", headers=headers).status_code == 401
    assert not bank.service.keyring.revoke(key.split("-")[1], bank.clock())


def test_p29_a_changed_secret_another_pepper_or_another_id_is_no_key(bank) -> None:
    ring = bank.service.keyring
    key, other = (ring.issue("staff", "aigerim", bank.clock()) for _ in range(2))
    assert ring.recognise(key) is not None
    flipped = key[:-2] + ("A" if key[-2] != "A" else "B") + key[-1]
    mixed = "-".join([*other.split("-")[:2], key.split("-", 2)[2]])
    assert ring.recognise(flipped) is ring.recognise(mixed) is ring.recognise(key + "x") is ring.recognise("") is None
    assert Keyring(bank.store, b"q" * 32).recognise(key) is None


def test_p29_the_database_holds_no_key(bank) -> None:
    keys = [bank.service.keyring.issue("client", str(number), bank.clock()) for number in range(5)]
    with bank.store.reading() as connection:
        held = "".join(str(list(connection.execute(select(table)))) for table in (KEYS, AUDIT, ANSWERS))
    for key in keys:
        assert key.split("-", 2)[2] not in held
    assert len(set(keys)) == 5


def test_the_pepper_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    config = Settings(var=tmp_path)
    first = pepper(config)
    assert pepper(config) == first
    assert len(first) == 64
    path = tmp_path / "secrets" / "key_pepper"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["key_pepper"]


def test_a_configured_pepper_has_to_be_long() -> None:
    assert pepper(Settings(key_pepper="k" * 32)) == b"k" * 32
    with pytest.raises(ConfigurationError, match="OPORA_KEY_PEPPER"):
        pepper(Settings(key_pepper="short"))


def test_the_command_line_prints_a_key_that_works_and_ends_it(tmp_path: Path) -> None:
    environment = {**os.environ, "OPORA_VAR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    environment.pop("OPORA_DATABASE_URL", None)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "consent_api.auth", *arguments]
        return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60)

    issued = run("issue", "--role", "partner", "--subject", "dala-market")
    assert issued.returncode == 0, issued.stderr
    config = Settings(var=tmp_path)
    ring = Keyring(open_store(config.database("consent")), pepper(config))
    key = issued.stdout.strip()
    assert ring.recognise(key).subject == "dala-market"
    assert run("revoke", key.split("-")[1]).returncode == 0
    assert ring.recognise(key) is None
    assert run("issue", "--role", "partner", "--subject", "dalla-market").returncode == 1
