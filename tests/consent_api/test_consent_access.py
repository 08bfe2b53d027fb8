"""P5 and P29: who may call what, and that keys are secrets nobody can read back and anybody's end comes at once."""

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import func, select, text

from consent_api.app import create_app
from consent_api.callers import trust
from consent_api.callers.access import allow, everyone
from consent_api.callers.credentials import Keyring
from consent_api.callers.identification import Authenticator
from consent_api.callers.roles import Role
from consent_api.callers.route_roles import UndeclaredRoles, declare_roles
from consent_api.store import open_store
from consent_api.tables import AUDIT
from edge.pepper import ConfigurationError, pepper
from settings import Settings
from tests.consent_api.conftest import Command

DECISION = {"company": "dala-market", "data_types": ["category_spending"], "is_active": True}
ASKED = {"company": "dala-market", "data_types": ["category_spending"]}

OWN = {"client_id": "17", "company": "dala-market", "consent_id": "17_dala-market", "data_type": "category_spending"}
OTHER = {**OWN, "client_id": "18", "company": "jolda-travel", "consent_id": "18_dala-market"}
OPEN = {("get", path) for path in ("/", "/healthz", "/readyz", "/.well-known/jwks.json", "/consent-record.schema.json")}
ROLES = {
    ("post", "/consent"): {"client"},
    ("delete", "/consent/{consent_id}"): {"client"},
    ("get", "/client/{client_id}/consents"): {"client", "staff"},
    ("get", "/consent/{consent_id}"): {"client", "staff"},
    ("post", "/consent-requests"): {"staff"},
    ("get", "/consent-notices"): {"client", "staff", "auditor"},
    ("get", "/client/{client_id}"): {"client"},
    ("delete", "/client/{client_id}/consents"): {"client"},
    ("get", "/client/{client_id}/history"): {"client", "staff"},
    ("get", "/client/{client_id}/disclosures"): {"client", "staff"},
    ("post", "/client/{client_id}/erasure"): {"client", "staff"},
    ("get", "/audit"): {"auditor"},
    ("get", "/audit/verify"): {"auditor"},
    ("get", "/audit/export"): {"auditor"},
    ("get", "/companies"): {"client", "partner", "staff", "auditor"},
    ("get", "/data-types"): {"client", "partner", "staff", "auditor"},
    ("get", "/aggregated-data/{company}"): {"partner", "staff"},
    ("get", "/aggregated-data/{company}/{data_type}"): {"partner", "staff"},
    ("post", "/oauth/token"): set(),  # takes a key's id and secret only: tests of tokens
}
"""Written by hand, so that no route gets other callers by mistake."""
BODIES = {
    ("post", "/consent"): lambda named: {"json": {**DECISION, "client_id": named["client_id"]}},
    ("post", "/consent-requests"): lambda named: {"json": {**ASKED, "client_id": named["client_id"]}},
}
BOUND = {"client": ("client_id", "consent_id"), "partner": ("company",)}
"""What of an address belongs to one subject of a role."""
SUBJECTS = {"client": "17", "partner": "dala-market", "staff": "aigerim", "auditor": "baurzhan"}


def routes(bank) -> list[tuple[str, str]]:
    paths = bank.http.get("/openapi.json").json()["paths"]
    return [(method, path) for path, methods in paths.items() for method in methods]


def cases() -> Iterator[tuple[tuple[str, str], str, dict[str, str], bool]]:
    """Every route × role × object, and whether the role may call it about that object."""
    for route, roles in ROLES.items():
        for role in get_args(Role):
            for named in (OWN, OTHER):
                foreign = named is OTHER and (
                    any(f"{{{name}}}" in route[1] for name in BOUND.get(role, ())) or (route in BODIES and role == "client")
                )
                yield route, role, named, role in roles and not foreign


def test_p05_every_route_is_called_by_every_role_about_its_own_and_anothers(bank) -> None:
    callers = {role: bank.caller(role, subject) for role, subject in SUBJECTS.items()}
    assert set(routes(bank)) == OPEN | set(ROLES)
    for route, role, named, allowed in cases():
        if not ROLES[route]:
            continue
        arguments = BODIES[route](named) if route in BODIES else {}
        status = callers[role](route[0], route[1].format(**named), **arguments).status_code
        assert (status not in (401, 403)) == allowed, (route, role, named, status)
        assert status < 500, (route, role, named, status)


def test_p05_the_description_names_the_roles_and_how_they_show_who_they_are(bank) -> None:
    description = bank.http.get("/openapi.json").json()
    schemes = {
        name: (scheme["type"], scheme.get("scheme")) for name, scheme in description["components"]["securitySchemes"].items()
    }
    assert schemes == {"HTTPBearer": ("http", "bearer"), "APIKeyHeader": ("apiKey", None), "ClientCredentials": ("http", "basic")}
    for method, path in set(routes(bank)) - OPEN:
        operation = description["paths"][path][method]
        needed = [{"ClientCredentials": []}] if path == "/oauth/token" else [{"HTTPBearer": []}, {"APIKeyHeader": []}]
        assert operation["security"] == needed, (method, path)
        assert set(operation["x-roles"]) == (ROLES[method, path] or {"partner", "staff", "auditor"}), (method, path)


def test_p05_without_a_credential_only_the_probes_answer(bank) -> None:
    credentials = ({}, {"X-API-Key": "x"}, {"X-API-Key": "opora-" + "0" * 16 + "-" + "A" * 43}, {"Authorization": "Bearer x"})
    for method, path in routes(bank):
        for headers in credentials:
            status = bank.http.request(method, path.format(**OWN), headers=headers).status_code
            assert status == (200 if (method, path) in OPEN else 401), (method, path, headers)
    assert bank.http.get("/no/such/address").status_code == 401


def test_p05_strangers_are_refused_before_their_body_is_looked_at(bank) -> None:
    for body in (b"{", b"[" * 50_000):
        assert bank.http.post("/consent", content=body, headers={"Content-Type": "application/json"}).status_code == 401


def test_p31_a_flood_of_strangers_is_bounded_and_harms_nobody(bank) -> None:
    """Their refusals are audited, which costs a durable write each: so only so many of them are."""

    def audited() -> int:
        with bank.store.reading() as connection:
            return connection.scalar(select(func.count()).where(AUDIT.c.action == "request.refused"))

    key, wrong = bank.headers("partner", "dala-market"), {"X-API-Key": "nobody's"}
    config = bank.config.model_copy(update={"stranger_rate_per_second": 0.001, "rate_limit_burst": 5})
    app = create_app(lambda: bank.service, config)
    app.state.service, app.state.authenticator = bank.service, Authenticator(bank.service)
    http = TestClient(app, raise_server_exceptions=False)
    before = audited()
    assert [http.get("/companies", headers=wrong).status_code for _ in range(20)] == [401] * 5 + [429] * 15
    assert audited() - before == 5
    assert http.get("/companies", headers=key).status_code == 200


def test_p05_figures_are_for_this_machine_and_for_staff_and_auditors(bank) -> None:
    from_elsewhere = TestClient(bank.http.app, client=("10.0.0.7", 4711))
    through_a_proxy = TestClient(bank.http.app, client=("127.0.0.1", 4711), headers={"X-Forwarded-For": "10.0.0.7"})
    for http in (from_elsewhere, through_a_proxy):
        assert http.get("/metrics").status_code == 403
        statuses = {role: http.get("/metrics", headers=bank.headers(role, name)).status_code for role, name in SUBJECTS.items()}
        assert statuses == {"client": 403, "partner": 403, "staff": 200, "auditor": 200}
    assert TestClient(bank.http.app, client=("127.0.0.1", 4711)).get("/metrics").status_code == 200


def test_p05_a_route_that_declares_no_role_keeps_the_service_from_starting() -> None:
    app = FastAPI(docs_url=None, redoc_url=None)
    app.add_api_route("/free", lambda: 1, dependencies=[Depends(everyone)])
    app.add_api_route("/bound", lambda: 1, dependencies=[Depends(allow("staff"))])
    assert declare_roles(app) >= {"/free"}
    assert "/bound" not in declare_roles(app)
    app.add_api_route("/forgotten", lambda: 1)
    with pytest.raises(UndeclaredRoles, match="/forgotten"):
        declare_roles(app)


def test_p05_a_client_whose_code_looks_like_part_of_another_sees_its_own_only(bank) -> None:
    call = bank.caller("client", "1")
    for path in ("/client/17/consents", "/client/1_17/consents"):
        assert call("GET", path).status_code == 403
    for identifier in ("17_dala-market", "1_1_dala-market", "_dala-market", "dala-market"):
        assert call("DELETE", f"/consent/{identifier}").status_code in (403, 404, 422)


def test_p05_no_cache_on_its_way_may_keep_an_answer_about_anybody(bank) -> None:
    asked = [
        ("client", "/client/17"),
        ("staff", "/client/17/consents"),
        ("client", "/client/17/history?format=csv"),
        ("client", "/client/18/disclosures"),
        ("auditor", "/audit/export"),
    ]
    answers = [bank.caller(role, "17")("GET", path) for role, path in asked]
    answers.append(bank.caller("client", "17")("POST", "/consent", json={"client_id": "17", **DECISION}))
    assert [(each.status_code, each.headers.get("Cache-Control")) for each in answers] == [
        (status, "no-store") for status in (200, 200, 200, 403, 200, 200)
    ]


def test_p05_a_slash_too_many_is_no_address_and_nobody_is_sent_on_with_a_key(bank) -> None:
    for role, path in (("client", "/client/17/"), ("partner", "/aggregated-data/dala-market/"), ("auditor", "/audit/")):
        assert bank.caller(role, "dala-market")("GET", path, follow_redirects=False).status_code == 404


def test_p29_a_revoked_key_and_what_was_traded_for_it_are_refused_within_a_second(bank, monkeypatch: pytest.MonkeyPatch) -> None:
    at = [time.monotonic()]
    monkeypatch.setattr(trust, "time", SimpleNamespace(monotonic=lambda: at[-1]))
    key = bank.service.keyring.issue("partner", "dala-market", bank.clock())
    _, key_id, secret = key.split("-", 2)
    grant = bank.http.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=(key_id, secret)).json()
    held = ({"X-API-Key": key}, {"Authorization": f"Bearer {grant['access_token']}"})
    assert [bank.http.get("/companies", headers=headers).status_code for headers in held] == [200, 200]
    assert bank.service.keyring.revoke(key_id, bank.clock())
    at.append(at[-1] + 1)
    assert [bank.http.get("/companies", headers=headers).status_code for headers in held] == [401, 401]
    assert not bank.service.keyring.revoke(key_id, bank.clock())


def test_p29_a_key_ends_by_itself_and_its_successor_works_beside_it(bank) -> None:
    ring, start = bank.service.keyring, bank.clock()
    old = ring.issue("partner", "dala-market", start, start + timedelta(days=90))
    new = ring.rotate(old.split("-")[1], start, start + timedelta(hours=24), start + timedelta(days=90))
    assert new is not None
    for after, in_force in (
        (timedelta(hours=23), [True, True]),
        (timedelta(hours=24), [False, True]),
        (timedelta(days=90), [False] * 2),
    ):
        assert [ring.recognise(key, start + after) is not None for key in (old, new)] == in_force
    assert ring.rotate(old.split("-")[1], start + timedelta(days=2), start, start) is None
    bank.clock.moment += timedelta(hours=24)
    assert bank.http.get("/companies", headers={"X-API-Key": old}).status_code == 401


def test_p29_a_token_ends_with_the_key_it_was_traded_for(bank) -> None:
    start = bank.clock()
    _, key_id, secret = bank.service.keyring.issue("partner", "dala-market", start, start + timedelta(minutes=2)).split("-", 2)
    grant = bank.http.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=(key_id, secret)).json()
    token = {"Authorization": f"Bearer {grant['access_token']}"}
    for minutes, status in ((1, 200), (2, 401)):
        bank.clock.moment = start + timedelta(minutes=minutes)
        assert bank.http.get("/companies", headers=token).status_code == status


def test_p29_a_rotated_key_never_lives_longer_than_it_would_have(bank) -> None:
    ring, start = bank.service.keyring, bank.clock()
    old = ring.issue("partner", "dala-market", start, start + timedelta(hours=1))
    ring.rotate(old.split("-")[1], start, start + timedelta(days=7), start + timedelta(days=90))
    assert ring.recognise(old, start + timedelta(hours=1)) is None


def test_p29_a_changed_secret_another_pepper_or_another_id_is_no_key(bank) -> None:
    ring, at = bank.service.keyring, bank.clock()
    key, other = (ring.issue("staff", "aigerim", at) for _ in range(2))
    assert ring.recognise(key, at) is not None
    flipped = key[:-2] + ("A" if key[-2] != "A" else "B") + key[-1]
    mixed = "-".join([*other.split("-")[:2], key.split("-", 2)[2]])
    for wrong in (flipped, mixed, key + "x", key + "\n", ""):
        assert ring.recognise(wrong, at) is None
    assert Keyring(bank.store, b"q" * 32).recognise(key, at) is None


def test_p29_keys_of_clients_are_for_one_machine_only(bank) -> None:
    key = bank.service.keyring.issue("client", "17", bank.clock())
    assert Keyring(bank.store, b"p" * 32, clients=False).recognise(key, bank.clock()) is None


def test_p29_a_dump_of_the_database_holds_no_secret(bank) -> None:
    ring = bank.service.keyring
    keys = [ring.issue(role, subject, bank.clock()) for role, subject in SUBJECTS.items()]
    keys.append(ring.rotate(keys[1].split("-")[1], bank.clock(), bank.clock(), None))
    grant = bank.http.post(
        "/oauth/token", data={"grant_type": "client_credentials"}, auth=tuple(keys[2].split("-", 2)[1:])
    ).json()
    bearer = bank.bearer("17")["Authorization"].removeprefix("Bearer ")
    for token in (grant["access_token"], bearer):
        bank.http.get("/companies", headers={"Authorization": f"Bearer {token}"})
    bank.http.post("/consent", json={**DECISION, "client_id": 17}, headers={"Authorization": f"Bearer {bearer}"})
    held = dumped(bank)
    assert "dala-market" in held
    for secret in (*(key.split("-", 2)[2] for key in keys), *grant["access_token"].split("."), *bearer.split("."), "p" * 32):
        assert secret not in held
    assert len(set(keys)) == len(keys)
    assert all(len(key.split("-", 2)[2]) * 6 >= 256 for key in keys)


def dumped(bank) -> str:
    """Every byte of the SQLite files, or every row of every PostgreSQL table."""
    engine = bank.store.engine
    if engine.dialect.name == "sqlite":
        files = Path(engine.url.database).parent.glob(f"{Path(engine.url.database).name}*")
        return b"".join(file.read_bytes() for file in files).decode("latin-1")
    with engine.connect() as connection:
        tables = connection.scalars(
            text("SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()")
        )
        return "".join(str(list(connection.execute(text(f'SELECT t::text FROM "{table}" t')))) for table in list(tables))


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


def test_the_command_line_issues_rotates_lists_and_revokes(tmp_path: Path, process: Command, command: Command) -> None:
    issued = process("consent_api.auth", "issue", "--role", "partner", "--subject", "dala-market")
    assert issued.returncode == 0, issued.stderr
    config = Settings(var=tmp_path)
    ring = Keyring(open_store(config), pepper(config))
    key = issued.stdout.strip()
    (listed,) = ring.listed()
    assert listed.expires_at - listed.issued_at == timedelta(days=365)
    assert ring.recognise(key, listed.issued_at).subject == "dala-market"
    rotated = command("consent_api.auth", "rotate", key.split("-")[1], "--overlap-hours", "1", "--days", "30")
    assert ring.recognise(rotated.stdout.strip(), listed.issued_at + timedelta(days=29)) is not None
    assert len(command("consent_api.auth", "list").stdout.splitlines()) == 2
    assert command("consent_api.auth", "revoke", key.split("-")[1]).returncode == 0
    assert ring.recognise(key, listed.issued_at) is None


def test_the_command_line_refuses_unknown_companies_and_endless_keys(command: Command) -> None:
    wrong = (["--role", "partner", "--subject", "dalla-market"], ["--role", "staff", "--subject", "x", "--days", "0"])
    for arguments in wrong:
        assert command("consent_api.auth", "issue", *arguments).returncode != 0
    assert command("consent_api.auth", "rotate", "0" * 16).returncode == 1
