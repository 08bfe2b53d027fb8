"""P7 under attack: many at once for the last unit, death at any line, and arithmetic that others check."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import dp_accounting
import pytest
from dp_accounting.rdp import RdpAccountant
from sqlalchemy import func, select

from consent_api import budget, consents, privacy, releases
from consent_api.budget import BudgetExhausted, Caps
from consent_api.consents import Grant
from consent_api.periods import Period
from consent_api.releases import Order, Subject
from consent_api.reports import Plan
from consent_api.store import Store
from consent_api.tables import CHARGES, PUBLISHED, RELEASES
from settings import Settings
from tests.fork_server import ForkServer
from tests.privacy.conftest import ACTOR
from tests.privacy.contenders import KIND, NOW, REFUSED, TENTH, month
from tests.privacy.crowds import COMPANY, PURPOSE

CLIENTS = ["c0", "c1", "c2"]
KILLS = {name: int(os.environ.get("OPORA_RELEASE_KILLS", usual)) for name, usual in (("sqlite", "30"), ("postgresql", "10"))}
CONTENDERS = 50


@pytest.fixture
def consenting(store: Store) -> Store:
    with store.writing() as connection:
        consents.grant(connection, [Grant(client, COMPANY, KIND, PURPOSE) for client in CLIENTS], ACTOR, NOW)
    return store


@pytest.fixture(scope="module")
def contenders() -> Iterator[ForkServer]:
    """What starts the contenders: a process that has imported everything they need."""
    with ForkServer("tests.privacy.warm_contenders") as server:
        yield server


@pytest.fixture
def processes(store: Store, tmp_path: Path, contenders: ForkServer) -> Callable[[str, int], list[int]]:
    """Run contenders in processes of their own on the same database; gives their exit statuses."""

    def run(how: str, count: int) -> list[int]:
        url = "" if store.engine.dialect.name == "sqlite" else store.engine.url.render_as_string(hide_password=False)
        environment = {"OPORA_VAR": str(tmp_path), "OPORA_DATABASE_URL": url}
        code = f"from tests.privacy.contenders import try_out; try_out({how!r}, {count})"
        told, errors = contenders.python(code, environment=environment).communicate()
        assert told, errors
        return json.loads(told)

    return run


def ledger(store: Store) -> tuple[dict[str, int], dict[str, set[str]], set[str]]:
    """By month: what the partner paid, which clients paid, and which months are published."""
    with store.reading() as connection:
        paid = dict(
            connection.execute(select(RELEASES.c.period, func.sum(RELEASES.c.rho_nano)).group_by(RELEASES.c.period)).all()
        )
        charged: dict[str, set[str]] = {}
        for period, client in connection.execute(select(RELEASES.c.period, CHARGES.c.client_code).join(RELEASES)):
            charged.setdefault(period, set()).add(client)
        published = set(connection.scalars(select(RELEASES.c.period).join(PUBLISHED)))
    return paid, charged, published


def test_p07_wherever_a_release_is_killed_no_more_is_published_than_was_paid(consenting, processes) -> None:
    kills = KILLS[consenting.engine.dialect.name]
    assert processes("killed", kills) == [-9] * kills
    paid, charged, published = ledger(consenting)
    everything = {str(month(number)) for number in range(kills + 2)}
    assert {str(month(0)), str(month(kills))} <= published < set(paid) < everything  # before, between and after both commits
    assert all(charged[period] == set(CLIENTS) for period in paid)
    assert processes("finished", kills) == [0]
    finished = {str(month(number)) for number in range(TENTH, kills + 1, TENTH)}
    paid_after, charged_after, published_after = ledger(consenting)
    assert finished <= published_after
    assert paid_after == paid | dict.fromkeys(finished, paid[str(month(0))])
    assert charged_after == {period: set(CLIENTS) for period in paid_after}


def test_p07_fifty_processes_for_the_last_unit_succeed_once(consenting, processes) -> None:
    assert sorted(processes("race", CONTENDERS)) == [0] + [REFUSED] * (CONTENDERS - 1)
    paid, charged, _ = ledger(consenting)
    assert (len(paid), len(charged)) == (1, 1)


def test_p07_fifty_threads_for_the_last_unit_succeed_once(consenting) -> None:
    rho, outcomes = Settings().release_rho, []

    def contend(number: int) -> None:
        order = Order(Subject(COMPANY, KIND, month(number)), PURPOSE, rho)
        try:
            outcomes.extend(releases.begin(consenting, [order], Caps(1e6, rho), ACTOR, lambda: NOW))
        except BudgetExhausted:
            outcomes.append("refused")

    threads = [threading.Thread(target=contend, args=(number,)) for number in range(CONTENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == CONTENDERS
    assert outcomes.count("refused") == CONTENDERS - 1


def test_p07_a_year_of_reports_exhausts_a_client_across_partners_and_the_next_year_begins_anew(store, plans) -> None:
    """Two partners together get twelve months of a client, whatever they order, and however often consent is given again."""
    companies = (COMPANY, "jolda-travel")
    orders = [Order(Subject(COMPANY, kind, Period(2025, 1)), PURPOSE, plan.rho) for kind, plan in plans.items()]
    caps, counted = Caps.of(Settings()), {2026: 0, 2027: 0}
    for number in range(48):
        year, company = 2026 + number // 24, companies[number % 2]
        at = datetime(year, 11, 21, 12, number % 24, tzinfo=UTC)
        with store.writing() as connection:
            consents.grant(connection, [Grant("1", company, kind, PURPOSE) for kind in plans], ACTOR, at)
        subjects = [replace(each.subject, company=company, period=Period(year - 2, number // 2 % 12 + 1)) for each in orders]
        wanted = [replace(order, subject=subject) for order, subject in zip(orders, subjects, strict=True)]
        for begun in releases.begin(store, wanted, caps, ACTOR, lambda at=at: at):
            counted[year] += len(begun.counted)
        with store.writing() as connection:
            consents.revoke(connection, "1", company, ACTOR, at)
    assert counted == {2026: 12 * len(plans), 2027: 12 * len(plans)}
    with store.reading() as connection:
        assert [budget.client_spent(connection, "1", year) for year in counted] == [1_500_000_000] * 2


def test_p07_the_arithmetic_equals_that_of_dp_accounting(plans: dict[str, Plan]) -> None:
    """Every noised vector of a month as an event, composed by an accountant that is not ours."""
    stated, spent, events = Settings().release_rho, 0.0, []
    for plan in plans.values():
        for segment in plan.segment_shares:
            for measure in plan.template.measures:
                drawn = privacy.noised([0], measure.sensitivity_squared, plan.rho_of(segment, measure))
                events.append(dp_accounting.GaussianDpEvent(drawn.standard_deviation / measure.sensitivity_squared**0.5))
                spent += drawn.rho
    assert 0.999 * stated < spent <= stated
    for months in (1, 12):
        year = dp_accounting.SelfComposedDpEvent(dp_accounting.ComposedDpEvent(events), months)
        composed, claimed = (
            RdpAccountant().compose(each).get_epsilon(privacy.DELTA) for each in (year, dp_accounting.ZCDpEvent(months * stated))
        )
        exact = dp_accounting.get_epsilon_gaussian((2 * months * stated) ** -0.5, privacy.DELTA)
        assert composed == pytest.approx(claimed, rel=1e-6)
        assert exact <= composed <= privacy.epsilon(months * stated) < 1.3 * exact


def test_p07_the_ledger_charges_what_the_mechanisms_spend(plans: dict[str, Plan]) -> None:
    assert sum(budget.cost(plan.rho) for plan in plans.values()) == budget.cost(Settings().release_rho) == 125_000_000
    for plan in plans.values():
        parts = [plan.rho_of(segment, measure) for segment in plan.segment_shares for measure in plan.template.measures]
        assert sum(parts) == pytest.approx(plan.rho, rel=1e-12)
