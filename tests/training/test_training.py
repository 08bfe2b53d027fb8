"""What training promises: honest splits, reproducible models, refusal of tables that cannot be learned from."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from registry.boosters import SUFFIXES, load_booster
from registry.encoding import RARE, learn_columns, without_rare
from registry.models import manifest_hash
from registry.scorer import CLUSTER, Scorer
from training.candidates import Budget
from training.families import FAMILIES, Problem, Rows
from training.fit import Trained, train
from training.split import split
from training.task import NotTrainable, TrainingTask


def table(rows: int = 900, seed: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    amount, device = rng.lognormal(9, 1, rows), rng.choice(["ios", "android", None], rows)
    odds = 0.8 * (np.log(amount) - 9) + (device == "ios") - 0.5
    label = (rng.random(rows) < 1 / (1 + np.exp(-odds))).astype(float)
    moment = pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 10_000, rows), "min")
    other = np.where(rng.random(rows) < 0.3, np.nan, 1 - label)
    return pd.DataFrame({"amount": amount, "device": device, "yes": label, "no": other, "as_of": moment})


TASK = TrainingTask("test", ("yes", "no"), "binary", "roc_auc", ("amount", "device"), time="as_of")


def silent(_share: float, _sentence: str) -> None:
    """Progress that nobody watches."""


def learn(folder: Path) -> Trained:
    """The table of these tests learned with a budget in trials."""
    folder.mkdir()
    return train(TASK, table(), folder, Budget(5, 600), 7, silent)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return learn(tmp_path_factory.mktemp("trained") / "scorer")


def test_no_row_of_a_later_part_is_older_than_a_row_of_an_earlier_part() -> None:
    parts = split(TASK, table(), seed=1)
    for fold in parts.folds:
        train, validation = (parts.development.take(rows).frame for rows in (fold.train, fold.validation))
        assert train["as_of"].max() <= validation["as_of"].min()
    frames = [parts.development.frame, parts.calibration.frame, parts.holdout.frame]
    for earlier, later in pairwise(frames):
        assert earlier["as_of"].max() <= later["as_of"].min()
    assert sum(map(len, frames)) == 900


def test_categories_are_learned_from_the_development_part_only() -> None:
    frame = table().sort_values("as_of").reset_index(drop=True)
    frame.loc[880:, "device"] = "seen only in the holdout"
    vocabulary = split(TASK, frame, seed=1).columns[1].vocabulary
    assert vocabulary is not None
    assert "seen only in the holdout" not in vocabulary


def test_a_text_of_nine_clients_is_in_no_vocabulary_however_many_rows_each_has() -> None:
    frame = table().assign(device="ios", client=np.arange(900) // 9)
    frame.loc[frame["client"] < 9, "device"] = "of nine clients"
    frame.loc[(frame["client"] >= 9) & (frame["client"] < 19), "device"] = "of ten clients"
    columns = {group: learn_columns(frame, ["device"], groups=group and frame[group])[0].vocabulary for group in ("client", None)}
    assert columns["client"] == ("ios", "of ten clients")
    assert columns[None] == ("ios", "of ten clients", "of nine clients")  # without clients every row stands for itself
    folded = without_rare(frame, learn_columns(frame, ["device", "amount"], groups=frame["client"]))
    assert folded["device"].value_counts().to_dict() == {"ios": 729, "of ten clients": 90, RARE: 81}


def test_half_of_what_is_learned_lacks_what_callers_sometimes_lack_and_calibration_has_each_row_with_and_without() -> None:
    task = replace(TASK, sometimes_absent=("amount",))
    parts = split(task, table(), seed=1)
    assert 0.4 < parts.development.frame["amount"].isna().mean() < 0.6
    assert not parts.calibration.frame["amount"].isna().any()
    assert np.isnan(parts.lacking.matrix[:, 0]).all()
    np.testing.assert_array_equal(parts.lacking.matrix[:, 1], parts.calibration.matrix[:, 1])
    assert not parts.holdout.frame["amount"].isna().any()


def test_same_rows_settings_and_seed_give_the_same_bytes(trained: Trained, tmp_path: Path) -> None:
    again = learn(tmp_path / "scorer").folder
    names = {path.name for path in again.iterdir()}
    assert names == {path.name for path in trained.folder.iterdir()}
    members = [member.file for output in Scorer.load(again).outputs_ for member in output.every_member]
    assert set(members) <= names
    for name in members:
        assert (again / name).read_bytes() == (trained.folder / name).read_bytes(), name
    assert len(manifest_hash(again)) == 64


def test_a_version_has_labelled_rows_of_its_holdout_and_of_the_calibration_before_it(trained: Trained) -> None:
    scorer, parts = Scorer.load(trained.folder), split(TASK, table(), seed=7)
    assert scorer.calibration is not None
    for sample, part in ((scorer.reference, parts.holdout), (scorer.calibration, parts.calibration)):
        np.testing.assert_array_equal(sample["amount"], part.frame["amount"])
        np.testing.assert_array_equal(sample["label_yes"], part.labels["yes"])
        np.testing.assert_allclose(sample["prediction_yes"], scorer.predict(part.frame)["yes"])


def test_a_client_has_one_number_in_all_samples_of_a_version(tmp_path: Path) -> None:
    frame = table().assign(client=np.random.default_rng(4).integers(0, 60, 900).astype(str))
    train(replace(TASK, entity="client"), frame, tmp_path, Budget(3, 60), 1, silent)
    scorer, parts = Scorer.load(tmp_path), split(replace(TASK, entity="client"), frame, seed=1)
    assert scorer.calibration is not None
    numbers = pd.concat([scorer.reference[CLUSTER], scorer.calibration[CLUSTER]])
    clients = pd.concat([parts.holdout.frame["client"], parts.calibration.frame["client"]])
    pairs = set(zip(numbers, clients, strict=True))
    assert len(pairs) == numbers.nunique() == clients.nunique()


def test_a_row_without_one_of_its_labels_still_teaches_the_others(trained: Trained) -> None:
    assert trained.metrics["yes_roc_auc"] > 0.6
    assert trained.metrics["no_roc_auc"] > 0.6
    assert trained.metrics["naive_roc_auc"] == pytest.approx(0.5)


def test_the_leaderboard_has_every_trial_and_each_family_first(trained: Trained) -> None:
    board = trained.leaderboard
    assert {row["trial"] for row in board.rows} == set(range(5))
    assert {row["family"] for row in board.rows if row["parameters"] == "default"} == set(FAMILIES)
    scores = [row["validation"] for row in board.rows if row["validation"] is not None]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("name", list(FAMILIES))
def test_each_family_saved_natively_scores_the_same_after_loading(name: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    matrix = rng.normal(size=(400, 3)).astype(np.float32)
    matrix[:, 2] = rng.integers(0, 4, 400)
    matrix[::7, :] = np.nan
    labels = (np.nan_to_num(matrix[:, 0]) + (matrix[:, 2] == 1) > 0.3).astype(float)
    data, problem = Rows(matrix, labels, np.ones(400)), Problem("log_loss", [2], 1)
    fitted = FAMILIES[name].refit(problem, data, FAMILIES[name].portfolio(problem)[0], 25)
    path = tmp_path / f"model{SUFFIXES[name]}"
    fitted.save(path)
    loaded = load_booster(name, path, [2])
    np.testing.assert_allclose(loaded.margin(matrix), fitted.margin(matrix), rtol=1e-6)
    np.testing.assert_allclose(loaded.contributions(matrix).sum(axis=1), loaded.margin(matrix), atol=1e-4)


@pytest.mark.parametrize("name", list(FAMILIES))
def test_p23_a_saved_ensemble_holds_nobodys_largest_or_smallest_value(name: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    matrix = rng.lognormal(10, 1, (400, 2)).astype(np.float32)
    labels = (matrix[:, 0] > np.exp(10)).astype(float)
    extremes = np.array([-70755530097, 70755530097], dtype=np.float32)
    matrix[[7, 8], 0] = extremes
    problem = Problem("log_loss", [], 1)
    fitted = FAMILIES[name].refit(problem, Rows(matrix, labels, np.ones(400)), FAMILIES[name].portfolio(problem)[0], 20)
    path = tmp_path / f"model{SUFFIXES[name]}"
    fitted.save(path)
    content = path.read_bytes()
    for value in extremes:
        spelled = (value.tobytes(), value.byteswap().tobytes(), np.float64(value).tobytes(), f"{value:.0f}".encode())
        assert [one for one in spelled if one in content] == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.drop(columns="device"), "no column device"),
        (lambda frame: frame.head(50), "at least 200"),
        (lambda frame: frame.assign(yes=1.0), "one class in all 900 rows"),
        (lambda frame: frame.assign(yes=frame["yes"] * 2), "must be 0 or 1"),
        (lambda frame: frame.head(0), "at least 200"),
    ],
)
def test_a_table_that_cannot_be_learned_from_is_refused_with_the_reason(change, message: str, tmp_path: Path) -> None:
    with pytest.raises(NotTrainable, match=message):
        train(TASK, change(table()), tmp_path, Budget(1, 10), 1, silent)
