"""A small simulated bank, and its files read back by their dialect and the rules of the raw tables."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import ibis
import pandas as pd
import pytest

from features.tables import TABLES
from simulator import SimulatedBank, SimulationConfig, simulate
from simulator.dialects import DIALECTS


@pytest.fixture(scope="session")
def bank(tmp_path_factory: pytest.TempPathFactory) -> SimulatedBank:
    """2,500 clients in two chunks, the second one smaller."""
    config = SimulationConfig(clients=2_500, chunk_clients=1_500)
    return simulate(config, tmp_path_factory.mktemp("simulated") / "raw")


def texts(path: Path, name: str) -> pd.DataFrame:
    """The fields of a file as they are spelled, decimals with a point and dates without quotes; empty = missing."""
    dialect = DIALECTS[name]
    content = BytesIO(path.read_bytes().decode(dialect.encoding).encode())
    frame = pd.read_csv(content, sep=dialect.separator, dtype=str, keep_default_na=False, na_values=[""], quotechar='"')
    for column in TABLES[name].columns:
        if column.name in frame and column.dtype.is_timestamp():
            frame[column.name] = frame[column.name].str.strip("'")
        elif column.name in frame and (column.dtype.is_decimal() or column.dtype.is_floating()):
            frame[column.name] = frame[column.name].str.replace(dialect.decimal, ".", regex=False)
    return frame


def judged(path: Path, name: str) -> pd.DataFrame:
    """The typed rows of a file with `_good`: whether every rule of the raw table is kept."""
    frame = texts(path, name)
    columns = [column for column in TABLES[name].columns if column.name in frame]
    raw = ibis.memtable(frame, schema=ibis.schema(dict.fromkeys(frame.columns, "string")))
    typed = raw.mutate(
        **{column.name: raw[column.name].try_cast(column.dtype) for column in columns},
        **{f"_empty_{column.name}": raw[column.name].isnull() for column in columns},
    )
    good = ibis.literal(True)
    for column in columns:
        empty = typed[f"_empty_{column.name}"]
        kept = typed[column.name].notnull()
        for rule in column.rules:
            kept &= rule.check(typed).fill_null(False)
        good &= kept | (ibis.literal(not column.required) & empty)
    rows = typed.mutate(_good=good).drop([f"_empty_{column.name}" for column in columns]).execute()
    for key in TABLES[name].unique:
        rows["_good"] &= ~rows.duplicated(key)
    return rows


@pytest.fixture(scope="session")
def files(bank: SimulatedBank) -> Callable[[str], pd.DataFrame]:
    """All rows of a table, typed and judged; every table is read once."""
    read: dict[str, pd.DataFrame] = {}

    def of(name: str) -> pd.DataFrame:
        if name not in read:
            parts = sorted((bank.folder / name).glob("part-*.csv"))
            read[name] = pd.concat([judged(path, name) for path in parts], ignore_index=True)
        return read[name]

    return of


@pytest.fixture(scope="session")
def clean(files: Callable[[str], pd.DataFrame]) -> Callable[[str], pd.DataFrame]:
    """The rows of a table that keep every rule."""
    return lambda name: files(name).loc[lambda rows: rows["_good"]].drop(columns="_good")


@pytest.fixture(scope="session")
def truth(bank: SimulatedBank) -> Callable[[str], pd.DataFrame]:
    """A truth file."""
    return lambda name: pd.read_parquet(bank.folder / "truth" / f"{name}.parquet")
