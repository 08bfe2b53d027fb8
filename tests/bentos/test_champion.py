"""A service follows the champion of the registry, and keeps what it has when the new one is no good."""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr
from starlette.testclient import TestClient

from bentos.champion import ChampionFollower, Following
from bentos.fraud.service import fraud_app
from bentos.serving.application import guarded
from bentos.serving.backend import Backend
from clock import now
from edge.errors import RequestRefused
from registry import aliases, models
from registry.reader import RegistryUnreachable
from registry.scorer import DamagedModel
from settings import Settings

PATH = "/api/v1/score_transaction"


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def test_without_a_champion_a_service_says_what_to_do_and_when_to_ask_again(tmp_path: Path) -> None:
    backend = Backend("fraud", Settings(var=tmp_path))
    backend.start()
    client = TestClient(guarded(fraud_app(backend), backend.config), base_url="http://127.0.0.1")
    for answer in (client.post(PATH, json={"amount": 1}), client.get("/model")):
        assert answer.status_code == 503
        assert "make pipeline" in answer.json()["error"]["message"]
        assert int(answer.headers["Retry-After"]) >= 1
    assert client.get("/").status_code == 200
    assert not backend.champion.ready
    backend.stop()


def scorer_of(config: Settings, version: str) -> Path:
    """The scorer folder of a version among MLflow's artifacts."""
    registered = models.client(config).get_model_version("fraud", version)
    location = models.client(config).get_model_version_download_uri("fraud", registered.version)
    (manifest,) = Path(location.removeprefix("file://")).glob("artifacts/*/scorer.json")
    return manifest.parent


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, promote_in: Callable[[Settings, str, int], str]) -> Settings:
    """A registry whose fraud model has two versions."""
    config = Settings(var=tmp_path_factory.mktemp("registry"))
    assert [promote_in(config, "fraud", seed) for seed in (1, 2)] == ["1", "2"]
    return config


@pytest.fixture
def house(tmp_path: Path, registry: Settings) -> Settings:
    """A bank of this test's own with that registry, version 1 being champion; no shadow, whose failures count beside."""
    models.client(registry).set_registered_model_alias("fraud", models.CHAMPION, "1")
    return Settings(var=tmp_path, mlflow_tracking_uri=registry.mlflow_uri, champion_poll_seconds=0.05, shadow_share=0)


@pytest.fixture
def second(registry: Settings, tmp_path: Path) -> Iterator[str]:
    """Version 2 of that registry; whatever a test does to its files, its hash and its aliases is undone."""
    folder, intact, api = scorer_of(registry, "2"), tmp_path / "intact", models.client(registry)
    shutil.copytree(folder, intact)
    yield "2"
    shutil.copytree(intact, folder, dirs_exist_ok=True)
    api.set_model_version_tag("fraud", "2", models.SHA256_TAG, models.manifest_hash(intact))
    api.delete_registered_model_alias("fraud", models.CHALLENGER)


def crown(config: Settings, version: str) -> None:
    models.client(config).set_registered_model_alias("fraud", models.CHAMPION, version)


@pytest.fixture
def running() -> Iterator[Callable[[Settings], Backend]]:
    """Opens the fraud backend of a bank."""
    opened: list[Backend] = []

    def run(config: Settings) -> Backend:
        opened.append(Backend("fraud", config))
        opened[-1].champion.look()
        opened[-1].start()
        return opened[-1]

    yield run
    for backend in opened:
        backend.stop()


def test_a_new_champion_takes_over_without_a_restart(
    house: Settings, running: Callable[[Settings], Backend], second: str
) -> None:
    backend = running(house)
    client = TestClient(guarded(fraud_app(backend), backend.config), base_url="http://127.0.0.1")
    before = client.post(PATH, json={"amount": 31_000}).json()
    crown(house, second)
    assert wait_until(lambda: backend.champion.model().version == second)
    after = client.post(PATH, json={"amount": 31_000}).json()
    assert after["model_version"] == second != before["model_version"]
    assert after["fraud_probability"] != before["fraud_probability"]
    assert client.get("/model").json()["version"] == second


def test_a_rollback_takes_over_too(house: Settings, running: Callable[[Settings], Backend], second: str) -> None:
    backend = running(house)
    crown(house, second)
    assert wait_until(lambda: backend.champion.model().version == second)
    crown(house, "1")
    assert wait_until(lambda: backend.champion.model().version == "1")


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def failures(error: str) -> float:
    return REGISTRY.get_sample_value("opora_model_load_failures_total", {"use_case": "fraud", "error": error}) or 0.0


def flipped_byte(config: Settings, version: str) -> None:
    flip(scorer_of(config, version) / "fraud.txt")


def flipped_manifest(config: Settings, version: str) -> None:
    flip(scorer_of(config, version) / "scorer.json")


def missing_file(config: Settings, version: str) -> None:
    (scorer_of(config, version) / "fraud.txt").unlink()


def wrong_hash(config: Settings, version: str) -> None:
    models.client(config).set_model_version_tag("fraud", version, models.SHA256_TAG, "0" * 64)


def no_hash(config: Settings, version: str) -> None:
    models.client(config).delete_model_version_tag("fraud", version, models.SHA256_TAG)


def resealed(config: Settings, version: str) -> None:
    """What somebody does who may write to MLflow: other files, a new manifest, and its hash in the tag."""
    aliases.nominate("fraud", version, config)  # the ledger notes the manifest's hash
    folder = scorer_of(config, version)
    manifest = json.loads((folder / "scorer.json").read_text())
    manifest["thresholds"]["fraud"] = {"medium": 0.98, "high": 0.99}
    (folder / "scorer.json").write_text(json.dumps(manifest))
    models.client(config).set_model_version_tag("fraud", version, models.SHA256_TAG, models.manifest_hash(folder))


def reworked(config: Settings, version: str, change: Callable[[dict], None]) -> None:
    """Change a manifest and register its hash, as a faulty training would have."""
    folder = scorer_of(config, version)
    manifest = json.loads((folder / "scorer.json").read_text())
    change(manifest)
    (folder / "scorer.json").write_text(json.dumps(manifest))
    models.client(config).set_model_version_tag("fraud", version, models.SHA256_TAG, models.manifest_hash(folder))


def without_thresholds(config: Settings, version: str) -> None:
    reworked(config, version, lambda manifest: manifest.update(thresholds={}))


def other_output(config: Settings, version: str) -> None:
    reworked(config, version, lambda manifest: manifest["outputs"][0].update(name="income"))


def other_predictions(config: Settings, version: str) -> None:
    def bend(manifest: dict) -> None:
        manifest["outputs"][0]["members"][0]["weight"] = 1.01

    reworked(config, version, bend)


@pytest.mark.parametrize(
    ("spoil", "error", "named"),
    [
        (flipped_byte, "DamagedModel", "fraud.txt is missing or altered"),
        (flipped_manifest, "DamagedModel", "not the manifest that was registered"),
        (missing_file, "DamagedModel", "fraud.txt is missing or altered"),
        (wrong_hash, "DamagedModel", "not the manifest that was registered"),
        (no_hash, "DamagedModel", "not registered by Opora"),
        (resealed, "UnsignedModel", "is not what was judged"),
        (without_thresholds, "UnfitModel", "output fraud has no threshold medium, high"),
        (other_output, "UnfitModel", "it has no output fraud"),
        (other_predictions, "OtherOutputs", "fraud of golden row 0 is"),
    ],
)
def test_p15_a_damaged_unsigned_or_wrongly_shaped_version_never_serves_and_the_old_one_does(
    house: Settings,
    second: str,
    running: Callable[[Settings], Backend],
    caplog: pytest.LogCaptureFixture,
    spoil: Callable[[Settings, str], None],
    error: str,
    named: str,
) -> None:
    spoil(house, second)
    backend = running(house)
    client = TestClient(guarded(fraud_app(backend), house), base_url="http://127.0.0.1")
    before = client.post(PATH, json={"amount": 31_000}).json()
    refused = failures(error)
    crown(house, second)
    assert wait_until(lambda: "version 1 keeps serving" in caplog.text)
    time.sleep(0.3)
    after = client.post(PATH, json={"amount": 31_000}).json()
    card = client.get("/model").json()
    assert named in caplog.text
    assert f"version {second}: {error}" in caplog.text
    assert caplog.text.count("keeps serving") == 1, "one word, not one every poll"
    assert failures(error) == refused + 1
    assert (after["model_version"], after["fraud_probability"]) == ("1", before["fraud_probability"])
    assert card["version"] == "1"
    assert backend.champion.ready


def test_a_version_that_is_refused_again_and_again_is_logged_once(
    house: Settings, second: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bentos.champion.RETRY_SECONDS", 0.0)
    flipped_byte(house, second)
    crown(house, second)
    refused = failures("DamagedModel")
    follower = ChampionFollower("fraud", house)
    follower.start()
    assert wait_until(lambda: failures("DamagedModel") >= refused + 3)
    follower.stop()
    assert caplog.text.count("no version serves") == 1


def test_a_version_that_was_repaired_is_taken(house: Settings, second: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bentos.champion.RETRY_SECONDS", 0.0)
    follower = ChampionFollower("fraud", house)
    follower.look()
    crown(house, second)
    booster = scorer_of(house, second) / "fraud.txt"
    flip(booster)
    with pytest.raises(DamagedModel):
        follower.look()
    flip(booster)
    follower.look()
    assert follower.model().version == second


def test_a_local_copy_that_rotted_is_fetched_again(house: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bentos.champion.RETRY_SECONDS", 0.0)
    ChampionFollower("fraud", house).look()
    (copy,) = (house.var / "models" / "fraud").glob("1-*")
    flip(copy / "fraud.txt")
    follower = ChampionFollower("fraud", house)
    with pytest.raises(DamagedModel, match=r"fraud\.txt"):
        follower.look()
    follower.look()
    assert follower.model().version == "1"


def test_a_version_that_what_serves_cannot_prepare_for_never_serves(house: Settings, second: str) -> None:
    def prepare(loaded: models.LoadedModel) -> None:
        assert loaded.golden is not None
        if loaded.version != "1":
            raise ArithmeticError("no fast path gives the same scores")

    follower = ChampionFollower("fraud", house, prepare)
    follower.look()
    crown(house, second)
    with pytest.raises(ArithmeticError):
        follower.look()
    assert follower.model().version == "1"


def test_with_the_registry_gone_a_new_start_serves_the_last_good_version_and_says_so(house: Settings) -> None:
    ChampionFollower("fraud", house).look()
    away = Path(house.mlflow_uri.removeprefix("sqlite:///"))
    away.rename(away.with_suffix(".away"))
    follower = ChampionFollower("fraud", house)
    with pytest.raises(RegistryUnreachable, match="make pipeline"):
        follower.look()
    assert follower.ready
    assert (follower.model().version, follower.model().source) == ("1", "cache")
    assert follower.following == Following(None, None)
    away.with_suffix(".away").rename(away)
    follower.look()
    assert follower.model().source == "models:/fraud/1"
    assert follower.following.stale_seconds < 1


def test_a_damaged_last_good_copy_does_not_serve(house: Settings) -> None:
    ChampionFollower("fraud", house).look()
    (copy,) = (house.var / "models" / "fraud").glob("1-*")
    flip(copy / "fraud.txt")
    follower = ChampionFollower("fraud", house.model_copy(update={"mlflow_tracking_uri": f"sqlite:///{house.var}/none.db"}))
    with pytest.raises(DamagedModel):
        follower.look()
    assert not follower.ready


def test_a_champion_that_was_withdrawn_is_not_brought_back_by_the_cache(house: Settings) -> None:
    ChampionFollower("fraud", house).look()
    models.client(house).delete_registered_model_alias("fraud", models.CHAMPION)
    follower = ChampionFollower("fraud", house)
    follower.look()
    assert not follower.ready


def test_following_never_makes_or_changes_the_registry(tmp_path: Path) -> None:
    follower = ChampionFollower("fraud", Settings(var=tmp_path))
    with pytest.raises(RegistryUnreachable):
        follower.look()
    assert not (tmp_path / "mlflow.db").exists()


def test_old_copies_are_removed_after_a_swap_and_what_serves_is_kept(
    house: Settings, second: str, promote_in: Callable[[Settings, str, int], str]
) -> None:
    follower = ChampionFollower("fraud", house)
    for version in ("1", second, promote_in(house, "fraud", 3)):
        for copy in (house.var / "models" / "fraud").glob("*-*/"):
            os.utime(copy, (0, 0))
        crown(house, version)
        follower.look()
    assert [copy.name.split("-")[0] for copy in (house.var / "models" / "fraud").glob("[0-9]*")] == [version]


def test_figures_say_which_version_serves_and_when_the_registry_answered(house: Settings, second: str) -> None:
    def figure(name: str, **labels: str) -> float | None:
        return REGISTRY.get_sample_value(name, {"use_case": "fraud"} | labels)

    follower = ChampionFollower("fraud", house)
    follower.look()
    swaps = figure("opora_model_swaps_total") or 0.0
    crown(house, second)
    follower.look()
    assert figure("opora_model_swaps_total") == swaps + 1
    assert (figure("opora_model_info", version="1"), figure("opora_model_info", version=second)) == (0, 1)
    assert time.time() - figure("opora_registry_seen_timestamp_seconds") < 5


def test_the_model_card_names_version_hash_age_and_source(
    opened: Callable[[str], Backend], service_client: Callable[[str], TestClient]
) -> None:
    backend = opened("fraud")
    backend.champion.look()
    model, card = backend.champion.model(), service_client("fraud").get("/model").json()
    assert card["use_case"] == "fraud"
    assert (card["version"], card["sha256"]) == (model.version, model.sha256)
    assert card["source"] == f"models:/fraud/{model.version}"
    assert card["trained_at"] == "2026-01-01T00:00:00+00:00"
    assert card["age_seconds"] > 0
    assert card["registry_seen_at"] <= now().isoformat()
    assert 0 <= card["stale_seconds"] < 5


def test_a_follower_that_never_started_can_be_stopped(tmp_path: Path) -> None:
    follower = ChampionFollower("income", Settings(var=tmp_path))
    follower.stop()
    with pytest.raises(RequestRefused):
        follower.model()


def test_the_model_card_needs_a_key_and_the_documentation_does_not(opened: Callable[[str], Backend]) -> None:
    backend = opened("fraud")
    config = backend.config.model_copy(update={"api_keys": (SecretStr("key"),)})
    client = TestClient(guarded(fraud_app(backend), config), base_url="http://127.0.0.1")
    assert client.get("/model").status_code == 401
    specification = client.get("/openapi.json").json()
    assert PATH in specification["paths"]
    assert [scheme["name"] for scheme in specification["components"]["securitySchemes"].values()] == ["X-API-Key"]
    assert client.get("/docs").status_code == 200


def test_metrics_name_the_route_and_no_client(service_client: Callable[[str], TestClient]) -> None:
    client = service_client("fraud")
    client.post(PATH, json={"amount": 1})
    client.get("/clients/nobody-4711")
    text = client.get("/metrics").text
    assert f'opora_requests_total{{endpoint="{PATH}",status="200"}}' in text
    assert 'endpoint="other",status="404"' in text
    assert "nobody" not in text
