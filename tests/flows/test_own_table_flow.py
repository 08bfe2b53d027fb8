"""Train on a table of one's own, then score the next one: the whole way, as `make train` and `make score` go it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

import settings as settings_module
from features.refusals import RefusedFile
from flows.score_table import ScoreTableRequest, score_file, score_table
from flows.score_table import main as score_table_main
from flows.train_table import parse, time_to_search, train_table
from registry import models
from registry.encoding import RARE
from registry.models import NoChampion, load_champion
from training.score_file import ScoreFile, UnwritableScores

pytestmark = pytest.mark.integration
ROWS = 900


def clients(rows: int, seed: int) -> pd.DataFrame:
    """Clients with an answer, an income and a segment that follow from what is known of them."""
    rng = np.random.default_rng(seed)
    age, city = rng.integers(18, 80, rows), rng.choice(["Алматы", "Астана", "Шымкент"], rows)
    strength = (age - 45) / 12 + (city == "Астана") + rng.normal(0, 0.4, rows)
    return pd.DataFrame(
        {
            "client": [f"=cmd|{seed}-{row}" for row in range(rows)],
            "name": [f"NAME-{seed}-{row}" for row in range(rows)],
            "nickname": [f"NICK-{row // 9}" for row in range(rows)],
            "age": age,
            "city": city,
            "answer": np.where(strength > 0.8, "да", "нет"),
            "income": np.exp(11 + strength / 2),
            "segment": np.digitize(strength, [-1, 0.5]) + 1,
        }
    )


@pytest.fixture(scope="module")
def place(prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A `var` of this module's own with three models trained on one table, and the next table."""
    folder = tmp_path_factory.mktemp("own")
    clients(ROWS, 1).to_csv(folder / "train.csv", sep=";", decimal=",", index=False, encoding="cp1251")
    clients(300, 2).drop(columns=["answer", "income", "segment"]).to_csv(folder / "next.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPORA_VAR", str(folder / "var"))
        settings_module.settings.cache_clear()
        for target, kind in (("answer", "binary"), ("income", "regression"), ("segment", "multiclass")):
            others = ",".join({"answer", "income", "segment"} - {target})
            options = (
                f"--name own-{target} --table {folder / 'train.csv'} --target {target} --kind {kind} --drop {others} --id client"
            )
            result = train_table(parse([*options.split(), "--trials", "2", "--seconds", "20", "--weight", ""]))
            assert result.promoted, result.reason
        yield folder
    settings_module.settings.cache_clear()


def test_a_text_that_fewer_than_ten_rows_share_is_in_nothing_that_was_stored(place: Path) -> None:
    files = [path for path in (place / "var").rglob("*") if path.is_file()]
    tables = [pd.read_parquet(path) for path in files if path.suffix == ".parquet"]
    reference = next(table for table in tables if "prediction_income" in table)
    assert set(reference["name"]) == set(reference["nickname"]) == {RARE}
    assert set(reference["city"]) == {"Алматы", "Астана", "Шымкент"}
    told = [*(path.read_bytes() for path in files), *(table.to_csv().encode() for table in tables)]
    assert len(told) > 30
    assert not [text for text in told if b"NAME-" in text or b"NICK-" in text]


def scored(place: Path, name: str, out: Path, table: str = "next.csv") -> pd.DataFrame:
    assert score_table(ScoreTableRequest(name=name, table=str(place / table), out=str(out))) == 300
    return pd.read_parquet(out) if out.suffix == ".parquet" else pd.read_csv(out)


def test_two_classes_get_a_probability_and_a_class(place: Path, tmp_path: Path) -> None:
    scores, truth = scored(place, "own-answer", tmp_path / "a.parquet"), clients(300, 2)
    assert list(scores.columns) == ["client", "score", "class"]
    assert scores["client"].tolist() == truth["client"].tolist()
    assert (scores["class"] == truth["answer"]).mean() > 0.85
    assert scores["score"][scores["class"] == "да"].min() > scores["score"][scores["class"] == "нет"].max()


def test_amounts_get_an_interval_that_holds_them(place: Path, tmp_path: Path) -> None:
    scores, truth = scored(place, "own-income", tmp_path / "a.parquet"), clients(300, 2)
    assert list(scores.columns) == ["client", "score", "low", "high"]
    assert ((scores["low"] <= truth["income"]) & (truth["income"] <= scores["high"])).mean() > 0.75
    assert (scores["low"] <= scores["score"]).all()


def test_several_classes_get_the_likeliest_and_all_probabilities(place: Path, tmp_path: Path) -> None:
    scores, truth = scored(place, "own-segment", tmp_path / "a.parquet"), clients(300, 2)
    each = scores[["probability_1", "probability_2", "probability_3"]].to_numpy()
    np.testing.assert_allclose(each.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(scores["score"], each.max(axis=1))
    assert (scores["class"].astype(int) == truth["segment"]).mean() > 0.6


def test_a_spreadsheet_runs_nothing_of_the_scores(place: Path, tmp_path: Path) -> None:
    scores = scored(place, "own-answer", tmp_path / "a.csv")
    assert scores["client"].tolist() == [f"'{name}" for name in clients(300, 2)["client"]]


def test_the_model_knows_how_its_table_was_read(place: Path) -> None:
    form = load_champion("own-answer").scorer.metadata["table"]
    assert form["kinds"] == {"age": "number", "city": "text", "name": "text", "nickname": "text"}
    assert (form["id"], form["classes"], form["request"]["drop"]) == ("client", ["нет", "да"], form["request"]["drop"])


def test_report_and_card_name_the_file_and_what_is_suspicious_in_it(place: Path) -> None:
    (page,) = (path for path in place.rglob("report.html") if "own-answer" in str(path))
    model = load_champion("own-answer")
    card = models.client().get_model_version("own-answer", model.version).description
    digest = model.scorer.metadata["table"]["sha256"]
    for told in (page.read_text(encoding="utf-8"), card):
        assert "train.csv" in told
        assert digest[:12] in told
    assert "Columns to look at" in page.read_text(encoding="utf-8")
    assert "Look at name first" in card


def test_a_challenger_that_drops_columns_meets_a_champion_that_keeps_them(place: Path) -> None:
    options = f"--name own-answer --table {place / 'train.csv'} --target answer --kind binary --id client --trials 2 --seconds 20"
    result = train_table(parse([*options.split(), "--drop", "age,income,segment"]))
    assert not result.promoted
    assert "lack" not in result.reason
    assert result.reason.endswith("worse")
    assert load_champion("own-answer").version == "1"


def test_extra_columns_are_noted_unknown_categories_count_as_missing_and_without_id_rows_are_numbered(
    place: Path, tmp_path: Path
) -> None:
    table = clients(300, 2).drop(columns="client").assign(hobby="chess")
    table.to_parquet(tmp_path / "extra.parquet")
    table.assign(city=None).to_parquet(tmp_path / "missing.parquet")
    table.assign(city="Нью-Йорк").to_parquet(tmp_path / "unknown.parquet")
    results = {}
    for name in ("extra", "missing", "unknown"):
        request = ScoreTableRequest(name="own-answer", table=str(tmp_path / f"{name}.parquet"), out=str(tmp_path / f"{name}.csv"))
        done, notes = score_file(request)
        assert done == 300
        assert notes == [
            "1 column was not learned from and is ignored: hobby", "there is no column client: rows are numbered from 1"
        ]  # fmt: skip
        results[name] = pd.read_csv(tmp_path / f"{name}.csv")
    assert results["extra"]["row"].tolist() == list(range(1, 301))
    pd.testing.assert_frame_equal(results["unknown"], results["missing"])
    assert not results["extra"]["score"].equals(results["missing"]["score"])


def test_missing_columns_and_columns_of_another_kind_are_refused_and_leave_nothing(place: Path, tmp_path: Path) -> None:
    clients(300, 2)[["client", "income"]].to_csv(tmp_path / "few.csv", index=False)
    clients(300, 2).assign(age="old").to_csv(tmp_path / "other.csv", index=False)
    for table, message in (
        ("few", "lacks 4 of the 4 columns .*: age, city, name, nickname"),
        ("other", "column age of other.csv: 300 of 300"),
    ):
        with pytest.raises(RefusedFile, match=message):
            score_file(ScoreTableRequest(name="own-answer", table=str(tmp_path / f"{table}.csv"), out=str(tmp_path / "a.csv")))
    with pytest.raises(NoChampion):
        score_file(ScoreTableRequest(name="nobody", table=str(place / "next.csv"), out=str(tmp_path / "a.csv")))
    for out in ("a.xlsx", "nowhere/a.csv"):
        with pytest.raises(UnwritableScores):
            score_file(ScoreTableRequest(name="own-answer", table=str(place / "next.csv"), out=str(tmp_path / out)))
    assert {path.name for path in tmp_path.iterdir()} == {"few.csv", "other.csv"}


def test_a_slow_disk_leaves_half_of_the_seconds_for_the_search() -> None:
    assert [time_to_search(60, read) for read in (5, 30, 90)] == [55, 30, 30]


def test_a_name_that_no_model_can_have_is_refused_before_the_registry_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert score_table_main(["--name", "a/b ' c", "--table", "a.csv", "--out", "b.csv"]) == 2
    assert "name: String should match pattern" in capsys.readouterr().err


def test_directions_are_read_from_the_command_line() -> None:
    options = ["--name", "a", "--table", "a.csv", "--target", "y", "--kind", "binary", "--monotone"]
    assert parse([*options, 'balance=1, "a=b, c"=-1']).monotone == {"balance": 1, "a=b, c": -1}
    for wrong in ("balance", "balance=2", "balance=up"):
        with pytest.raises(ValidationError, match="monotone.balance"):
            parse([*options, wrong])


def test_scores_that_break_off_leave_the_old_file_as_it_was(tmp_path: Path) -> None:
    out = tmp_path / "a.csv"
    out.write_text("old")

    def breaks_off() -> None:
        with ScoreFile(out) as file:
            file.write(pd.DataFrame({"score": [1.0]}))
            raise KeyError

    with pytest.raises(KeyError):
        breaks_off()
    assert out.read_text() == "old"
    assert list(tmp_path.iterdir()) == [out]


def test_a_kill_in_the_middle_of_scores_leaves_no_torn_file(tmp_path: Path) -> None:
    program = (
        "import sys, time, pathlib, pandas as pd\nfrom training.score_file import ScoreFile\n"
        f"with ScoreFile(pathlib.Path({str(tmp_path / 'a.csv')!r})) as file:\n"
        "    file.write(pd.DataFrame({'score': range(100_000)}))\n    print('half', flush=True)\n    time.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"half\n"
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        time.sleep(0.1)
    assert not (tmp_path / "a.csv").exists()


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(UnwritableScores, match="make room"), ScoreFile(tmp_path / "a.csv") as file:
            file.write(pd.DataFrame({"score": np.arange(100_000.0)}))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(tmp_path.iterdir()) == []
