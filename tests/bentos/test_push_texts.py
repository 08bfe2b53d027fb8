"""catalogues/push.toml: a text that would break a rule is refused when it is read, with the place named."""

from pathlib import Path

import pytest

from bentos.catalogue import CatalogueError, load_catalogue
from bentos.push.texts import Push
from features.code_lists import PRODUCTS
from settings import PROJECT

FOLDER = PROJECT / "catalogues"


def test_every_product_has_several_variants() -> None:
    texts = load_catalogue(Push, FOLDER)
    assert {entry.product for entry in texts.texts} == set(PRODUCTS)
    assert all(len(texts.of(product)) >= 3 for product in PRODUCTS)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("Узнайте условия в приложении", "Узнай условия в приложении", "one call to action"),
        ("Узнайте условия в приложении", "Срочно узнайте условия", "does not press"),
        ("около {benefit} за год", "{benefit}", "benefit once"),
        ("ваши покупки составили {month_amount}", "ваши покупки составили", "one observed fact"),
        ("ваши покупки составили {month_amount}", "ваши покупки составили {month_amount} и {amount}", "one observed fact"),
        ("{in_month} ваши покупки", "в мае ваши покупки", "beside"),
        ("{month_amount}", "{months_amount}", "placeholders"),
        ("ваши покупки", "ваши покупки {", "placeholders"),
        ('product = "Ипотека"', 'product = "Ипотек"', "each of these products"),
        ('"Такси" = ', '"Таксы" = ', "unknown categories Таксы"),
        ("least_benefit = 1_000", "least_benefit = -1", "least_benefit"),
        ("Премиальная карта с таких трат", "ПРЕМИАЛЬНАЯ карта с таких трат", "capitals"),
        ("на игры и фильмы {amount}", "на {subjects} {amount}", "last variant"),
        ("Узнайте условия в приложении", "Узнайте " + "очень подробные " * 12 + "условия", "at most 250|90 to 220"),
    ],
)
def test_a_mistake_in_a_text_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = (FOLDER / "push.toml").read_text(encoding="utf-8")
    text = text[text.index("least_benefit") :]  # the remarks at the top speak of the same words
    assert old in text
    (tmp_path / "push.toml").write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(CatalogueError, match=said) as caught:
        load_catalogue(Push, tmp_path)
    assert "push.toml" in str(caught.value)
