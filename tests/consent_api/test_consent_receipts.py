"""P20 and receipts: records are complete, texts are kept word for word, receipts are provable to anyone and cannot be altered."""

import base64
import json
import random
import shutil
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from joserfc import jws
from joserfc.jwk import OctKey, OKPKey
from sqlalchemy import delete, select, text

from consent_api import audit, consents, receipts
from consent_api.audit import Actor
from consent_api.catalogue import BrokenCatalogue
from consent_api.consents import Grant
from consent_api.custody.receipt_keys import TYPE, BrokenReceiptKeys, ForgedReceipt, ReceiptKeys, content_of
from consent_api.record import resources
from consent_api.record.notices import load_notices
from consent_api.store import open_store
from consent_api.tables import AUDIT, NOTICES
from settings import Settings
from tests.consent_api.conftest import Command

ROOT = Path(__file__).parents[2]
CATALOGUES = ROOT / "catalogues"
BODY = {"client_id": "17", "company": "dala-market", "data_types": ["category_spending", "average_bill"], "is_active": True}
KIND = ("dala-market", "category_spending", "market_statistics")
AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
SCHEMA = json.loads((ROOT / "consent_api" / "routes" / "record.schema.json").read_text())
CHECK = jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)


def decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


@pytest.fixture
def client(bank) -> Callable:
    return bank.caller("client", "17")


@pytest.fixture
def answer(client: Callable) -> dict[str, Any]:
    return client("POST", "/consent", json=BODY).json()


@pytest.fixture
def published(bank) -> dict[str, Any]:
    return bank.http.get("/.well-known/jwks.json").json()


def test_p20_a_thousand_generated_records_are_complete(tmp_path: Path) -> None:
    """Every record of clients who were asked, gave, renewed and withdrew at random, in both languages."""
    store, chance, found = open_store(Settings(var=tmp_path)), random.Random(20), []
    kinds = [
        (data_type, purpose) for data_type in store.notices.catalogue.data_types for purpose in store.notices.catalogue.purposes
    ]
    companies = list(store.notices.catalogue.companies)
    for number in range(300):
        client, company = f"client {number}", chance.choice(companies)
        wanted = [
            Grant(client, company, *kind, AT + timedelta(days=chance.randint(1, 300)), chance.choice(["ru", "en", None]))
            for kind in chance.sample(kinds, 4)
        ]
        with store.writing() as connection:
            consents.request(connection, wanted[:2], Actor("s", "staff"), AT, "branch")
            consents.grant(connection, wanted[1:], Actor("c", "client"), AT + timedelta(hours=1), channel="online")
            if chance.random() < 0.5:
                consents.grant(connection, wanted[2:3], Actor("c", "client"), AT + timedelta(hours=2))
            if chance.random() < 0.5:
                consents.revoke(connection, client, company, Actor("c", "client"), AT + timedelta(days=5), [wanted[1].data_type])
            body = resources.of_company(connection, client, company, AT + timedelta(days=chance.randint(6, 200)))
            receipt = receipts.issue(connection, body, AT + timedelta(days=200))
        signed = receipts.verify(receipt, store.custody.receipt_keys.published())
        assert json.loads(signed.model_dump_json())["records"] == json.loads(body.model_dump_json())["records"]
        found += json.loads(decoded(receipt.split(".")[1]))["records"]
    store.close()
    assert len(found) >= 1000
    assert {record["status"] for record in found} == {"requested", "active", "rejected", "revoked", "expired"}
    for record in found:
        CHECK.validate(record)


def _without(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda record: record.pop(name)


def _with(name: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda record: record.update({name: value})


@pytest.mark.parametrize(
    "damage",
    [
        *(_without(name) for name in SCHEMA["required"]),
        _with("purpose", [{"code": "a", "text": "b"}] * 2),
        _with("data_types", ["category_spending", "average_bill"]),
        _with("status", "paused"),
        _with("status", "revoked"),
        _with("given_at", None),
        _with("given_at", "yesterday"),
        _with("valid_until", "2027-11-21T12:00:00+05:00"),
        _with("notice", {"version": "1", "text_sha256": "0" * 63}),
        _with("events", []),
        _with("client_id", "17"),
    ],
)
def test_p20_the_schema_refuses_an_incomplete_record(answer: dict[str, Any], damage: Callable[[dict[str, Any]], None]) -> None:
    record = answer["consent"]["records"][0]
    CHECK.validate(record)
    damage(record)
    with pytest.raises(jsonschema.ValidationError):
        CHECK.validate(record)


def test_p20_the_schema_is_published_and_sound(bank) -> None:
    answer = bank.http.get("/consent-record.schema.json")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/schema+json")
    assert answer.json() == SCHEMA
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_p20_a_record_quotes_the_hash_of_the_very_text_that_was_shown(bank, client: Callable, answer: dict[str, Any]) -> None:
    shown = client("GET", "/consent-notices", params={"company": "dala-market"}).json()
    assert shown["language"] == "ru"
    texts = {(each["data_type"], each["purpose"]): each for each in shown["notices"]}
    for record in answer["consent"]["records"]:
        notice = texts[record["data_types"][0], record["purpose"]["code"]]
        assert sha256(notice["text"].encode()).hexdigest() == notice["text_sha256"] == record["notice"]["text_sha256"]
        assert (record["notice"]["version"], record["language"]) == (shown["version"], "ru")
        for stated in (record["purpose"]["text"], record["recipient"]["name"], record["controller"]["name"]):
            assert stated in notice["text"]
    with bank.store.reading() as connection:
        kept = [json.loads(document)["text"] for document in connection.scalars(select(NOTICES.c.document))]
    assert {each["text"] for each in shown["notices"]} <= set(kept)


def test_p20_a_consent_in_another_language_is_a_record_of_that_text(client: Callable, answer: dict[str, Any]) -> None:
    later = client("POST", "/consent", json=BODY, headers={"Notice-Language": "en"}).json()
    for old, new in zip(answer["consent"]["records"], later["consent"]["records"], strict=True):
        assert (new["language"], new["previous_record_id"]) == ("en", old["record_id"])
        assert new["notice"]["text_sha256"] != old["notice"]["text_sha256"]


def test_p20_agreeing_to_a_text_that_is_no_longer_in_force_is_refused(bank, client: Callable) -> None:
    version = client("GET", "/consent-notices", params={"company": "dala-market"}).json()["version"]
    refused = client("POST", "/consent", json=BODY, headers={"Notice-Version": "2020-01-01"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "notice_changed")
    assert client("GET", "/client/17/consents").json()["consents"] == []
    assert client("POST", "/consent", json=BODY, headers={"Notice-Version": version}).status_code == 200


def test_p20_the_text_that_a_client_agreed_to_can_be_read_after_another_has_come_into_force(
    bank, client: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (record, *_) = client("POST", "/consent", json=BODY, headers={"Notice-Language": "en"}).json()["consent"]["records"]
    newer = tmp_path / "newer"
    shutil.copytree(CATALOGUES, newer)
    notices = newer / "notices.toml"
    changed = notices.read_text().replace("for one purpose", "for a purpose")
    notices.write_text(changed.replace('version = "', 'version = "new.'))
    monkeypatch.setattr(bank.store, "notices", load_notices(newer))
    about = {"company": "dala-market", "language": "en"}
    in_force = client("GET", "/consent-notices", params=about).json()
    assert record["notice"]["text_sha256"] not in {each["text_sha256"] for each in in_force["notices"]}
    shown = client("GET", "/consent-notices", params={**about, "version": record["notice"]["version"]}).json()
    texts = {each["text_sha256"]: each for each in shown["notices"]}
    agreed = texts[record["notice"]["text_sha256"]]
    assert sha256(agreed["text"].encode()).hexdigest() == record["notice"]["text_sha256"]
    assert (shown["version"], agreed["data_type"]) == (record["notice"]["version"], record["data_types"][0])
    for change in ({"version": "1999"}, {"version": record["notice"]["version"], "company": "nobody"}):
        refused = client("GET", "/consent-notices", params={**about, **change})
        assert (refused.status_code, refused.json()["error"]["field"]) == (404, "version")


@pytest.mark.parametrize("file", ["notices", "purposes", "companies", "data_types"])
def test_p20_a_text_cannot_change_under_the_same_version(tmp_path: Path, file: str) -> None:
    catalogues = tmp_path / "catalogues"
    shutil.copytree(CATALOGUES, catalogues)
    config = Settings(var=tmp_path / "var", catalogues=catalogues)
    open_store(config).close()
    path = catalogues / f"{file}.toml"
    before = {
        "notices": "Example Street",
        "purposes": "compose offers",
        "companies": "Dala Market",
        "data_types": "Average bill",
    }[file]
    path.write_text(path.read_text().replace(before, "something else"))
    with pytest.raises(BrokenCatalogue, match="give notices.toml a new version"):
        open_store(config)
    notices = catalogues / "notices.toml"
    notices.write_text(notices.read_text().replace('version = "', 'version = "new.'))
    open_store(config).close()


def test_a_new_text_is_a_new_record_and_the_old_one_keeps_its_own(tmp_path: Path) -> None:
    catalogues = tmp_path / "catalogues"
    shutil.copytree(CATALOGUES, catalogues)
    config, found = Settings(var=tmp_path / "var", catalogues=catalogues), []
    for _ in range(2):
        store = open_store(config)
        with store.writing() as connection:
            consents.grant(connection, [Grant("17", *KIND)], Actor("c", "client"), AT)
            found += resources.of_company(connection, "17", KIND[0], AT).records
        store.close()
        notices = catalogues / "notices.toml"
        notices.write_text(
            notices.read_text().replace('version = "', 'version = "new.').replace("for one purpose", "for a purpose")
        )
    assert found[1].previous_record_id == found[0].record_id
    assert found[1].notice.version == f"new.{found[0].notice.version}"


def test_anyone_can_verify_a_receipt_with_the_published_key(answer: dict[str, Any], published: dict[str, Any]) -> None:
    """With nothing of ours: RFC 7515 by hand."""
    header, content, signature = answer["receipt"].split(".")
    said = json.loads(decoded(header))
    (key,) = published["keys"]
    assert said == {"alg": "Ed25519", "typ": "consent-receipt+jws", "kid": key["kid"]}
    assert set(key) == {"kty", "crv", "x", "kid", "use", "alg"}
    public = Ed25519PublicKey.from_public_bytes(decoded(key["x"]))
    public.verify(decoded(signature), f"{header}.{content}".encode())
    with pytest.raises(InvalidSignature):
        public.verify(decoded(signature), f"{header}.{content}A".encode())
    receipt = json.loads(decoded(content))
    assert receipt["records"] == answer["consent"]["records"]
    assert (receipt["version"], receipt["is_active"]) == (1 * len(BODY["data_types"]), True)


def test_p24_a_receipt_names_the_client_by_a_pseudonym_of_its_partner_only(
    bank, client: Callable, answer: dict[str, Any]
) -> None:
    other = client("POST", "/consent", json={**BODY, "company": "aspan-cinema"}).json()
    contents = [decoded(each["receipt"].split(".")[1]).decode() for each in (answer, other)]
    pseudonyms = [{record["subject_pseudonym"] for record in json.loads(content)["records"]} for content in contents]
    assert len(pseudonyms[0]) == len(pseudonyms[1]) == 1
    assert pseudonyms[0].isdisjoint(pseudonyms[1])
    for content in contents:
        assert "17_" not in content
        assert '"17"' not in content


def test_p18_withdrawing_gives_a_receipt_that_says_so(
    client: Callable, answer: dict[str, Any], published: dict[str, Any]
) -> None:
    receipt = receipts.verify(client("DELETE", "/consent/17_dala-market").json()["receipt"], published)
    assert (receipt.is_active, {record.status for record in receipt.records}) == (False, {"revoked"})
    assert [[event.what for event in record.events] for record in receipt.records] == [["active", "revoked"]] * 2


def _changed_content(receipt: str) -> str:
    header, content, signature = receipt.split(".")
    said = json.loads(decoded(content))
    said["records"][0]["purpose"]["code"] = "anything"
    return f"{header}.{encoded(json.dumps(said).encode())}.{signature}"


def _changed_header(**change: object) -> Callable[[str], str]:
    def changed(receipt: str) -> str:
        header, content, signature = receipt.split(".")
        return f"{encoded(json.dumps({**json.loads(decoded(header)), **change}).encode())}.{content}.{signature}"

    return changed


def _unsigned(receipt: str) -> str:
    header, content, _ = receipt.split(".")
    return f"{encoded(json.dumps({**json.loads(decoded(header)), 'alg': 'none'}).encode())}.{content}."


def _signed_by(key: OKPKey | OctKey, alg: str, typ: str = TYPE) -> Callable[[str], str]:
    def signed(receipt: str) -> str:
        header, content, _ = receipt.split(".")
        kid = json.loads(decoded(header))["kid"]
        return jws.serialize_compact({"alg": alg, "typ": typ, "kid": kid}, decoded(content), key, algorithms=[alg])

    return signed


@pytest.mark.parametrize(
    "tamper",
    [
        _changed_content,
        _unsigned,
        _changed_header(alg="EdDSA"),
        _changed_header(kid="another"),
        _changed_header(kid=["a"]),
        _changed_header(typ="at+jwt"),
        _changed_header(crit=["x"], x=1),
        _signed_by(OKPKey.generate_key("Ed25519"), "Ed25519"),
        _signed_by(OctKey.generate_key(256), "HS256"),
        lambda receipt: receipt[:-8],
        lambda receipt: receipt.rsplit(".", 1)[0],
        lambda receipt: "",
        lambda receipt: "a.b.c",
        lambda receipt: f"{receipt}.{receipt}",
        lambda receipt: "é" * 50,
    ],
)
def test_a_tampered_receipt_is_refused(answer: dict[str, Any], published: dict[str, Any], tamper: Callable[[str], str]) -> None:
    assert receipts.verify(answer["receipt"], published).is_active
    with pytest.raises(ForgedReceipt):
        receipts.verify(tamper(answer["receipt"]), published)


def test_no_single_changed_character_goes_unnoticed(answer: dict[str, Any], published: dict[str, Any]) -> None:
    receipt, chance = answer["receipt"], random.Random(1)
    for place in chance.sample(range(len(receipt) - 1), 300):  # the last character has bits that encode nothing
        if receipt[place] != ".":
            other = receipt[:place] + ("A" if receipt[place] != "A" else "B") + receipt[place + 1 :]
            with pytest.raises(ForgedReceipt):
                receipts.verify(other, published)


def test_something_else_that_our_key_signed_is_no_receipt(bank, published: dict[str, Any]) -> None:
    for content in (b"{}", b"[]", b'{"client": "17"}'):
        with pytest.raises(ForgedReceipt):
            receipts.verify(bank.store.custody.receipt_keys.sign(content), published)


def test_what_our_key_signed_as_something_else_is_no_receipt(bank, answer: dict[str, Any], published: dict[str, Any]) -> None:
    """Else a token, or whatever the key may sign one day, could pass for a receipt with the same content."""
    key = OKPKey.import_key(json.loads(bank.store.custody.receipt_keys.path.read_bytes())["keys"][0])
    assert receipts.verify(_signed_by(key, "Ed25519")(answer["receipt"]), published).is_active
    for typ in ("at+jwt", "JWT", ""):
        with pytest.raises(ForgedReceipt):
            receipts.verify(_signed_by(key, "Ed25519", typ)(answer["receipt"]), published)


def test_p12_a_receipt_shows_that_the_audit_log_was_cut_or_rewritten(bank, client: Callable, published: dict[str, Any]) -> None:
    head = receipts.verify(client("POST", "/consent", json=BODY).json()["receipt"], published).audit
    noted = [{"sequence": head.sequence, "hash": head.hash, "at": "the receipt"}]
    with bank.store.reading() as connection:
        newest = connection.execute(select(AUDIT).where(AUDIT.c.sequence == head.sequence)).one()
        assert (newest.hash, newest.action) == (head.hash, "consent.granted")
        assert audit.verify(connection, noted).first_bad is None
    with bank.store.writing() as connection:
        on = " ON consent_audit" if connection.dialect.name == "postgresql" else ""
        connection.execute(text(f"DROP TRIGGER consent_audit_no_delete{on}"))
        connection.execute(delete(AUDIT).where(AUDIT.c.sequence >= head.sequence))
    with bank.store.reading() as connection:
        assert audit.verify(connection).first_bad is None
        assert audit.verify(connection, noted).first_bad == head.sequence


def test_receipts_from_before_a_rotation_stay_valid_and_the_old_key_can_sign_no_more(bank, client: Callable) -> None:
    old = client("POST", "/consent", json=BODY).json()["receipt"]
    keys = bank.store.custody.receipt_keys
    before = json.loads(keys.path.read_bytes())["keys"][0]
    ReceiptKeys(keys.path).rotate()  # another process
    new = client("POST", "/consent", json=BODY).json()["receipt"]
    published = bank.http.get("/.well-known/jwks.json").json()
    assert [json.loads(decoded(each.split(".")[0]))["kid"] for each in (new, old)] == [key["kid"] for key in published["keys"]]
    for receipt in (old, new):
        assert receipts.verify(receipt, published).is_active
    assert before["d"] not in keys.path.read_text()
    assert all("d" not in key for key in published["keys"])
    assert keys.path.stat().st_mode & 0o777 == 0o600


def test_processes_that_start_together_share_one_key(tmp_path: Path) -> None:
    path, seen, ready = tmp_path / "secrets" / "receipt_keys", [], threading.Barrier(8)

    def first_use() -> None:
        ready.wait()
        seen.append(ReceiptKeys(path).published()["keys"][0]["kid"])

    threads = [threading.Thread(target=first_use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(seen), len(set(seen))) == (8, 1)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_key_file_that_is_away_for_a_while_is_not_made_anew(tmp_path: Path) -> None:
    """A volume that is mounted again would hide the new key, and nobody could check what it has signed."""
    path, aside = tmp_path / "receipt_keys", tmp_path / "aside"
    keys = ReceiptKeys(path)
    keys.sign(b"{}")
    path.rename(aside)
    receipt = keys.sign(b"{}")
    assert not path.exists()
    aside.rename(path)
    assert content_of(receipt, ReceiptKeys(path).published()) == b"{}"


@pytest.mark.parametrize("content", [b"", b"{}", b'{"keys": []}', b'{"keys": [{"kty": "oct", "k": "AA"}]}'])
def test_a_broken_key_file_is_named_and_never_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "receipt_keys"
    path.write_bytes(content)
    with pytest.raises(BrokenReceiptKeys, match=str(path)):
        ReceiptKeys(path).sign(b"{}")
    assert path.read_bytes() == content


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)  # keys and receipts are files
def test_the_command_line_verifies_and_rotates(
    answer: dict[str, Any], published: dict[str, Any], tmp_path: Path, process: Command, command: Command
) -> None:
    genuine, forged, keys = tmp_path / "genuine", tmp_path / "forged.json", tmp_path / "jwks.json"
    genuine.write_text(answer["receipt"] + "\n")
    forged.write_text(json.dumps({**answer, "receipt": _changed_content(answer["receipt"])}))
    keys.write_text(json.dumps(published))
    for run, *more in ((process,), (command,), (command, "--keys", str(keys))):
        verified = run("consent_api.receipts", "verify", str(genuine), *more)
        assert (verified.returncode, json.loads(verified.stdout)["is_active"]) == (0, True)
        refused = command("consent_api.receipts", "verify", str(forged), *more)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "changed after signing" in refused.stderr
    rotated = command("consent_api.receipts", "rotate")
    listed = json.loads(command("consent_api.receipts", "keys").stdout)["keys"]
    assert [key["kid"] for key in listed] == [rotated.stdout.strip(), published["keys"][0]["kid"]]
    assert command("consent_api.receipts", "verify", str(genuine)).returncode == 0
