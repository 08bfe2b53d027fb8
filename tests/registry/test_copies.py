"""Local copies of versions: whole or not at all, remembered, and bounded on disk."""

import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from registry.copies import Copies
from registry.models import manifest_hash
from registry.reader import Registered
from registry.scorer import DamagedModel
from settings import Settings
from training.fit import Trained


@pytest.fixture
def copies(tmp_path: Path) -> Copies:
    return Copies("income", Settings(var=tmp_path))


@pytest.fixture
def fetch(trained: Trained) -> Callable[[Path], None]:
    return lambda into: shutil.copytree(trained.folder, into, dirs_exist_ok=True) and None


@pytest.fixture
def sha256(trained: Trained) -> str:
    return manifest_hash(trained.folder)


def names(copies: Copies) -> list[str]:
    return sorted(path.name for path in copies.folder.iterdir() if path.is_dir())


def aged(folder: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(folder, (then, then))


def test_a_version_is_fetched_once(copies: Copies, fetch: Callable[[Path], None], sha256: str) -> None:
    first = copies.take(Registered("income", "1", sha256), fetch)
    assert copies.take(Registered("income", "1", sha256)) == first
    assert names(copies) == [first.name]


def test_threads_that_remember_at_once_leave_one_whole_note(copies: Copies, sha256: str) -> None:
    copies.folder.mkdir(parents=True)
    failed: list[BaseException] = []

    def remember(version: int) -> None:
        try:
            for number in range(20):
                copies.remember(Registered("income", str(version + number % 2), sha256))
        except OSError as error:
            failed.append(error)

    threads = [threading.Thread(target=remember, args=(version,)) for version in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert copies.last_good() is not None
    assert [path.name for path in copies.folder.iterdir()] == ["last-good.json"]


def test_ten_processes_at_once_leave_one_whole_copy(copies: Copies, fetch: Callable[[Path], None], sha256: str) -> None:
    taken: list[Path] = []
    one = Registered("income", "1", sha256)
    threads = [threading.Thread(target=lambda: taken.append(copies.take(one, fetch))) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 10
    assert len(set(taken)) == 1
    assert names(copies) == [taken[0].name]


def test_what_is_not_what_was_registered_never_gets_a_name(copies: Copies, fetch: Callable[[Path], None]) -> None:
    with pytest.raises(DamagedModel, match="not the manifest that was registered"):
        copies.take(Registered("income", "1", "0" * 64), fetch)
    assert names(copies) == []


def test_a_download_that_is_cut_short_leaves_nothing(copies: Copies, trained: Trained, sha256: str) -> None:
    def cut(into: Path) -> None:
        shutil.copy(trained.folder / "scorer.json", into)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        copies.take(Registered("income", "1", sha256), cut)
    assert names(copies) == []


def test_a_version_without_hash_is_refused(copies: Copies, fetch: Callable[[Path], None]) -> None:
    with pytest.raises(DamagedModel, match="not registered by Opora"):
        copies.take(Registered("income", "1", None), fetch)


def test_the_last_good_version_is_remembered_and_a_torn_note_is_none(copies: Copies, tmp_path: Path) -> None:
    assert copies.last_good() is None
    copies.folder.mkdir(parents=True)
    copies.remember(Registered("income", "3", "a" * 64))
    assert Copies("income", Settings(var=tmp_path)).last_good() == Registered("income", "3", "a" * 64)
    (copies.folder / "last-good.json").write_text('{"version": "3", "sha')
    assert copies.last_good() is None


def test_the_disk_is_bounded_and_what_is_needed_stays(copies: Copies, fetch: Callable[[Path], None], sha256: str) -> None:
    versions = {version: Registered("income", version, sha256) for version in "123456"}
    folders = {version: copies.take(one, fetch) for version, one in versions.items()}
    torn = copies.folder / "new-killed"
    torn.mkdir()
    copies.remember(versions["2"])
    for folder in (*folders.values(), torn):
        aged(folder, 4000)
    copies.take(versions["5"])  # somebody is about to load it
    copies.tidy([versions["4"], versions["6"]])
    assert names(copies) == sorted(folders[version].name for version in "2456")
    assert copies.last_good() == versions["2"]


def test_a_damaged_copy_can_be_fetched_again(copies: Copies, fetch: Callable[[Path], None], sha256: str) -> None:
    one = Registered("income", "1", sha256)
    folder = copies.take(one, fetch)
    (folder / "reference.parquet").write_bytes(b"rubbish")
    copies.discard(one)
    assert (copies.take(one, fetch) / "reference.parquet").stat().st_size > 10
