"""Golden rows: a version proves on the machine that is to serve it that it predicts what it predicted when it was made."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from registry import golden
from registry.encoding import ModelColumn
from registry.loading import UnfitModel, load_checked
from registry.outputs import Calibration, Output
from registry.reader import Registered
from registry.scorer import GOLDEN, MANIFEST, DamagedModel, Scorer, read_manifest, write_manifest
from training.fit import Trained


@pytest.fixture
def folder(trained: Trained, tmp_path: Path) -> Path:
    """A copy of a trained scorer that a test may spoil."""
    return Path(shutil.copytree(trained.folder, tmp_path / "scorer"))


def sealed(folder: Path, **changes: object) -> Registered:
    """Write the manifest anew, with changes, as somebody does who can also set the tag in the registry."""
    scorer = Scorer.load(folder)
    parts = {
        "columns": scorer.columns_,
        "outputs": scorer.outputs_,
        "thresholds": scorer.thresholds,
        "metadata": scorer.metadata,
    }
    return Registered("income", "7", write_manifest(folder, **{**parts, **changes}))


def listed(folder: Path, name: str = "income") -> Registered:
    return Registered(name, "7", None)


def test_training_records_golden_rows_and_seals_them(trained: Trained) -> None:
    recorded = golden.read_golden(trained.folder)
    scorer = Scorer.load(trained.folder)
    assert len(recorded.rows) == golden.ROWS
    assert GOLDEN in read_manifest(trained.folder)["files"]
    assert {"income", "income low", "income high"} == set(recorded.outputs)
    np.testing.assert_allclose(scorer.predict(recorded.frame)["income"], recorded.outputs["income"], rtol=1e-12)
    golden.compare(scorer, recorded)


def test_golden_rows_are_as_a_service_builds_them(trained: Trained) -> None:
    recorded = golden.read_golden(trained.folder)
    scorer = Scorer.load(trained.folder)
    for row in recorded.rows:
        assert tuple(row) == scorer.columns
        for column in scorer.columns_:
            assert row[column.name] is None or isinstance(row[column.name], float if column.vocabulary is None else str)


def test_a_flipped_byte_in_the_golden_rows_is_refused_by_name(folder: Path) -> None:
    content = bytearray((folder / GOLDEN).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / GOLDEN).write_bytes(content)
    with pytest.raises(DamagedModel, match=GOLDEN):
        load_checked(listed(folder), folder)


@pytest.mark.parametrize("seal", [True, False])
def test_a_version_without_golden_rows_is_refused_and_says_to_train_again(folder: Path, seal: bool) -> None:
    recorded = (folder / GOLDEN).read_bytes()
    (folder / GOLDEN).unlink()
    manifest = json.loads((folder / MANIFEST).read_text())
    del manifest["files"][GOLDEN]
    (folder / MANIFEST).write_text(json.dumps(manifest))
    if not seal:  # rows that the manifest does not cover prove nothing
        (folder / GOLDEN).write_bytes(recorded)
    with pytest.raises(DamagedModel, match="train it again"):
        load_checked(listed(folder), folder)


def test_another_calibration_than_at_registration_is_noticed(folder: Path) -> None:
    scorer = Scorer.load(folder)
    (output,) = scorer.outputs_
    bent = replace(output, calibration=Calibration("isotonic", (0.0, 1e9), (0.0, 1.0001e9)))
    with pytest.raises(golden.OtherOutputs, match="income of golden row 0 is"):
        golden.compare(replace(scorer, outputs_=(bent,)), golden.read_golden(folder))


def test_another_reading_of_a_column_is_noticed(folder: Path) -> None:
    scorer = Scorer.load(folder)
    shuffled = tuple(
        column if column.vocabulary is None else ModelColumn(column.name, column.vocabulary[::-1]) for column in scorer.columns_
    )
    assert shuffled != scorer.columns_
    with pytest.raises(golden.OtherOutputs):
        golden.compare(replace(scorer, columns_=shuffled), golden.read_golden(folder))


def test_rounding_of_another_processor_is_not_another_model(folder: Path) -> None:
    recorded = golden.read_golden(folder)
    nearly = replace(recorded, outputs={name: values * (1 + 1e-6) for name, values in recorded.outputs.items()})
    golden.compare(Scorer.load(folder), nearly)


def test_a_row_that_scores_otherwise_alone_is_noticed(folder: Path) -> None:
    """The path of one row is the one that answers."""

    class Moody:
        def __init__(self, booster: object) -> None:
            self.booster = booster

        def margin(self, matrix: np.ndarray) -> np.ndarray:
            return self.booster.margin(matrix) + (0.01 if len(matrix) == 1 else 0.0)

    scorer = Scorer.load(folder)
    moody = replace(scorer, boosters={file: Moody(booster) for file, booster in scorer.boosters.items()})
    with pytest.raises(golden.OtherOutputs, match="golden row 0"):
        golden.compare(moody, golden.read_golden(folder))


@pytest.mark.parametrize("use_case", ["fraud", "recommendation"])
def test_a_model_of_another_use_case_is_refused_by_what_it_lacks(folder: Path, use_case: str) -> None:
    with pytest.raises(UnfitModel, match="it has no output (fraud|accepted)"):
        load_checked(listed(folder, use_case), folder)


def test_a_manifest_with_another_schema_is_refused_by_name(folder: Path) -> None:
    scorer = Scorer.load(folder)
    (output,) = scorer.outputs_
    without = sealed(folder, outputs=(Output(output.name, output.link, output.members),))
    with pytest.raises(UnfitModel, match="output income has no interval"):
        load_checked(without, folder)


def test_a_model_that_does_not_take_its_columns_is_kept_out(folder: Path) -> None:
    scorer = Scorer.load(folder)
    narrower = sealed(folder, columns=scorer.columns_[:1])
    with pytest.raises(Exception):  # noqa: B017 - each booster library has an error of its own
        load_checked(narrower, folder)
