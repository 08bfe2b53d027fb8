"""P2: what two months tell about the one client by whom their cohorts differ, and that one month never tells twice."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import Connection, select

from consent_api import consents, privacy
from consent_api.catalogue import EVERYBODY
from consent_api.consents import Grant
from consent_api.record.current import consenting
from consent_api.releases import Subject
from consent_api.reports import Plan, compose
from consent_api.reports.exact import Exact
from consent_api.tables import RECORDS
from tests.privacy.conftest import ACTOR, World
from tests.privacy.crowds import COMPANY, NAMES, OCTOBER, PURPOSE, Person, bank_of, every_plan, several, sums_of

TARGETS = 200
KIND = "spending_dynamics"
SPENT = 900_000
"""What a target spends in a month, just below the bound; the others spend the same every month, as the attacker knows."""
CROWD = several("c", 600, purchases=[(NAMES[0], 20_000.0)] * 20)
OTHERS = [f"other{number}" for number in range(20)]
AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
ON_SQLITE = pytest.mark.parametrize("store", ["sqlite"], indirect=True)  # the attack is on figures, not on the database


@pytest.fixture(scope="module")
def with_and_without() -> tuple[dict[str, Exact], dict[str, Exact]]:
    """Exact sums over the crowd and one target, and over the crowd alone."""
    source = bank_of([*CROWD, Person("t", purchases=[(NAMES[0], float(SPENT))])])
    crowd, plans = [person.client_code for person in CROWD], every_plan()
    return sums_of(source, [*crowd, "t"], plans), sums_of(source, crowd, plans)


def month(plan: Plan, exact: dict[str, Exact], kind: str) -> dict:
    """What the partner reads of a month, about all clients."""
    return json.loads(compose(Subject(COMPANY, kind, OCTOBER), plan, exact[kind], AT)[EVERYBODY])


def total(document: dict) -> float:
    metrics = document["metrics"]
    return metrics["total"] if "total" in metrics else metrics["by_month"][str(OCTOBER)]["total"]


def deviation(document: dict) -> float:
    """The standard deviation that is stated with `total`."""
    stated = document["privacy"]["standard_deviation"]
    return stated["total"] if "total" in stated else stated["by_month"][str(OCTOBER)]["total"]


class Undone(Exception):
    """Takes a transaction back."""


@contextmanager
def undone(world: World) -> Iterator[Connection]:
    """A transaction whose changes are taken back, so that every target meets the same bank."""
    with suppress(Undone), world.store.writing() as connection:
        yield connection
        raise Undone


def cohort(connection: Connection, at: datetime) -> set[str]:
    """Whom a release that begins at `at` may count."""
    return set(connection.scalars(select(RECORDS.c.client_code).where(consenting(COMPANY, KIND, PURPOSE, at))))


def revocation(world: World, target: str) -> tuple[set[str], set[str]]:
    with undone(world) as connection:
        before = cohort(connection, AT)
        consents.revoke(connection, target, COMPANY, ACTOR, AT)
        return before, cohort(connection, AT)


def grant(world: World, target: str) -> tuple[set[str], set[str]]:
    with undone(world) as connection:
        before = cohort(connection, AT)
        consents.grant(connection, [Grant(f"new-{target}", COMPANY, KIND, PURPOSE)], ACTOR, AT)
        return cohort(connection, AT), before


def expiry(world: World, target: str) -> tuple[set[str], set[str]]:
    with undone(world) as connection:
        end = AT + timedelta(days=1)
        consents.grant(connection, [Grant(target, COMPANY, KIND, PURPOSE, end)], ACTOR, AT)
        return cohort(connection, end - timedelta(microseconds=1)), cohort(connection, end)


@pytest.fixture(scope="module")
def differences(with_and_without) -> np.ndarray:
    """How far off an attacker is who subtracts two months, by target, in standard deviations of one month.

    A month is made of sums alone, however the target came or went: the same ones judge every kind of change.
    """
    plan = every_plan()[KIND]
    return np.array([_difference(plan, KIND, with_and_without) for _ in range(TARGETS)])


def _difference(plan: Plan, kind: str, sums: tuple[dict[str, Exact], dict[str, Exact]]) -> float:
    larger, smaller = (month(plan, each, kind) for each in sums)
    return (total(larger) - total(smaller) - SPENT) / deviation(larger)


@ON_SQLITE
@pytest.mark.parametrize("change", [revocation, grant, expiry], ids=lambda change: change.__name__)
def test_p02_two_months_around_one_change_do_not_give_the_client_away(world, differences, change) -> None:
    targets = [f"t{number}" for number in range(TARGETS)]
    world.clock.moment = AT
    world.give([*OTHERS, *targets], kinds=[KIND])
    for target in targets:
        more, fewer = change(world, target)
        assert {client.removeprefix("new-") for client in more - fewer} == {target}
        assert fewer < more
    assert np.abs(differences).mean() >= 0.5


def test_p02_averaging_over_data_types_does_not_help(differences, with_and_without, plans) -> None:
    """`average_bill` and `spending_dynamics` state the same total: an attacker takes the mean of both differences."""
    kind = "average_bill"
    others = [_difference(plans[kind], kind, with_and_without) for _ in range(TARGETS // 2)]
    assert np.abs((differences[: len(others)] + others) / 2).mean() >= 0.5


def test_p02_noise_that_is_the_same_in_both_months_is_caught(with_and_without, plans, monkeypatch) -> None:
    """A mutant that draws the noise of a partner once: the difference is the client's spending to the tenge."""
    kept, noised = {}, privacy.noised

    def repeated(values, *spent):
        drawn = kept.setdefault((len(values), spent), noised([0] * len(values), *spent))
        return privacy.Noised([a + b for a, b in zip(drawn.values, values, strict=True)], drawn.standard_deviation, drawn.rho)

    monkeypatch.setattr(privacy, "noised", repeated)
    assert abs(_difference(plans[KIND], KIND, with_and_without)) < 0.5


@ON_SQLITE
def test_p02_within_a_month_nothing_is_computed_again(world) -> None:
    """Withdrawal, grant and expiry after a release leave its bytes as they are; the next month's cohort is without who left."""
    source = bank_of(CROWD)
    world.give([person.client_code for person in CROWD[1:]])
    world.give([CROWD[0].client_code], until=world.clock() + timedelta(days=1))
    before = world.report(source, 10, kinds=[KIND])
    world.withdraw(CROWD[1].client_code)
    world.give(["late"])
    world.clock.moment += timedelta(days=2)
    assert world.report(source, 10, kinds=[KIND]) == before
    assert before[KIND][EVERYBODY] is not None
