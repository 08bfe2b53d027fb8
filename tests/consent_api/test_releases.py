"""Promises of releases: made once, paid before, frozen, suppressed on noised counts, empty for a partner without consents."""

import json
import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select

from consent_api import audit, budget, consents, releases
from consent_api.audit import Actor
from consent_api.budget import BudgetExhausted, Caps
from consent_api.consents import Grant
from consent_api.contributions import Exact
from consent_api.periods import Period
from consent_api.releases import PeriodNotOver, Subject
from consent_api.reports import Made, compose, make_release
from consent_api.tables import CHARGES, RELEASES
from features.tables import CATEGORIES

ACTOR = Actor("flow:aggregate", "flow")
KIND = ("dala-market", "category_spending", "market_statistics")
OCTOBER = Subject("dala-market", "category_spending", Period(2026, 10))
NOVEMBER = replace(OCTOBER, period=Period(2026, 11))
CROWD = [f"c{number}" for number in range(400)]
NAMES = list(CATEGORIES)
PATH = "/aggregated-data/dala-market/category_spending"


@pytest.fixture
def make(store, clock, plan, caps, purchases):
    """`make(subject)` runs the whole computation over a crowd that spends in the same eight categories each month."""
    rows = [(client, f"2026-{month}-05", name, 20_000.0) for client in CROWD for month in (10, 11) for name in NAMES[:8]]

    def made(subject: Subject = OCTOBER, with_caps: Caps = caps) -> Made:
        return make_release(store, subject, plan, with_caps, purchases(rows), ACTOR, clock)

    return made


def give(store, clients, company="dala-market", at=datetime(2026, 11, 20, tzinfo=UTC)) -> None:
    with store.writing() as connection:
        consents.grant(connection, [Grant(client, company, *KIND[1:]) for client in clients], ACTOR, at)


def withdraw(store, client, at) -> None:
    with store.writing() as connection:
        consents.revoke(connection, client, "dala-market", ACTOR, at)


def charged(store, subject=OCTOBER) -> list[str]:
    with store.reading() as connection:
        found = select(CHARGES.c.client_code).join(RELEASES).where(RELEASES.c.period == str(subject.period))
        return sorted(connection.scalars(found.where(RELEASES.c.company == subject.company)))


def count(store, table) -> int:
    with store.reading() as connection:
        return connection.scalar(select(func.count()).select_from(table))


def test_a_partner_gets_what_the_contract_says(bank, make) -> None:
    give(bank.store, CROWD)
    assert make().new
    answer = bank.caller("partner", "dala-market")("GET", "/aggregated-data/dala-market").json()
    assert (answer["company"], answer["total_datasets"]) == ("dala-market", 1)
    (release,) = answer["data"]
    assert set(release) == {"company", "data_type", "metrics", "sample_size", "generated_at", "privacy"}
    metrics, privacy = release["metrics"], release["privacy"]
    assert metrics["total"] == sum(metrics["spending_by_category"].values())
    assert metrics["number_of_categories"] == len(metrics["spending_by_category"]) >= 8
    assert metrics["spending_by_category"][metrics["top_category"]] == max(metrics["spending_by_category"].values())
    assert abs(release["sample_size"] - 400) < 6 * privacy["standard_deviation"]["sample_size"]
    for name in NAMES[:8]:
        assert abs(metrics["spending_by_category"][name] - 8_000_000) < 6 * privacy["standard_deviation"]["spending_by_category"]
    assert {"unit", "neighbours", "rho", "epsilon", "delta", "bounds", "period", "mechanism", "standard_deviation"} <= set(
        privacy
    )
    assert privacy["rho"] == pytest.approx(0.125)
    assert privacy["rho"] == pytest.approx(sum(privacy["rho_split"].values()))
    assert not any(client in json.dumps(answer) for client in CROWD[100:])


def test_p02_a_release_is_frozen_in_its_period(bank, make) -> None:
    give(bank.store, CROWD)
    make()
    call = bank.caller("partner", "dala-market")
    before = call("GET", PATH, params={"period": "2026-10"})
    for client in CROWD[:50]:
        withdraw(bank.store, client, bank.clock())
    again = make()
    after = call("GET", PATH, params={"period": "2026-10"})
    assert not again.new
    assert (before.content, before.headers["ETag"]) == (after.content, after.headers["ETag"])
    assert again.document in after.content
    assert before.json()["total_datasets"] == 1
    unchanged = call("GET", PATH, headers={"If-None-Match": before.headers["ETag"]})
    assert (unchanged.status_code, unchanged.content) == (304, b"")


def test_p08_asking_again_gives_the_stored_answer_and_costs_nothing(store, make) -> None:
    give(store, CROWD)
    documents = {make().document for _ in range(5)}
    assert len(documents) == 1
    assert (count(store, RELEASES), count(store, CHARGES)) == (1, 400)


def test_p03_the_next_period_excludes_who_withdrew(store, clock, make) -> None:
    give(store, CROWD)
    make()
    withdraw(store, "c7", clock())
    clock.moment = datetime(2026, 12, 2, tzinfo=UTC)
    make(NOVEMBER)
    assert set(charged(store)) - set(charged(store, NOVEMBER)) == {"c7"}


def test_a_partner_whose_consents_have_all_ended_gets_nothing_from_that_moment(bank, make) -> None:
    give(bank.store, CROWD)
    make()
    call = bank.caller("partner", "dala-market")
    with bank.store.writing() as connection:
        for client in CROWD[1:]:
            consents.revoke(connection, client, "dala-market", ACTOR, bank.clock())
    assert call("GET", PATH).json()["total_datasets"] == 1
    withdraw(bank.store, CROWD[0], bank.clock())
    assert call("GET", PATH).json()["data"] == []


def test_p09_suppressed_empty_and_ended_look_the_same(bank, make) -> None:
    call = bank.caller("partner", "dala-market")
    assert "has been made" in call("GET", PATH).json()["message"]
    give(bank.store, CROWD[:3])
    assert make().document is None
    suppressed = call("GET", PATH)
    for client in CROWD[:3]:
        withdraw(bank.store, client, bank.clock())
    ended = call("GET", PATH)
    assert suppressed.json()["data"] == []
    assert suppressed.json()["message"].startswith("too few")
    assert suppressed.content == ended.content


@pytest.mark.parametrize("clients", [49, 50, 51])
def test_p09_cells_near_fifty_clients_stay_hidden_behind_the_noise_margin(plan, clock, clients: int) -> None:
    """With 4 standard deviations of margin a cell of 51 is as good as never shown; presence tells nothing about one client."""
    exact = Exact([clients * 100_000] * 24, [clients] * 24, clients * 3)
    shown = [compose(OCTOBER, plan, exact, clock()) for _ in range(20)]
    cells = sum(json.loads(document)["metrics"]["number_of_categories"] for document in shown if document)
    assert cells <= 2  # 480 cells at 4 standard deviations: 0.02 expected


def test_p09_the_threshold_is_on_the_noised_count(plan, clock) -> None:
    """A cell exactly at the threshold is shown about half of the time."""
    at_threshold = json.loads(compose(OCTOBER, plan, Exact([0] * 24, [10**6] * 24, 10**6), clock()))
    threshold = round(at_threshold["privacy"]["suppressed_below_clients"])
    assert threshold == round(50 + 4 * at_threshold["privacy"]["standard_deviation"]["sample_size"])
    exact = Exact([0] * 24, [threshold] * 24, 1000)
    shown = [json.loads(compose(OCTOBER, plan, exact, clock()) or b'{"metrics":{"number_of_categories":0}}') for _ in range(40)]
    share = sum(each["metrics"]["number_of_categories"] for each in shown) / (24 * 40)
    assert 0.4 < share < 0.6


def test_p09_with_too_few_clients_in_all_no_cell_is_shown(plan, clock) -> None:
    assert compose(OCTOBER, plan, Exact([0] * 24, [1000] * 24, 10), clock()) is None


def test_no_sum_is_negative_and_a_suppressed_category_is_not_there(plan, clock) -> None:
    exact = Exact([0] * 24, [1000] * 8 + [0] * 16, 1000)
    for _ in range(20):
        metrics = json.loads(compose(OCTOBER, plan, exact, clock()))["metrics"]
        assert set(metrics["spending_by_category"]) == set(NAMES[:8])
        assert all(value >= 0 for value in metrics["spending_by_category"].values())


def test_a_month_is_released_after_it_has_ended(store, clock, make) -> None:
    give(store, CROWD)
    with pytest.raises(PeriodNotOver, match="2026-12-01"):
        make(NOVEMBER)
    assert count(store, RELEASES) == 0
    clock.moment = datetime(2026, 12, 1, tzinfo=UTC)
    assert make(NOVEMBER).new


def test_p07_a_release_that_died_after_the_charge_goes_on_without_charging_again(store, clock, plan, caps, make) -> None:
    give(store, CROWD[:399])
    begun = releases.begin(store, OCTOBER, KIND[2], plan.rho, caps, ACTOR, clock)
    withdraw(store, "c7", clock())
    give(store, CROWD[399:], at=clock())
    resumed = releases.begin(store, OCTOBER, KIND[2], plan.rho, caps, ACTOR, clock)
    assert resumed.release_id == begun.release_id
    assert set(begun.counted) - set(resumed.counted) == {"c7"}
    assert "c399" not in resumed.counted
    assert make().new
    assert charged(store) == sorted(CROWD[:399])


def test_p34_of_two_processes_that_make_a_release_one_publishes_and_both_have_the_same_bytes(store, make) -> None:
    give(store, CROWD)
    made: list[Made] = []
    threads = [threading.Thread(target=lambda: made.append(make())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 4
    assert len({each.document for each in made}) == 1
    assert [each.new for each in made].count(True) == 1
    assert count(store, CHARGES) == 400


def test_p07_fifty_at_once_for_the_last_unit_of_a_partner_succeed_once(store, clock, plan) -> None:
    give(store, CROWD[:5])
    subjects = [replace(OCTOBER, period=Period(2020 + number // 12, number % 12 + 1)) for number in range(50)]
    outcomes = in_parallel(
        lambda subject: releases.begin(store, subject, KIND[2], plan.rho, Caps(1.5, 0.125), ACTOR, clock), subjects
    )
    assert outcomes.count("BudgetExhausted") == 49
    assert outcomes.count("Begun") == 1
    with store.reading() as connection:
        assert budget.partner_spent(connection, "dala-market", 2026) == 125_000_000


def test_p07_fifty_at_once_for_the_last_unit_of_a_client_count_it_once(store, clock, plan) -> None:
    companies = [f"company-{number}" for number in range(50)]
    for company in companies:
        give(store, ["1"], company)
    subjects = [replace(OCTOBER, company=company) for company in companies]
    in_parallel(lambda subject: releases.begin(store, subject, KIND[2], plan.rho, Caps(0.125, 1.5), ACTOR, clock), subjects)
    assert (count(store, RELEASES), count(store, CHARGES)) == (50, 1)
    with store.reading() as connection:
        assert budget.client_spent(connection, "1", 2026) == 125_000_000


def in_parallel(act, arguments) -> list[str]:
    outcomes: list[str] = []

    def run(argument) -> None:
        try:
            outcomes.append(type(act(argument)).__name__)
        except Exception as error:  # noqa: BLE001 - the names are what is asserted on
            outcomes.append(type(error).__name__)

    threads = [threading.Thread(target=run, args=(argument,)) for argument in arguments]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_p07_a_client_at_the_cap_is_left_out_until_the_next_year(store, clock, plan) -> None:
    give(store, ["1"], at=datetime(2026, 11, 20, tzinfo=UTC))
    caps = Caps(0.25, 9.0)
    counted = []
    for month in (7, 8, 9):
        subject = replace(OCTOBER, period=Period(2026, month))
        counted.append(releases.begin(store, subject, KIND[2], plan.rho, caps, ACTOR, clock).counted)
    clock.moment = datetime(2027, 1, 2, tzinfo=UTC)
    counted.append(releases.begin(store, OCTOBER, KIND[2], plan.rho, caps, ACTOR, clock).counted)
    assert counted == [["1"], ["1"], [], ["1"]]


def test_p07_withdrawing_and_giving_again_resets_nothing(store, clock, plan) -> None:
    give(store, ["1"])
    caps = Caps(0.125, 9.0)
    assert releases.begin(store, OCTOBER, KIND[2], plan.rho, caps, ACTOR, clock).counted == ["1"]
    withdraw(store, "1", clock())
    give(store, ["1"], at=clock())
    assert releases.begin(store, replace(OCTOBER, period=Period(2026, 9)), KIND[2], plan.rho, caps, ACTOR, clock).counted == []


def test_a_refused_report_charges_nobody(store, clock, plan, make) -> None:
    give(store, CROWD)
    with pytest.raises(BudgetExhausted, match="OPORA_YEARLY_PARTNER_RHO"):
        make(OCTOBER, Caps(1.5, 0.1))
    assert (count(store, RELEASES), count(store, CHARGES)) == (0, 0)


@pytest.mark.parametrize(("rho", "nano"), [(0.125, 125_000_000), (0.1, 100_000_000), (1e-10, 1), (1 / 3, 333_333_334)])
def test_p07_costs_are_rounded_up(rho: float, nano: int) -> None:
    assert budget.cost(rho) == nano


def test_p02_a_consent_for_another_purpose_is_not_counted(store, clock, plan, caps) -> None:
    with store.writing() as connection:
        consents.grant(connection, [Grant("1", KIND[0], KIND[1], "offer_design")], ACTOR, clock())
    assert releases.begin(store, OCTOBER, KIND[2], plan.rho, caps, ACTOR, clock).counted == []


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [
        ("/aggregated-data/nobody", 400, "company"),
        ("/aggregated-data/dala-market/nothing", 400, "data_type"),
        (PATH + "?period=2026-13", 422, "period"),
        (PATH + "?segment=city", 422, "segment"),
        (PATH + "?period=2026-10&client_id=1", 422, "client_id"),
    ],
)
def test_p17_there_are_templates_and_no_free_filters(bank, path: str, status: int, field: str) -> None:
    answer = bank.caller("staff", "aigerim")("GET", path)
    assert (answer.status_code, answer.json()["error"]["field"]) == (status, field)


def test_a_data_type_without_reports_says_so(bank) -> None:
    answer = bank.caller("partner", "dala-market")("GET", "/aggregated-data/dala-market/average_bill")
    assert answer.json() == {
        "company": "dala-market",
        "total_datasets": 0,
        "data": [],
        "message": "no report of average_bill has been made yet",
    }


def test_p11_every_release_and_read_is_in_the_audit_log(bank, make) -> None:
    give(bank.store, CROWD)
    make()
    bank.caller("partner", "dala-market")("GET", PATH)
    with bank.store.reading() as connection:
        actions = list(connection.scalars(select(audit.AUDIT.c.action).order_by(audit.AUDIT.c.sequence)))
        assert audit.verify(connection).first_bad is None
    assert actions[400:] == ["release.charged", "release.published", "key.issued", "aggregate.read"]
