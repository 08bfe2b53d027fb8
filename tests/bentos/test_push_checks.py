"""Every rule of push texts: a text that breaks it is refused for that, and without the rule it would pass."""

from dataclasses import replace

import pytest

from bentos.push import checks as push_checks
from bentos.push.checks import RULES, PushText, broken_rules

GOOD = PushText(
    "Айгерим, в декабре на такси и отели у вас ушло 86 431 ₸. Карта для путешествий возвращает 4 % таких трат — "
    "это около 27 400 ₸ за год. Оформите её в приложении.",
    "Айгерим",
    "86 431 ₸",
    "27 400 ₸",
)


def changed(old: str, new: str) -> PushText:
    assert old in GOOD.text
    return replace(GOOD, text=GOOD.text.replace(old, new, 1))


BAD: list[tuple[str, PushText]] = [
    ("has 90 to 220", PushText("Анна, у вас ушло 5 ₸. Это около 27 400 ₸ за год. Оформите карту.", "Анна", "5 ₸", "27 400 ₸")),
    ("has 90 to 220", changed("в декабре", "в декабре " + "очень много раз и с большим удовольствием " * 3 + "за покупки")),
    ("exclamation", replace(changed("86 431 ₸.", "86 431 ₸!"), text=changed("86 431 ₸.", "86 431 ₸!").text[:-1] + "!")),
    ("capitals", changed("Карта", "КАРТА")),
    ("capitals", changed("такси и отели", "АЗС и отели")),
    ("capitals", changed("Карта", "VIP карта")),
    ("press", changed("Карта", "Срочно: карта")),
    ("press", changed("Оформите", "Не упустите и оформите")),
    ("press", changed("в приложении", "в приложении только сегодня")),
    ("press", changed("возвращает", "гарантированно возвращает")),
    ("formally", changed("у вас ушло", "у тебя ушло")),
    ("formally", changed("у вас ушло", "ушло")),
    ("formally", changed("у вас", "у Вас")),
    ("formally", changed("таких трат", "таких трат, которые ты делаешь, а вы видите")),
    ("one call", changed("Оформите её", "Она ждёт")),
    ("one call", changed("Оформите", "Откройте приложение и оформите")),
    ("one call", changed("Оформите", "Звоните, нажимайте, оформите")),
    ("client's name", changed("Айгерим, в", "В")),
    ("client's name", changed("Айгерим", "Марат")),
    ("client's name", changed("Карта", "Айгерим, карта")),
    ("client's name", changed("Айгерим, в декабре", "В декабре, Айгерим,")),
    ("one observed fact", replace(changed("у вас ушло 86 431 ₸", "у вас ушло 20 % трат"), fact="30 %")),
    ("one observed fact", replace(GOOD, fact="такси и отели")),
    ("one observed fact", replace(changed("у вас ушло 86 431 ₸", "вы тратите больше всего"), fact="такси и от")),
    ("one observed fact", changed("86 431 ₸", "96 431 ₸")),
    ("one observed fact", changed("отели у вас ушло 86 431 ₸", "отели у вас ушло 86 431 ₸ и ещё 500 ₸")),
    ("benefit once", changed("около 27 400 ₸ за год", "около 27 500 ₸ за год")),
    ("benefit once", changed("около 27 400 ₸ за год", "ровно 27 400 ₸ за год")),
    ("benefit once", changed(" за год", "")),
    ("amounts as", changed("86 431 ₸", "86431 ₸")),
    ("amounts as", changed("4 %", "4.5 %")),
    ("amounts as", changed("4 %", "4%")),
    ("amounts as", changed("86 431 ₸", "86 431 ₸ (166 $)")),
    ("amounts as", changed("86 431 ₸", "86 431 ₸ или 5 тенге")),
    ("amounts as", changed("таких трат", "трат в рублях")),
    ("amounts as", changed("86 431 ₸", "086 431 ₸")),
    ("amounts as", changed("86 431 ₸", "1286 431 ₸")),
    ("amounts as", changed("86 431 ₸", "−86 431 ₸")),
    ("right case", changed("в декабре", "в декабрь")),
    ("right case", changed("в декабре", "за декабре")),
    ("right case", changed("в декабре", "в Декабре")),
    ("right case", changed("в декабре", "декабрь")),
    ("right case", replace(changed("Айгерим", "Январь"), name="Январь")),
    ("right case", replace(changed("Айгерим, в декабре", "Марта, в декабрь"), name="Марта")),
    ("tidy", changed("такси и", "такси  и")),
    ("tidy", changed("Оформите", "оформите")),
    ("tidy", changed("в приложении.", "в приложении")),
    ("tidy", changed("такси", "<b>такси</b>")),
    ("tidy", changed("такси", "{subjects}")),
    ("tidy", changed("такси", "такси 🚕")),
    ("tidy", changed("такси", "такси ,")),
    ("tidy", changed("такси", "такси\n")),
    ("tidy", changed("такси", "такси\u00a0")),
]


def test_a_good_text_breaks_no_rule() -> None:
    assert broken_rules(GOOD) == []
    assert broken_rules(replace(GOOD, text=GOOD.text.replace("Айгерим, в", "В"), name=None)) == []


@pytest.mark.parametrize(("rule", "push"), BAD, ids=[f"{rule}-{number}" for number, (rule, _) in enumerate(BAD)])
def test_a_text_that_breaks_a_rule_is_refused_for_it(rule: str, push: PushText) -> None:
    assert any(rule in broken for broken in broken_rules(push))


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_is_needed(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the rule a bad text of this list would pass unnoticed: no rule hides behind another."""
    monkeypatch.setattr(push_checks, "RULES", {name: check for name, check in RULES.items() if name != rule})
    assert any(not broken_rules(push) for _, push in BAD)


@pytest.mark.parametrize("amount", ["1 ₸", "12 ₸", "999 ₸", "1 000 ₸", "12 345 678 ₸"])
def test_every_proper_amount_passes(amount: str) -> None:
    assert broken_rules(replace(changed("86 431 ₸", amount), fact=amount)) == []


def test_a_fact_that_equals_the_benefit_is_no_repetition() -> None:
    assert broken_rules(replace(changed("86 431 ₸", "27 400 ₸"), fact="27 400 ₸")) == []


def test_a_fact_may_be_a_share_or_a_list() -> None:
    for new, fact in (("у вас ушло 20 % трат", "20 %"), ("вы тратите больше всего", "такси и отели")):
        assert broken_rules(replace(changed("у вас ушло 86 431 ₸", new), fact=fact)) == []


@pytest.mark.parametrize("phrase", ["за январь", "с мая", "к августу", "до марта", "в июле", "с октября по декабрь"])
def test_months_may_stand_in_every_right_case(phrase: str) -> None:
    assert broken_rules(changed("в декабре", phrase)) == []
