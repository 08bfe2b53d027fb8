"""From payments and what is known about their clients to the rows that the fraud model sees."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from bentos.fraud.requests import NUMBERS

if TYPE_CHECKING:
    from features.online_numbers import OnlineNumbers

_FLAG = "_was_missing"
_MOMENTS: tuple[tuple[str, Callable[[datetime], int]], ...] = (("hour", lambda at: at.hour), ("weekday", lambda at: at.weekday()))


class Payment(Protocol):
    """A checked payment: an attribute for each field of `TransactionScoringRequest`, None = not given."""

    client_id: str | None
    amount: float


@dataclass(frozen=True)
class Payments:
    """Checked payments of one request, by column.

    Attributes:
        client_ids: the paying client of each, where one was given.
        numbers: the request's numeric fields by name, float64, NaN = not given; a field that no payment gives may be left out.
    """

    client_ids: Sequence[str | None]
    numbers: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.client_ids)

    @property
    def given(self) -> int:
        """How many values were given, of all payments together."""
        absent = sum(int(np.count_nonzero(np.isnan(numbers))) for numbers in self.numbers.values())
        return len(self) * (1 + len(self.numbers)) - absent - self.client_ids.count(None)


def payments_of(requests: Sequence[Payment]) -> Payments:
    """Payments by column."""
    numbers = {name: np.array([getattr(one, name) for one in requests], dtype=np.float64) for name in NUMBERS}
    return Payments([one.client_id for one in requests], numbers)


class FraudRows:
    """Makes a model's rows: given values, else online ones, else 0 with `<feature>_was_missing` = 1 where there is that flag.

    Hour (0-23) and weekday (Monday = 0) are those of the scoring moment, in UTC as in the payments table. Rows hold numbers
    alone: a value that is nowhere and has no flag is NaN.

    Args:
        columns: the model's features, in order.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        flagged = [name.removesuffix(_FLAG) for name in columns if name.endswith(_FLAG)]
        hidden = [name for name in flagged if name not in columns]  # the model sees the flag alone
        self._names = (*columns, *hidden)
        self._width = len(columns)
        self._places = place = {name: index for index, name in enumerate(self._names)}
        self._given = [(name, place[name]) for name in NUMBERS if name in place]
        self._flags = [(place[name + _FLAG], place[name]) for name in flagged]
        self._moments = [(place[name], read) for name, read in _MOMENTS if name in place]

    def one(self, payment: Payment, online: Mapping[str, Any], at: datetime) -> list[float | None]:
        """The row of one payment, in column order; None = missing."""
        row: list[float | None] = [online.get(name) for name in self._names]
        for name, index in self._given:
            given = getattr(payment, name)
            if given is not None:
                row[index] = given
        for index, read in self._moments:
            row[index] = read(at)
        for flag, index in self._flags:
            missing = row[index] is None
            row[flag] = float(missing)
            if missing:
                row[index] = 0.0
        return row[: self._width]

    def several(self, payments: Payments, online: OnlineNumbers, at: datetime) -> np.ndarray:
        """The rows of payments, shape (payments, features) float64, NaN = missing.

        Args:
            payments: what was asked.
            online: what is known about their clients.
            at: the moment of scoring, UTC.
        """
        rows = self._known(payments.client_ids, online)
        for name, index in self._given:
            given = payments.numbers.get(name)
            if given is not None:
                rows[:, index] = np.where(np.isnan(given), rows[:, index], given)
        for index, read in self._moments:
            rows[:, index] = read(at)
        for flag, index in self._flags:
            missing = np.isnan(rows[:, index])
            rows[:, flag] = missing
            rows[missing, index] = 0.0
        return rows[:, : self._width]

    def _known(self, client_ids: Sequence[str | None], online: OnlineNumbers) -> np.ndarray:
        unknown = len(online.clients)
        table = np.full((unknown + 1, len(self._names)), np.nan)  # the last row is that of clients of whom nothing is known
        columns = [(self._places[name], column) for column, name in enumerate(online.names) if name in self._places]
        for place, column in columns:
            table[:unknown, place] = online.values[:, column]
        return table[[unknown if client is None else online.clients.get(client, unknown) for client in client_ids]]
