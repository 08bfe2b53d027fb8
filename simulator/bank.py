"""A whole bank on disk: chunk after chunk into a folder that appears only when it is complete."""

import hashlib
import json
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock

from simulator.chunk import DIRT, Chunk, simulate_chunk
from simulator.config import BankInTheWay, SimulationConfig
from simulator.dialects import write
from simulator.dirt import soil
from simulator.sampling import stream
from simulator.seasons import Timing, calendar
from simulator.world import build_world

CARD = "bank.json"
MODEL = 1
"""Raised whenever the same settings give other bytes than before."""

Progress = Callable[[int, int], None]
"""Called with the number of finished chunks and of all chunks."""


@dataclass(frozen=True)
class SimulatedBank:
    """What a simulation left on disk: rows and spoilt rows per table, a digest of all files, and whether it was there already."""

    folder: Path
    config: SimulationConfig
    rows: dict[str, int]
    dirty: dict[str, int]
    digest: str
    reused: bool
    seconds: float


def simulate(config: SimulationConfig, folder: Path, progress: Progress | None = None) -> SimulatedBank:
    """Simulate the bank into `folder`: `<table>/part-0000.csv` … and `truth/*.parquet`.

    A finished bank with the same settings is reused. The folder is renamed into place at the end, so that a killed run leaves
    no half bank; a second run waits for the first.

    Raises:
        BankInTheWay: the folder holds a bank with other settings, or something that is no bank.
    """
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f".{folder.name}.lock"):
        found = _existing(config, folder)
        return found or _build(config, folder, progress or (lambda _done, _all: None))


def digest(folder: Path) -> str:
    """SHA-256 over the names and bytes of all files of a bank, in the order of their names."""
    whole = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != CARD):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256")
        whole.update(f"{path.relative_to(folder).as_posix()} {content.hexdigest()}\n".encode())
    return whole.hexdigest()


def _existing(config: SimulationConfig, folder: Path) -> SimulatedBank | None:
    if not folder.exists() or not any(folder.iterdir()):
        return None
    if not (folder / CARD).is_file():
        raise BankInTheWay(f"{folder} is not empty and holds no simulated bank: choose another folder or empty this one")
    card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    wanted = _settings(config)
    if card["settings"] != wanted:
        other = {
            name: (card["settings"].get(name), value) for name, value in wanted.items() if card["settings"].get(name) != value
        }
        said = ", ".join(f"{name} is {there}, not {asked}" for name, (there, asked) in other.items())
        raise BankInTheWay(
            f"{folder} holds another bank ({said}): ask for that one, or start anew (make clean, or another folder)"
        )
    return SimulatedBank(folder, config, card["rows"], card["dirty"], card["digest"], reused=True, seconds=0.0)


def _build(config: SimulationConfig, folder: Path, progress: Progress) -> SimulatedBank:
    began = time.perf_counter()
    unfinished = folder.parent / f".{folder.name}.unfinished"
    if unfinished.exists():
        shutil.rmtree(unfinished)
    unfinished.mkdir()
    rows, dirty = _write_chunks(config, unfinished, progress)
    content = digest(unfinished)
    card = {"settings": _settings(config), "rows": rows, "dirty": dirty, "digest": content}
    (unfinished / CARD).write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if folder.exists():
        folder.rmdir()
    unfinished.rename(folder)
    return SimulatedBank(folder, config, rows, dirty, content, reused=False, seconds=time.perf_counter() - began)


def _settings(config: SimulationConfig) -> dict[str, int | str]:
    return {"model": MODEL, **config.as_json()}


def _write_chunks(config: SimulationConfig, folder: Path, progress: Progress) -> tuple[dict[str, int], dict[str, int]]:
    days = calendar(config)
    world, timing = build_world(config.seed, days), Timing(days)
    rows: Counter[str] = Counter()
    dirty: Counter[str] = Counter()
    with _Truth(folder / "truth") as truth:
        for number in range(config.chunks):
            first = number * config.chunk_clients
            chunk = simulate_chunk(world, days, timing, config.seed, number, first, config.clients_of(number))
            _write_tables(chunk, folder, rows, dirty)
            for name, table in chunk.truth():
                truth.write(name, table)
            progress(number + 1, config.chunks)
    return dict(rows), dict(dirty)


def _write_tables(chunk: Chunk, folder: Path, rows: Counter[str], dirty: Counter[str]) -> None:
    for index, (name, clean) in enumerate(chunk.tables()):
        table, spoilt = soil(stream(chunk.seed, chunk.number, DIRT, index), clean, name)
        path = folder / name / f"part-{chunk.number:04d}.csv"
        path.parent.mkdir(exist_ok=True)
        write(table, name, path)
        rows[name] += table.num_rows
        dirty[name] += spoilt


class _Truth:
    """Parquet files that grow by one row group per chunk."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._writers: dict[str, pq.ParquetWriter] = {}

    def __enter__(self) -> "_Truth":
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self._writers.values():
            writer.close()

    def write(self, name: str, table: pa.Table) -> None:
        """Append a table to the file `name`."""
        if name not in self._writers:
            self._writers[name] = pq.ParquetWriter(self._folder / f"{name}.parquet", table.schema)
        self._writers[name].write_table(table)
