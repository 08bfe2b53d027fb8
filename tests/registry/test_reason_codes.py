"""Reason codes: exact contributions, of single models and of blends, named with titles and never by who the person is."""

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from hypothesis import given
from hypothesis import strategies as st

from features.columns import FeatureColumn
from registry.encoding import ModelColumn, encode
from registry.outputs import Member, Output
from registry.reasons import MOST, reason_codes
from registry.scorer import REFERENCE, Scorer, write_manifest

COLUMNS = ("who_gender", "who_age", "a", "b", "c", "d", "e", "unheard_of")
KNOWN = {
    name: FeatureColumn(name, "float64", name.upper(), name.title(), "", protected=name.startswith("who"))
    for name in COLUMNS
    if name != "unheard_of"
}
values = st.lists(st.floats(-10, 10), min_size=8, max_size=8)


@given(values, st.sampled_from(["up", "down"]))
def test_the_named_ones_are_the_heaviest_that_may_be_named(contributions: list[float], direction: str) -> None:
    codes = [reason.code for reason in reason_codes(COLUMNS, np.array([*contributions, 0.3]), direction, KNOWN)]
    sign = 1 if direction == "up" else -1
    nameable = {name: sign * value for name, value in zip(COLUMNS, contributions, strict=True) if name in "abcde"}
    towards = sorted((value for value in nameable.values() if value > 0), reverse=True)
    assert [nameable[code] for code in codes] == towards[:MOST]
    assert len(set(codes)) == len(codes)


def test_a_reason_carries_titles_and_its_contribution() -> None:
    (reason,) = reason_codes(("a", "b"), np.array([-0.5, 0.25]), "up", KNOWN)
    assert (reason.code, reason.title_ru, reason.title_en, reason.contribution) == ("b", "B", "B", 0.25)


@pytest.fixture(scope="module")
def blend(tmp_path_factory: pytest.TempPathFactory) -> tuple[Scorer, pd.DataFrame]:
    """A blend of LightGBM (a third) and XGBoost (two thirds), with rows."""
    folder, rng = tmp_path_factory.mktemp("blend"), np.random.default_rng(4)
    frame = pd.DataFrame(rng.normal(size=(300, 4)), columns=["who_age", "a", "b", "c"])
    columns = tuple(ModelColumn(name) for name in frame)
    matrix, labels = encode(frame, columns), (frame["a"] - frame["b"] + frame["who_age"] > 0).to_numpy(dtype=float)
    options = {"objective": "binary", "verbose": -1, "num_threads": 1}
    lightgbm.train(options, lightgbm.Dataset(matrix, labels), 15).save_model(folder / "first.txt")
    xgboost.train({"objective": "binary:logistic", "nthread": 1}, xgboost.DMatrix(matrix, labels), 15).save_model(
        folder / "second.ubj"
    )
    members = (Member("lightgbm", "first.txt", 1 / 3), Member("xgboost", "second.ubj", 2 / 3))
    frame.head().to_parquet(folder / REFERENCE)
    write_manifest(folder, columns, (Output("yes", "logit", members),), {}, {"use_case": "test"})
    return Scorer.load(folder), frame


def test_reasons_of_a_blend_are_shares_of_its_margin(blend: tuple[Scorer, pd.DataFrame]) -> None:
    scorer, frame = blend
    contributions, margins = scorer.contributions(frame, "yes"), scorer.margins(frame)["yes"]
    np.testing.assert_allclose(contributions.sum(axis=1), margins, atol=1e-5)
    for row, margin in zip(contributions[:50], margins, strict=False):
        up, down = (reason_codes(scorer.columns, row, direction, KNOWN) for direction in ("up", "down"))
        assert not {reason.code for reason in (*up, *down)} & {"who_age"}
        named = sum(reason.contribution for reason in (*up, *down))
        assert named + row[0] + row[-1] == pytest.approx(margin, abs=1e-5)
