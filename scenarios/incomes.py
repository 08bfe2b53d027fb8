"""How the income model lives through a day: clients scored over the month, verified incomes told as they come."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time

import pandas as pd
from ibis.expr.types import Table

from features.online_rows import newest_rows
from scenarios.bank import Bank
from scenarios.service import Service, Tell

_PREDICT = "/api/predictions"
_LABELS = "/api/labels"
_MOST = 5_000
_EVERY = 20
"""A client is scored every so many days."""


class IncomeChannel:
    """Asks the income service for clients, a twentieth of them a day, and tells it their verified incomes.

    Attributes:
        scores: every score so far: at, day, key (client and month), prediction, version, score_id, and the truth in tenge.
    """

    def __init__(self, bank: Bank, service: Service, tell: Tell) -> None:
        truth = bank.exports.truth("incomes").to_pandas()
        months = pd.to_datetime(truth["month"]).dt.strftime("%Y-%m")
        self._truth = dict(zip(zip(truth["client_code"], months, strict=True), truth["income"], strict=True))
        self._bank = bank
        self._service = service
        self._tell = tell
        self._open: set[tuple[str, str]] = set()
        self.scores = pd.DataFrame()

    def score(self, tables: Mapping[str, Table], day: date) -> int:
        """Publish the features of the day's clients as of its first moment, ask for those who have any; returns how many."""
        clients = tables["clients"]
        asked = clients.filter(clients.client_code.cast("int64") % _EVERY == _number(day) % _EVERY)
        known = newest_rows({**tables, "clients": asked}, datetime.combine(day, time()))["income"].to_pandas()
        self._bank.online.write("income", known)
        due = sorted(str(code) for code in known["client_code"])
        self._tell(datetime.combine(day, time(12), tzinfo=UTC))
        answers = [self._service.post(_PREDICT, {"client_id": code}) for code in due]
        month = f"{day:%Y-%m}"
        keys = [(code, month) for code in due]
        self._open.update(keys)
        given = pd.DataFrame({
            "at": pd.Timestamp(day), "day": [day] * len(due), "key": keys,
            "prediction": [one["income_pred"] for one in answers], "version": [one["model_version"] for one in answers],
            "score_id": [one["score_id"] for one in answers], "truth": [self._truth[key] for key in keys],
        })  # fmt: skip
        self.scores = pd.concat([self.scores, given], ignore_index=True)
        return len(due)

    def tell_labels(self, tables: Mapping[str, Table], day: date) -> int:  # noqa: ARG002 - the table does not say when a row came
        """Tell the incomes that were verified on `day`, of clients who were scored in their month; returns how many joined."""
        sent = self._bank.exports.sent("verified_incomes", day).to_pandas()
        keys = zip(sent["client_code"], sent["month"].str[:7], sent["income"].astype(float), strict=True)
        return self._tell_service({(code, month): income for code, month, income in keys if (code, month) in self._open})

    def tell_the_rest(self, at: datetime) -> int:  # noqa: ARG002 - an income is told by its month
        """Tell the true incomes of all who were scored and not verified; returns how many joined."""
        return self._tell_service({key: self._truth[key] for key in self._open})

    def _tell_service(self, incomes: Mapping[tuple[str, str], float]) -> int:
        self._open.difference_update(incomes)
        labels = [{"client_id": code, "month": month, "label": income} for (code, month), income in incomes.items()]
        parts = [labels[start : start + _MOST] for start in range(0, len(labels), _MOST)]
        return sum(self._service.post(_LABELS, {"labels": part})["joined"] for part in parts)


def _number(day: date) -> int:
    return day.toordinal() - date(1970, 1, 1).toordinal()
