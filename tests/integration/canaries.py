"""Fifty clients whose every value is told apart from anything else, and how they get into a simulated bank's files."""

import re
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from simulator import SimulationConfig, simulate
from simulator.dialects import DIALECTS

COUNT = 50
CODES = [f"KNR-7Q{number:02d}" for number in range(COUNT)]
ERASED = CODES[-5:]
"""Clients who have everything erased in the end."""
NAMES = [f"Канарейкин-{number:02d} Алдияр" for number in range(COUNT)]
PERSON_NUMBERS = [f"88022950{number:04d}" for number in range(1, COUNT + 1)]
PHONES = [f"7075553{number * 97:04d}" for number in range(1, COUNT + 1)]
"""Eleven digits, which also are the amount in tenge of one purchase and one payment each."""

_ENCODINGS = {"utf-8": b"[0-9]", "cp1251": b"[0-9]", "utf-16-le": rb"[0-9]\x00", "utf-16-be": rb"\x00[0-9]"}
_BEGINNINGS = {"KNR-7Q": "*", "Канарейкин-": "*", "88022950": "{4}", "7075553": "{4}", "7.075553": "{4}"}
"""How canaries begin, and how many digits follow; some writers spell an amount `7.0755530097e10`."""

_CLIENT_TABLES = ("clients", "transactions", "transfers", "sessions", "payments", "verified_incomes", "product_uptake")


def fill(folder: Path, clients: int, seed: int) -> None:
    """Simulate a bank into `folder` and put a canary in the place of every client of the first fifty."""
    simulate(SimulationConfig(clients=clients, seed=seed), folder, lambda _done, _of: None)
    (clients_file,) = (folder / "clients").iterdir()
    replaced = dict(zip(_read(clients_file)["client_code"][:COUNT], range(COUNT), strict=True))
    for table in _CLIENT_TABLES:
        for file in sorted((folder / table).iterdir()):
            rows = _read(file)
            canary = rows["client_code"].map(replaced)
            _write(_marked(rows, canary.dropna().astype(int)), file)


def _marked(rows: pd.DataFrame, canary: pd.Series) -> pd.DataFrame:
    rows.loc[canary.index, "client_code"] = [CODES[number] for number in canary]
    if "name" in rows:
        rows.loc[canary.index, "name"] = [f"{NAMES[number]} {PERSON_NUMBERS[number]}" for number in canary]
    if "destination_id" in rows:
        rows.loc[canary.index, "destination_id"] = [PERSON_NUMBERS[number] for number in canary]
    if "amount" in rows and "direction" not in rows:
        first = canary[~canary.duplicated()]
        rows.loc[first.index, "amount"] = [PHONES[number] for number in first]
        if "currency" in rows:
            rows.loc[first.index, "currency"] = "KZT"
    return rows


def _read(file: Path) -> pd.DataFrame:
    dialect = DIALECTS[file.parent.name]
    return pd.read_csv(file, sep=dialect.separator, dtype=str, keep_default_na=False, encoding=dialect.encoding)


def _write(rows: pd.DataFrame, file: Path) -> None:
    dialect = DIALECTS[file.parent.name]
    rows.to_csv(file, sep=dialect.separator, index=False, encoding=dialect.encoding)


def spellings() -> dict[bytes, re.Pattern[bytes]]:
    """What to look for in bytes, by how it begins: UTF-8, cp1251, UTF-16 of either order, JSON escapes, percent escapes."""
    found: dict[bytes, re.Pattern[bytes]] = {}
    for beginning, times in _BEGINNINGS.items():
        for encoding, digit in _ENCODINGS.items():
            _add(found, beginning.encode(encoding), digit, times)
        percent = quote(beginning).encode()
        for escaped in (beginning.encode("unicode_escape"), percent, percent.lower()):
            _add(found, escaped, b"[0-9]", times)
    return found


def _add(found: dict[bytes, re.Pattern[bytes]], beginning: bytes, digit: bytes, times: str) -> None:
    found[beginning] = re.compile(re.escape(beginning) + b"(?:" + digit + b")" + times.encode())
