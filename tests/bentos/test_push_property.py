"""Whatever the client: a push text keeps every rule, or there is none."""

from datetime import date

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bentos.catalogue import Products, load_catalogue
from bentos.push import writing as push_module
from bentos.push.checks import PushText, broken_rules
from bentos.push.facts import observed
from bentos.push.grammar import amount_text, given_name, rounded
from bentos.push.texts import Push
from bentos.push.writing import Observation, push_text
from bentos.tariffs import Facts
from features.categories import CATEGORIES
from features.code_lists import PRODUCTS
from settings import PROJECT

TEXTS = load_catalogue(Push, PROJECT / "catalogues")
TARIFFS = {product.name: product.tariff for product in load_catalogue(Products, PROJECT / "catalogues").product}
ODD_NAMES = [
    None, "", " ", "Я", "А" * 200, "АЙГЕРИМ", "айгерим", "<script>alert(1)</script>", "=HYPERLINK(1)", "+7", "@name", "-Анна",
    "😀", "Анна 😀", "李明", "محمد", "Δημήτρης", "{benefit}", "%s", "Срочно", "Ты", "Тебе", "Январь", "Вы", "Откройте", "Тенге",
    "Карта", "Анна!", "Анна.", "Анна\n", "\u202eанна", "Анна\u0301", "Александра-Мария-Виктория", "О'Нил", "null", "Нет ₸ 5",
]  # fmt: skip
names = st.one_of(st.sampled_from(ODD_NAMES), st.text(max_size=40), st.sampled_from(["Айгерим", "Нұрлан", "Ли", "Анна-Мария"]))
money = st.one_of(st.floats(0, 1e12), st.sampled_from([0.0, 0.4, 1.0, 999.5, 1000.0, 27_400.0, 999_999.5]))
months = st.dates(date(2000, 1, 1), date(2099, 12, 31))
observations = st.builds(
    Observation,
    amount=st.none() | money,
    month=st.none() | months,
    month_amount=st.none() | money,
    share=st.none() | st.floats(0, 10) | st.just(float("inf")),
    categories=st.lists(st.sampled_from(list(CATEGORIES)), max_size=3, unique=True).map(tuple),
    rate=st.none() | st.floats(0.001, 1),
)


def written(
    client_code: str, name: str | None, product: str, benefit: float, seen: Observation
) -> tuple[str | None, list[PushText]]:
    """The text, and every attempt that was checked on the way."""
    checked: list[PushText] = []

    def noting(push: PushText) -> list[str]:
        checked.append(push)
        return broken_rules(push)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(push_module, "broken_rules", noting)
        return push_text(TEXTS, client_code, name, product, benefit, seen), checked


@settings(max_examples=600, deadline=None)
@given(st.text(max_size=20), names, st.sampled_from(PRODUCTS), money, observations)
@example("1", "Айгерим", "Мультивалютный счет", 27_400.0, Observation(amount=27_400.0))
def test_every_text_for_any_client_keeps_every_rule(
    code: str, name: str | None, product: str, benefit: float, seen: Observation
) -> None:
    text, checked = written(code, name, product, benefit, seen)
    if text is not None:
        assert checked[-1].text == text
        assert broken_rules(checked[-1]) == []
        assert checked[-1].benefit == amount_text(rounded(benefit))
        assert checked[-1].name in (None, given_name(name))
        assert 90 <= len(text) <= 220
        assert text == push_text(TEXTS, code, name, product, benefit, seen)


amounts = st.floats(1_000, 3e7)


@settings(max_examples=400, deadline=None)
@given(
    st.text(max_size=20),
    names,
    st.sampled_from(PRODUCTS),
    st.dictionaries(st.sampled_from(list(CATEGORIES)), amounts, min_size=3),
    st.tuples(*[amounts] * 6),
    st.none() | st.tuples(st.integers(1, 12), st.floats(0, 3e7)),
)
def test_every_client_who_gains_enough_gets_a_text(
    code: str,
    name: str | None,
    product: str,
    spent: dict[str, float],
    figures: tuple[float, ...],
    month: tuple[int, float] | None,
) -> None:
    balance, income, payments, outflow, exchanged, transferred = figures
    facts = Facts(spent, balance, income, min(payments, income / 2), outflow, exchanged, transferred)
    row = month and {f"month_spend_{slug}": month[1] for slug in CATEGORIES.values()} | {
        "month": f"2026-{month[0]:02}", "month_fx": month[1], "month_p2p": month[1],
    }  # fmt: skip
    benefit = TARIFFS[product].benefit(facts)
    if benefit.tenge >= TEXTS.least_benefit:
        assert push_text(TEXTS, code, name, product, benefit.tenge, observed(TARIFFS[product], benefit, facts, row or None))


@pytest.mark.parametrize(
    "name", ["Айгерим", "Әлия", "Анна-Мария", "Данияр", "Марта", "Мая", "Августа", "Анна-Марта", "Рубен", "Рубина"]
)
@pytest.mark.parametrize("product", PRODUCTS)
def test_a_proper_name_begins_the_text(name: str, product: str) -> None:
    seen = Observation(120_000, date(2026, 3, 1), 40_000, rate=0.1)
    text = push_text(TEXTS, "7", name, product, 50_000, seen)
    assert text is not None
    assert text.startswith(f"{name}, ")


def test_a_name_in_capitals_is_written_as_names_are() -> None:
    text = push_text(TEXTS, "7", "АЙГЕРИМ", "Мультивалютный счет", 50_000, Observation(amount=120_000))
    assert text is not None
    assert text.startswith("Айгерим, ")


@pytest.mark.parametrize("name", ["Срочно", "Ты", "Январь", "Откройте", "Тенге", "<b>Анна</b>", "=1+1", "А" * 200])
def test_a_name_that_breaks_a_rule_is_left_out(name: str) -> None:
    text = push_text(TEXTS, "7", name, "Мультивалютный счет", 50_000, Observation(amount=120_000))
    assert text is not None
    assert not text.startswith(name)
    assert text[0].isupper()


def test_neighbours_get_different_sentences_and_a_client_always_the_same() -> None:
    seen = Observation(120_000, date(2026, 5, 1), 40_000, None, ("Такси",), 0.04)
    texts = {code: push_text(TEXTS, code, "Айгерим", "Карта для путешествий", 20_000, seen) for code in map(str, range(30))}
    assert len(set(texts.values())) >= 3
    assert texts == {
        code: push_text(TEXTS, code, "Айгерим", "Карта для путешествий", 20_000, seen) for code in reversed(list(texts))
    }


def test_health_is_never_named() -> None:
    seen = Observation(120_000, date(2026, 5, 1), 40_000, None, ("Медицина", "Такси", "Кино"), None)
    for code in range(50):
        text = push_text(TEXTS, str(code), "Айгерим", "Карта с кэшбэком на топ-3 категории", 20_000, seen)
        assert text is not None
        assert "медиц" not in text.lower()
        assert "такси" not in text  # nor are the others named, as if the amount were theirs


def test_there_is_no_text_without_a_fact() -> None:
    assert push_text(TEXTS, "1", "Айгерим", "Депозит Сберегательный", 50_000, Observation()) is None


def test_an_observation_survives_its_storage() -> None:
    seen = Observation(1.5, date(2026, 5, 1), 2.5, 0.25, ("Такси", "Кино"), 0.04)
    assert Observation.from_json(seen.json()) == seen
    assert Observation.from_json(Observation().json()) == Observation()
