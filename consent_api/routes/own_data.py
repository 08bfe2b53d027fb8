"""A client's own profile and spending, from the online features: the service itself never opens the lake."""

from consent_api.routes.history_bodies import ClientProfile, MonthSpent, OwnSpending, Spent
from features.categories import CATEGORIES
from features.online import OnlineStore
from features.own_spending import MONTHS, SPENDING_YEAR, month_start


def profile(online: OnlineStore, client_code: str) -> ClientProfile:
    """What is known of a client; facts that the bank does not have are null."""
    row = online.get("profile", client_code)
    facts = row.values if row else {}
    return ClientProfile(
        client_id=client_code,
        name=facts.get("name"),
        status=facts.get("status"),
        age=facts.get("age"),
        city=facts.get("city"),
        products=facts.get("holdings") or [],
        spending=_spending(online, client_code),
    )


def _spending(online: OnlineStore, client_code: str) -> OwnSpending | None:
    row = online.get(SPENDING_YEAR, client_code)
    if row is None:
        return None
    months = [
        MonthSpent(month=f"{month_start(row.as_of, ago):%Y-%m}", amount_kzt=row.values[f"month_{ago}"])
        for ago in range(1, MONTHS + 1)
    ]
    spent = [Spent(title=name, amount_kzt=row.values[f"year_{slug}"]) for name, slug in CATEGORIES.items()]
    largest_first = sorted((each for each in spent if each.amount_kzt), key=lambda each: -each.amount_kzt)
    return OwnSpending(months=months, categories=largest_first, purchases=row.values["purchases"], as_of=row.as_of)
