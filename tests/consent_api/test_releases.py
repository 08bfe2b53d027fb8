"""Promises of releases: made once, paid before, frozen, suppressed on noised counts, empty for a partner without consents."""

import json
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import func, select

from consent_api import audit, budget, consents, releases
from consent_api.audit import Actor
from consent_api.budget import BudgetExhausted, Caps
from consent_api.catalogue import EVERYBODY, load_catalogue
from consent_api.consents import Grant
from consent_api.periods import Period
from consent_api.releases import Order, PeriodNotOver, Subject
from consent_api.reports import Made, compose, make_report, making
from consent_api.reports.exact import Exact
from consent_api.tables import CHARGES, PUBLISHED, RELEASES
from features.categories import CATEGORIES
from tests.consent_api.conftest import CATALOGUES
from tests.privacy.crowds import bank_of, several

ACTOR = Actor("flow:aggregate", "flow")
COMPANY, KIND, PURPOSE = "dala-market", "category_spending", "market_statistics"
OCTOBER = Subject(COMPANY, KIND, Period(2026, 10))
NOVEMBER = replace(OCTOBER, period=Period(2026, 11))
CROWD = [f"c{number}" for number in range(1200)]
NAMES = list(CATEGORIES)
BOUGHT = [(name, 20_000.0) for name in NAMES[:8]]
PATH = f"/aggregated-data/{COMPANY}"
RHO = 0.125
PLENTY = Caps(1.5, 1.5)
KINDS = ["category_spending", "average_bill", "spending_dynamics", "income_segments"]


@pytest.fixture(scope="session")
def source():
    """A crowd of two ages and two cities that spends the same in October and November."""
    half = len(CROWD) // 2
    young, old = (
        several("c", len(CROWD), age=age, city=city, purchases=BOUGHT) for age, city in ((30, "Алматы"), (60, "Астана"))
    )
    return bank_of([*young[:half], *old[half:]], [OCTOBER.period, NOVEMBER.period])


@pytest.fixture(scope="session")
def sums() -> dict[tuple, dict[str, Exact]]:
    """The exact sums of `source` that some test has had computed, by month and cohorts."""
    return {}


@pytest.fixture
def make(store, clock, plans, caps, source, sums, monkeypatch: pytest.MonkeyPatch):
    """`make(period)` runs the whole computation; sums over the same cohorts in the same month are computed once for all tests."""
    exact = making._exact

    def remembered(begun, chosen, rows, period):
        key = (period, *((each.subject.data_type, *each.counted) for each in begun))
        if key not in sums:
            sums[key] = exact(begun, chosen, rows, period)
        return sums[key]

    monkeypatch.setattr(making, "_exact", remembered)

    def made(period: Period = OCTOBER.period, with_caps: Caps = caps, kinds=KINDS) -> dict[str, Made]:
        chosen = {kind: plans[kind] for kind in kinds}
        found = make_report(store, COMPANY, period, chosen, with_caps, source, ACTOR, clock)
        return {each.subject.data_type: each for each in found}

    return made


def give(store, clients, company=COMPANY, at=datetime(2026, 11, 20, tzinfo=UTC), kinds=KINDS, until=None) -> None:
    grants = [Grant(client, company, kind, PURPOSE, until) for client in clients for kind in kinds]
    with store.writing() as connection:
        consents.grant(connection, grants, ACTOR, at)


def withdraw(store, client, at, kinds=None) -> None:
    with store.writing() as connection:
        consents.revoke(connection, client, COMPANY, ACTOR, at, kinds)


def begin(store, clock, subject: Subject = OCTOBER, caps: Caps = PLENTY, rho: float = RHO):
    (begun,) = releases.begin(store, [Order(subject, PURPOSE, rho)], caps, ACTOR, clock)
    return begun


def charged(store, subject=OCTOBER) -> list[str]:
    with store.reading() as connection:
        found = select(CHARGES.c.client_code).join(RELEASES).where(RELEASES.c.period == str(subject.period))
        found = found.where(RELEASES.c.company == subject.company, RELEASES.c.data_type == subject.data_type)
        return sorted(connection.scalars(found))


def count(store, table) -> int:
    with store.reading() as connection:
        return connection.scalar(select(func.count()).select_from(table))


def test_a_partner_gets_every_data_type_as_the_contract_says(bank, make) -> None:
    give(bank.store, CROWD)
    assert all(made.new for made in make().values())
    answer = bank.caller("partner", COMPANY)("GET", PATH).json()
    assert (answer["company"], answer["total_datasets"]) == (COMPANY, 4)
    for release in answer["data"]:
        assert set(release) == {"company", "data_type", "metrics", "sample_size", "generated_at", "privacy"}
        assert {"unit", "neighbours", "rho", "epsilon", "delta", "bounds", "period", "mechanism"} <= set(release["privacy"])
        stated = release["privacy"]["standard_deviation"]
        assert abs(release["sample_size"] - len(CROWD)) < 6 * stated["sample_size"]
    assert sum(release["privacy"]["rho"] for release in answer["data"]) == pytest.approx(RHO)
    assert {release["privacy"]["whole_report"]["rho"] for release in answer["data"]} == {RHO}
    assert not any(client in json.dumps(answer) for client in CROWD[100:])


def test_category_spending_is_what_the_crowd_spends(store, make) -> None:
    give(store, CROWD)
    document = json.loads(make()[KIND].documents[EVERYBODY])
    metrics, stated = document["metrics"], document["privacy"]["standard_deviation"]
    assert metrics["total"] == sum(metrics["spending_by_category"].values())
    assert metrics["number_of_categories"] == len(metrics["spending_by_category"]) == 8
    assert metrics["spending_by_category"][metrics["top_category"]] == max(metrics["spending_by_category"].values())
    for name in NAMES[:8]:
        assert abs(metrics["spending_by_category"][name] - 24_000_000) < 6 * stated["spending_by_category"]
    assert stated["total"] == pytest.approx(stated["spending_by_category"] * 8**0.5)


def test_the_other_data_types_are_what_the_crowd_does(store, make) -> None:
    """Within six of the standard deviations that the partner is told."""
    give(store, CROWD)
    documents = {kind: json.loads(made.documents[EVERYBODY]) for kind, made in make().items()}
    bill, stated = figures_of(documents["average_bill"])
    assert bill["mean"] == pytest.approx(bill["total"] / bill["number_of_purchases"], abs=0.01)
    truth = {"total": 8 * 20_000 * len(CROWD), "number_of_purchases": 8 * len(CROWD)}
    for name, true in truth.items():
        assert abs(bill[name] - true) < 6 * stated[name]
    assert set(bill["quantiles"]) == {"0.1", "0.25", "0.5", "0.75", "0.9"}
    assert 14_600 < bill["quantiles"]["0.5"] < 21_600  # the bin of 20,000
    by_month, stated = figures_of(documents["spending_dynamics"])
    month, stated = by_month["by_month"]["2026-10"], stated["by_month"]["2026-10"]
    for name, true in (truth | {"active_clients": len(CROWD)}).items():
        assert abs(month[name] - true) < 6 * stated[name]
    assert month["mean_per_client"] == pytest.approx(month["total"] / month["active_clients"], abs=0.01)
    incomes, stated = figures_of(documents["income_segments"])
    assert set(incomes["clients_by_segment"]) == {"middle"}
    assert abs(incomes["share_by_segment"]["middle"] - 1) < 6 * stated["share_by_segment"]["middle"]


def figures_of(document: dict) -> tuple[dict, dict]:
    """What a document says, and the standard deviations of it."""
    return document["metrics"], document["privacy"]["standard_deviation"]


def test_every_number_of_every_document_has_a_standard_deviation(store, make) -> None:
    give(store, CROWD)
    documents = [json.loads(document) for made in make().values() for document in made.documents.values() if document]
    assert len(documents) == 3 * len(KINDS)
    for document in documents:
        without = {"currency", "segment", *document["privacy"]["without_noise_of_their_own"]}
        assert missing(document["metrics"], document["privacy"]["standard_deviation"], without) == []


def missing(figures, deviations, without: set[str], path: str = "") -> list[str]:
    if not isinstance(figures, dict):
        return [] if isinstance(deviations, float) and deviations > 0 else [path]
    return [
        each
        for name, value in figures.items()
        if name not in without
        for each in missing(
            value, deviations.get(name) if isinstance(deviations, dict) else deviations, without, f"{path}/{name}"
        )
    ]


def test_the_parts_agree_with_the_whole(store, make) -> None:
    """The cells that are shown never add up to more than the whole; the hidden ones hold the rest."""
    give(store, CROWD)
    made = make()
    for segment in ("age_group", "city"):
        whole, parts = (json.loads(made[KIND].documents[name])["metrics"] for name in (EVERYBODY, segment))
        assert sum(cell["total"] for cell in parts["cells"].values()) <= whole["total"]
        for name, spent in whole["spending_by_category"].items():
            assert sum(cell["spending_by_category"].get(name, 0) for cell in parts["cells"].values()) <= spent
        month, cells = (json.loads(made["spending_dynamics"].documents[name])["metrics"] for name in (EVERYBODY, segment))
        assert len(cells["cells"]) == 2
        for figure in ("total", "number_of_purchases", "active_clients"):
            added = sum(cell["by_month"]["2026-10"][figure] for cell in cells["cells"].values())
            assert 0 < added <= month["by_month"]["2026-10"][figure]


def test_p02_a_release_is_frozen_in_its_period(bank, make) -> None:
    give(bank.store, CROWD)
    make()
    call = bank.caller("partner", COMPANY)
    paths = [PATH, *(f"{PATH}/{kind}?period=2026-10&segment={segment}" for kind in KINDS for segment in ("age_group", "city"))]
    before = [call("GET", path) for path in paths]
    for client in CROWD[:50]:
        withdraw(bank.store, client, bank.clock())
    again = make()
    after = [call("GET", path) for path in paths]
    assert not any(made.new for made in again.values())
    assert [(one.content, one.headers["ETag"]) for one in before] == [(one.content, one.headers["ETag"]) for one in after]
    assert all(one.json()["total_datasets"] for one in before)
    assert all(again[kind].documents[EVERYBODY] in after[0].content for kind in KINDS)


def test_p08_asking_again_gives_the_stored_answer_and_costs_nothing(store, make) -> None:
    give(store, CROWD)
    documents = {tuple(make()[kind].documents[EVERYBODY] for kind in KINDS) for _ in range(4)}
    assert len(documents) == 1
    assert (count(store, RELEASES), count(store, CHARGES), count(store, PUBLISHED)) == (4, 4 * len(CROWD), 12)


def test_p07_a_client_pays_for_the_data_types_it_consents_to_and_no_more(store, clock, make, plans) -> None:
    give(store, CROWD)
    withdraw(store, "c7", clock(), ["average_bill", "income_segments"])
    make()
    with store.reading() as connection:
        spent = {client: budget.client_spent(connection, client, 2026) for client in ("c7", "c8")}
        assert budget.partner_spent(connection, COMPANY, 2026) == budget.cost(RHO)
    assert spent["c8"] == budget.cost(RHO)
    assert spent["c7"] == budget.cost(plans[KIND].rho) + budget.cost(plans["spending_dynamics"].rho)


def test_p03_the_next_period_excludes_who_withdrew(store, clock, make) -> None:
    give(store, CROWD)
    make()
    withdraw(store, "c7", clock())
    clock.moment = datetime(2026, 12, 2, tzinfo=UTC)
    make(NOVEMBER.period)
    assert set(charged(store)) - set(charged(store, NOVEMBER)) == {"c7"}


def test_a_partner_whose_consents_have_all_ended_gets_nothing_from_that_moment(bank, make) -> None:
    tomorrow = bank.clock().replace(microsecond=0) + timedelta(days=1)
    give(bank.store, CROWD[:50])
    give(bank.store, CROWD[50:], until=tomorrow)
    make()
    call = bank.caller("partner", COMPANY)
    for client in CROWD[1:50]:
        withdraw(bank.store, client, bank.clock())
    bank.clock.moment = tomorrow
    assert call("GET", PATH).json()["total_datasets"] == 4
    withdraw(bank.store, CROWD[0], bank.clock())
    for path in (PATH, f"{PATH}/{KIND}?segment=city", f"{PATH}/{KIND}?periods=2026-01..2026-12"):
        assert call("GET", path).json()["data"] == []


def test_p09_suppressed_empty_and_ended_look_the_same(bank, make) -> None:
    call = bank.caller("partner", COMPANY)
    path = f"{PATH}/{KIND}"
    assert "has been made" in call("GET", path).json()["message"]
    give(bank.store, CROWD[:3])
    assert not any(make()[KIND].documents.values())
    suppressed = call("GET", path)
    for client in CROWD[:3]:
        withdraw(bank.store, client, bank.clock())
    ended = call("GET", path)
    assert suppressed.json()["data"] == []
    assert suppressed.json()["message"].startswith("too few")
    assert suppressed.content == ended.content


def exact(plan, clients: int, categories: int = 24) -> dict:
    """Sums in which every client is in the first cell of each segment and has bought in the first categories."""
    by_segment = {}
    for name in plan.segment_shares:
        by_measure = {
            each.name: np.zeros((len(plan.labels(name)), each.width), dtype=np.int64) for each in plan.template.measures
        }
        by_measure["clients"][0] = clients
        by_measure["categories"][0, :categories] = clients
        by_segment[name] = by_measure
    return by_segment


@pytest.mark.parametrize("clients", [49, 50, 51])
def test_p09_cells_near_fifty_clients_stay_hidden_behind_the_noise_margin(plans, clock, clients: int) -> None:
    """With 4 standard deviations of margin a cell of 51 is as good as never shown; presence tells nothing about one client."""
    sums = exact(plans[KIND], clients)
    found = [compose(OCTOBER, plans[KIND], sums, clock()) for _ in range(40)]
    for segment in ("all", "age_group", "city"):
        assert sum(bool(each[segment]) for each in found) <= 2, segment


def test_p09_the_threshold_is_on_the_noised_count(plans, clock) -> None:
    """A category exactly at the threshold is shown about half of the time."""
    plan = plans[KIND]
    rich = json.loads(compose(OCTOBER, plan, exact(plan, 10**6), clock())[EVERYBODY])["privacy"]
    threshold = round(rich["suppressed_below_clients"]["categories"])
    sums = exact(plan, 10**6)
    for by_measure in sums.values():
        by_measure["categories"][0, :] = threshold
    shown = [json.loads(compose(OCTOBER, plan, sums, clock())[EVERYBODY] or b'{"metrics":{}}') for _ in range(40)]
    share = sum(each["metrics"].get("number_of_categories", 0) for each in shown) / (24 * 40)
    assert 0.4 < share < 0.6
    assert rich["suppressed_below_clients"]["clients"] == pytest.approx(
        50 + 4 * rich["standard_deviation"]["sample_size"], abs=0.1
    )


def test_no_sum_is_negative_and_a_suppressed_category_is_not_there(plans, clock) -> None:
    sums = exact(plans[KIND], 1000, categories=8)
    for _ in range(10):
        documents = compose(OCTOBER, plans[KIND], sums, clock())
        metrics = json.loads(documents[EVERYBODY])["metrics"]
        assert set(metrics["spending_by_category"]) == set(NAMES[:8])
        cells = json.loads(documents["age_group"])["metrics"]["cells"]
        assert set(cells) == {"14-17"}
        assert all(value >= 0 for each in (metrics, *cells.values()) for value in each["spending_by_category"].values())


def test_a_month_is_released_after_it_has_ended(store, clock, make) -> None:
    give(store, CROWD)
    with pytest.raises(PeriodNotOver, match="2026-12-01"):
        make(NOVEMBER.period)
    assert count(store, RELEASES) == 0
    clock.moment = datetime(2026, 12, 1, tzinfo=UTC)
    assert all(made.new for made in make(NOVEMBER.period).values())


def test_p07_a_release_that_died_after_the_charge_goes_on_without_charging_again(store, clock, plans, make) -> None:
    give(store, CROWD[:399])
    begun = begin(store, clock, rho=plans[KIND].rho)
    withdraw(store, "c7", clock())
    give(store, CROWD[399:], at=clock())
    resumed = begin(store, clock, rho=plans[KIND].rho)
    assert resumed.release_id == begun.release_id
    assert set(begun.counted) - set(resumed.counted) == {"c7"}
    assert "c399" not in resumed.counted
    assert all(made.new for made in make().values())
    assert charged(store) == sorted(CROWD[:399])
    assert len(charged(store, replace(OCTOBER, data_type="average_bill"))) == len(CROWD) - 1


def test_p34_of_processes_that_make_a_report_one_publishes_and_all_have_the_same_bytes(store, clock, plans, caps) -> None:
    give(store, CROWD)
    made: list[list[Made]] = []

    def run() -> None:
        half = bank_of(several("c", 600, purchases=BOUGHT))  # an engine belongs to one thread
        made.append(make_report(store, COMPANY, OCTOBER.period, plans, caps, half, ACTOR, clock))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 3
    for releases_of_one_kind in zip(*made, strict=True):
        assert len({tuple(each.documents.items()) for each in releases_of_one_kind}) == 1
        assert [each.new for each in releases_of_one_kind].count(True) == 1
    assert count(store, CHARGES) == 4 * len(CROWD)


def test_p07_fifty_at_once_for_the_last_unit_of_a_partner_succeed_once(store, clock) -> None:
    give(store, CROWD[:5])
    subjects = [replace(OCTOBER, period=Period(2020 + number // 12, number % 12 + 1)) for number in range(50)]
    outcomes = in_parallel(lambda subject: begin(store, clock, subject, Caps(1.5, RHO)), subjects)
    assert outcomes.count("BudgetExhausted") == 49
    assert outcomes.count("Begun") == 1
    with store.reading() as connection:
        assert budget.partner_spent(connection, COMPANY, 2026) == 125_000_000


def test_p07_fifty_at_once_for_the_last_unit_of_a_client_count_it_once(store, clock) -> None:
    companies = sorted(load_catalogue(CATALOGUES).companies)
    for company in companies:
        give(store, ["1"], company)
    subjects = [Subject(companies[number % 4], KIND, Period(2020 + number // 12, number % 12 + 1)) for number in range(50)]
    in_parallel(lambda subject: begin(store, clock, subject, Caps(RHO, 100)), subjects)
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


def test_p07_a_client_at_the_cap_is_left_out_until_the_next_year(store, clock) -> None:
    give(store, ["1", "2"], at=datetime(2026, 11, 20, tzinfo=UTC))
    caps = Caps(0.25, 9.0)
    subjects = [replace(OCTOBER, period=Period(2026, month)) for month in (7, 8, 9)]
    counted = [begin(store, clock, subject, caps).counted for subject in subjects]
    clock.moment = datetime(2027, 1, 2, tzinfo=UTC)
    counted.append(begin(store, clock, caps=caps).counted)
    assert counted == [["1", "2"], ["1", "2"], [], ["1", "2"]]
    with store.reading() as connection:
        details = connection.scalars(select(audit.AUDIT.c.detail).where(audit.AUDIT.c.action == "release.charged"))
        assert [json.loads(detail)["left_out"] for detail in details] == [0, 0, 2, 0]


def test_p07_a_client_that_can_pay_for_a_part_is_counted_in_that_part(store, clock, plans) -> None:
    give(store, ["1"])
    orders = [Order(replace(OCTOBER, data_type=kind), PURPOSE, plans[kind].rho) for kind in KINDS]
    begun = releases.begin(store, orders, Caps(plans[KIND].rho, 9.0), ACTOR, clock)
    assert [each.counted for each in begun] == [["1"], [], [], []]


def test_p07_withdrawing_and_giving_again_resets_nothing(store, clock) -> None:
    give(store, ["1"])
    caps = Caps(RHO, 9.0)
    assert begin(store, clock, caps=caps).counted == ["1"]
    withdraw(store, "1", clock())
    give(store, ["1"], at=clock())
    assert begin(store, clock, replace(OCTOBER, period=Period(2026, 9)), caps).counted == []


def test_a_report_that_cannot_be_paid_in_full_charges_nobody(store, make) -> None:
    give(store, CROWD)
    with pytest.raises(BudgetExhausted, match="OPORA_YEARLY_PARTNER_RHO"):
        make(OCTOBER.period, Caps(1.5, RHO * 0.9))
    assert (count(store, RELEASES), count(store, CHARGES)) == (0, 0)


@pytest.mark.parametrize(("rho", "nano"), [(0.125, 125_000_000), (0.1, 100_000_000), (1e-10, 1), (1 / 3, 333_333_334)])
def test_p07_costs_are_rounded_up(rho: float, nano: int) -> None:
    assert budget.cost(rho) == nano


def test_p02_a_consent_for_another_purpose_is_not_counted(store, clock) -> None:
    with store.writing() as connection:
        consents.grant(connection, [Grant("1", COMPANY, KIND, "offer_design")], ACTOR, clock())
    assert begin(store, clock).counted == []


def test_p11_every_release_and_read_is_in_the_audit_log(bank, make) -> None:
    give(bank.store, CROWD[:10])
    make()
    bank.caller("partner", COMPANY)("GET", f"{PATH}/{KIND}")
    with bank.store.reading() as connection:
        actions = list(connection.scalars(select(audit.AUDIT.c.action).order_by(audit.AUDIT.c.sequence)))
    assert actions[40:] == ["release.charged"] * 4 + ["release.published"] * 4 + ["key.issued", "aggregate.read"]
