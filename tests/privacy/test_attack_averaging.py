"""P8: asking again, by whatever door, gives the stored noise and costs nothing, so that there is nothing to average."""

import json

import pytest
from sqlalchemy import func, select

from consent_api.catalogue import EVERYBODY
from consent_api.tables import CHARGES, RELEASES
from tests.privacy.crowds import COMPANY, bank_of, several

KIND = "spending_dynamics"
REPEATS = 1000
CROWD = several("c", 600)
ON_SQLITE = pytest.mark.parametrize("store", ["sqlite"], indirect=True)


@pytest.fixture
def source(world):
    """The bank of the crowd, which has consented."""
    world.give([person.client_code for person in CROWD])
    return bank_of(CROWD)


def charges(store) -> tuple[int, int]:
    """How many releases and clients were charged, ever."""
    with store.reading() as connection:
        return tuple(connection.scalar(select(func.count()).select_from(table)) for table in (RELEASES, CHARGES))


@ON_SQLITE
def test_p08_a_thousand_requests_have_one_answer_and_one_charge(bank, world, source) -> None:
    world.report(source, 10, kinds=[KIND])
    paid = charges(world.store)
    call = bank.caller("partner", COMPANY)
    answers = {
        call("GET", f"/aggregated-data/{COMPANY}/{KIND}", params={"period": "2026-10"} if number % 2 else {}).content
        for number in range(REPEATS)
    }
    assert len(answers) == 1
    assert json.loads(answers.pop())["total_datasets"] == 1
    assert charges(world.store) == paid == (1, len(CROWD))


@ON_SQLITE
def test_p08_making_a_report_again_gives_the_stored_one(world, source) -> None:
    made = {json.dumps(world.report(source, 10, kinds=[KIND]), default=bytes.decode, sort_keys=True) for _ in range(20)}
    assert len(made) == 1
    assert charges(world.store) == (1, len(CROWD))


def test_p08_every_door_leads_to_the_same_stored_bytes(bank, world, source) -> None:
    """The document of a data type, that of the company, and what staff sees: no two say different numbers."""
    stored = world.report(source, 10, kinds=[KIND])[KIND]
    partner, staff = bank.caller("partner", COMPANY), bank.caller("staff", "aigerim")
    for call in (partner, staff):
        for path in (f"/aggregated-data/{COMPANY}", f"/aggregated-data/{COMPANY}/{KIND}"):
            assert stored[EVERYBODY] in call("GET", path).content
        for segment in ("age_group", "city"):
            assert stored[segment] in call("GET", f"/aggregated-data/{COMPANY}/{KIND}", params={"segment": segment}).content
