"""From a table of one's own to a task: a wide export works as it is; what cannot be learned from is refused by name and count."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from training.own_request import TableRequest
from training.own_rows import open_rows
from training.own_table import OwnTable, own_features, read_own_table
from training.refusals import check_trainable
from training.task import NotTrainable

NUMERIC, MISSING = 214, 0.6


def wide_table(path: Path, rows: int = 600, seed: int = 1, numeric: int = NUMERIC) -> Path:
    """A bank's income export: 6 columns and `numeric` ones, cp1251, semicolons, decimal commas, 60 % missing, job titles."""
    rng = np.random.default_rng(seed)
    skill = rng.normal(size=rows)
    income = np.exp(11 + 0.5 * skill + rng.normal(0, 0.2, rows))
    columns: dict[str, list[str]] = {"id": [f"{code:09d}" for code in rng.permutation(10**6)[:rows]]}
    columns["dt"] = [
        f"{day:02d}.{month:02d}.2024" for day, month in zip(rng.integers(1, 29, rows), rng.integers(1, 13, rows), strict=True)
    ]
    columns["должность"] = [f"СПЕЦИАЛИСТ {round(level * 3)} РАЗРЯДА «{rng.integers(300)}»" for level in skill]
    columns["город"] = [f"Город {rng.integers(400)}" for _ in range(rows)]
    columns["пол"] = list(np.where(rng.random(rows) < 0.5, "Женский", "Мужской"))
    for index in range(numeric):
        values = np.round(np.exp(8 + skill * (index % 5 == 0) + rng.normal(size=rows)), 2)
        columns[f"оборот_{index}"] = [f"{value:,.2f}".replace(",", "\u00a0").replace(".", ",") for value in values]
    for name in list(columns)[2:]:
        columns[name] = ["" if lost else cell for cell, lost in zip(columns[name], rng.random(rows) < MISSING, strict=True)]
    columns["incomeValue"] = [f"{value:.2f}".replace(".", ",") for value in income]
    with path.open("w", encoding="cp1251", newline="") as stream:
        writer = csv.writer(stream, delimiter=";")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def request(table: Path, **fields: Any) -> TableRequest:
    return TableRequest(**{"name": "own", "table": str(table), "target": "y", "kind": "binary", **fields})


def small(path: Path, **columns: Any) -> Path:
    """A table of 400 rows with two honest features and the target y, changed by `columns`; None leaves one out."""
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"age": rng.integers(18, 80, 400), "city": rng.choice(["Алматы", "Астана"], 400), "w": 1.0})
    frame = frame.assign(y=np.where(frame["age"] + rng.normal(0, 9, 400) > 50, "yes", "no"), g=np.arange(400) // 4)
    frame = frame.assign(day=(pd.Timestamp("2025-01-01") + pd.to_timedelta(np.arange(400), "D")).astype("str"))
    frame = frame.assign(**{name: values for name, values in columns.items() if values is not None})
    frame.drop(columns=[name for name, values in columns.items() if values is None]).to_csv(path, index=False)
    return path


def taken(table: Path, **fields: Any) -> OwnTable:
    own = read_own_table(request(table, **fields))
    check_trainable(own.task, own.frame)
    return own


def test_a_wide_export_works_without_preparation(tmp_path: Path) -> None:
    table = wide_table(tmp_path / "clients.csv")
    own = taken(table, target="incomeValue", kind="regression", metric="wmae", id="id", time="dt")
    assert len(table.read_bytes().split(b"\r\n", 1)[0].split(b";")) == 220
    turnover = own.frame[[f"оборот_{index}" for index in range(NUMERIC)]]
    assert (turnover.dtypes == "float64").all()
    assert 0.55 < turnover.isna().to_numpy().mean() < 0.65
    assert own.frame["должность"].nunique() > 150
    assert own.task.positive
    assert own.task.features == ("должность", "город", "пол", *turnover.columns, "dt: weekday")
    assert own.task.table["kinds"]["город"] == "text"
    assert own.frame["incomeValue"].between(1e3, 1e7).all()
    assert own.suspects == ()


def test_a_new_file_in_another_dialect_gives_the_same_features(tmp_path: Path) -> None:
    own = taken(wide_table(tmp_path / "clients.csv", numeric=30), target="incomeValue", kind="regression", id="id", time="dt")
    with open_rows(tmp_path / "clients.csv", own.task.table) as (table, notes):
        rows = table.frame()
    assert notes == []
    rows.drop(columns="incomeValue").assign(dt=rows["dt"].dt.strftime("%Y-%m-%d")).to_csv(
        tmp_path / "new.csv", sep="|", index=False
    )
    with open_rows(tmp_path / "new.csv", own.task.table) as (table, _):
        again = own_features(table.frame(), own.task.table)
    features = list(own.task.features)
    pd.testing.assert_frame_equal(again[features], own.frame[features])
    assert again["id"].tolist() == rows["id"].tolist()


def test_what_can_be_read_in_two_ways_is_read_as_in_the_table_that_was_learned_from(tmp_path: Path) -> None:
    days = [f"{n % 12 + 1}/{n % 28 + 1}/2025" for n in range(400)]
    halves = [f"{day} 10:15 PM" for day in days]
    sums = [f"{n % 9 + 1}.{n % 900 + 100}" if n % 3 else f"{n % 9 + 1}.200.350,5" for n in range(400)]
    own = taken(small(tmp_path / "a.csv", opened=days, seen=halves, sum=sums))
    small(tmp_path / "new.csv", opened=["1/2/2025"] * 400, seen=["1/2/2025 10:15 PM"] * 400, sum=["1.234"] * 400)
    text = (tmp_path / "new.csv").read_text()
    (tmp_path / "new.csv").write_text(text.replace(",", ";"))
    with open_rows(tmp_path / "new.csv", own.task.table) as (table, notes):
        found = table.frame().iloc[0]
    assert (found["opened"], found["seen"]) == (pd.Timestamp("2025-01-02"), pd.Timestamp("2025-01-02 22:15"))
    assert found["sum"] == 1234
    assert notes == []


def test_dates_become_days_and_what_comes_again_in_them(tmp_path: Path) -> None:
    opened = pd.Timestamp("2020-01-01 09:00") + pd.to_timedelta(np.arange(400) * 30, "h")
    own = taken(small(tmp_path / "a.csv", opened=opened.astype("str")), time="day")
    dated = [name for name in own.task.features if name.startswith(("opened", "day"))]
    assert dated == [
        "opened", "opened: days before day", "opened: month", "opened: weekday", "opened: hour", "day: month", "day: weekday"
    ]  # fmt: skip
    first = own.frame.iloc[0]
    assert first["opened"] == pd.Timestamp("2020-01-01 09:00").timestamp() / 86_400
    assert first["opened: days before day"] == (pd.Timestamp("2025-01-01") - opened[0]) / pd.Timedelta(days=1)
    assert (first["opened: month"], first["opened: weekday"], first["opened: hour"]) == (1, 3, 9)


@pytest.mark.parametrize(
    ("negative", "positive", "asked"),
    [
        *[("0", "1", None), ("no", "yes", None), ("False", "True", None), ("нет", "да", None), ("2", "10", None)],
        *[("common", "b-rare", None), ("common", "a-rare", None), ("rare", "common", "common"), ("yes", "no", "no")],
    ],
)
def test_the_positive_class_is_the_one_asked_for_or_yes_or_the_larger_or_the_rarer(
    negative: str, positive: str, asked: str | None, tmp_path: Path
) -> None:
    rare = negative if asked else positive
    common = positive if asked else negative
    own = taken(small(tmp_path / "a.csv", y=[rare] * 100 + [common] * 300), positive=asked)
    assert own.task.table["classes"] == [negative, positive]
    assert own.frame["y"].mean() == (0.75 if asked else 0.25)


def test_classes_are_codes_in_their_natural_order(tmp_path: Path) -> None:
    own = taken(small(tmp_path / "a.csv", y=[10.0, 9.0, 2.5, np.nan] * 100), kind="multiclass")
    assert own.task.classes == ("2.5", "9", "10")
    assert own.frame["y"].tolist()[:3] == [2.0, 1.0, 0.0]
    assert own.notes == ("100 of 400 rows have no y and are left out",)


def test_what_the_champion_learned_from_is_read_even_where_it_is_dropped_and_changes_nothing_else(tmp_path: Path) -> None:
    opened = (pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(400) * 30, "h")).astype("str")
    table = small(tmp_path / "a.csv", opened=opened)
    champion = taken(table, time="day")
    alone, beside = (
        read_own_table(request(table, drop=["age", "opened"]), champion=form) for form in (None, champion.task.table)
    )
    assert beside.task == alone.task
    pd.testing.assert_frame_equal(beside.frame[alone.frame.columns.drop("day")], alone.frame.drop(columns="day"))
    learned = list(champion.task.features)
    assert not set(learned) & {"age", "opened", "opened: days before day"} & set(alone.frame)
    pd.testing.assert_frame_equal(beside.frame[learned], champion.frame[learned])


def test_a_class_among_numbers_is_not_lost_as_missing(tmp_path: Path) -> None:
    own = taken(small(tmp_path / "a.csv", y=["1"] * 195 + ["2"] * 180 + ["n"] * 25), kind="multiclass")
    assert own.task.classes == ("1", "2", "n")
    assert own.notes == ()
    with pytest.raises(NotTrainable, match=r"fewer than 20 rows: other \(4 rows\)"):
        taken(small(tmp_path / "a.csv", y=["1"] * 198 + ["2"] * 198 + ["other"] * 4), kind="multiclass")


def test_dates_that_stand_for_never_are_read_and_told(tmp_path: Path) -> None:
    closed = ["0001-01-01", "9999-12-31", "2024-05-05", "2025-05-05"] * 100
    own = taken(small(tmp_path / "a.csv", closed=closed), time="day")
    (note,) = own.notes
    assert "column closed: 200 of 400 dates lie before 1900 or after 2200" in note
    assert own.frame["closed"].tolist()[:2] == [-719162.0, 2932896.0]


def test_the_day_that_a_zero_becomes_is_told_where_it_comes_often(tmp_path: Path) -> None:
    born = (pd.Timestamp("1969-06-01") + pd.to_timedelta(np.arange(400), "D")).astype("str")
    closed = np.where(np.arange(400) % 20, "2025-03-01", "1970-01-01")
    assert taken(small(tmp_path / "a.csv", born=born, closed=closed)).notes == (
        "column closed: 20 of 400 dates are 1970-01-01, as a lost one is written: where that stands for none, leave the cell "
        "empty",
    )


def test_rows_of_one_group_have_one_code_and_a_row_without_group_stands_alone(tmp_path: Path) -> None:
    own = taken(small(tmp_path / "a.csv", g=["007"] * 200 + ["7"] * 100 + [None] * 100), group="g")
    assert own.frame["g"].nunique() == 102
    assert "g" not in own.task.features


def test_a_protected_column_may_be_dropped_and_is_still_there_for_the_fairness_report(tmp_path: Path) -> None:
    own = taken(small(tmp_path / "a.csv"), drop=["city", "w", "g", "day"], protected=["city"])
    assert own.task.features == ("age",)
    assert own.frame["city"].nunique() == 2


def test_weights_that_add_up_to_1_teach_as_much_as_weights_of_1(tmp_path: Path) -> None:
    own = taken(small(tmp_path / "a.csv", w=np.repeat([1 / 600, 2 / 600], 200)), weight="w")
    np.testing.assert_allclose(own.frame["w"], np.repeat([2 / 3, 4 / 3], 200))


def test_the_output_has_a_name_that_no_column_and_nothing_kept_beside_the_columns_has(tmp_path: Path) -> None:
    for other in ("y_", "label_y", "prediction_y", "prediction_y_yes"):
        own = taken(small(tmp_path / "a.csv", **{other: np.arange(400.0) % 7}))
        kept = {own.task.outputs[0], *(f"{what}_{own.task.outputs[0]}" for what in ("label", "prediction"))}
        assert own.task.outputs[0] == ("y" if other == "y_" else "y_")
        assert not kept & set(own.task.features)


def test_leaks_and_ids_are_reported_and_dropped_only_with_consent(tmp_path: Path) -> None:
    table = small(tmp_path / "a.csv", client=[f"c{row}" for row in range(400)])
    frame = pd.read_csv(table)
    frame.assign(closed=np.where(frame["y"] == "yes", "2025-05-05", "")).to_csv(table, index=False)
    reported, dropped = taken(table), taken(table, drop_suspects=True)
    assert [(suspect.column, suspect.why) for suspect in reported.suspects][:2] == [("closed", "leak"), ("client", "id")]
    assert {"closed", "client"} <= set(reported.task.features)
    assert not {"closed", "client"} & set(dropped.task.features)
    assert dropped.task.table["suspects"] == reported.task.table["suspects"]


def test_a_copy_of_a_column_is_told_with_its_original_and_stays_even_with_consent_to_drop_suspects(tmp_path: Path) -> None:
    opened = (pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(400) * 30, "h")).astype("str")
    table = small(tmp_path / "a.csv", opened=opened)
    frame = pd.read_csv(table)
    frame.assign(years=frame["age"], begun=frame["opened"]).to_csv(table, index=False)
    own = taken(table, drop=["w"], drop_suspects=True)
    assert {(one["column"], one["looks_like"]) for one in own.task.table["suspects"]} == {
        ("years", "copy of age"), ("begun", "copy of opened")
    }  # fmt: skip
    assert {"age", "years", "opened", "begun"} <= set(own.task.features)


def test_what_makes_a_column_worthless_is_told(tmp_path: Path) -> None:
    table = small(tmp_path / "a.csv", day="2025-01-01", w=None, g=None, nick=[f"nick {row // 8}" for row in range(400)])
    own = taken(table, time="day")
    assert own.notes == (
        "time column day is the same in all rows: it gives them no order, and they are cut at random",
        "column nick: none of its 50 different texts is in 10 rows, so that all of them count as missing and nothing is "
        "learned from it",
    )


REFUSED = [
    ({"y": "no"}, {}, "target y has one class only, 'no' in all 400 rows"),
    ({"y": ["yes"] * 19 + ["no"] * 381}, {}, r"1 of 2 classes of target y has fewer than 20 rows: yes \(19 rows\)"),
    ({"y": None}, {}, r"has no column y: did you mean|has no column y: it has age"),
    ({"y": [None] * 400}, {}, "target y is missing in all 400 rows: name the column"),
    ({"y": [1, 2, 3, 4] * 100}, {}, "target y has 4 different values, a binary target has 2"),
    ({}, {"positive": "maybe"}, "never has the positive value 'maybe'"),
    (
        {"y": ["a", "b"] * 195 + ["c"] * 10},
        {"kind": "multiclass"},
        r"1 of 3 classes of target y has fewer than 20 rows: c \(10 rows\)",
    ),
    ({"y": [f"class {row}" for row in range(400)]}, {"kind": "multiclass"}, "target y has 400 classes, at most 100"),
    ({}, {"kind": "regression"}, r"target y is no number \(2 different values in 400 rows\)"),
    ({"y": ["inf", 1.0, 2.0, 3.0] * 100}, {"kind": "regression"}, "target y is infinite or beyond 1e\\+18 in 100 rows"),
    ({"y": [1e-9, 2e-9] * 200}, {"kind": "regression"}, "target y hardly varies, from 1e-09 to 2e-09 in 400 rows"),
    ({"y": [1e9, 1e9 + 1] * 200}, {"kind": "regression"}, "y hardly varies, from 1000000000 to 1000000001"),
    ({"y": ["yes"] * 60 + ["no"] * 60 + [None] * 280}, {}, "120 of 400 rows have a y, at least 200"),
    ({"empty": [None] * 400, "void": ["NA"] * 400}, {}, "2 columns are missing in all 400 rows: empty, void"),
    ({"x": ["inf", 1, 2, 3] * 100}, {}, r"infinite or beyond 3.4e\+38: x \(100 rows\).*DROP=x"),
    ({"x": [1e300, 1, 2, 3] * 100}, {}, r"infinite or beyond 3.4e\+38: x \(100 rows\)"),
    ({"day": ["soon"] * 400}, {"time": "day"}, "time column day does not parse: 400 of 400 cells"),
    ({"day": ["2025-01-01"] * 397 + ["soon"] * 3}, {"time": "day"}, "time column day does not parse: 3 of 400 cells"),
    ({"day": ["2025-01-01", "2025-02-01", "later", "soon"] * 100}, {"time": "day"}, "does not parse: 200 of 400 cells"),
    ({"day": [None] * 400}, {"time": "day"}, "time column day is missing in all rows"),
    ({"w": [-1.0, 1.0] * 200}, {"weight": "w"}, "weight column w is negative in 200 rows"),
    ({"w": [None, 1.0] * 200}, {"weight": "w"}, "weight column w is missing in 200 rows"),
    ({"w": 0.0}, {"weight": "w"}, "weight column w is 0 in all 400 rows"),
    ({"w": "heavy"}, {"weight": "w"}, "weight column w is no number in 400 of 400 rows"),
    ({"w": ["1.0"] * 396 + ["heavy"] * 4}, {"weight": "w"}, "weight column w is no number in 4 of 400 rows"),
    ({}, {"monotone": {"city": 1}}, "1 column of MONOTONE is text, which neither rises nor falls: city"),
    ({"g": 1}, {"group": "g"}, "group column g has 1 value,"),
    ({}, {"drop": ["agee"]}, "has no column agee: did you mean age?"),
    ({}, {"drop": ["age", "city", "w", "g", "day"]}, "no column is left to learn from"),
]


@pytest.mark.parametrize(("columns", "fields", "message"), REFUSED, ids=[message[:40] for _, _, message in REFUSED])
def test_what_cannot_be_learned_from_is_refused_by_name_and_count(
    columns: dict[str, Any], fields: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(NotTrainable, match=message) as refusal:
        taken(small(tmp_path / "a.csv", **columns), **fields)
    assert str(refusal.value).startswith("own: ")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "fraud"}, "bank's own models"),
        ({"name": "../x"}, "name"),
        ({"metric": "rmse"}, "does not fit a binary target"),
        ({"kind": "regression", "positive": "1"}, "no positive class"),
        ({"kind": "multiclass", "monotone": {"a": 1}}, "neither rises nor falls"),
        ({"weight": "y"}, "column y has two roles"),
        ({"time": "a", "group": "a"}, "column a has two roles"),
        ({"drop": ["y"]}, "column y has two roles"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_request_that_contradicts_itself_is_refused(fields: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=message):
        request(tmp_path / "a.csv", **fields)


def test_a_file_without_header_may_lack_the_target_when_it_is_scored(tmp_path: Path) -> None:
    small(tmp_path / "a.csv")
    frame = pd.read_csv(tmp_path / "a.csv")
    frame.to_csv(tmp_path / "train.csv", index=False, header=False)
    frame.drop(columns="y").to_csv(tmp_path / "new.csv", index=False, header=False)
    own = taken(tmp_path / "train.csv", names=list(frame.columns))
    with open_rows(tmp_path / "new.csv", own.task.table) as (table, _):
        assert [column.name for column in table.columns] == ["age", "city", "w", "g", "day"]
