"""Old encodings are told apart by what Russian looks like, and without clear evidence a file stays what banks write: cp1251."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.cyrillic import OldEncoding, high_runs, old_encoding
from features.fingerprint import fingerprint
from features.lake import Lake
from features.tables import CLIENTS
from training.table import open_table

WORDS = """
клиент счёт сумма остаток дата договор кредит вклад карта платёж перевод валюта тенге рубль доход расход зарплата пенсия стипендия
город область район улица дом квартира телефон адрес возраст пол мужской женский семья дети образование высшее среднее студент
слесарь врач хирург учитель водитель бухгалтер программист инженер директор менеджер продавец охранник юрист пенсионер повар
Алматы Астана Шымкент Караганда Актау Павлодар Костанай Москва Казань Новосибирск Екатеринбург Самара Омск Челябинск Уфа Пермь
Иванов Петрова Сидоров Кузнецова Ахметов Нурланова Смагулов Ким Цой Шевченко Щукин Юсупов Яковлева Эрнст Жумабаев Фёдоров Ёлкин
продукты питания кафе рестораны такси одежда обувь путешествия отели медицина спорт развлечения кино питомцы книги цветы подарки
ремонт мебель массаж украшения косметика парфюмерия автомобиль бензин аптека школа университет больница магазин рынок банк офис
да нет неизвестно просрочка задолженность погашение страхование ипотека рассрочка премиальный стандартный зарплатный обычный
январь февраль март апрель май июнь июль август сентябрь октябрь ноябрь декабрь понедельник вторник среда четверг пятница суббота
общество ограниченной ответственностью индивидуальный предприниматель акционерное товарищество филиал отделение подразделение
""".split()  # noqa: SIM905
FORMS = [str, str.upper, str.capitalize]
SPOKEN = st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(FORMS)), min_size=1, max_size=60).map(
    lambda said: [form(word) for word, form in said]
)


def judged(words: list[str], encoding: str) -> OldEncoding:
    return old_encoding(high_runs(";".join(words).encode(encoding)))


@settings(max_examples=300)
@given(SPOKEN)
def test_words_in_the_usual_encoding_are_never_taken_for_another(words: list[str]) -> None:
    assert judged(words, "cp1251") == "cp1251"


@settings(max_examples=300)
@given(st.text(st.characters(codec="cp1251", exclude_characters="\x98"), max_size=200))
def test_signs_at_random_stay_in_the_usual_encoding(text: str) -> None:
    assert old_encoding(high_runs(text.encode("cp1251"))) == "cp1251"


@settings(max_examples=300)
@given(st.lists(st.sampled_from(WORDS), min_size=24, max_size=80, unique=True), st.sampled_from(FORMS))
@pytest.mark.parametrize("encoding", ["koi8-r", "cp866"])
def test_two_dozen_words_in_another_old_encoding_are_enough(encoding: str, words: list[str], form: object) -> None:
    assert judged([form(word) for word in words], encoding) == encoding  # type: ignore[operator]


@pytest.mark.parametrize("encoding", ["cp1251", "koi8-r", "cp866"])
def test_a_file_in_an_old_encoding_is_read_alike_wherever_it_is_read(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "clients.csv"
    rows = [f"{n};{WORDS[n].capitalize()};Стандартный клиент;{20 + n};{WORDS[60 + n].upper()};{n},5" for n in range(40)]
    text = "\n".join(["client_code;name;status;age;city;avg_monthly_balance_KZT", *rows]) + "\n"
    path.write_bytes(text.encode(encoding))
    assert fingerprint(path).encoding == encoding
    with open_table(path) as table:
        read = table.frame()
    lake = Lake(str(tmp_path / "lake"))
    assert lake.ingest(CLIENTS, path).dialect.startswith(f"{encoding}, ';' separated")
    landed = lake.read("clients").to_pandas()
    expected = [word.upper() for word in WORDS[60:100]]
    assert read["city"].tolist() == sorted(landed["city"], key=expected.index) == expected
