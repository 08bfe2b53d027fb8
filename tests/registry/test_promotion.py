"""The gate's promises: sound decisions in words, one winner of a race, ledger and alias that find each other again."""

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import lightgbm
import numpy as np
import pandas as pd
import pytest
from sqlalchemy import make_url, text

from clock import now
from database import open_database
from registry import aliases, deletion, models, promotion, rollback
from registry import ledger as ledger_module
from registry.aliases import ChampionChanged, NoSuchVersion, move_champion, settle
from registry.anchors import anchors
from registry.candidate import Candidate, Unservable, admitted
from registry.deletion import StillNeeded, delete_version
from registry.encoding import encode, learn_columns
from registry.judgement import figure
from registry.ledger import alias_at, open_ledger
from registry.ledger_table import LedgerRow
from registry.outputs import Calibration, Member, Output
from registry.promotion import Holdout
from registry.rollback import NoRollback
from registry.scorer import REFERENCE, Scorer, write_manifest
from settings import Settings
from tests.fork_server import Forked, ForkServer


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """One registry for this file; every test has a model of its own in it."""
    return Settings(var=tmp_path_factory.mktemp("bank"))


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A registered model of this test's own."""
    return request.node.name.replace("[", "-").replace("]", "")


def people(rows: int, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Features a and b, and labels 0/1 that follow them."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"a": rng.normal(size=rows), "b": rng.normal(size=rows), "city": rng.choice(["x", "y"], rows)})
    chance = 1 / (1 + np.exp(-(1.5 * frame.a + frame.b)))
    return frame, (rng.random(rows) < chance).astype(float)


def holdout(rows: int = 2000, seed: int = 99, outputs: tuple[str, ...] = ("bought",), **fields: object) -> Holdout:
    frame, labels = people(rows, seed)
    table = pd.DataFrame(dict.fromkeys(outputs, labels))
    return replace(Holdout(frame, table, pd.Series(np.ones(rows)), "roc_auc", 0.5), **fields)


def scorer(folder: Path, columns: str = "ab", rounds: int = 30, **changes: object) -> Path:
    """A small sealed scorer that has learned from the given columns; `changes` replace what the manifest says.

    Of `outputs`, those in `weak` know nothing of the first column.
    """
    folder.mkdir()
    frame, labels = people(3000, 1)
    names = list(columns)
    learned = learn_columns(frame, names)
    matrix = encode(frame, learned)
    for file, given in (("model.txt", matrix), ("weak.txt", matrix * [0, *[1] * (len(names) - 1)])):
        data = lightgbm.Dataset(given, labels, params={"verbose": -1})
        options = {"objective": "binary", "verbose": -1, "num_threads": 1, "num_leaves": 7}
        lightgbm.train(options, data, rounds).save_model(folder / file)
    frame.head(10).to_parquet(folder / REFERENCE)
    outputs, weak = changes.pop("outputs", ("bought",)), changes.pop("weak", ())
    members = (Member("lightgbm", "model.txt", 1.0),) * changes.pop("members", 1)
    weaker = (Member("lightgbm", "weak.txt", 1.0),)
    manifest = {
        "columns": learned,
        "outputs": tuple(Output(output, "logit", weaker if output in weak else members) for output in outputs),
        "thresholds": {},
        "metadata": {"use_case": "toy", "lake_versions": {"clients": 1}},
    }
    write_manifest(folder, **{**manifest, **changes})
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Scorer folders, each made once."""
    made: dict[str, Path] = {}

    def folder(**changes: object) -> Path:
        key = repr(sorted(changes.items()))
        if key not in made:
            made[key] = scorer(tmp_path_factory.mktemp("scorers") / "scorer", **changes)
        return made[key]

    return folder


@pytest.fixture
def register(bank: Settings, name: str, folders: Callable[..., Path]) -> Callable[..., str]:
    """Registers a scorer under this test's model (or another name); gives its version."""

    def registered(model: str = name, **changes: object) -> str:
        with models.training_run(model, "test", bank) as run_id:
            return models.log(folders(**changes), run_id, model, bank)

    return registered


def empty_versions(config: Settings, name: str, count: int) -> list[str]:
    """Versions without files: enough for aliases."""
    api = models.client(config)
    models._ensure_registered(api, name)
    return [str(api.create_model_version(name, config.var.as_uri()).version) for _ in range(count)]


def ledger_rows(config: Settings, name: str) -> list[LedgerRow]:
    ledger = open_ledger(config)
    with ledger.reading() as connection:
        return ledger.history(connection, name)


def actions(config: Settings, name: str) -> list[tuple[str, str | None, str | None]]:
    return [(row.action, row.previous_version, row.version) for row in ledger_rows(config, name) if row.alias == "champion"]


def assert_at_one(config: Settings, name: str, version: str | None) -> None:
    """Ledger and alias say the same, and the ledger is whole."""
    assert models.champion_version(name, config) == version
    assert alias_at(name, now(), config=config) == version
    assert open_ledger(config).verify(anchors(config)).first_bad is None


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0.73214, "0.7321"),
        (0.05, "0.0500"),
        (0.000312, "0.000312"),
        (-2.345e-5, "-2.35e-05"),
        (0.0, "0.0000"),
        (182_400.4, "182,400"),
        (-351.6733, "-351.7"),
        (999.96, "1,000"),
    ],
)
def test_a_tiny_metric_is_told_by_its_digits_and_not_as_zero(value: float, told: str) -> None:
    assert figure(value) == told


class TestTheRule:
    def test_the_first_that_beats_the_naive_baseline_is_promoted(self, bank: Settings, name: str, register: Callable) -> None:
        before = now()
        version = register()
        verdict = promotion.gate(name, version, holdout(), config=bank)
        assert verdict.promoted
        assert verdict.challenger > 0.8
        assert "no champion yet" in verdict.reason
        assert_at_one(bank, name, version)
        assert alias_at(name, before, config=bank) is None
        (row,) = [row for row in ledger_rows(bank, name) if row.action == "promote"]
        registered = models.client(bank).get_model_version(name, version)
        assert row.manifest_sha256 == registered.tags["opora.sha256"]
        assert row.figures["challenger"] == pytest.approx(verdict.challenger)
        assert registered.tags["opora.gate"] == row.reason == verdict.reason

    def test_a_better_one_is_promoted_with_both_figures_and_the_interval(
        self, bank: Settings, name: str, register: Callable
    ) -> None:
        old = register(columns="b")
        promotion.gate(name, old, holdout(), config=bank)
        new = register()
        verdict = promotion.gate(name, new, holdout(), config=bank)
        assert verdict.promoted
        assert verdict.comparison.low > 0
        for value in (verdict.challenger, verdict.champion, verdict.comparison.difference, verdict.comparison.low):
            assert figure(value) in verdict.reason
        assert f"champion {old}" in verdict.reason
        assert "better" in verdict.reason
        assert_at_one(bank, name, new)

    def test_a_worse_one_is_refused_even_when_it_is_fresher(self, bank: Settings, name: str, register: Callable) -> None:
        old = register()
        promotion.gate(name, old, holdout(), config=bank)
        verdict = promotion.gate(name, register(columns="b", metadata={"lake_versions": {"clients": 2}}), holdout(), config=bank)
        assert not verdict.promoted
        assert verdict.reason.endswith("worse")
        assert_at_one(bank, name, old)
        assert actions(bank, name)[-1][0] == "refuse"

    @pytest.mark.parametrize(
        ("old", "new", "word"),
        [
            ({}, {"metadata": {"lake_versions": {"clients": 2}}}, "fresher"),
            ({"metadata": {"data_until": "2026-01-01"}}, {"metadata": {"data_until": "2026-02-01"}}, "fresher"),
            ({"members": 2}, {}, "simpler"),
            ({}, {}, ""),
            (
                {"metadata": {"lake_versions": {"clients": 2, "cards": 1}}},
                {"metadata": {"lake_versions": {"clients": 1, "cards": 2}}},
                "",
            ),
            ({}, {"members": 2}, ""),
        ],
    )
    def test_one_that_is_as_good_has_to_be_fresher_or_simpler(
        self, bank: Settings, name: str, register: Callable, old: dict, new: dict, word: str
    ) -> None:
        # Two members of weight 1 double the margin: the ranking, and so the metric, stays.
        champion, challenger = register(**old), register(**new)
        promotion.gate(name, champion, holdout(), config=bank)
        verdict = promotion.gate(name, challenger, holdout(), config=bank)
        assert verdict.comparison.difference == 0
        assert verdict.promoted is bool(word)
        assert (word or "neither fresher nor simpler") in verdict.reason
        assert_at_one(bank, name, challenger if word else champion)

    def test_few_rows_that_cannot_exclude_a_loss_are_no_ground_for_a_promotion(
        self, bank: Settings, name: str, register: Callable
    ) -> None:
        old, new = register(), register(rounds=12, metadata={"lake_versions": {"clients": 2}})
        promotion.gate(name, old, holdout(), config=bank)
        verdict = promotion.judge(name, new, holdout(120), config=bank)
        assert not verdict.promoted
        assert verdict.comparison.low < -verdict.margin < 0 < verdict.comparison.high
        assert "do not exclude" in verdict.reason
        assert promotion.judge(name, new, holdout(120), margin=1.0, config=bank).promoted

    def test_what_beats_the_naive_baseline_only_by_luck_is_refused(self, bank: Settings, name: str, register: Callable) -> None:
        version = register()
        score = promotion.judge(name, version, holdout(), config=bank).challenger
        verdict = promotion.gate(name, version, holdout(baseline=score - 0.001), config=bank)
        assert not verdict.promoted
        assert "naive baseline" in verdict.reason
        assert_at_one(bank, name, None)
        assert actions(bank, name) == [("refuse", None, version)]

    def test_an_output_the_champion_lacks_is_an_advantage_and_the_shared_ones_decide(
        self, bank: Settings, name: str, register: Callable
    ) -> None:
        promotion.gate(name, register(), holdout(), config=bank)
        wider = register(outputs=("bought", "returned"))
        verdict = promotion.gate(name, wider, holdout(outputs=("bought", "returned")), config=bank)
        assert verdict.promoted
        assert "it also predicts returned" in verdict.reason

    def test_one_ruined_output_is_refused_by_name_however_much_better_the_average_is(
        self, bank: Settings, name: str, register: Callable
    ) -> None:
        banks = ("bank_a", "bank_b", "bank_c", "bank_d", "bank_e")
        old = register(outputs=banks, weak=banks[:4])
        promotion.gate(name, old, holdout(outputs=banks), config=bank)
        new = register(outputs=banks, weak=("bank_e",))
        verdict = promotion.gate(name, new, holdout(outputs=banks), config=bank)
        assert verdict.comparison.low > 0
        assert not verdict.promoted
        assert "better, but bank_e is worse by 0." in verdict.reason
        assert "(98 % interval 0." in verdict.reason
        assert verdict.reason.endswith(f"more than the accepted {figure(verdict.margin)}")
        assert "bank_a" not in verdict.reason
        assert ledger_rows(bank, name)[-2].figures["by_output"]["bank_e"]["high"] < -verdict.margin
        assert_at_one(bank, name, old)

    def test_an_output_that_is_better_with_the_others_hinders_nothing(
        self, bank: Settings, name: str, register: Callable
    ) -> None:
        banks = ("bank_a", "bank_b", "bank_c")
        promotion.gate(name, register(outputs=banks, weak=banks[:2]), holdout(outputs=banks), config=bank)
        new = register(outputs=banks, weak=banks[:1])
        assert promotion.gate(name, new, holdout(outputs=banks), config=bank).promoted
        assert_at_one(bank, name, new)

    def test_columns_that_the_champion_has_to_do_without_are_told(self, bank: Settings, name: str, register: Callable) -> None:
        promotion.gate(name, register(), holdout(), config=bank)
        rows = holdout(features=people(2000, 99)[0].drop(columns="a"))
        verdict = promotion.judge(name, register(columns="b"), rows, config=bank)
        assert "on the same 2,000 rows (which lack 1 of the champion's 2 columns: a)" in verdict.reason
        assert "lack" not in promotion.judge(name, register(columns="b"), holdout(), config=bank).reason

    def test_a_champion_that_cannot_be_loaded_is_no_rival(self, bank: Settings, name: str, register: Callable) -> None:
        old = register()
        promotion.gate(name, old, holdout(), config=bank)
        for copy in (bank.var / "models" / name).glob(f"{old}-*"):
            (copy / "model.txt").write_text("rubbish")
        verdict = promotion.gate(name, register(metadata={"lake_versions": {"clients": 1}}), holdout(), config=bank)
        assert verdict.promoted
        assert f"champion {old} is no rival" in verdict.reason
        assert "model.txt" in verdict.reason

    def test_a_champion_that_opora_did_not_register_is_no_rival(self, bank: Settings, name: str, register: Callable) -> None:
        (foreign,) = empty_versions(bank, name, 1)
        models.client(bank).set_registered_model_alias(name, models.CHAMPION, foreign)
        verdict = promotion.gate(name, register(), holdout(), config=bank)
        assert verdict.promoted
        assert "not registered by Opora" in verdict.reason
        assert_at_one(bank, name, "2")

    def test_rows_of_a_group_widen_the_interval(self, bank: Settings, name: str, register: Callable) -> None:
        version = register()
        frame, labels = people(200, 5)
        repeated = frame.loc[frame.index.repeat(10)].assign(client=np.repeat(np.arange(200), 10)).reset_index(drop=True)
        rows = Holdout(repeated, pd.DataFrame({"bought": np.repeat(labels, 10)}), pd.Series(np.ones(2000)), "roc_auc", 0.5)
        low, high = promotion.judge(name, version, rows, config=bank).interval
        grouped = promotion.judge(name, version, replace(rows, group="client"), config=bank).interval
        assert grouped[1] - grouped[0] > 2 * (high - low)


class TestTheAliasChallenger:
    """Services score in shadow with the version that carries it: it lasts from the nomination to the verdict."""

    def test_ends_with_either_verdict_and_the_ledger_says_when(self, bank: Settings, name: str, register: Callable) -> None:
        seen: list[str | None] = []
        for columns in ("ab", "b"):
            version = register(columns=columns)
            promotion.postpone(name, version, holdout(), bank)
            waiting = now()
            verdict = promotion.gate(name, version, holdout(), config=bank)
            assert verdict.promoted is (columns == "ab")
            assert alias_at(name, waiting, "challenger", config=bank) == version
            seen.append(models.alias_version(name, models.CHALLENGER, bank))
            assert alias_at(name, now(), "challenger", config=bank) is None
        assert seen == [None, None]
        moves = [(row.action, row.version, row.reason) for row in ledger_rows(bank, name) if row.alias == "challenger"]
        assert [move[:2] for move in moves] == [("nominate", "1"), ("dismiss", None), ("nominate", "2"), ("dismiss", None)]
        assert [move[2] for move in moves[1::2]] == ["it is champion", "the gate refused it"]
        assert_at_one(bank, name, "1")

    def test_of_a_version_nominated_during_the_judgement_stays(
        self, bank: Settings, name: str, register: Callable, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        refused, next_one = register(columns="b"), register()
        judge = promotion.judge

        def judge_while_another_is_nominated(*arguments: object) -> promotion.Verdict:
            aliases.nominate(name, next_one, bank)
            return judge(*arguments)

        monkeypatch.setattr(promotion, "judge", judge_while_another_is_nominated)
        assert not promotion.gate(name, refused, holdout(baseline=0.99), config=bank).promoted
        assert models.alias_version(name, models.CHALLENGER, bank) == next_one
        assert alias_at(name, now(), "challenger", config=bank) == next_one

    def test_lost_to_a_refusal_lets_the_version_be_deleted(self, bank: Settings, name: str, register: Callable) -> None:
        version = register()
        promotion.gate(name, version, holdout(baseline=0.99), config=bank)
        delete_version(name, version, bank)
        with pytest.raises(NoSuchVersion):
            delete_version(name, version, bank)


class TestWhatCannotServe:
    @pytest.mark.parametrize(
        ("rows", "changes", "complaint"),
        [
            (holdout(outputs=("bought", "returned")), {}, "no output returned"),
            (holdout(), {"outputs": ("bought", "returned")}, "output returned has no label"),
            (holdout(features=people(2000, 99)[0].drop(columns="a")), {}, "no column a"),
            (holdout(features=people(2000, 99)[0].assign(a="text")), {}, "column a is declared to hold numbers"),
            (
                holdout(features=people(2000, 99)[0].assign(city=1.5)),
                {"columns": ["city"]},
                "city is declared to hold categories",
            ),
            (holdout(), {"declared": ["a"]}, "boosters do not take"),
            (holdout(), {"weight": float("nan")}, "not finite 2000 times"),
            (holdout(), {"weight": float("inf")}, "not finite 2000 times"),
            (holdout(), {"weight": 1.0}, ""),
        ],
    )
    def test_is_refused_with_the_reason(self, tmp_path: Path, rows: Holdout, changes: dict, complaint: str) -> None:
        weight, declared = changes.get("weight"), changes.get("declared")
        made = scorer(tmp_path / "made", **{key: value for key, value in changes.items() if key in ("outputs", "columns")})
        loaded = Scorer.load(made)
        outputs = (
            loaded.outputs_ if weight is None else (Output("bought", "identity", (Member("lightgbm", "model.txt", weight),)),)
        )
        columns = loaded.columns_ if declared is None else learn_columns(people(9, 1)[0], declared)
        write_manifest(made, columns, outputs, {}, loaded.metadata)
        candidate = Candidate("toy", "1", Scorer.load(made), made)
        if complaint:
            with pytest.raises(Unservable, match=complaint):
                admitted(candidate, rows)
        else:
            assert admitted(candidate, rows)["bought"].shape == (2000,)

    @pytest.mark.parametrize(
        ("margin", "complaint"),
        [
            (lambda matrix: matrix[:, 0] - matrix[:, 0].mean(), "a single row another prediction"),
            (lambda matrix: matrix[:, :2], "has shape \\(2000, 2\\)"),
            (lambda matrix: matrix[:, 0], ""),
        ],
    )
    def test_predictions_have_a_value_for_every_row_whoever_else_is_scored(
        self, folders: Callable[..., Path], margin: Callable, complaint: str
    ) -> None:
        loaded = Scorer.load(folders())
        candidate = Candidate("toy", "1", replace(loaded, boosters={"model.txt": SimpleNamespace(margin=margin)}), folders())
        if complaint:
            with pytest.raises(Unservable, match=complaint):
                admitted(candidate, holdout())
        else:
            admitted(candidate, holdout())

    def test_a_probability_stays_between_0_and_1(self, folders: Callable[..., Path]) -> None:
        loaded = Scorer.load(folders())
        too_high = replace(loaded.outputs_[0], calibration=Calibration("isotonic", (0.0, 1.0), (0.0, 1.5)))
        with pytest.raises(Unservable, match="outside of 0 to 1"):
            admitted(Candidate("toy", "1", replace(loaded, outputs_=(too_high,)), folders()), holdout())

    @pytest.mark.parametrize(
        ("model", "outputs", "thresholds", "complaint"),
        [
            ("fraud", ("fraud",), {}, "no threshold medium, high"),
            ("fraud", ("fraud",), {"fraud": {"medium": 0.2}}, "no threshold high"),
            ("fraud", ("fraud",), {"fraud": {"medium": 0.2, "high": float("nan")}}, "no threshold high"),
            ("fraud", ("fraud",), {"fraud": {"medium": 0.9, "high": 0.8}}, "lies above high"),
            ("fraud", ("fraud",), {"fraud": {"medium": 0.2, "high": 0.8}}, ""),
            ("prescoring", ("bank_a", "bank_b"), {"bank_a": {"approve": 0.5}}, "output bank_b has no threshold approve"),
            ("prescoring", ("bank_a",), {"bank_a": {"approve": 0.5}}, ""),
            ("income", ("income",), {}, "output income has no interval"),
            ("toy", ("toy",), {}, ""),
        ],
    )
    def test_a_use_case_has_what_its_service_needs(
        self, bank: Settings, register: Callable, model: str, outputs: tuple[str, ...], thresholds: dict, complaint: str
    ) -> None:
        version = register(model, outputs=outputs, thresholds=thresholds)
        verdict = promotion.judge(model, version, holdout(outputs=outputs), config=bank)
        assert verdict.promoted is (not complaint)
        assert complaint in verdict.reason

    def test_a_damaged_challenger_is_refused(self, bank: Settings, name: str, register: Callable) -> None:
        version = register()
        models.client(bank).set_model_version_tag(name, version, models.SHA256_TAG, "0" * 64)
        verdict = promotion.gate(name, version, holdout(), config=bank)
        assert not verdict.promoted
        assert "is not the manifest that was registered" in verdict.reason


@pytest.fixture(params=["sqlite", "postgresql"])
def house(request: pytest.FixtureRequest, bank: Settings) -> Iterator[Settings]:
    """The registry of this file with its ledger in SQLite, and one with the ledger in PostgreSQL."""
    if request.param == "sqlite":
        yield bank
        return
    url = os.environ.get("OPORA_TEST_POSTGRES_URL")
    if not url:
        pytest.skip("no PostgreSQL: set OPORA_TEST_POSTGRES_URL to run this test on it")
    schema = f"promotion_{uuid4().hex}"
    server = open_database(url)
    with server.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
    own = make_url(url).update_query_dict({"options": f"-csearch_path={schema}"}).render_as_string(False)
    mlflow_uri = f"sqlite:///{bank.var / schema}.db"
    yield Settings(var=bank.var / schema, database_url=own, mlflow_tracking_uri=mlflow_uri)
    open_ledger(Settings(database_url=own))._engine.dispose()
    with server.begin() as connection:
        connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    server.dispose()


def promote(config: Settings, name: str, version: str, expected: str | None) -> None:
    move_champion(name, version, expected, "promote", "promoted: a test", {}, config)


Python = Callable[..., Forked]


@pytest.fixture(scope="module")
def python() -> Iterator[Python]:
    """Starts another process with the registry of given settings; its script finds its arguments in `sys.argv`."""
    with ForkServer("registry.aliases", "registry.ledger") as server:

        def start(config: Settings, script: str, *arguments: str) -> Forked:
            environment = {"OPORA_VAR": str(config.var), "OPORA_DATABASE_URL": config.database_url}
            environment["OPORA_MLFLOW_TRACKING_URI"] = config.mlflow_tracking_uri
            return server.python(script, *arguments, environment=environment)

        yield start


class TestOneWinner:
    def test_compare_and_set_refuses_a_champion_that_changed(self, house: Settings, name: str) -> None:
        first, second, third = empty_versions(house, name, 3)
        promote(house, name, first, None)
        promote(house, name, second, first)
        with pytest.raises(ChampionChanged, match=f"from {first} to {second}"):
            promote(house, name, third, first)
        with pytest.raises(ChampionChanged, match=f"from none to {second}"):
            promote(house, name, third, None)
        assert_at_one(house, name, second)
        assert actions(house, name) == [("promote", None, first), ("promote", first, second)]

    def test_a_version_that_does_not_exist_is_not_promoted(self, house: Settings, name: str) -> None:
        empty_versions(house, name, 1)
        with pytest.raises(NoSuchVersion, match="no version 7"):
            promote(house, name, "7", None)
        assert_at_one(house, name, None)

    def test_of_many_threads_exactly_one_wins_each_round(self, house: Settings, name: str) -> None:
        versions, current = empty_versions(house, name, 8), None
        for _ in range(4):
            won: list[str] = []
            errors: list[Exception] = []
            start = threading.Barrier(7)

            def race(version: str, expected: str | None = current) -> None:
                start.wait()  # noqa: B023 - the threads end within the round
                try:
                    promote(house, name, version, expected)
                    won.append(version)  # noqa: B023
                except ChampionChanged as error:
                    errors.append(error)  # noqa: B023

            rivals = [version for version in versions if version != current][:7]
            threads = [threading.Thread(target=race, args=(version,)) for version in rivals]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert (len(won), len(errors)) == (1, 6)
            current = won[0]
            assert_at_one(house, name, current)
        assert len(actions(house, name)) == 4

    def test_of_two_processes_exactly_one_wins(self, house: Settings, name: str, python: Python) -> None:
        first, *rivals = empty_versions(house, name, 3)
        promote(house, name, first, None)
        script = (
            "import sys, time\n"
            "from registry.aliases import move_champion, ChampionChanged\n"
            "from registry.ledger import open_ledger\n"
            "name, version, expected, start = sys.argv[1:]\n"
            "open_ledger()\n"
            "time.sleep(max(0, float(start) - time.time()))\n"
            "try:\n"
            "    move_champion(name, version, expected, 'promote', 'promoted: a test', {})\n"
            "    print('won')\n"
            "except ChampionChanged as error:\n"
            "    print(error)\n"
        )
        start = str(time.time() + 3)
        processes = [python(house, script, name, version, first, start) for version in rivals]
        answers = [process.communicate() for process in processes]
        said = sorted((out.strip() for out, _ in answers), key=lambda words: words != "won")
        assert said[0] == "won", answers
        assert "changed meanwhile" in said[1], answers
        assert models.champion_version(name, house) in rivals
        assert_at_one(house, name, models.champion_version(name, house))

    def test_of_two_gates_at_once_one_promotes_and_the_other_says_what_happened(
        self, bank: Settings, name: str, register: Callable, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = register(columns="b")
        promotion.gate(name, first, holdout(), config=bank)
        rivals = [register(), register(rounds=29)]
        judged = threading.Barrier(2)

        def judge_together(*arguments: object) -> promotion.Verdict:
            verdict = judge(*arguments)
            judged.wait()
            return verdict

        judge = promotion.judge
        monkeypatch.setattr(promotion, "judge", judge_together)
        verdicts: dict[str, promotion.Verdict] = {}
        threads = [
            threading.Thread(target=lambda v=version: verdicts.update({v: promotion.gate(name, v, holdout(), config=bank)}))
            for version in rivals
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        winner, loser = sorted(rivals, key=lambda version: not verdicts[version].promoted)
        assert verdicts[winner].promoted
        assert not verdicts[loser].promoted
        assert f"changed meanwhile from {first} to {winner}" in verdicts[loser].reason
        assert_at_one(bank, name, winner)
        assert actions(bank, name)[-2:] == [("promote", first, winner), ("refuse", first, loser)]


DIES = """
import os, signal, sys
from registry import aliases
aliases._publish = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
aliases.move_champion(sys.argv[1], sys.argv[2], sys.argv[3], "promote", "promoted: a test", {})
"""
RESTLESS = """
import itertools, sys
from registry.aliases import move_champion, settle
name, *versions = sys.argv[1:]
for version in itertools.cycle(versions):
    current = settle(name)
    if current != version:
        move_champion(name, version, current, "promote", "promoted: a test", {})
    print(version, flush=True)
"""


class TestRecovery:
    def test_a_process_killed_between_ledger_and_alias_is_made_good(self, house: Settings, name: str, python: Python) -> None:
        old, new = empty_versions(house, name, 2)
        promote(house, name, old, None)
        process = python(house, DIES, name, new, old)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert models.champion_version(name, house) == old
        assert alias_at(name, now(), config=house) == new
        assert settle(name, house) == new
        assert_at_one(house, name, new)
        assert actions(house, name) == [("promote", None, old), ("promote", old, new)]

    def test_a_version_deleted_before_its_interrupted_promotion_was_made_good_is_given_up(
        self, bank: Settings, name: str, python: Python
    ) -> None:
        old, new = empty_versions(bank, name, 2)
        promote(bank, name, old, None)
        python(bank, DIES, name, new, old).communicate()
        models.client(bank).delete_model_version(name, new)
        assert settle(name, bank) == old
        assert_at_one(bank, name, old)

    def test_kills_at_any_moment_leave_ledger_and_alias_able_to_agree(self, house: Settings, name: str, python: Python) -> None:
        versions = empty_versions(house, name, 3)
        chance = random.Random(1)
        for _ in range(4):
            process = python(house, RESTLESS, name, *versions)
            process.stdout.readline()
            time.sleep(chance.random() * 0.5)
            process.kill()
            process.communicate()
            assert_at_one(house, name, settle(name, house))
        assert {action for action, _, _ in actions(house, name)} == {"promote"}  # nothing was taken for another hand's move

    def test_an_alias_moved_by_another_hand_is_adopted_and_recorded(self, bank: Settings, name: str, register: Callable) -> None:
        first, second = register(columns="b"), register()
        for version in (first, second):
            assert promotion.gate(name, version, holdout(), config=bank).promoted
        models.client(bank).set_registered_model_alias(name, models.CHAMPION, first)
        verdict = promotion.gate(name, register(rounds=29), holdout(), config=bank)
        assert f"champion {first}" in verdict.reason
        assert ("adopt", second, first) in actions(bank, name)
        assert verdict.promoted
        assert_at_one(bank, name, "3")

    def test_a_champion_from_before_the_ledger_is_adopted(self, bank: Settings, name: str) -> None:
        (version,) = empty_versions(bank, name, 1)
        models.client(bank).set_registered_model_alias(name, models.CHAMPION, version)
        assert settle(name, bank) == version
        assert settle(name, bank) == version
        assert actions(bank, name) == [("adopt", None, version)]

    def test_an_alias_removed_by_another_hand_is_recorded_too(self, bank: Settings, name: str) -> None:
        (version,) = empty_versions(bank, name, 1)
        promote(bank, name, version, None)
        models.client(bank).delete_registered_model_alias(name, models.CHAMPION)
        assert settle(name, bank) is None
        assert_at_one(bank, name, None)

    def test_an_alias_moved_while_a_version_was_judged_is_not_overwritten(self, bank: Settings, name: str) -> None:
        first, second, third = empty_versions(bank, name, 3)
        promote(bank, name, first, None)
        models.client(bank).set_registered_model_alias(name, models.CHAMPION, second)
        with pytest.raises(ChampionChanged, match=f"from {first} to {second}"):
            promote(bank, name, third, first)
        aliases.record_refusal(name, third, first, "refused: a test", {}, bank)
        assert_at_one(bank, name, second)

    def test_the_commands_report_and_settle_a_disagreement(
        self, registry: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        first, second = empty_versions(registry, "income", 2)
        promote(registry, "income", first, None)
        monkeypatch.setattr(sys, "argv", ["ledger", "verify"])
        assert ledger_module.main() == 0
        models.client().set_registered_model_alias("income", models.CHAMPION, second)
        assert ledger_module.main() == 1
        assert f"income: the ledger says that version {first}" in capsys.readouterr().err
        monkeypatch.setattr(sys, "argv", ["aliases", "income"])
        assert aliases.main() == 0
        assert f"version {second}" in capsys.readouterr().out
        monkeypatch.setattr(sys, "argv", ["ledger", "verify"])
        assert ledger_module.main() == 0


class TestRollback:
    def test_goes_back_step_by_step_with_a_row_each(self, bank: Settings, name: str, register: Callable) -> None:
        one, two, three = register(columns="b"), register(rounds=12), register()
        for version in (one, two, three):
            assert promotion.gate(name, version, holdout(8000), config=bank).promoted
        done = rollback.rollback(name, reason="complaints", config=bank)
        assert (done.version, done.previous) == (two, three)
        assert_at_one(bank, name, two)
        assert "complaints" in ledger_rows(bank, name)[-1].reason
        assert rollback.rollback(name, config=bank).version == one
        with pytest.raises(NoRollback, match="no earlier champion"):
            rollback.rollback(name, config=bank)
        assert rollback.rollback(name, three, config=bank).version == three
        assert [row[0] for row in actions(bank, name)][-3:] == ["rollback"] * 3
        assert_at_one(bank, name, three)

    def test_only_to_what_was_in_force_once(self, bank: Settings, name: str, register: Callable) -> None:
        good = register()
        promotion.gate(name, good, holdout(), config=bank)
        refused = register(columns="b")
        promotion.gate(name, refused, holdout(), config=bank)
        for target, complaint in ((refused, "was never champion"), ("9", "was never champion"), (good, "is champion already")):
            with pytest.raises(NoRollback, match=complaint):
                rollback.rollback(name, target, config=bank)
        assert_at_one(bank, name, good)

    def test_a_damaged_version_is_refused_and_the_champion_stays(self, bank: Settings, name: str, register: Callable) -> None:
        old, new = register(columns="b"), register()
        for version in (old, new):
            promotion.gate(name, version, holdout(), config=bank)
        for copy in (bank.var / "models" / name).glob(f"{old}-*"):
            (copy / "model.txt").write_text("rubbish")
        with pytest.raises(NoRollback, match=f"(?s)model.txt.*champion is still version {new}"):
            rollback.rollback(name, config=bank)
        assert_at_one(bank, name, new)

    def test_of_a_rollback_and_a_promotion_at_once_one_wins(
        self, bank: Settings, name: str, register: Callable, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old, new = register(columns="b"), register()
        for version in (old, new):
            promotion.gate(name, version, holdout(), config=bank)
        third = register(rounds=29)
        load = rollback.load_candidate

        def load_late(*arguments: object) -> object:
            promote(bank, name, third, new)
            return load(*arguments)

        monkeypatch.setattr(rollback, "load_candidate", load_late)
        with pytest.raises(ChampionChanged):
            rollback.rollback(name, config=bank)
        assert_at_one(bank, name, third)

    def test_the_command_says_what_is_champion_now(
        self, registry: Settings, folders: Callable, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for columns in ("b", "ab"):
            with models.training_run("income", "test") as run_id:
                version = models.log(folders(columns=columns), run_id, "income")
            promote(registry, "income", version, settle("income"))
        monkeypatch.setattr(sys, "argv", ["rollback", "--model", "income"])
        assert rollback.main() == 0
        assert "champion of income is now version 1 (was 2)" in capsys.readouterr().out
        assert rollback.main() == 1
        assert "no earlier champion" in capsys.readouterr().err
        monkeypatch.setattr(sys, "argv", ["rollback", "--model", "nothing"])
        assert rollback.main() == 1


class TestDeletion:
    def test_an_aliased_version_and_the_one_to_roll_back_to_stay(self, house: Settings, name: str) -> None:
        one, two, three, four, five = empty_versions(house, name, 5)
        for version, expected in ((one, None), (two, one), (three, two)):
            promote(house, name, version, expected)
        aliases.nominate(name, four, house)
        api = models.client(house)
        api.set_registered_model_alias(name, "audited", one)
        for version, complaint in ((three, "is its champion"), (four, "is its challenger"), (two, "rollback"), (one, "audited")):
            with pytest.raises(StillNeeded, match=complaint):
                delete_version(name, version, house)
        api.delete_registered_model_alias(name, "audited")
        for version in (one, five):
            delete_version(name, version, house)
            with pytest.raises(NoSuchVersion):
                delete_version(name, version, house)
        assert sorted(found.version for found in api.search_model_versions(f"name='{name}'")) == [
            int(v) for v in (two, three, four)
        ]
        assert [row for row in actions(house, name) if row[0] == "delete"] == [("delete", three, one), ("delete", three, five)]
        assert_at_one(house, name, three)

    def test_a_rollback_to_a_deleted_version_says_so(self, bank: Settings, name: str, register: Callable) -> None:
        one, two, three = register(), register(), register()
        for version, expected in ((one, None), (two, one), (three, two)):
            promote(bank, name, version, expected)
        delete_version(name, one, bank)
        with pytest.raises(NoRollback, match=f"no version {one}"):
            rollback.rollback(name, one, config=bank)
        assert_at_one(bank, name, three)

    def test_the_command_refuses_with_the_reason(
        self, registry: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        champion, other = empty_versions(registry, "income", 2)
        promote(registry, "income", champion, None)
        monkeypatch.setattr(sys, "argv", ["deletion", "--model", "income", "--version", champion])
        assert deletion.main() == 1
        assert "is its champion" in capsys.readouterr().err
        monkeypatch.setattr(sys, "argv", ["deletion", "--model", "income", "--version", other])
        assert deletion.main() == 0
