"""Histories of consents and releases that hypothesis makes up, and a naive model of what must come of them."""

import shutil
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from consent_api import budget, consents, releases
from consent_api.audit import Actor
from consent_api.budget import BudgetExhausted, Caps
from consent_api.catalogue import EVERYBODY
from consent_api.consents import Grant
from consent_api.periods import Period
from consent_api.releases import Begun, Order, Question, Subject
from consent_api.store import Store
from database import open_database

ACTOR = Actor("test", "test")
PURPOSE = "market_statistics"
PRICE = 125_000_000
RHO = PRICE / 10**9
CLIENT_CAP, PARTNER_CAP = 3 * PRICE, 7 * PRICE
CAPS = Caps(CLIENT_CAP / 10**9, PARTNER_CAP / 10**9)

clients = st.sampled_from(["1", "2", "3"])
companies = st.sampled_from(["dala-market", "jolda-travel"])
data_types = st.sampled_from(["category_spending", "average_bill"])
kinds_of_one = st.sampled_from([("category_spending",), ("average_bill",), ("category_spending", "average_bill")])
lifetimes = st.sampled_from([timedelta(seconds=1), timedelta(seconds=2), timedelta(hours=1), timedelta(days=90)])
waits = st.sampled_from([timedelta(seconds=1), timedelta(seconds=2), timedelta(hours=1), timedelta(days=30)])
numbers = count()


class Histories(RuleBasedStateMachine):
    """Random calls of the real code on a real database; the model is two dictionaries that a child could keep."""

    def __init__(self, template: Store, folder: Path) -> None:
        super().__init__()
        path = folder / f"{next(numbers)}.db"
        shutil.copy(template.engine.url.database, path)
        self.store = Store(open_database(f"sqlite:///{path}"), template.custody, template.notices)
        self.at = datetime(2026, 11, 21, 12, tzinfo=UTC)
        self.ends: dict[tuple[str, str, str], datetime] = {}
        self.spent: dict[tuple[str, int], int] = defaultdict(int)
        self.months = (Period(2000 + number // 12, number % 12 + 1) for number in count())
        self.unfinished: list[Begun] = []
        self.published: dict[tuple[str, str], bytes] = {}

    def teardown(self) -> None:
        self.store.engine.dispose()

    def begin(self, subject: Subject) -> list[Begun]:
        return releases.begin(self.store, [Order(subject, PURPOSE, RHO)], CAPS, ACTOR, lambda: self.at)

    def active(self, company: str, data_type: str) -> list[str]:
        return sorted(key[0] for key, end in self.ends.items() if key[1:] == (company, data_type) and self.at < end)

    @rule(client=clients, company=companies, kinds=kinds_of_one, lasting=lifetimes)
    def grant(self, client: str, company: str, kinds: tuple[str, ...], lasting: timedelta) -> None:
        end = self.at + lasting
        with self.store.writing() as connection:
            consents.grant(connection, [Grant(client, company, kind, PURPOSE, end) for kind in kinds], ACTOR, self.at)
        self.ends.update({(client, company, kind): end for kind in kinds})

    @rule(client=clients, company=companies)
    def revoke(self, client: str, company: str) -> None:
        with self.store.writing() as connection:
            consents.revoke(connection, client, company, ACTOR, self.at)
        self.ends = {key: end for key, end in self.ends.items() if key[:2] != (client, company)}

    @rule(client=clients, company=companies, kind=data_types)
    def revoke_one_data_type(self, client: str, company: str, kind: str) -> None:
        with self.store.writing() as connection:
            consents.revoke(connection, client, company, ACTOR, self.at, [kind])
        self.ends.pop((client, company, kind), None)

    @rule(passing=waits)
    def time_passes(self, passing: timedelta) -> None:
        self.at += passing

    @rule(company=companies, kind=data_types)
    def release(self, company: str, kind: str) -> None:
        subject = Subject(company, kind, next(self.months))
        affordable = self.spent[company, self.at.year] + PRICE <= PARTNER_CAP
        try:
            (begun,) = self.begin(subject)
        except BudgetExhausted:
            assert not affordable, "a partner with a budget was refused"
            return
        assert affordable, "a partner paid more than its budget"
        payers = [client for client in self.active(company, kind) if self.spent[client, self.at.year] + PRICE <= CLIENT_CAP]
        assert begun.counted == payers, "a release counts others than who consent now and can pay"
        for payer in (company, *payers):
            self.spent[payer, self.at.year] += PRICE
        self.check_the_ledger()
        self.unfinished.append(begun)

    @precondition(lambda self: self.unfinished)
    @rule()
    def go_on_after_a_crash(self) -> None:
        charged = self.unfinished[0]
        (begun,) = self.begin(charged.subject)
        self.check_the_ledger()
        still = set(self.active(charged.subject.company, charged.subject.data_type))
        assert begun.counted == [client for client in charged.counted if client in still], (
            "a resumed release counts others than who was charged and consents now"
        )

    @precondition(lambda self: self.unfinished)
    @rule(document=st.none() | st.just(b"{}"))
    def publish(self, document: bytes | None) -> None:
        begun = self.unfinished.pop(0)
        document = document and f'"{begun.subject}"'.encode()
        assert releases.publish(self.store, [(begun, {EVERYBODY: document})], ACTOR, self.at) == {begun.subject}
        assert self.begin(begun.subject) == []
        self.published[begun.subject.company, begun.subject.data_type] = document

    @rule(company=companies, kind=data_types)
    def read(self, company: str, kind: str) -> None:
        document = self.published.get((company, kind)) if self.active(company, kind) else None
        with self.store.reading() as connection:
            shown = releases.shown(
                connection, Question(company, kind), consents.any_active(connection, company, kind, PURPOSE, self.at)
            )
        assert shown.documents == ([document] if document else []), "a partner reads something else than what was stored"

    def check_the_ledger(self) -> None:
        """After every charge: nothing else writes to it."""
        with self.store.reading() as connection:
            for client in ("1", "2", "3"):
                found = budget.client_spent(connection, client, self.at.year)
                assert found == self.spent[client, self.at.year] <= CLIENT_CAP, "the ledger of a client differs"
            for company in ("dala-market", "jolda-travel"):
                found = budget.partner_spent(connection, company, self.at.year)
                assert found == self.spent[company, self.at.year] <= PARTNER_CAP, "the ledger of a partner differs"
