"""What a report promises: everything in one file, honest figures, nobody recognisable, cheap enough for every training."""

import re
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.columns import FeatureColumn
from registry.encoding import encode, learn_columns
from registry.holdout import Holdout, evaluate
from registry.loading import LoadedModel
from registry.outputs import Interval, Member, Output
from registry.scorer import REFERENCE, Scorer, write_manifest
from training.candidates import Leaderboard
from training.fit import Trained
from training.report import Report, report
from training.report.card import LONGEST, model_card
from training.report.evidence import gather
from training.report.explain import shown, views
from training.report.measures import brier, calibration, calibration_error, coverage, gains, thresholds
from training.task import TrainingTask
from training.thresholds import CostMatrix

TITLES = {
    name: FeatureColumn(name, "float64", russian, english, "", protected=name in {"age_years", "gender"})
    for name, russian, english in (
        ("profit", "Доход в месяц", "Monthly income"),
        ("loan", "Сумма кредита", "Loan amount"),
        ("city", "Город", "City"),
        ("age_years", "Возраст, лет", "Age, years"),
        ("gender", "Пол", "Gender"),
    )
}
CITIES = ["Алматы", "Астана", "Шымкент", "Актау"]


def rows(count: int, seed: int, more: int = 0) -> pd.DataFrame:
    """Applicants with what they ask for; `client_code` and `name` are nobody's business."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "client_code": [f"SECRET-{value:06d}" for value in rng.permutation(count)],
            "as_of": pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(count), "h"),
            "profit": rng.lognormal(12.5, 0.5, count),
            "loan": rng.lognormal(12, 0.8, count),
            "city": rng.choice(CITIES, count, p=[0.5, 0.3, 0.15, 0.05]),
            "age_years": rng.uniform(18, 75, count),
            "gender": rng.integers(0, 2, count).astype(float),
            "nickname": [f"rare-{value}" for value in range(count)],
            **{f"noise_{index}": rng.normal(size=count) for index in range(more)},
        }
    )
    frame.loc[rng.random(count) < 0.1, "profit"] = np.nan
    return frame


def signal(frame: pd.DataFrame, seed: int) -> np.ndarray:
    luck = np.random.default_rng(seed).normal(0, 0.6, len(frame))
    known = np.log(frame["profit"].fillna(250_000)) - 12.5
    return (known - 0.5 * (np.log(frame["loan"]) - 12) + (frame["city"] == "Алматы") * 0.4 + luck).to_numpy()


KINDS = ("binary", "rare", "regression", "multiclass")


def case(
    kind: str, folder: Path, count: int = 1500, seed: int = 1, more: int = 0, trees: int = 30
) -> tuple[Trained, TrainingTask]:
    """A small scorer of a kind, its holdout and its task."""
    folder.mkdir(parents=True, exist_ok=True)
    everything = rows(2 * count, seed, more)
    strength = signal(everything, seed)
    features = ("profit", "loan", "city", "age_years", "gender", "nickname", *(f"noise_{index}" for index in range(more)))
    outputs, classes, metric, thresholds = _kinds(kind)
    for output in outputs:
        everything[output] = _labels(kind, strength, seed)
    if kind == "binary":
        everything.loc[np.random.default_rng(seed).random(2 * count) < 0.2, outputs[1]] = np.nan
    learned, held = everything.iloc[:count], everything.iloc[count:].reset_index(drop=True)
    columns = learn_columns(learned, list(features))
    specs = tuple(_fit(kind, output, learned, columns, folder, seed, trees) for output in outputs)
    held[list(features)].head(20).to_parquet(folder / REFERENCE)
    metadata = {"use_case": kind, "trained_at": "2026-01-01T10:00:00+00:00", "seed": seed}
    write_manifest(folder, columns, specs, {output: thresholds for output in outputs if thresholds}, metadata)
    of_kind = "binary" if kind == "rare" else kind
    task = TrainingTask(
        f"{kind}_model",
        outputs,
        of_kind,
        metric,
        features,
        time="as_of",
        positive=kind == "regression",
        classes=classes,
        protected=("age_years", "gender"),
        lake_versions={"applications": 3},
    )
    baseline = {"roc_auc": 0.5, "pr_auc": 0.02, "wmae": 200_000.0, "log_loss": 1.1}[metric]
    holdout = Holdout(held, held[list(outputs)], pd.Series(np.ones(count)), metric, baseline)
    trained = Trained(
        folder, Leaderboard([_trial(number) for number in range(6)]), holdout, {}, {"train": count, "holdout": count}
    )
    return trained, task


def champion(kind: str, folder: Path, **of_case: int) -> LoadedModel:
    """A model of the same kind that learned from other rows."""
    trained, _ = case(kind, folder, seed=2, **of_case)
    return LoadedModel(kind, "3", Scorer.load(trained.folder), "", datetime(2026, 1, 1, tzinfo=UTC), "")


def _kinds(kind: str) -> tuple[tuple[str, ...], tuple[str, ...], str, dict[str, float]]:
    return {
        "binary": (("bank_a", "bank_b"), (), "roc_auc", {"approve": 0.5}),
        "rare": (("fraud",), (), "pr_auc", {"medium": 0.05, "high": 0.2}),
        "regression": (("income",), (), "wmae", {}),
        "multiclass": (("grade",), ("low", "middle", "high"), "log_loss", {}),
    }[kind]


def _labels(kind: str, strength: np.ndarray, seed: int) -> np.ndarray:
    if kind == "regression":
        return np.exp(12.5 + strength * 0.5)
    if kind == "multiclass":
        return np.digitize(strength, [-0.3, 0.6]).astype(float)
    luck = np.random.default_rng(seed + 1).normal(0, 0.3, len(strength))
    return (strength + luck > (2.0 if kind == "rare" else 0)).astype(float)


def _fit(kind: str, output: str, learned: pd.DataFrame, columns: tuple, folder: Path, seed: int, trees: int) -> Output:
    known = learned[learned[output].notna()]
    matrix, labels = encode(known, columns), known[output].to_numpy()
    categories = [index for index, column in enumerate(columns) if column.vocabulary is not None]
    options = {"verbose": -1, "num_threads": 1, "num_leaves": 15, "seed": seed, "min_data_in_leaf": 10}

    def boosted(name: str, objective: str, **more: float) -> Member:
        target = np.log(labels) if kind == "regression" else labels
        data = lightgbm.Dataset(matrix, target, categorical_feature=categories)
        lightgbm.train({**options, "objective": objective, **more}, data, trees).save_model(folder / name)
        return Member("lightgbm", name, 1.0)

    if kind == "regression":
        interval = Interval(
            boosted("low.txt", "quantile", alpha=0.05),
            boosted("high.txt", "quantile", alpha=0.95),
            (200_000.0, 400_000.0),
            (0.05, 0.05, 0.05),
        )
        return Output(output, "log", (boosted(f"{output}.txt", "regression"),), interval=interval)
    if kind == "multiclass":
        return Output(output, "softmax", (boosted(f"{output}.txt", "multiclass", num_class=3),), ("low", "middle", "high"))
    return Output(output, "logit", (boosted(f"{output}.txt", "binary"),))


def _trial(number: int) -> dict[str, object]:
    family = ("lightgbm", "catboost", "xgboost")[number % 3]
    return {
        "trial": number,
        "family": family,
        "validation": 0.8 - number / 100,
        "rounds": "120",
        "seconds": 1.5,
        "state": "complete",
        "parameters": "default" if number < 3 else "{'learning_rate': 0.05, 'num_leaves': 31}",
    }


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Trained, TrainingTask, LoadedModel]]:
    """By kind: a trained model, its task, and a champion of another seed."""
    folder = tmp_path_factory.mktemp("cases")
    return {kind: (*case(kind, folder / kind), champion(kind, folder / f"{kind}-champion")) for kind in KINDS}


@pytest.fixture(scope="module")
def reports(cases: dict[str, tuple[Trained, TrainingTask, LoadedModel]]) -> dict[str, Report]:
    return {kind: report(trained, task, rival, TITLES) for kind, (trained, task, rival) in cases.items()}


@pytest.fixture(scope="module")
def unrivalled(cases: dict[str, tuple[Trained, TrainingTask, LoadedModel]]) -> Report:
    """The report on a first model."""
    trained, task, _ = cases["rare"]
    return report(trained, task, None)


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_is_one_file_that_fetches_and_runs_nothing(reports: dict[str, Report], kind: str) -> None:
    html = reports[kind].html
    assert len(html.encode()) < 3_000_000
    sources = re.findall(r'(?:src|href)="([^"]{0,30})', html)
    assert all(source.startswith(("#", "data:image/png;base64,")) for source in sources)
    told = re.sub(r'"data:image/png;base64,[^"]+"', "", html)
    assert not re.search(r"//\w|<script|<link|<iframe|<object|@import|url\([^#]|\son\w+=", told)


@pytest.mark.parametrize("kind", KINDS)
def test_every_picture_has_a_sentence_and_is_kept_as_png(reports: dict[str, Report], kind: str) -> None:
    found = reports[kind]
    captions = re.findall(r"<figcaption><b>([^<]+)</b> ([^<]+)</figcaption>", found.html)
    assert len(captions) == len(found.pictures) == found.html.count("<figure>")
    assert all(sentence.rstrip().endswith(".") and len(sentence) > 30 for _, sentence in captions)
    assert all(name.endswith(".png") and png.startswith(b"\x89PNG") for name, png in found.pictures.items())


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (
            "binary",
            {"metric", "calibration", "gains", "fairness_rates", "fairness_ratios", "search", "shap_bank_a", "shap_bank_b"},
        ),
        ("rare", {"metric", "calibration", "gains", "fairness_rates", "shap_fraud", "shap_fraud_typical"}),
        ("regression", {"metric", "actual_income", "residuals_income", "coverage_income", "shap_income", "shap_income_typical"}),
        ("multiclass", {"metric", "calibration", "confusion", "shap_grade_1", "shap_grade_1_typical"}),
    ],
)
def test_each_kind_has_the_pictures_that_a_committee_asks_for(reports: dict[str, Report], kind: str, expected: set[str]) -> None:
    assert expected <= {name.removesuffix(".png") for name in reports[kind].pictures}


@pytest.mark.parametrize("kind", KINDS)
def test_no_key_no_moment_and_no_rare_text_of_a_client_is_told(reports: dict[str, Report], kind: str) -> None:
    told = reports[kind].html + model_card(reports[kind].evidence, reports[kind].fairness, "1")
    assert "SECRET-" not in told
    assert "rare-" not in told
    assert "2026-02" not in told


def test_the_typical_row_shows_rounded_numbers_and_no_text_that_few_rows_share(reports: dict[str, Report]) -> None:
    evidence = reports["rare"].evidence
    (view,) = views(evidence)
    columns = {column.name: column for column in evidence.scorer.columns_}
    told = {name: {shown(view, place, column) for place in range(len(view.sample))} for name, column in columns.items()}
    assert told["nickname"] == {"a rare value"}
    assert told["city"] == set(CITIES)
    assert told["gender"] == {"0", "1"}
    assert "missing" in told["profit"]
    assert all(len(text.replace(",", "").rstrip("0")) <= 3 for text in told["profit"] - {"missing"})


def test_figures_are_those_of_the_holdout(reports: dict[str, Report], cases: dict) -> None:
    trained, _, rival = cases["binary"]
    evidence, holdout = reports["binary"].evidence, trained.holdout
    assert evidence.estimate.value == pytest.approx(evaluate(evidence.scorer, holdout))
    assert evidence.estimate.interval is not None
    assert evidence.estimate.interval[0] < evidence.estimate.value < evidence.estimate.interval[1]
    assert evidence.rivalry is not None
    difference = evaluate(evidence.scorer, holdout) - evaluate(rival.scorer, holdout)
    assert evidence.rivalry.overall.difference == pytest.approx(difference)
    assert evidence.rivalry.metric == pytest.approx(evaluate(rival.scorer, holdout))
    assert len(evidence.judged[1].labels) == trained.holdout.labels["bank_b"].notna().sum() < len(holdout.features)


def test_the_brier_score_of_classes_is_0_when_perfect_2_when_quite_wrong_and_adds_up_over_the_classes() -> None:
    labels = np.array([0.0, 1.0])
    assert brier(labels, np.array([[1, 0, 0], [0, 1, 0]])) == 0
    assert brier(labels, np.array([[0, 1, 0], [1, 0, 0]])) == 2
    assert brier(labels, np.array([[0.5, 0.3, 0.2], [1, 0, 0]])) == pytest.approx((0.25 + 0.09 + 0.04 + 2) / 2)


def test_a_report_on_classes_says_what_their_probabilities_are_worth(reports: dict[str, Report]) -> None:
    (judged,) = reports["multiclass"].evidence.judged
    told = reports["multiclass"].html
    assert "<th>Brier score</th>" in told
    assert f"<td>{brier(judged.labels, judged.predictions):.4f}</td>" in told
    assert f"<td>{100 * judged.predictions.max(axis=1).mean():.1f}\u202f%</td>" in told


def test_without_a_champion_the_report_says_so(unrivalled: Report) -> None:
    assert "There is no champion to compare with." in unrivalled.html
    assert "no champion" in model_card(unrivalled.evidence, unrivalled.fairness, "1")


def test_a_champion_that_predicts_other_outputs_is_compared_on_the_shared_ones(cases: dict) -> None:
    trained, task, rival = cases["binary"]
    fewer = replace(task, outputs=("bank_a",))
    holdout = replace(trained.holdout, labels=trained.holdout.labels[["bank_a"]])
    compared = gather(replace(trained, holdout=holdout), fewer, rival, {}).rivalry
    assert compared is not None
    assert set(compared.by_output) == {"bank_a"}


def test_report_and_card_give_the_interval_that_the_gate_goes_by(reports: dict[str, Report], cases: dict) -> None:
    trained, _, rival = cases["binary"]
    evidence = reports["binary"].evidence
    ours, theirs = (scorer.predict(trained.holdout.features) for scorer in (evidence.scorer, rival.scorer))
    assert evidence.estimate.interval == trained.holdout.interval(ours)
    assert evidence.rivalry.overall == trained.holdout.compare(ours, theirs)


def test_an_output_that_the_gate_refuses_is_named_in_report_and_card(
    reports: dict[str, Report], cases: dict, tmp_path: Path
) -> None:
    trained, task, rival = cases["binary"]
    folder = Path(shutil.copytree(trained.folder, tmp_path / "ruined"))
    first, second = Scorer.load(folder).outputs_
    (member,) = second.members
    upside_down = replace(second, members=(replace(member, weight=-1.0),))
    whole = Scorer.load(folder)
    write_manifest(folder, whole.columns_, (first, upside_down), whole.thresholds, whole.metadata)
    found = report(replace(trained, folder=folder), task, rival, TITLES)
    sentence = "Worse for itself is bank_b by 0."
    for told in (found.html, model_card(found.evidence, found.fairness, "1")):
        assert sentence in told
        assert "the gate refuses that" in told
        assert "bank_a by" not in told
    assert "<th>95\u202f% interval of it</th>" in found.html
    assert sentence not in reports["binary"].html


def test_the_same_training_gives_the_same_page(cases: dict, reports: dict[str, Report]) -> None:
    trained, task, rival = cases["multiclass"]
    again = report(trained, task, rival, TITLES)
    assert again.html == reports["multiclass"].html
    assert again.pictures == reports["multiclass"].pictures


def test_every_figure_is_of_rows_as_callers_send_them_and_complete_rows_are_told_beside(cases: dict, unrivalled: Report) -> None:
    trained, task, _ = cases["rare"]
    task = replace(task, sometimes_absent=("profit",))
    lacking = replace(trained.holdout, features=trained.holdout.features.assign(profit=np.nan))
    found = report(replace(trained, holdout=lacking, metrics={task.complete_figure: 0.875}), task, None)
    (judged,) = found.evidence.judged
    np.testing.assert_array_equal(judged.predictions, found.evidence.scorer.predict(lacking.features)["fraud"])
    flagged = f"<td>{100 * np.mean(judged.predictions >= 0.05):.1f}\u202f%</td>"
    for told in (found.html, model_card(found.evidence, found.fairness, "1")):
        assert "lack the 1 column that callers may lack, as requests do; with all columns" in told
        assert "is 0.875" in told
    assert flagged in found.html.split("<h2>Thresholds</h2>")[-1]
    assert flagged not in unrivalled.html.split("<h2>Thresholds</h2>")[-1]


def test_markup_in_names_stays_text(cases: dict) -> None:
    trained, task, _ = cases["multiclass"]
    evil = replace(task, classes=("<b>low</b>", "middle & more", "high"), lake_versions={"<script>": 1})
    page = report(trained, evil, None).html
    assert "<b>low</b>" not in page
    assert "<script>" not in page
    assert "&lt;b&gt;low&lt;/b&gt;" in page


def test_groups_that_are_all_small_are_not_compared_and_the_report_says_why(cases: dict) -> None:
    trained, task, _ = cases["rare"]
    few = trained.holdout.features.index < 60
    holdout = replace(
        trained.holdout,
        features=trained.holdout.features[few],
        labels=trained.holdout.labels[few],
        weights=trained.holdout.weights[few],
        metric="log_loss",
    )
    page = report(replace(trained, holdout=holdout), replace(task, metric="log_loss", protected=("city",)), None).html
    assert "No two groups of 50 rows can be compared by how often they are favoured." in page
    assert "No decision threshold is stored, so" not in page


def test_a_report_on_a_table_of_ones_own_says_what_the_probability_is_of(cases: dict) -> None:
    _, task, _ = cases["rare"]
    own = {"target": "ушёл из банка", "classes": ["нет", "да"]}
    assert replace(task, table=own).predicts == "ушёл из банка = да"
    assert replace(task, table=own, kind="regression").predicts == "ушёл из банка"
    assert task.predicts == "fraud"


def test_names_that_look_like_formulas_are_drawn_as_they_stand(cases: dict) -> None:
    trained, task, _ = cases["multiclass"]
    dollars = {name: replace(column, title_en=rf"{name} = $\frac{{$ and $1$") for name, column in TITLES.items()}
    plain = report(trained, task, None, TITLES).pictures
    made = report(trained, replace(task, classes=(r"$\low$", "$1", "high")), None, dollars)
    assert r"$\low$" in "".join(re.findall(r"<svg.*?</svg>", made.html, re.DOTALL))
    assert made.pictures["shap_grade_1_typical.png"] != plain["shap_grade_1_typical.png"]


def test_a_small_holdout_of_one_class_still_gets_a_report(cases: dict) -> None:
    trained, task, _ = cases["rare"]
    few = np.flatnonzero(trained.holdout.labels["fraud"].to_numpy() == 0)[:60]
    holdout = replace(
        trained.holdout,
        features=trained.holdout.features.iloc[few],
        labels=trained.holdout.labels.iloc[few],
        weights=trained.holdout.weights.iloc[few],
        metric="log_loss",
    )
    found = report(replace(trained, holdout=holdout), replace(task, metric="log_loss"), None)
    assert found.evidence.sampled == 60


def test_the_card_fits_the_registry_and_says_how_to_reproduce(reports: dict[str, Report], cases: dict) -> None:
    for kind, found in reports.items():
        card = model_card(found.evidence, found.fairness, "7")
        assert len(card) <= LONGEST
        assert f"make reproduce VERSION={kind}_model/7" in card
        assert "naive baseline" in card
        assert "## Fairness" in card
    assert "four-fifths rule" in model_card(reports["binary"].evidence, reports["binary"].fairness, "7")
    assert "90 % intervals of income cover" in model_card(reports["regression"].evidence, reports["regression"].fairness, "7")


def test_a_card_that_would_be_too_long_is_cut_to_what_the_registry_takes(reports: dict[str, Report]) -> None:
    found = reports["binary"]
    endless = replace(found.evidence.task, lake_versions={f"table_{index}": index for index in range(600)})
    assert len(model_card(replace(found.evidence, task=endless), found.fairness, "7")) == LONGEST


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=20, max_size=300))
def test_threshold_figures_equal_counting(rows_: list[tuple[float, bool]]) -> None:
    probabilities, labels = (np.array(values, dtype=float) for values in zip(*rows_, strict=True))
    costs = CostMatrix(hit=1, false_alarm=2, miss=7, pass_=0.5)
    table = thresholds(labels, probabilities, {"approve": 0.4}, costs)
    assert table["threshold"].is_monotonic_decreasing
    assert "approve" in set(table["name"])
    for row in table.to_dict("records"):
        acted = probabilities >= row["threshold"]
        outcomes = [
            (acted & (labels == 1), 1),
            (acted & (labels == 0), 2),
            (~acted & (labels == 1), 7),
            (~acted & (labels == 0), 0.5),
        ]
        assert row["flagged"] == pytest.approx(acted.mean())
        assert row["cost"] == pytest.approx(1000 * sum(mask.sum() * cost for mask, cost in outcomes) / len(labels))
        if acted.any():
            assert row["precision"] == pytest.approx(labels[acted].mean())


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.sampled_from([0.5, 0.02]))
def test_calibration_bins_hold_every_row_once_and_an_honest_model_has_little_error(seed: int, rate: float) -> None:
    rng = np.random.default_rng(seed)
    probabilities = np.clip(rng.beta(2, 2 * (1 - rate) / rate, 5000), 0, 1)
    labels = (rng.random(5000) < probabilities).astype(float)
    table = calibration(labels, probabilities)
    assert table["rows"].sum() == 5000
    assert table["rows"].min() >= 30
    assert np.average(table["observed"], weights=table["rows"]) == pytest.approx(labels.mean())
    assert calibration_error(table) < 0.05
    assert calibration_error(calibration(labels, np.clip(probabilities + 0.3, 0, 1))) > 0.2


@given(st.integers(0, 2**31))
def test_gains_end_with_every_positive_and_perfect_sorting_finds_them_first(seed: int) -> None:
    labels = (np.random.default_rng(seed).random(500) < 0.3).astype(float)
    taken, found = gains(labels, labels)
    assert (taken[0], found[0], taken[-1], found[-1]) == (0, 0, 1, 1)
    assert found[taken >= labels.mean()].min() == 1
    assert np.all(np.diff(found) >= 0)


def test_coverage_is_counted_in_the_segments_of_the_intervals() -> None:
    predictions = np.array([1.0, 2.0, 5.0, 6.0, 7.0])
    table = coverage(predictions, np.array([True, False, True, True, False]), np.ones(5), (3.0,))
    assert table["rows"].to_list() == [2, 3]
    assert table["share"].to_list() == pytest.approx([0.5, 2 / 3])
