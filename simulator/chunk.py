"""One chunk of clients: from causes to effects, then to files."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from features.code_lists import PRODUCTS
from features.tables import BANKS
from simulator import exports
from simulator.applications import Applications, make_applications
from simulator.fraud import STYLES, Labels, make_fraud, make_labels, make_takeovers
from simulator.incomes import Incomes, Verified, make_incomes, verify
from simulator.offers import Offers, make_offers
from simulator.payments import HONEST, Payments, joined, make_honest, make_promotions, make_sprees
from simulator.people import People, codes, make_people
from simulator.purchases import Purchases, make_purchases
from simulator.sampling import stream
from simulator.seasons import Calendar, Timing
from simulator.sessions import Sessions, make_sessions
from simulator.transfers import Transfers, make_transfers
from simulator.world import World

(
    PEOPLE, INCOMES, VERIFIED, OFFERS, PURCHASES, TRANSFERS, PAYMENTS, FRAUD, LABELS, SESSIONS, APPLICATIONS, EXPORTS, DIRT,
    SHIFT, DELAY,
) = range(15)  # fmt: skip
"""Random streams of a chunk, one per subject."""


@dataclass(frozen=True)
class Chunk:
    """Everything that happened to the clients of one chunk."""

    number: int
    seed: int
    calendar: Calendar
    people: People
    incomes: Incomes
    verified: Verified
    offers: Offers
    purchases: Purchases
    transfers: Transfers
    payments: Payments
    labels: Labels
    sessions: Sessions
    applications: Applications

    def tables(self) -> Iterator[tuple[str, pa.Table]]:
        """Name and clean texts of each raw table, one after the other so that only one is in memory."""
        people = self.people
        yield "clients", exports.clients(stream(self.seed, self.number, EXPORTS), people)
        yield "transactions", exports.transactions(people, self.purchases)
        yield "transfers", exports.transfers(people, self.transfers)
        yield "sessions", exports.sessions(people, self.sessions)
        yield "payments", exports.payments(self.number, people, self.payments)
        yield "fraud_labels", exports.fraud_labels(self.number, self.labels)
        yield "applications", exports.applications(self.number, self.applications)
        yield "verified_incomes", exports.verified_incomes(self.calendar, people, self.verified)
        yield "product_uptake", exports.product_uptake(people, self.offers)

    def truth(self) -> Iterator[tuple[str, pa.Table]]:
        """Name and table of what no real bank knows: incomes, fraud, approval and uptake probabilities."""
        code = pa.array(codes(self.people.numbers)).cast(pa.string())
        months = len(self.calendar.months)
        yield "incomes", pa.table({
            "client_code": code.take(np.repeat(np.arange(len(code)), months)),
            "month": pa.array(list(self.calendar.months) * len(code), pa.date32()),
            "income": self.incomes.total.ravel(),
        })  # fmt: skip
        yield "payments", pa.table({
            "transaction_id": exports.payment_ids(self.number, np.arange(len(self.payments))),
            "style": pa.array(STYLES).take(pa.array(self.payments.style)),
            "campaign": pa.array(self.payments.campaign, mask=self.payments.style == HONEST),
        })  # fmt: skip
        approval = self.applications.approval
        identifiers = exports.application_ids(self.number, len(approval))
        yield (
            "applications",
            pa.table({"application_id": identifiers} | {bank: approval[:, number] for number, bank in enumerate(BANKS)}),
        )
        yield "uptake", pa.table({
            "client_code": code.take(np.repeat(np.arange(len(code)), len(PRODUCTS))),
            "product": pa.array(PRODUCTS).take(np.tile(np.arange(len(PRODUCTS)), len(code))),
            "probability": self.offers.uptake.ravel(),
        })  # fmt: skip


def simulate_chunk(world: World, calendar: Calendar, timing: Timing, seed: int, number: int, first: int, count: int) -> Chunk:
    """Make the clients `first` … `first + count - 1` and their months, from (seed, chunk number) alone."""
    rng = [stream(seed, number, subject) for subject in range(DIRT)]
    people = make_people(rng[PEOPLE], world, first, count)
    incomes = make_incomes(rng[INCOMES], world, calendar, people)
    offers = make_offers(rng[OFFERS], calendar, timing, people)
    purchases = make_purchases(rng[PURCHASES], calendar, timing, people, incomes.total)
    transfers = make_transfers(rng[TRANSFERS], world, calendar, timing, people, incomes, purchases, offers)
    takeovers = make_takeovers(rng[FRAUD], calendar, people)
    payments = joined([
        make_honest(rng[PAYMENTS], world, calendar, timing, people),
        make_promotions(rng[PAYMENTS], world, calendar, timing, people),
        make_sprees(rng[PAYMENTS], calendar, people),
        make_fraud(rng[FRAUD], world, calendar, timing, people, takeovers),
    ])  # fmt: skip
    return Chunk(
        number=number, seed=seed, calendar=calendar, people=people, incomes=incomes,
        verified=verify(rng[VERIFIED], calendar, people, incomes),
        offers=offers, purchases=purchases, transfers=transfers, payments=payments,
        labels=make_labels(rng[LABELS], calendar, payments),
        sessions=make_sessions(rng[SESSIONS], world, calendar, timing, people, payments, takeovers),
        applications=make_applications(rng[APPLICATIONS], calendar, timing, people),
    )  # fmt: skip
