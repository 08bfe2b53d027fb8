"""Pushes the canaries through the services: `python -m tests.integration.canary_services clients`, then `partners erasure`.

The answers of partners and auditors and everything that was refused are written to `var/answers`, one JSON line each.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any

import orjson
from fastapi.testclient import TestClient
from httpx import Response
from starlette.types import ASGIApp

from bentos.fraud.service import fraud_app
from bentos.income.service import income_app
from bentos.serving.application import guarded as guarded_scoring
from bentos.serving.backend import Backend
from clock import now
from consent_api.app import create_app, guarded, open_service
from consent_api.callers.issuers import OWN, development
from consent_api.retention import Policy, retain
from consent_api.service import Service
from edge import logs
from settings import Settings, settings
from tests.integration.canaries import CODES, ERASED, NAMES, PERSON_NUMBERS, PHONES

COMPANIES = ("dala-market", "jolda-travel")
TYPES = ["category_spending", "average_bill"]
MARKED = [*range(5), *range(len(CODES) - len(ERASED), len(CODES))]
"""Places of the canaries that make every request there is and every mistake; the others make those that leave something."""
JSON = {"Content-Type": "application/json"}


class Caller:
    """Calls an application and keeps the answers that stay with others than the client, headers and all."""

    def __init__(self, app: ASGIApp, kept: Path) -> None:
        self.http = TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)
        self._kept = kept

    def __call__(self, method: str, path: str, keep: bool = False, **arguments: Any) -> Response:
        answer = self.http.request(method, path, **arguments)
        if keep or answer.status_code >= 400:
            line = {"status": answer.status_code, "headers": dict(answer.headers), "body": answer.text}
            with self._kept.open("ab") as file:
                file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        return answer


def clients() -> None:
    """What clients and branches do: payments, incomes, uploads, consents, and mistakes in all of them."""
    config = settings()
    with _scoring("fraud", fraud_app, config) as call:
        _payments(call)
    with _scoring("income", income_app, config) as call:
        _incomes(call)
    service = open_service(config)
    with _consents(service, config) as call:
        _decisions(call, service)


def partners() -> None:
    """What partners and auditors do: read reports, look into the audit log and export it."""
    config = settings()
    service = open_service(config)
    with _consents(service, config) as call:
        for company in COMPANIES:
            key = {"X-API-Key": service.keyring.issue("partner", company, now())}
            for path in ("/companies", "/data-types", f"/aggregated-data/{company}", *_reports(company)):
                call("GET", path, keep=True, headers=key)
            for place in MARKED:
                call("GET", f"/client/{CODES[place]}", headers=key)
                call("GET", f"/aggregated-data/{CODES[place]}", headers=key)
        auditor = {"X-API-Key": service.keyring.issue("auditor", "daniyar", now())}
        for form, code in product(("ndjson", "csv"), (None, *CODES[:3])):
            query = {"format": form} | ({"client": code} if code else {})
            call("GET", "/audit/export", keep=True, params=query, headers=auditor).raise_for_status()
        for place in MARKED:
            number = PERSON_NUMBERS[place]
            call("GET", "/audit", params={"actor": number, number: 1}, headers=auditor)


def erasure() -> None:
    """What staff and the retention do for clients who want to be forgotten."""
    config = settings()
    service = open_service(config)
    with _consents(service, config) as call:
        staff = {"X-API-Key": service.keyring.issue("staff", "aigerim", now())}
        for code in ERASED:
            call("POST", f"/client/{code}/erasure", headers=staff).raise_for_status()
        retain(service.store, Policy.of(config), now())


def _reports(company: str) -> Iterator[str]:
    for kind, query in product(TYPES, ("", "?segment=age_group", "?segment=city", "?format=csv")):
        yield f"/aggregated-data/{company}/{kind}{query}"


@contextmanager
def _scoring(use_case: str, app: Callable[[Backend], Any], config: Settings) -> Iterator[Caller]:
    backend = Backend(use_case, config)
    backend.champion.look()
    backend.start()
    caller = Caller(guarded_scoring(app(backend), config), config.var / "answers" / f"{use_case}.ndjson")
    with caller.http:  # one event loop for all calls
        yield caller
    backend.stop()


@contextmanager
def _consents(service: Service, config: Settings) -> Iterator[Caller]:
    caller = Caller(guarded(create_app(lambda: service, config), config), config.var / "answers" / "consent.ndjson")
    with caller.http:
        yield caller


def _payments(call: Caller) -> None:
    path, batch = "/api/v1/score_transaction", "/api/v1/score_batch"
    items = [{"client_id": code, "amount": float(phone)} for code, phone in zip(CODES, PHONES, strict=True)]
    for item in items:
        call("POST", path, json=item).raise_for_status()
    for place in MARKED:
        call("POST", "/api/v1/explain_transaction", json=items[place]).raise_for_status()
    call("POST", batch, json={"items": items}).raise_for_status()
    lines = b"".join(orjson.dumps(item, option=orjson.OPT_APPEND_NEWLINE) for item in items)
    call("POST", batch, content=lines, headers={"Content-Type": "application/x-ndjson"}).raise_for_status()
    call("POST", batch, json={"items": [*items, {"client_id": CODES[0], "amount": PHONES[0]}]})
    call("POST", batch, content=lines + b"{", headers={"Content-Type": "application/x-ndjson"})
    _mistakes(call, (path, batch, "/api/v1/explain_transaction"), "client_id")


def _incomes(call: Caller) -> None:
    for code, phone in zip(CODES, PHONES, strict=True):
        call("POST", "/api/predictions", json={"client_id": code}).raise_for_status()
        call("POST", "/api/simulate", json={"external_id": code, "features_override": {"salary_in_90d": float(phone)}})
    for place in MARKED:
        code, name, number, phone = CODES[place], NAMES[place], PERSON_NUMBERS[place], PHONES[place]
        call("GET", f"/api/clients/{code}/card").raise_for_status()
        call("GET", f"/api/clients/{code}/offers")
        call("POST", "/api/predictions", json={"client_id": name})
        call("POST", "/api/predictions", json={"client_id": number, "features": {number: float(phone), "city": name}})
        call("GET", f"/api/clients/{number}/card")
        call("GET", f"/api/clients?segment_code={name}&min_income={phone}&max_income=1")
        call("GET", f"/{name}/{number}")
    call("GET", f"/api/clients?min_income={PHONES[0]}&limit={PHONES[0]}")
    upload = "/api/imports/income-csv"
    rows = "".join(f"{code};2026-09-01;{phone};1\n" for code, phone in zip(CODES, PHONES, strict=True))
    content = f"client_code;month;income;w\n{rows}".encode()
    call("POST", upload, files={"file": (f"{PERSON_NUMBERS[0]} {NAMES[0]}.csv", content)}).raise_for_status()
    call("POST", upload, files={NAMES[0]: (f"{PERSON_NUMBERS[0]}.csv", content)})
    _mistakes(call, ("/api/predictions", "/api/simulate"), "client_id")


def _decisions(call: Caller, service: Service) -> None:
    for place, code in enumerate(CODES):
        key = {"X-API-Key": service.keyring.issue("client", code, now())}
        wish = {"client_id": code, "company": COMPANIES[place % 2], "data_types": TYPES, "is_active": True}
        call("POST", "/consent", json=wish, headers={**key, "Idempotency-Key": f"{code}-first-attempt"}).raise_for_status()
        call("POST", "/consent", json={**wish, "is_active": False}, headers={**key, "Idempotency-Key": f"{code}-first-attempt"})
        if place % 5 == 0:
            call("DELETE", f"/consent/{code}_{wish['company']}", headers=key).raise_for_status()
        if place % 5 == 1:
            call("POST", "/consent", json={**wish, "is_active": False}, headers=key).raise_for_status()
        if place not in MARKED:
            continue
        for path in ("", "/consents", "/history", "/disclosures"):
            call("GET", f"/client/{code}{path}", headers=key)
            call("GET", f"/client/{CODES[place - 1]}{path}", headers=key)
        for odd in (NAMES[place], PERSON_NUMBERS[place], PHONES[place]):
            call("POST", "/consent", json={**wish, "company": odd}, headers=key)
            call("POST", "/consent", json={**wish, "data_types": [odd]}, headers=key)
            call("POST", "/consent", json={**wish, "purpose": odd}, headers=key)
            call("POST", "/consent", json={**wish, "client_id": odd}, headers=key)
            call("POST", "/consent", json={**wish, "expires_at": odd}, headers=key)
            call("GET", f"/client/{odd}", headers=key)
            call("DELETE", f"/consent/{odd}", headers=key)
        call("POST", "/consent", json=wish, headers=_bearer(code, service.config))
        call("POST", "/consent", json=wish, headers={"X-API-Key": code})
    _mistakes(call, ("/consent",), "client_id", key)


def _bearer(code: str, config: Settings) -> dict[str, str]:
    """A token of the client that has expired."""
    token = development(config).token(code, OWN, now() - timedelta(days=1), timedelta(minutes=5))
    return {"Authorization": f"Bearer {token}"}


def _mistakes(call: Caller, paths: tuple[str, ...], who: str, key: dict[str, str] | None = None) -> None:
    """Malformed requests that hold a canary wherever a request can."""
    for path, place in product(paths, MARKED[::2]):
        code, name, number, phone = CODES[place], NAMES[place], PERSON_NUMBERS[place], PHONES[place]
        marked = f"{code} {name} {number} {phone}"
        bodies: list[Any] = [
            {who: code, number: phone}, {who: code, name: 1}, {who: [marked], "amount": marked}, {who: marked, "amount": -1},
            {who: {code: phone}, "amount": name}, marked, [marked], {who: code, "amount": f"{phone}.", "is_active": number},
        ]  # fmt: skip
        for body in bodies:
            call("POST", path, json=body, headers=key)
        for content in (f'{{"{who}": "{marked}"', f'{{"{who}": {code}}}', marked, f'{{"amount": {phone}{phone}e400}}'):
            call("POST", path, content=content.encode(), headers={**JSON, **(key or {})})
        call("POST", path, content=marked.encode("utf-16"), headers={**JSON, **(key or {})})
        call("POST", path, content=b"{}", headers={"Content-Type": f"text/{number}", **(key or {})})
        call("PATCH", f"{path}/{number}?client={name}", headers={"X-Request-Id": number, "Origin": f"https://{code}.kz"})
        call("GET", path, headers={"Host": f"{number}.kz", **(key or {})})
        call("GET", path, headers={"X-Request-Id": number * 2, "X-API-Key": f"opora-{number}-{phone}"})


if __name__ == "__main__":
    logs.install("canary-services", "INFO")
    for part in sys.argv[1:]:
        {"clients": clients, "partners": partners, "erasure": erasure}[part]()
