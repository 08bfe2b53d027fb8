"""How the fraud model lives through a day: payments judged hour by hour, verdicts told as they come."""

from collections.abc import Mapping
from datetime import UTC, date, datetime

import pandas as pd
from ibis.expr.types import Table

from features.columns.models import FRAUD_CLIENT_COLUMNS
from features.sets import fraud_client
from scenarios.bank import Bank, of_day
from scenarios.service import Service, Tell

_BATCH = "/api/v1/score_batch"
_LABELS = "/api/labels"
_MOST = 5_000
_STORED = [column.name for column in FRAUD_CLIENT_COLUMNS]


class PaymentChannel:
    """Sends payments to the fraud service, and later their verdicts; the online features are kept up to the hour.

    Attributes:
        scores: every score so far: at, day, key (the payment), prediction, risk, version, score_id, and the truth (0 or 1).
    """

    def __init__(self, bank: Bank, service: Service, tell: Tell) -> None:
        truth = bank.exports.truth("payments").to_pandas()
        self._truth = dict(zip(truth["transaction_id"], (truth["style"] != "none").astype(float), strict=True))
        self._online = bank.online
        self._service = service
        self._tell = tell
        self._score_ids: dict[str, str] = {}
        self._open: set[str] = set()
        self.scores = pd.DataFrame()

    def score(self, tables: Mapping[str, Table], day: date) -> int:
        """Judge the payments of a day in their order, an hour at a time; returns how many."""
        rows = _payments(tables, day)
        given = [self._judged(hour) for _, hour in rows.groupby(rows["ts"].dt.hour)]
        self.scores = pd.concat([self.scores, *given], ignore_index=True)
        return len(rows)

    def tell_labels(self, tables: Mapping[str, Table], day: date) -> int:
        """Tell the service the verdicts that came on `day` about payments that it judged; returns how many joined."""
        told = of_day(tables["fraud_labels"], "reported_at", day).to_pandas()
        told = told[told["transaction_id"].isin(self._open)]
        return self._tell_service(told["transaction_id"].tolist(), [f"{at:%Y-%m-%dT%H:%M:%S}Z" for at in told["reported_at"]])

    def tell_the_rest(self, at: datetime) -> int:
        """Tell the verdicts that have not come yet, all at the moment `at`; returns how many joined."""
        return self._tell_service(sorted(self._open), [f"{at:%Y-%m-%dT%H:%M:%S}Z"] * len(self._open))

    def _judged(self, payments: pd.DataFrame) -> pd.DataFrame:
        self._online.write("fraud", payments.drop_duplicates("client_code")[["client_code", "as_of", *_STORED]])
        self._tell(payments["ts"].iloc[-1].to_pydatetime().replace(tzinfo=UTC))
        made = zip(payments["client_code"], payments["amount"], strict=True)
        items = [{"client_id": str(code), "amount": float(amount)} for code, amount in made]
        answers = pd.DataFrame(self._service.post(_BATCH, {"items": items})["results"])
        keys = payments["transaction_id"].tolist()
        self._open.update(keys)
        self._score_ids.update(zip(keys, answers["score_id"], strict=True))
        return pd.DataFrame({
            "at": payments["ts"].to_numpy(), "day": payments["ts"].dt.date.to_numpy(), "key": keys,
            "prediction": answers["fraud_probability"].to_numpy(), "version": answers["model_version"].to_numpy(),
            "risk": answers["risk_level"].to_numpy(), "score_id": answers["score_id"].to_numpy(),
            "truth": [self._truth[key] for key in keys],
        })  # fmt: skip

    def _tell_service(self, keys: list[str], moments: list[str]) -> int:
        labels = [
            {"score_id": self._score_ids[key], "label": self._truth[key], "labelled_at": moment}
            for key, moment in zip(keys, moments, strict=True)
        ]
        self._open.difference_update(keys)
        parts = [labels[start : start + _MOST] for start in range(0, len(labels), _MOST)]
        return sum(self._service.post(_LABELS, {"labels": part})["joined"] for part in parts)


def _payments(tables: Mapping[str, Table], day: date) -> pd.DataFrame:
    """The payments of a day, oldest first, with what the online features say of their clients just before each."""
    made = of_day(tables["payments"], "ts", day)
    spine = made.mutate(as_of=made.ts, amount=made.amount.cast("float64"))
    # An interval belongs to a window when both of its logins do: 31 days have all that the widest window asks for.
    recent = {**tables, "sessions": of_day(tables["sessions"], "started_at", day, back=31)}
    rows: pd.DataFrame = fraud_client(recent, spine).to_pandas()
    return rows.sort_values(["ts", "transaction_id"], ignore_index=True)
