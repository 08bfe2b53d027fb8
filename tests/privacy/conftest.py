"""A bank to attack: the service of tests/consent_api, with releases made by the real code."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from consent_api import consents
from consent_api.audit import Actor
from consent_api.budget import Caps
from consent_api.consents import Grant
from consent_api.contributions import Source
from consent_api.periods import Period
from consent_api.reports import Plan, make_report
from consent_api.store import Store
from settings import Settings
from tests.consent_api.conftest import *  # noqa: F403 - its fixtures
from tests.consent_api.conftest import Clock
from tests.privacy.crowds import COMPANY, PURPOSE, every_plan

ACTOR = Actor("flow:aggregate", "flow")
GIVEN = datetime(2026, 8, 20, tzinfo=UTC)


@dataclass
class World:
    """Consents and releases, mostly of the company under attack."""

    store: Store
    clock: Clock
    plans: dict[str, Plan]
    caps: Caps

    def give(
        self, clients: Sequence[str], company: str = COMPANY, until: datetime | None = None, kinds: Sequence[str] = ()
    ) -> None:
        """Consents to these data types, or to all."""
        grants = [Grant(client, company, kind, PURPOSE, until) for client in clients for kind in kinds or self.plans]
        with self.store.writing() as connection:
            consents.grant(connection, grants, ACTOR, min(GIVEN, self.clock()) if until is None else self.clock())

    def withdraw(self, client: str, company: str = COMPANY) -> None:
        with self.store.writing() as connection:
            consents.revoke(connection, client, company, ACTOR, self.clock())

    def report(
        self, source: Source, month: int, company: str = COMPANY, kinds: Sequence[str] = ()
    ) -> dict[str, dict[str, bytes]]:
        """The stored documents of a month of 2026, by data type and segment; made now if they are not there."""
        chosen = {kind: self.plans[kind] for kind in kinds or self.plans}
        made = make_report(self.store, company, Period(2026, month), chosen, self.caps, source, ACTOR, self.clock)
        return {each.subject.data_type: dict(each.documents) for each in made}


@pytest.fixture
def plans() -> dict[str, Plan]:
    return every_plan()


@pytest.fixture
def world(store, clock, plans) -> World:
    return World(store, clock, plans, Caps.of(Settings()))
