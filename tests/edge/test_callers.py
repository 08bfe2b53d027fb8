"""Keys that are stored as hashes and end within a second, and callers that are slowed down one by one."""

import os
import re
import resource
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import Scope

from clock import now
from edge import keys
from edge.key_file import KeyFile, KeyHash, new_key, parse
from edge.keys import ConfigurationError, KeyGuard, Keyring, check_binding, keys_path
from edge.pepper import pepper
from edge.rates import Buckets, RateLimit
from settings import Settings

OK = PlainTextResponse("ok")


def any_key(_request: Scope) -> None:
    """Every address takes every key."""


@pytest.fixture
def config(tmp_path: Path) -> Settings:
    return Settings(var=tmp_path)


def issue(config: Settings, name: str = "crm", scopes: tuple[str, ...] = ("score",)) -> tuple[str, KeyHash]:
    key, entry = new_key(pepper(config), scopes)
    KeyFile(keys_path(config)).add(entry, name, now())
    return key, entry


def calls(keyring: Keyring) -> Callable[[str], int]:
    client = TestClient(KeyGuard(OK, keyring, any_key), base_url="http://127.0.0.1")
    return lambda key: client.get("/model", headers={"X-API-Key": key}).status_code


def eventually(question: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if question():
            return True
        time.sleep(0.02)
    return False


def test_p29_a_key_has_256_random_bits_and_only_its_hmac_is_stored(config: Settings) -> None:
    key, entry = issue(config)
    assert re.fullmatch(r"opora-[0-9a-f]{16}-[A-Za-z0-9_-]{43}", key)
    stored = keys_path(config).read_text()
    assert key.rsplit("-", 1)[1] not in stored
    assert str(entry) in stored
    assert parse(str(entry)) == entry
    assert len({new_key(b"p", ("score",))[0] for _ in range(1000)}) == 1000


def test_p29_key_file_and_pepper_are_readable_by_their_owner_only(config: Settings) -> None:
    issue(config)
    for path in (keys_path(config), config.var / "secrets" / "key_pepper"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_p29_a_stolen_file_without_the_pepper_recognises_nobody(config: Settings, tmp_path: Path) -> None:
    key, _ = issue(config)
    elsewhere = Settings(var=tmp_path / "elsewhere", api_keys_file=keys_path(config), key_pepper=SecretStr("x" * 32))
    assert Keyring(config).recognise(key.encode())
    assert Keyring(elsewhere).recognise(key.encode()) is None


def test_p29_a_key_is_in_force_and_revoked_within_a_second_on_every_worker(config: Settings) -> None:
    first, _ = issue(config)
    workers = [calls(Keyring(config)) for _ in range(3)]
    assert all(worker(first) == 200 for worker in workers)
    second, entry = issue(config)
    assert eventually(lambda: all(worker(second) == 200 for worker in workers), 1)
    assert KeyFile(keys_path(config)).remove(entry.key_id)
    assert eventually(lambda: all(worker(second) == 401 for worker in workers), 1)
    assert all(worker(first) == 200 for worker in workers)


def test_p29_10_000_checks_take_less_than_a_second(config: Settings) -> None:
    key = [issue(config, f"caller-{number}") for number in range(20)][7][0].encode()
    keyring = Keyring(config)
    started = time.process_time()
    assert all(keyring.recognise(key) for _ in range(10_000))
    assert time.process_time() - started < 1


def test_when_the_last_key_is_revoked_or_its_file_is_gone_nobody_is_let_in(config: Settings) -> None:
    key, entry = issue(config)
    worker = calls(Keyring(config))
    assert worker(key) == 200
    KeyFile(keys_path(config)).remove(entry.key_id)
    assert eventually(lambda: worker(key) == 401, 1)
    keys_path(config).unlink()
    time.sleep(0.6)
    assert worker("") == 401
    assert calls(Keyring(config))("") == 200  # started anew without keys: loopback, as before


def test_p10_p29_a_revocation_outlives_a_power_cut_once_it_is_told(config: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """On disk are a file's bytes when it is synced, and which bytes its name stands for when its folder is."""
    path, fsync = keys_path(config), os.fsync
    synced: list[tuple[Path, str]] = []

    def watched(descriptor: int) -> None:
        fsync(descriptor)
        synced.append((Path(f"/proc/self/fd/{descriptor}").readlink(), path.read_text() if path.exists() else ""))

    monkeypatch.setattr(os, "fsync", watched)
    _, entry = issue(config)
    assert synced[-1] == (path.parent, path.read_text())
    KeyFile(path).remove(entry.key_id)
    assert synced[-1] == (path.parent, "")


def test_a_full_disk_leaves_the_key_file_as_it_was_and_nothing_beside_it(config: Settings) -> None:
    issue(config)
    path, limits = keys_path(config), resource.getrlimit(resource.RLIMIT_FSIZE)
    before = {each.name: each.read_bytes() for each in path.parent.iterdir()}
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before[path.name]) + 20, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            issue(config, "second")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {each.name: each.read_bytes() for each in path.parent.iterdir()} == before


@pytest.mark.parametrize("damage", [b"\xff\xfe", b"hmac-sha256:short", b"", b"\x00" * 100])
def test_a_damaged_key_file_opens_to_nobody(config: Settings, damage: bytes) -> None:
    key, _ = issue(config)
    keys_path(config).write_bytes(damage)
    worker = calls(Keyring(config))
    assert worker(key) == 401
    assert worker("") == 401


def test_hashes_may_stand_in_the_setting_beside_plain_keys(config: Settings) -> None:
    key, entry = new_key(pepper(config), ("score",))
    both = config.model_copy(update={"api_keys": (SecretStr(str(entry)), SecretStr("plain-key"))})
    worker = calls(Keyring(both))
    assert [worker(given) for given in (key, "plain-key", str(entry), "other", key[:-1] + "!")] == [200, 200, 401, 401, 401]
    with pytest.raises(ConfigurationError, match="edge.keys new") as told:
        Keyring(config.model_copy(update={"api_keys": (SecretStr("hmac-sha256:cafe:secret-part"),)}))
    assert "secret-part" not in str(told.value)


def test_a_key_file_is_enough_to_listen_beyond_loopback(config: Settings) -> None:
    with pytest.raises(ConfigurationError, match="edge.keys new"):
        check_binding("0.0.0.0", (), keys_path(config))
    issue(config)
    check_binding("0.0.0.0", (), keys_path(config))


def test_the_command_makes_lists_and_revokes_keys(
    config: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(keys, "settings", lambda: config)
    assert keys.main(["new", "--name", "crm"]) == 0
    key = capsys.readouterr().out.strip()
    assert Keyring(config).recognise(key.encode()) == (key[6:22], {"score"})
    assert keys.main(["list"]) == 0
    listed = capsys.readouterr().out
    assert key[6:22] in listed
    assert "crm" in listed
    assert key[23:] not in listed
    assert keys.main(["revoke", key[6:22]]) == 0
    assert keys.main(["revoke", key[6:22]]) == 1
    assert Keyring(config).recognise(key.encode()) is None
    assert keys.main(["new", "--name", "till", "--only-print"]) == 0
    printed = capsys.readouterr()
    entry = printed.err.strip().rsplit(" ", 1)[1]
    configured = config.model_copy(update={"api_keys": (SecretStr(entry),)})
    assert Keyring(configured).recognise(printed.out.strip().rsplit("\n", 1)[-1].encode())


def test_a_key_is_good_for_what_it_was_made_for_and_can_score_where_nothing_is_said(
    config: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(keys, "settings", lambda: config)
    for asked, scopes in (([], {"score"}), (["--scopes", "clients,watch"], {"clients", "watch"})):
        assert keys.main(["new", "--name", "crm", *asked]) == 0
        caller = Keyring(config).recognise(capsys.readouterr().out.strip().encode())
        assert caller is not None
        assert caller.scopes == scopes
    assert keys.main(["list"]) == 0
    assert "clients,watch crm" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        keys.main(["new", "--name", "crm", "--scopes", "score,everything"])


def test_a_hash_from_before_there_were_scopes_can_score_and_no_more(config: Settings) -> None:
    key, entry = issue(config, scopes=("score", "admin"))
    keys_path(config).write_text(f"{str(entry).rpartition(':')[0]} crm 2026-01-01T00:00:00+00:00\n")
    assert Keyring(config).recognise(key.encode()) == (entry.key_id, {"score"})


def test_a_scope_that_does_not_exist_makes_no_key(config: Settings) -> None:
    key, entry = issue(config)
    keys_path(config).write_text(f"{entry}+everything crm 2026-01-01T00:00:00+00:00\n")
    assert Keyring(config).recognise(key.encode()) is None


def test_many_writers_of_the_key_file_lose_no_key(config: Settings) -> None:
    pids = []
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            for _ in range(5):
                issue(config)
            os._exit(0)
        pids.append(pid)
    assert all(os.waitpid(pid, 0)[1] == 0 for pid in pids)
    assert len(list(KeyFile(keys_path(config)).listed())) == 20


def limited(per_second: float, burst: int, keyring: Keyring | None = None) -> TestClient:
    limit = RateLimit(OK, Buckets(per_second, burst))
    return TestClient(KeyGuard(limit, keyring, any_key) if keyring else limit, base_url="http://127.0.0.1")


def test_a_caller_above_its_rate_gets_429_and_is_told_when_to_come_back() -> None:
    client = limited(0.5, 3)
    assert [client.get("/model").status_code for _ in range(4)] == [200, 200, 200, 429]
    answer = client.get("/model")
    assert answer.headers["Retry-After"] == "2"
    assert answer.json()["error"]["code"] == "too_many_requests"


def test_the_bucket_fills_again_at_the_steady_rate_and_no_further_than_the_burst() -> None:
    client = limited(2, 2)
    assert [client.get("/model").status_code for _ in range(3)] == [200, 200, 429]
    time.sleep(1.5)
    assert [client.get("/model").status_code for _ in range(4)].count(200) in (2, 3)  # 3: a token came while asking


def test_who_asks_again_at_once_is_refused_some_ten_times_a_second_on_each_connection() -> None:
    client = limited(0.01, 1)
    client.get("/model")
    began = time.monotonic()
    assert [client.get("/model").status_code for _ in range(3)] == [429] * 3
    assert time.monotonic() - began >= 3 * 0.05


def test_one_keys_429_leaves_other_keys_alone(config: Settings) -> None:
    keyring = Keyring(config.model_copy(update={"api_keys": (SecretStr("loud"), SecretStr("quiet"))}))
    client = limited(0.01, 2, keyring=keyring)
    loud = [client.get("/model", headers={"X-API-Key": "loud"}).status_code for _ in range(6)]
    assert loud.count(429) == 4
    assert client.get("/model", headers={"X-API-Key": "quiet"}).status_code == 200


def test_probes_are_never_limited() -> None:
    client = limited(0.01, 1)
    assert {client.get("/livez").status_code for _ in range(10)} == {200}


def test_buckets_of_any_number_of_callers_take_bounded_memory() -> None:
    buckets = Buckets(1, 1, most_callers=100)
    for number in range(1000):
        buckets.wait(f"key {number}")
    assert len(buckets) == 100
    assert buckets.wait("key 999") > 0  # who came last is still known


def test_addresses_of_one_ipv6_network_share_a_bucket() -> None:
    limit = RateLimit(OK, Buckets(0.01, 1))
    answers = [
        TestClient(limit, client=(address, 1)).get("/model").status_code
        for address in ("2001:db8::1", "2001:db8::2", "2001:db8:1::1", "10.0.0.1", "10.0.0.2")
    ]
    assert answers == [200, 429, 200, 200, 200]
