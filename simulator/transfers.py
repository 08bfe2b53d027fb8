"""Transfers: wages and help coming in; bills, debts, savings and exchange going out."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from features.code_lists import TRANSFERS_IN, TRANSFERS_OUT
from simulator.categories import EVERYDAY, SLUGS, WORK
from simulator.incomes import Incomes
from simulator.offers import Offers
from simulator.people import BUSINESS, EMPLOYED, IDLE, PENSIONER, STUDENT, People
from simulator.purchases import TENGE, Purchases
from simulator.sampling import DAY, Floats, Ints, noise, spread
from simulator.seasons import PAYDAYS, Calendar, Timing
from simulator.world import World

TYPES = (*TRANSFERS_IN, *TRANSFERS_OUT, "fx_buy", "fx_sell")


@dataclass(frozen=True)
class Transfers:
    """One element per transfer, oldest first; `kind` is an index of TYPES, `incoming` 1 for direction "in"."""

    client: Ints
    kind: Ints
    moment: Ints
    incoming: Ints
    currency: Ints
    amount: Floats


@dataclass(frozen=True)
class Flow:
    """Transfers of one type: expected number a month and median amount, both (clients, months) or broadcast to it.

    `day` fixes the day of the month (per client); without it the day follows pay day and weekday. A `regular` flow comes
    exactly once in a month where its rate is 1.
    """

    kind: str
    rate: Floats
    amount: Floats
    sigma: float
    day: Ints | None = None
    regular: bool = False


def make_transfers(
    rng: Generator, world: World, calendar: Calendar, timing: Timing, people: People, incomes: Incomes,
    purchases: Purchases, offers: Offers,
) -> Transfers:  # fmt: skip
    """Every transfer of the chunk."""
    flows = [*_earnings(rng, world, people, incomes), *_everyday(people, incomes), *_debts(rng, people)]
    flows += [*_savings(calendar, people, offers), *_returns(calendar, people, purchases, offers)]
    parts = [_events(rng, calendar, timing, people, flow) for flow in flows]
    client, kind, moment, amount = (np.concatenate(column) for column in zip(*parts, strict=True))
    inside = (moment >= calendar.epoch) & (moment < calendar.end)
    order = np.argsort(moment, kind="stable")
    order = order[inside[order]]
    exchange = kind >= TYPES.index("fx_buy")
    foreign = exchange | np.isin(kind, [TYPES.index(name) for name in ("deposit_fx_topup_out", "deposit_fx_withdraw_in")])
    currency = np.where(foreign, rng.choice(3, len(kind), p=(0.6, 0.25, 0.15)) + 1, 0)
    incoming = np.where(exchange, kind == TYPES.index("fx_buy"), kind < len(TRANSFERS_IN)).astype(np.int64)
    amount = np.maximum(np.round(amount / TENGE[currency], 2), 1.0)
    return Transfers(client[order], kind[order], moment[order], incoming[order], currency[order], amount[order])


def _events(rng: Generator, calendar: Calendar, timing: Timing, people: People, flow: Flow) -> tuple[Ints, Ints, Ints, Floats]:
    shape = (len(people), len(calendar.months))
    rate = np.broadcast_to(flow.rate, shape)
    counts = (rng.random(shape) < rate).astype(np.int64) if flow.regular else rng.poisson(rate * calendar.shares)
    client, month = spread(counts)
    amount = np.broadcast_to(flow.amount, shape)[client, month] * noise(rng, flow.sigma, len(client))
    profile = np.full(len(client), WORK if flow.regular else EVERYDAY)
    if flow.day is None:
        moment = timing.in_month(rng, month, people.payday[client], profile)
    else:
        moment = timing.at_day(rng, _working_day(calendar, calendar.day_of(month, flow.day[client])), profile)
    return client, np.full(len(client), TYPES.index(flow.kind)), moment, amount


def _working_day(calendar: Calendar, day: Ints) -> Ints:
    """A payment due on a weekend is made on the Friday before."""
    weekday = (day + calendar.epoch // DAY + 3) % 7
    return day - np.maximum(weekday - 4, 0)


def _earnings(rng: Generator, world: World, people: People, incomes: Incomes) -> list[Flow]:
    count = len(people)
    advance = world.employers.advance[people.employer] & (people.occupation == EMPLOYED)
    payday = np.array(PAYDAYS)[people.payday]
    here = (people.paid_here & (people.occupation != STUDENT))[:, None] * 0.985
    part = np.where(advance, 0.4, 0.0)[:, None]
    elsewhere = (~people.paid_here & np.isin(people.occupation, (EMPLOYED, BUSINESS)))[:, None]
    brought = np.clip(0.3 + 0.1 * rng.standard_normal((count, 1)), 0.08, 0.7)
    student = (people.occupation == STUDENT)[:, None]
    supported = student * 1.3 + (people.occupation == IDLE)[:, None] * 1.2 + (people.occupation == PENSIONER)[:, None] * 0.15
    return [
        Flow("salary_in", here, incomes.regular * (1 - part), 0.01, payday, regular=True),
        Flow("salary_in", here * (part > 0), incomes.regular * part, 0.01, (payday + 14) % 28 + 1, regular=True),
        Flow("stipend_in", student * 0.7, np.full((1, 1), 47_000.0), 0.05, np.full(count, 27), regular=True),
        Flow("family_in", supported + 0.04, incomes.total * 0.3, 0.4),
        Flow("card_in", elsewhere * 1.3 + 0.1, incomes.total * brought, 0.35),
        Flow("card_in", (incomes.side > 0) * 0.9, np.maximum(incomes.side, 1_000) * 0.8, 0.2),
    ]


def _everyday(people: People, incomes: Incomes) -> list[Flow]:
    income = incomes.total
    share = people.card_share[:, None]
    utilities = 14_000.0 + 6_500.0 * people.household[:, None]
    return [
        Flow("p2p_out", 0.85 * np.exp(0.7 * people.generous)[:, None] * share**0.5, 0.035 * income, 0.75),
        Flow("card_out", 0.3 * np.exp(0.3 * people.generous)[:, None], 0.09 * income, 0.7),
        Flow("atm_withdrawal", 0.6 * np.exp(0.45 * people.cash)[:, None] * share**0.5, 0.07 * income, 0.6),
        Flow(
            "utilities_out", np.full((1, 1), 0.62), utilities * (income / 290_000) ** 0.15, 0.2, _own_day(people, 7), regular=True
        ),
        Flow("fx_buy", 0.16 * np.exp(0.9 * people.exchanger)[:, None], 0.18 * income, 0.6),
        Flow("fx_sell", 0.08 * np.exp(0.9 * people.exchanger)[:, None], 0.15 * income, 0.6),
    ]


def _debts(rng: Generator, people: People) -> list[Flow]:
    count = len(people)
    indebted = people.indebted[:, None] * 1.0
    installment = people.base_income[:, None] * np.clip(0.18 + 0.08 * rng.standard_normal((count, 1)), 0.04, 0.5)
    spender = np.exp(-0.4 * people.thrift)[:, None] * (people.age > 20)[:, None]
    return [
        Flow("loan_payment_out", indebted * 0.97, installment, 0.01, _own_day(people, 13), regular=True),
        Flow("cc_repayment_out", 0.2 * spender * (1 + indebted), 0.14 * people.base_income[:, None], 0.5),
        Flow("installment_payment_out", 0.22 * spender, 0.06 * people.base_income[:, None], 0.4),
    ]


def _savings(calendar: Calendar, people: People, offers: Offers) -> list[Flow]:
    count = len(people)
    thrifty = np.exp(0.8 * people.thrift)[:, None]
    income = people.base_income[:, None]
    rich = np.clip(np.log(people.balance / 500_000), 0, 3)[:, None]
    deposit = offers.held("Депозит Сберегательный", calendar, count)
    account = offers.held("Мультивалютный счет", calendar, count)
    exchanger = np.exp(0.8 * people.exchanger)[:, None]
    return [
        Flow("deposit_topup_out", 0.16 * thrifty * (1 + 3 * deposit), 0.2 * income, 0.6),
        Flow("deposit_withdraw_in", 0.09 * thrifty, 0.3 * income, 0.6),
        Flow("deposit_fx_topup_out", 0.03 * exchanger * (1 + 3 * account), 0.3 * income, 0.6),
        Flow("deposit_fx_withdraw_in", 0.02 * exchanger, 0.3 * income, 0.6),
        Flow("invest_out", 0.07 * rich, 0.25 * income, 0.7),
        Flow("invest_in", 0.04 * rich, 0.25 * income, 0.7),
        Flow("gold_buy_out", 0.012 * (1 + rich), 0.35 * income, 0.5),
        Flow("gold_sell_in", 0.006 * (1 + rich), 0.35 * income, 0.5),
    ]


def _returns(calendar: Calendar, people: People, purchases: Purchases, offers: Offers) -> list[Flow]:
    shape = (len(people), len(calendar.months))
    month = calendar.month_at(purchases.moment)
    spent = _per_month(purchases.client, month, purchases.tenge, shape)
    clothing = purchases.category == SLUGS.index("clothing")
    worn = _per_month(purchases.client[clothing], month[clothing], purchases.tenge[clothing], shape)
    cashback = offers.held("Карта с кэшбэком на все", calendar, len(people))
    cashback += offers.held("Карта с кэшбэком на топ-3 категории", calendar, len(people))
    month_before = np.maximum(spent[:, [0, *range(shape[1] - 1)]], 5_000)
    return [
        Flow("cashback_in", 0.08 + 0.87 * np.minimum(cashback, 1), month_before * 0.012, 0.3, _own_day(people, 0), True),
        Flow("refund_in", 0.1 * (worn > 0), np.maximum(worn, 2_000) * 0.6, 0.3),
    ]


def _per_month(client: Ints, month: Ints, amount: Floats, shape: tuple[int, int]) -> Floats:
    return np.bincount(client * shape[1] + month, amount, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)


def _own_day(people: People, offset: int) -> Ints:
    """A day of the month that is always the same for a client."""
    return (people.numbers * 7 + offset) % 26 + 2
