"""What a Scorer of several boosters promises: exact contributions, calibrated answers, intervals, one column per class."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.outputs import Calibration, ClassScaling, Member, Output
from registry.scorer import REFERENCE, Scorer, write_manifest
from training.ensemble import Ingredient, Workers, cook, problem
from training.families import FAMILIES
from training.split import develop
from training.task import TrainingTask

WEIGHTS = {"lightgbm": 0.5, "catboost": 0.3, "xgboost": 0.2}


def rows(count: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"amount": rng.lognormal(8, 2, count), "age": rng.uniform(18, 80, count)})
    frame.loc[rng.random(count) < 0.2, "amount"] = np.nan
    frame["city"] = rng.choice(["Алматы", "Астана", "Шымкент", None], count)
    return frame


@pytest.fixture(scope="module", params=["binary", "multiclass"])
def scorer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    """A blend of all three families with a calibration map; that of classes is a temperature of 2."""
    binary = request.param == "binary"
    frame = rows(800, 1)
    strength = np.nan_to_num(np.log(frame["amount"]), nan=8) / 2 + frame["age"] / 20 + (frame["city"] == "Астана")
    frame["label"] = np.digitize(strength, [6.0] if binary else [5.0, 7.0]).astype(float)
    classes = () if binary else ("low", "middle", "high")
    task = TrainingTask("blend", ("label",), request.param, "log_loss", ("amount", "age", "city"), classes=classes)
    part, columns, _ = develop(task, frame, 1)
    asked = problem(task, columns, 1)
    recipe = {
        "label": tuple(Ingredient(name, FAMILIES[name].portfolio(asked)[0], 40, weight) for name, weight in WEIGHTS.items())
    }
    folder = tmp_path_factory.mktemp("blend")
    members = cook(task, part, columns, recipe, 1, Workers(2, 1))["label"].save(folder, "label")
    temperature = ClassScaling("temperature", (0.5, 0.5, 0.5), (0.0, 0.0, 0.0))
    calibration = Calibration("isotonic", (0.0, 0.5, 1.0), (0.0, 0.2, 1.0)) if binary else temperature
    frame[["amount", "age", "city"]].to_parquet(folder / REFERENCE)
    write_manifest(folder, columns, (Output("label", task.link, members, classes, calibration),), {}, {"use_case": "blend"})
    return Scorer.load(folder)


@given(seed=st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_contributions_of_a_blend_add_up_to_its_margin(scorer: Scorer, seed: int) -> None:
    frame = rows(20, seed)
    total = scorer.contributions(frame, "label").sum(axis=-1)
    np.testing.assert_allclose(total, scorer.margins(frame)["label"], atol=1e-6, rtol=0)


def test_the_contributions_of_a_blend_are_the_weighted_ones_of_its_members(scorer: Scorer) -> None:
    frame = rows(50, 3)
    expected = 0
    for member in scorer.outputs_[0].members:
        alone = Scorer(
            scorer.columns_,
            (Output("label", scorer.outputs_[0].link, (Member(member.family, member.file, 1.0),), scorer.outputs_[0].classes),),
            scorer.boosters,
            {},
            {},
            scorer.reference,
        )
        expected = expected + member.weight * alone.contributions(frame, "label")
    np.testing.assert_allclose(scorer.contributions(frame, "label"), expected, atol=1e-6)


def test_weights_of_the_members_make_one_whole(scorer: Scorer) -> None:
    assert {member.family: member.weight for member in scorer.outputs_[0].members} == WEIGHTS


def test_answers_are_calibrated_probabilities(scorer: Scorer) -> None:
    frame = rows(100, 4)
    answers = scorer.predict(frame)["label"]
    margins = scorer.margins(frame)["label"]
    assert ((answers >= 0) & (answers <= 1)).all()
    if scorer.outputs_[0].classes:
        np.testing.assert_allclose(answers.sum(axis=1), 1)
        assert list(scorer.table(frame).columns) == ["label_low", "label_middle", "label_high"]
        powers = np.exp(margins / 2)
        np.testing.assert_allclose(answers, powers / powers.sum(axis=1, keepdims=True))
    else:
        raw = 1 / (1 + np.exp(-margins))
        np.testing.assert_allclose(answers, np.interp(raw, [0, 0.5, 1], [0, 0.2, 1]))
