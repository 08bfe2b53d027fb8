"""Banks come and go in banks.toml; what has landed stays readable, and a file that decides for nobody is no applications file."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from deltalake import DeltaTable

from features.banks import UnreadableBanks, bank_codes
from features.lake import Lake
from features.refusals import RefusedFile
from features.tables import APPLICATIONS, BANKS, FORM
from settings import PROJECT

BEFORE = replace(APPLICATIONS, columns=tuple(column for column in APPLICATIONS.columns if column.name != BANKS[-1]))
"""The table as it was before the last bank was in the catalogue."""


def export(folder: Path, number: int, **decisions: int) -> Path:
    path = folder / f"{number}.csv"
    form = dict.fromkeys((column.name for column in FORM), None)
    pd.DataFrame([form | {"application_id": str(number), "created_at": "2026-01-01", **decisions}]).to_csv(path, index=False)
    return path


def test_the_banks_are_those_of_the_catalogue_in_its_order() -> None:
    assert bank_codes(PROJECT / "catalogues") == BANKS == ("bank_a", "bank_b", "bank_c", "bank_d", "bank_e")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read"),
        ("[bank", "not valid TOML"),
        ("", "has no bank"),
        ("bank = 3", "has no bank"),
        ("[bank.offers]", "not offers"),
        ('[bank."bank_x; DROP"]', "not bank_x; DROP"),
        ("[bank.BANK_A]", "not BANK_A"),
    ],
)
def test_a_catalogue_without_fit_banks_is_refused_in_words(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "banks.toml").write_text(text)
    with pytest.raises(UnreadableBanks, match=said):
        bank_codes(tmp_path)


def test_a_bank_that_comes_later_has_a_column_in_every_version_and_is_empty_before(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    lake.ingest(BEFORE, export(tmp_path, 1, bank_a=1))
    assert lake.read("applications").to_pandas()[BANKS[-1]].isna().all()
    lake.ingest(APPLICATIONS, export(tmp_path, 2, **{BANKS[-1]: 0}))
    rows = lake.read("applications").to_pandas().set_index("application_id")
    assert rows[BANKS[-1]].dropna().to_dict() == {"2": 0}
    assert rows["bank_a"].dropna().to_dict() == {"1": 1}
    assert lake.read("applications", version=0).to_pandas()[BANKS[-1]].isna().all()
    assert BANKS[-1] in [field.name for field in DeltaTable(str(tmp_path / "lake" / "applications")).schema().fields]


def test_a_bank_that_left_the_catalogue_leaves_its_rows_behind(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    lake.ingest(APPLICATIONS, export(tmp_path, 1, bank_a=1, **{BANKS[-1]: 0}))
    lake.ingest(BEFORE, export(tmp_path, 2, bank_a=0))
    assert lake.read("applications").to_pandas().set_index("application_id")["bank_a"].to_dict() == {"1": 1, "2": 0}


def test_a_file_without_a_decision_of_any_bank_is_refused_whole(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    with pytest.raises(RefusedFile, match="has none of bank_a"):
        lake.ingest(APPLICATIONS, export(tmp_path, 1))
    with pytest.raises(RefusedFile, match="has none of bank_a"):
        lake.ingest(APPLICATIONS, export(tmp_path, 2, bank_A=1))
