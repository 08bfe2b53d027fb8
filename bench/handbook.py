"""The Fraud Detection Handbook's published week with point-in-time features of cards and terminals.

The data are simulated by the ULB Machine Learning Group; split and metrics are those of the handbook's chapters 3 and 4: train on
2018-07-25 to 07-31, wait a week for the labels, test on 2018-08-08 to 08-14 without the cards known as compromised by then.

The features were chosen by earlier pairs of weeks under the same rules (training weeks that begin on 2018-06-13, 06-20, 06-27,
07-04 and 07-11, each judged two weeks later), not by the test week. They rest on what the handbook tells an analyst: a terminal's
or a card's frauds come in a row, and amounts paid with a stolen card are unusual for it.
"""

from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

DELAY_DAYS = 7
"""A label is known this many days after its payment, not earlier."""
WEEK = pd.Timedelta(days=7)
TRAINING_WEEK = pd.Timestamp("2018-07-25")
ALL_DAYS_SINCE = pd.Timestamp("2018-05-15")
UNUSUAL = 2.4
"""A payment of more than this multiple of the card's usual amount is unusual: genuine amounts are spread by half of their mean
(chapter 3), so that one in 400 exceeds it."""

CARD_FEATURES = (
    "amount",
    "payments_before",
    "usual_amount",
    "amount_spread",
    "amount_ratio",
    "amount_deviation",
    "unusual_14d",
    "greatest_ratio_14d",
)
TERMINAL_FEATURES = (
    "terminal_days_since_label",
    "terminal_days_since_genuine",
    "terminal_frauds_in_a_row",
    "terminal_days_since_first_in_row",
    "terminal_days_in_doubt",
    "terminal_least_ratio_in_row",
)
FEATURES = (*CARD_FEATURES, *TERMINAL_FEATURES)

_CARDS = f"""
WITH measured AS (  -- whole cents: sums of whole numbers do not depend on the order of the rows
  SELECT *, CAST(round(amount * 100) AS BIGINT) AS cents, median(cents) OVER before AS middle,
    count(*) OVER before AS payments_before
  FROM payments
  WINDOW before AS (PARTITION BY customer ORDER BY ts RANGE BETWEEN UNBOUNDED PRECEDING AND INTERVAL 1 MICROSECOND PRECEDING)
), ordinary AS (  -- amounts far above the card's median would make the usual amount too large
  SELECT *, CASE WHEN payments_before < 3 OR cents < 3.2 * middle THEN cents END AS kept FROM measured
), usual AS (
  SELECT *, sum(kept) OVER before AS total, sum(kept * kept) OVER before AS squares, count(kept) OVER before AS n
  FROM ordinary
  WINDOW before AS (PARTITION BY customer ORDER BY ts RANGE BETWEEN UNBOUNDED PRECEDING AND INTERVAL 1 MICROSECOND PRECEDING)
), compared AS (
  SELECT transaction_id, ts, customer, terminal, amount, fraud, payments_before, total / n / 100 AS usual_amount,
    sqrt(greatest(n * squares - total * total, 0) / nullif(n * (n - 1), 0)) / 100 AS amount_spread,
    amount / nullif(usual_amount, 0) AS amount_ratio, (amount - usual_amount) / nullif(amount_spread, 0) AS amount_deviation
  FROM usual
)
SELECT *, coalesce(amount_ratio > {UNUSUAL}, false) AS unusual FROM compared
"""
_RECENT = """
SELECT *, count(*) FILTER (unusual) OVER fortnight AS unusual_14d, max(amount_ratio) OVER fortnight AS greatest_ratio_14d
FROM cards
WINDOW fortnight AS (
  PARTITION BY customer ORDER BY ts RANGE BETWEEN INTERVAL 14 DAY PRECEDING AND INTERVAL 1 MICROSECOND PRECEDING
)
"""
_TERMINALS = f"""
WITH told AS (  -- a fraud of an unusual amount speaks of the card, not of the terminal
  SELECT terminal, ts, transaction_id, fraud, amount_ratio,
    max(CASE WHEN NOT fraud THEN ts END) OVER (PARTITION BY terminal ORDER BY ts, transaction_id) AS last_genuine
  FROM cards WHERE NOT (fraud AND unusual)
), in_a_row AS (
  SELECT *, count(*) FILTER (fraud) OVER row AS frauds, min(CASE WHEN fraud THEN ts END) OVER row AS first_fraud,
    min(CASE WHEN fraud THEN amount_ratio END) OVER row AS least_ratio
  FROM told WINDOW row AS (PARTITION BY terminal, last_genuine ORDER BY ts, transaction_id)
)
SELECT terminal, ts, ts + INTERVAL {DELAY_DAYS} DAY AS known_at, max_by(last_genuine, transaction_id) AS last_genuine,
  max_by(frauds, transaction_id) AS frauds, max_by(first_fraud, transaction_id) AS first_fraud,
  max_by(least_ratio, transaction_id) AS least_ratio
FROM in_a_row GROUP BY terminal, ts
"""
_JOINED = """
SELECT recent.* EXCLUDE (unusual), date_diff('second', known.ts, recent.ts) / 86400 AS terminal_days_since_label,
  date_diff('second', last_genuine, recent.ts) / 86400 AS terminal_days_since_genuine, frauds AS terminal_frauds_in_a_row,
  date_diff('second', first_fraud, recent.ts) / 86400 AS terminal_days_since_first_in_row,
  date_diff('second', last_genuine, first_fraud) / 86400 AS terminal_days_in_doubt,
  least_ratio AS terminal_least_ratio_in_row
FROM recent ASOF LEFT JOIN known ON recent.terminal = known.terminal AND recent.ts > known.known_at
WHERE recent.ts >= ? ORDER BY recent.ts, recent.transaction_id
"""


def read_payments(path: Path) -> pd.DataFrame:
    """The handbook's transactions: transaction_id, ts, customer, terminal, amount and fraud (0/1).

    Raises:
        FileNotFoundError: the file is not there.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no {path}: put the handbook's transactions there or set OPORA_REAL_DATA to their folder")
    names = {
        "TRANSACTION_ID": "transaction_id",
        "TX_DATETIME": "ts",
        "CUSTOMER_ID": "customer",
        "TERMINAL_ID": "terminal",
        "TX_AMOUNT": "amount",
        "TX_FRAUD": "fraud",
    }
    return pd.read_parquet(path, columns=list(names)).rename(columns=names)


def point_in_time(payments: pd.DataFrame, since: pd.Timestamp) -> pd.DataFrame:
    """The payments from `since` on with `FEATURES`, in order of time; earlier payments serve as history.

    A card's features see its payments before the moment, without labels. A terminal's features see the labels of its payments
    that are more than `DELAY_DAYS` old: how long the last genuine one is ago, how many frauds came in a row since then, when that
    row began, within how many days it must have begun, and how ordinary its most ordinary amount was for the card.
    """
    with duckdb.connect() as connection:
        connection.register("frame", payments)
        connection.execute("CREATE TABLE payments AS SELECT * REPLACE (fraud = 1 AS fraud, ts::TIMESTAMP AS ts) FROM frame")
        for table, query in (("cards", _CARDS), ("recent", _RECENT), ("known", _TERMINALS)):
            connection.execute(f"CREATE TABLE {table} AS {query}")
        frame = connection.execute(_JOINED, [since.to_pydatetime()]).df()
    return frame.astype({**dict.fromkeys(FEATURES, "float64"), "fraud": "int64"})


def weeks(frame: pd.DataFrame, start: pd.Timestamp, since: pd.Timestamp | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Train and test rows of the handbook's split whose training week begins at `start`.

    Train: [since or start, start + 7 days). Test: [start + 14 days, start + 21 days) without cards with a fraud in the training
    week or, for each test day, on a day from the end of the training week to eight days before. A longer training window does not
    change the test rows, so that windows can be compared.
    """
    day = frame["ts"].dt.normalize()
    train = frame[(day >= (since or start)) & (day < start + WEEK)]
    frauds = frame[(frame["fraud"] == 1) & (day >= start)]
    # From then on the card is out: its first fraud since the training week began is known, and the bank has acted on it.
    first_fraud = frauds.groupby("customer")["ts"].min().dt.normalize()
    out_from = frame["customer"].map((first_fraud + pd.Timedelta(days=DELAY_DAYS + 1)).clip(lower=start + 2 * WEEK))
    in_test = (day >= start + 2 * WEEK) & (day < start + 3 * WEEK)
    return train, frame[in_test & ~(day >= out_from)]


def card_precision(test: pd.DataFrame, scores: np.ndarray, top: int = 100) -> float:
    """Card precision@top: the mean over days of the share of compromised cards among the `top` most suspicious.

    A card is as suspicious as its most suspicious payment of the day; a card that was found is not looked at again. Source: the
    handbook's chapter 4.

    Args:
        test: customer, ts and fraud of each payment.
        scores: suspicion of each payment, same order.
        top: cards that can be checked in a day.
    """
    scored = pd.DataFrame({"customer": test["customer"].array, "fraud": test["fraud"].array, "score": scores})
    found: set[int] = set()
    precisions = []
    for _, payments in scored.groupby(test["ts"].dt.normalize().array):
        cards = payments[~payments["customer"].isin(found)].groupby("customer")[["score", "fraud"]].max()
        checked = cards.sort_values("score", ascending=False, kind="stable").head(top)
        hits = checked.index[checked["fraud"] == 1]
        found.update(hits)
        precisions.append(len(hits) / top)
    return float(np.mean(precisions))
