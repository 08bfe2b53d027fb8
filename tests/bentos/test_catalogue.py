"""The catalogues that ship are right, and what business people may mistype is refused with the place named."""

import shutil
from pathlib import Path

import pytest

from bentos.catalogue import CatalogueError, Eligibility, Products, Segments, load_catalogue
from bentos.prescoring.banks import Bank, Banks
from bentos.prescoring.offers import offers
from bentos.tariffs import Facts, instalment
from features.code_lists import PRODUCTS
from features.tables import BANKS
from settings import PROJECT

FOLDER = PROJECT / "catalogues"
BORDERS = (250_000.0, 500_000.0, 1_000_000.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDER, tmp_path / "catalogues"))


def test_every_product_and_bank_of_the_data_is_in_the_catalogues() -> None:
    assert {product.name for product in load_catalogue(Products, FOLDER).product} == set(PRODUCTS)
    assert set(BANKS) <= set(load_catalogue(Banks, FOLDER).bank)


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("products.toml", 'kind = "spread"', 'kind = "sprad"', "tariff"),
        ("products.toml", "rate_yearly = 0.165", "rate_yearly = 16.5", "rate_yearly"),
        ("products.toml", "rate_yearly = 0.165", "rate_yearly = nan", "rate_yearly"),
        ("products.toml", '"Отели"', '"Отель"', "unknown categories Отель"),
        ("products.toml", "least_age = 18", "least_agee = 18", "least_agee"),
        ("products.toml", 'name = "Ипотека"', 'name = "Ипотекa"', "each of these products"),
        ("products.toml", "до {fact}", "до {facts}", "placeholders"),
        ("products.toml", "largest_payment_share = 0.5", "largest_payment_share = 0.6", "half of income"),
        ("products.toml", "largest_payment_share = 0.5", "", "half of income"),
        ("products.toml", "monthly_cap = 50_000", "", "monthly_cap"),
        ("products.toml", "term = 36", "term = 6", "term"),
        ("products.toml", "count = 3", "count = 30", "count"),
        ("products.toml", "from_balance = 6_000_000", "from_balance = 500_000", "rise"),
        ("products.toml", "[[product]]", "[[product]", "not valid TOML"),
        ("banks.toml", "fee = 0.02", "fee = -0.02", "bank.bank_c.fee"),
        ("banks.toml", "[reference]", "[refference]", "reference"),
        ("segments.toml", 'code = "high"', 'code = "rich"', "in this order"),
    ],
)
def test_a_mistake_in_a_catalogue_is_named(folder: Path, file: str, old: str, new: str, said: str) -> None:
    path = folder / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    kind = {"products.toml": Products, "banks.toml": Banks, "segments.toml": Segments}[file]
    with pytest.raises(CatalogueError, match=said) as caught:
        load_catalogue(kind, folder)
    assert file in str(caught.value)


def test_a_missing_catalogue_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="OPORA_CATALOGUES"):
        load_catalogue(Banks, tmp_path)


@pytest.mark.parametrize(
    ("income", "code"),
    [(0, "low"), (249_999.99, "low"), (250_000, "middle"), (999_999, "high"), (1e6, "premium"), (1e9, "premium")],
)
def test_a_segment_begins_at_its_border(income: float, code: str) -> None:
    assert load_catalogue(Segments, FOLDER).of(income, BORDERS).code == code


def facts(**changes: float) -> Facts:
    return Facts({}, **({"balance": 0, "income": 100, "payments": 0, "outflow": 0, "exchanged": 0, "transferred": 0} | changes))


def test_eligibility_limits_age_status_balance_income_and_payments() -> None:
    rule = Eligibility(
        least_age=21, largest_age=65, least_balance=10, least_income=50, largest_payment_share=0.5, statuses=("Студент",)
    )
    good = facts(balance=10, income=50, payments=25)
    assert rule.admits(21, "Студент", good)
    assert not rule.admits(20, "Студент", good)
    assert not rule.admits(66, "Студент", good)
    assert not rule.admits(21, "Премиальный клиент", good)
    assert not rule.admits(21, "Студент", facts(balance=9, income=50))
    assert not rule.admits(21, "Студент", facts(balance=10, income=49))
    assert not rule.admits(21, "Студент", facts(balance=10, income=50, payments=26))


def test_payments_without_income_are_no_reason_against_a_card_but_against_a_loan() -> None:
    broke = facts(income=0, payments=10)
    assert Eligibility().admits(30, "Студент", broke)
    assert not Eligibility(largest_payment_share=0.5).admits(30, "Студент", broke)


def test_offers_are_ordered_by_probability_times_saving() -> None:
    banks = load_catalogue(Banks, FOLDER)
    found = offers(banks, {"bank_a": 0.5, "bank_b": 0.9, "bank_e": 0.99, "bank_new": 1.0}, 300_000, 12)
    reference = instalment(300_000, 0.46, 12) * 12
    by_hand = {
        "bank_a": 0.5 * (reference - 12 * instalment(300_000, 0.24, 12)),
        "bank_b": 0.9 * (reference - 12 * instalment(300_000, 0.28, 12)),
        "bank_e": 0.99 * (reference - 12 * instalment(300_000, 0.38, 12) - 3_000),
    }
    assert {offer.bank: offer.expected_value for offer in found} == {
        bank: pytest.approx(value, abs=0.01) for bank, value in by_hand.items()
    }
    assert [offer.bank for offer in found] == sorted(by_hand, key=by_hand.__getitem__, reverse=True)


def test_a_loan_outside_a_banks_limits_is_not_offered() -> None:
    bank = Bank(name="x", rate_yearly=0.1, fee=0, least_amount=100, largest_amount=200, shortest_term=3, longest_term=6)
    assert bank.lends(100, 3)
    assert bank.lends(200, 6)
    assert not bank.lends(99, 3)
    assert not bank.lends(201, 3)
    assert not bank.lends(150, 2)
    assert not bank.lends(150, 7)


def test_a_form_without_amount_and_term_gets_offers_for_the_reference_loan() -> None:
    found = offers(load_catalogue(Banks, FOLDER), {"bank_a": 0.8}, None, 0)
    assert (found[0].amount, found[0].term) == (300_000, 12)
