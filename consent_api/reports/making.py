"""Making the report of a company on a month: cohorts and charge, bounded sums, noise, documents, storage."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from consent_api import releases
from consent_api.audit import Actor
from consent_api.budget import Caps
from consent_api.contributions import Source, contributions, pseudonymous
from consent_api.periods import Period
from consent_api.releases import Begun, Documents, Order, Subject
from consent_api.reports.document import compose
from consent_api.reports.exact import Exact, bounded, exact_sums
from consent_api.reports.plan import Plan
from consent_api.store import Store


@dataclass(frozen=True)
class Made:
    """A release after `make_report`: `new` if this call stored it; a document is None where nothing may be shown."""

    subject: Subject
    new: bool
    documents: Documents


def make_report(
    store: Store,
    company: str,
    period: Period,
    plans: Mapping[str, Plan],
    caps: Caps,
    source: Source,
    actor: Actor,
    now: Callable[[], datetime],
) -> list[Made]:
    """Make the releases of all data types of `plans`, or find them made.

    Raises:
        PeriodNotOver, BudgetExhausted: see `releases.begin`.
        PrivacyNotKept: the computation broke its own bounds; nothing is stored.
    """
    subjects = {data_type: Subject(company, data_type, period) for data_type in plans}
    orders = [Order(subjects[data_type], plan.report.purpose, plan.rho) for data_type, plan in plans.items()]
    begun = releases.begin(store, orders, caps, actor, now)
    stored: set[Subject] = set()
    if begun:
        exact = _exact(begun, {each.subject.data_type: plans[each.subject.data_type] for each in begun}, source, period)
        at = now()
        composed = [
            (each, compose(each.subject, plans[each.subject.data_type], exact[each.subject.data_type], at)) for each in begun
        ]
        stored = releases.publish(store, composed, actor, at)
    return [Made(subject, subject in stored, releases.published(store, subject)) for subject in subjects.values()]


def _exact(begun: list[Begun], plans: Mapping[str, Plan], source: Source, period: Period) -> dict[str, Exact]:
    cohort = pseudonymous({each.subject.data_type: each.counted for each in begun})
    clients = contributions(source, cohort, period, next(iter(plans.values())).segments)
    return exact_sums(source.engine, bounded(clients, plans), plans)
