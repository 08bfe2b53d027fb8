"""What a declined applicant could ask for instead: really approved, really lent, and nothing smaller would do."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
from starlette.testclient import TestClient

from bentos.catalogue import load_catalogue
from bentos.prescoring.alternatives import alternatives
from bentos.prescoring.banks import Banks
from bentos.prescoring.form_features import FormFeatures
from bentos.prescoring.service import prescoring_app
from bentos.serving.application import guarded
from bentos.serving.backend import Backend
from features.sets import FEATURE_SETS
from features.tables import BANKS, FORM
from registry import models
from registry.encoding import encode, learn_columns
from registry.golden import write_golden
from registry.outputs import Member, Output
from registry.scorer import REFERENCE, Scorer, write_manifest
from settings import Settings

AT = datetime(2026, 1, 1)  # noqa: DTZ001 - forms carry naive UTC
NAMES = [column.name for column in FEATURE_SETS["prescoring"].columns]
EMPTY: dict[str, Any] = {column.name: None for column in FORM}
APPLICANT = {"monthprofit": 300_000.0, "monthexpense": 100_000.0, "loan_amount": 900_000.0, "loan_term": 6.0}


def forms(count: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(6)
    return [
        EMPTY
        | {
            "monthprofit": float(rng.uniform(1e5, 6e5)),
            "monthexpense": float(rng.uniform(2e4, 2e5)),
            "loan_amount": float(rng.uniform(2e4, 1.5e6)),
            "loan_term": float(rng.integers(3, 37)),
        }
        for _ in range(count)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Banks that approve when the instalment is a small enough share of the income, the later banks being the stricter."""
    folder = tmp_path_factory.mktemp("banks")
    frame = FormFeatures().frame(forms(1500), AT)[NAMES]
    columns = learn_columns(frame, NAMES)
    matrix, outputs = encode(frame, columns), []
    for place, bank in enumerate(BANKS):
        labels = (frame["instalment_to_profit"] < 0.5 - 0.08 * place).to_numpy(dtype=float)
        options = {"objective": "binary", "verbose": -1, "num_threads": 1, "num_leaves": 15, "seed": 1}
        lightgbm.train(options, lightgbm.Dataset(matrix, labels), 40).save_model(folder / f"{bank}.txt")
        outputs.append(Output(bank, "logit", (Member("lightgbm", f"{bank}.txt", 1.0),)))
    frame.head(20).to_parquet(folder / REFERENCE)
    write_golden(folder, columns, tuple(outputs))
    write_manifest(folder, columns, tuple(outputs), {bank: {"approve": 0.6} for bank in BANKS}, {"use_case": "prescoring"})
    return folder


@pytest.fixture(scope="module")
def client(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    config = Settings(var=tmp_path_factory.mktemp("served"))
    with models.training_run("prescoring", "test", config) as run_id:
        version = models.log(folder, run_id, "prescoring", config)
    models.client(config).set_registered_model_alias("prescoring", models.CHAMPION, version)
    backend = Backend("prescoring", config)
    backend.champion.look()
    backend.start()
    yield TestClient(guarded(prescoring_app(backend), config), base_url="http://127.0.0.1")
    backend.stop()


def test_asking_for_what_is_proposed_is_approved_and_offered(client: TestClient) -> None:
    body = client.post("/prescore", json=APPLICANT).json()
    declined = [bank for bank in BANKS if body[bank]["decision"] == "decline"]
    assert declined
    assert all(body[bank]["counterfactual"] is None for bank in BANKS if bank not in declined)
    for bank in declined:
        change = body[bank]["counterfactual"]
        assert set(change) == {"field", "from", "to", "probability", "also"}
        assert change["from"] == APPLICANT[change["field"]] != change["to"]
        changes = [change, *filter(None, [change["also"]])]
        after = client.post("/prescore", json=APPLICANT | {one["field"]: one["to"] for one in changes}).json()
        assert after[bank]["decision"] == "approve"
        assert after[bank]["probability"] == pytest.approx(change["probability"], abs=1e-9)
        assert bank in {offer["bank"] for offer in after["offers"]}


def test_no_smaller_change_of_either_field_is_approved(folder: Path) -> None:
    scorer, features, banks = Scorer.load(folder), FormFeatures(), catalogue()
    form = EMPTY | APPLICANT
    proposed = alternatives(scorer, dict.fromkeys(BANKS, 0.6), banks, form, features, AT)
    for code, found in proposed.items():
        assert found is not None
        assert found.also is None
        terms = [t for t in range(1, 61) if banks.bank[code].lends(900_000, t) and abs(t - 6) / 12 < size(found)]
        amounts = [a for a in range(50_000, 900_000, 9_000) if banks.bank[code].lends(a, 6) and on_grid(a, found)]
        nearer = [form | {"loan_term": float(t)} for t in terms if t != 6] + [form | {"loan_amount": float(a)} for a in amounts]
        if nearer:
            assert scorer.predict(features.frame(nearer, AT))[code].max() < 0.6


def size(found: Any) -> float:
    unit = 12 if found.field == "loan_term" else found.from_
    return abs(found.to - found.from_) / unit


def on_grid(amount: float, found: Any) -> bool:
    """Whether an amount is among the proposals below 900,000 tenge and nearer than the one found."""
    share = abs(amount - 900_000) / 900_000
    return any(abs(share - step) < 1e-9 for step in (0.02, 0.05, 0.08, 0.1, 0.12, 0.15, 0.2)) and share < size(found)


def catalogue() -> Banks:
    return load_catalogue(Banks, Settings().catalogues)


def test_limits_of_the_bank_are_kept_even_when_the_form_is_beyond_them(folder: Path) -> None:
    banks = catalogue()
    form = EMPTY | {"monthprofit": 300_000.0, "monthexpense": 0.0, "loan_amount": 1_400_000.0, "loan_term": 60.0}
    found = alternatives(Scorer.load(folder), {"bank_a": 0.6}, banks, form, FormFeatures(), AT)["bank_a"]
    assert found is not None
    assert found.to <= 24 if found.field == "loan_term" else found.also is not None


def test_a_bank_that_approves_but_lends_no_such_loan_says_which_it_would_lend(client: TestClient) -> None:
    asked = {"monthprofit": 600_000.0, "monthexpense": 0.0, "loan_amount": 1_600_000.0, "loan_term": 36.0}
    body = client.post("/prescore", json=asked).json()
    assert {body[bank]["decision"] for bank in ("bank_a", "bank_c")} == {"approve"}
    assert body["bank_c"]["counterfactual"] is None
    assert "bank_a" not in {offer["bank"] for offer in body["offers"]}
    change = body["bank_a"]["counterfactual"]
    sole = client.post("/prescore", json=asked | {"loan_term": 24.0}).json()["bank_a"]["counterfactual"]
    assert (sole["field"], sole["to"], sole["also"]) == ("loan_amount", 1_500_000.0, None)
    changes = [change, *filter(None, [change["also"]])]
    after = client.post("/prescore", json=asked | {one["field"]: one["to"] for one in changes}).json()
    assert "bank_a" in {offer["bank"] for offer in after["offers"]}


@pytest.mark.parametrize("given", [{}, {"loan_amount": 0.0, "loan_term": 0.0}])
def test_a_form_without_amount_and_term_has_nothing_to_change(folder: Path, given: dict[str, float]) -> None:
    form = EMPTY | {"monthprofit": 300_000.0} | given
    found = alternatives(Scorer.load(folder), dict.fromkeys(BANKS, 0.6), catalogue(), form, FormFeatures(), AT)
    assert found == dict.fromkeys(BANKS)


def test_a_bank_that_is_not_in_the_catalogue_has_no_alternative(folder: Path) -> None:
    banks = catalogue()
    fewer = banks.model_copy(update={"bank": {"bank_b": banks.bank["bank_b"]}})
    found = alternatives(Scorer.load(folder), {"bank_a": 0.6, "bank_b": 0.6}, fewer, EMPTY | APPLICANT, FormFeatures(), AT)
    assert found["bank_a"] is None
    assert found["bank_b"] is not None


def test_variants_of_a_form_have_the_features_of_each_in_order() -> None:
    form = EMPTY | {"monthprofit": 200.0, "loan_amount": 900.0, "gender": 1, "education": "a"}
    several = [form | {"loan_term": term} for term in (9.0, 3.0, None, 6.0)]
    features = FormFeatures()
    together, alone = features.frame(several, AT), pd.DataFrame([features(one, AT) for one in several])
    same = together[NAMES].astype("object").where(together[NAMES].notna(), None)
    pd.testing.assert_frame_equal(same, alone[NAMES].astype("object").where(alone[NAMES].notna(), None))
    assert together["instalment"].to_list()[:2] == [100.0, 300.0]
