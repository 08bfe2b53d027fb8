"""From what happened to what the bank exports: one table of texts per raw table, columns as features.tables has them."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.random import Generator

from features.categories import CATEGORIES
from features.code_lists import PRODUCTS, STATUSES
from features.tables import BANKS
from simulator import vocabulary as words
from simulator.applications import Applications
from simulator.fraud import Labels
from simulator.incomes import Verified
from simulator.offers import Offers
from simulator.payments import Payments
from simulator.people import STUDENT, People, codes
from simulator.purchases import CURRENCIES, Purchases
from simulator.sampling import DAY, Flags, Floats, Ints, chance
from simulator.seasons import Calendar
from simulator.sessions import PHONES, SYSTEMS, Sessions
from simulator.transfers import TYPES, Transfers

MILLION = 1_000_000


def clients(rng: Generator, people: People) -> pa.Table:
    """The clients table; a few names, cities and balances are unknown."""
    size = len(people)
    number = rng.integers(0, len(words.WOMEN), size)
    names = np.where(people.woman, np.array(words.WOMEN)[number], np.array(words.MEN)[number])
    premium = (people.balance > 2.5 * MILLION) | (people.base_income > 0.9 * MILLION)
    status = np.where(people.paid_here, 1, 3)
    status = np.where(premium & chance(rng, 0.85, size), 2, np.where(people.occupation == STUDENT, 0, status))
    return pa.table(
        {
            "client_code": _numbers(codes(people.numbers)),
            "name": _hidden(pa.array(names, pa.string()), chance(rng, 0.01, size)),
            "status": _words(STATUSES, status),
            "age": _numbers(people.age.astype(np.int64)),
            "city": _hidden(_words(tuple(words.CITIES), people.city), chance(rng, 0.02, size)),
            "avg_monthly_balance_KZT": _hidden(_numbers(people.balance), chance(rng, 0.03, size)),
        }
    )


def transactions(people: People, purchases: Purchases) -> pa.Table:
    """The card purchases."""
    return pa.table(
        {
            "date": _moments(purchases.moment),
            "category": _words(tuple(CATEGORIES), purchases.category),
            "amount": _numbers(purchases.amount),
            "currency": _words(CURRENCIES, purchases.currency),
            "client_code": _clients(people, purchases.client),
        }
    )


def transfers(people: People, moved: Transfers) -> pa.Table:
    """The transfers."""
    return pa.table(
        {
            "date": _moments(moved.moment),
            "type": _words(TYPES, moved.kind),
            "direction": _words(("out", "in"), moved.incoming),
            "amount": _numbers(moved.amount),
            "currency": _words(CURRENCIES, moved.currency),
            "client_code": _clients(people, moved.client),
        }
    )


def sessions(people: People, logins: Sessions) -> pa.Table:
    """The mobile logins."""
    return pa.table(
        {
            "client_code": _clients(people, logins.client),
            "started_at": _moments(logins.moment),
            "os_version": _words(SYSTEMS, logins.system),
            "phone_model": _words(PHONES, logins.phone),
        }
    )


def payment_ids(chunk: int, rows: Ints) -> pa.Array:
    """Identifiers of the payments of a chunk by row, unique in the bank."""
    return _prefixed("T", 10**12 + chunk * 10**8 + rows)


def application_ids(chunk: int, size: int) -> pa.Array:
    """Identifiers of the applications of a chunk, unique in the bank."""
    return _prefixed("A", 10**10 + chunk * 10**6 + np.arange(size))


def payments(chunk: int, people: People, made: Payments) -> pa.Table:
    """The payments; account numbers are scrambled, so that they tell nothing of the kind of payee."""
    scrambled = (made.destination * 0x9E3779B1) & (2**44 - 1)
    return pa.table(
        {
            "transaction_id": payment_ids(chunk, np.arange(len(made))),
            "client_code": _clients(people, made.client),
            "ts": _moments(made.moment),
            "amount": _numbers(np.maximum(np.round(made.amount, 2), 50.0)),
            "destination_id": _prefixed("KZ", 10**13 * 2 + scrambled),
        }
    )


def fraud_labels(chunk: int, labels: Labels) -> pa.Table:
    """The verdicts on payments."""
    return pa.table(
        {
            "transaction_id": payment_ids(chunk, labels.payment),
            "is_fraud": _numbers(labels.is_fraud),
            "reported_at": _moments(labels.reported),
        }
    )


def applications(chunk: int, forms: Applications) -> pa.Table:
    """The application forms and the banks' answers."""
    texts = {
        "application_id": application_ids(chunk, len(forms.created)),
        "created_at": _moments(forms.created),
        "birthdate": _moments(forms.birth),
        "education": _words(words.EDUCATION, forms.education),
        "employment_status": _words(words.EMPLOYMENT, forms.occupation),
        "value": _words(words.EXPERIENCE, forms.experience),
        "jobstartdate": _moments(forms.job_start),
        "position": _words(words.POSITIONS, forms.position),
        "monthprofit": _numbers(forms.profit),
        "monthexpense": _numbers(forms.expense),
        "gender": _numbers(forms.woman.astype(np.int64)),
        "family_status": _words(words.FAMILY, forms.family),
        "childcount": _numbers(forms.children),
        "snils": _numbers(forms.snils),
        "merch_code": _prefixed("M", 100 + forms.shop),
        "loan_amount": _numbers(forms.amount),
        "loan_term": _numbers(forms.term),
        "goods_category": _words(words.GOODS, forms.goods),
    }
    texts |= {field: _hidden(texts[field], empty) for field, empty in forms.empty.items()}
    answers = {bank: _words(("0", "1"), forms.decision[:, number]) for number, bank in enumerate(BANKS)}
    return pa.table(texts | answers)


def verified_incomes(calendar: Calendar, people: People, verified: Verified) -> pa.Table:
    """The confirmed incomes, by the first day of the month."""
    firsts = np.array([(month - calendar.start).days for month in calendar.months]) * DAY + calendar.epoch
    return pa.table(
        {
            "client_code": _clients(people, verified.client),
            "month": _moments(firsts[verified.month]),
            "income": _numbers(verified.income),
            "w": _numbers(verified.weight),
        }
    )


def product_uptake(people: People, offers: Offers) -> pa.Table:
    """The product offers and their answers."""
    return pa.table(
        {
            "client_code": _clients(people, offers.client),
            "product": _words(PRODUCTS, offers.product),
            "offered_at": _moments(offers.moment),
            "accepted": _numbers(offers.accepted),
        }
    )


def _clients(people: People, index: Ints) -> pa.Array:
    return _words(_numbers(codes(people.numbers)), index)


def _words(values: Sequence[str] | pa.Array, index: Ints) -> pa.Array:
    """The words by index; -1 stands for none."""
    chosen = pa.array(index, mask=index < 0)
    return pa.array(values, pa.string()).take(chosen)


def _numbers(values: Ints | Floats) -> pa.Array:
    return pa.array(values).cast(pa.string())


def _moments(seconds: Ints) -> pa.Array:
    return pa.array(seconds).cast(pa.timestamp("s")).cast(pa.string())


def _prefixed(prefix: str, numbers: Ints) -> pa.Array:
    return pc.binary_join_element_wise(prefix, _numbers(numbers), "")


def _hidden(values: pa.Array, where: Flags) -> pa.Array:
    return pc.if_else(pa.array(where), pa.scalar(None, pa.string()), values)
