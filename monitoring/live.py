"""What live traffic said of a challenger: the rows that it scored in shadow beside those that were answered with."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import orjson
import pandas as pd
from scipy.stats import ks_2samp
from sqlalchemy import Connection, Engine, Select, case, func, select

from monitoring.draining import reading
from monitoring.health import SHADOW
from monitoring.outcomes import Outcomes
from monitoring.quality import METRIC_OF, Realised, realised_of
from monitoring.rows import JOURNAL, LABELS, OK
from registry.metrics import METRICS

_MOST_PAIRS = 20_000
_ID_LENGTH = 32  # the id of a row in shadow begins with that of the row it shadows


@dataclass(frozen=True)
class Output:
    """Both models' scores of one output on the same rows.

    Attributes:
        difference: mean of challenger minus champion, in the units of the prediction.
        distance: largest difference between the two distribution functions (Kolmogorov and Smirnov), 0 to 1.
    """

    name: str
    difference: float
    distance: float


@dataclass(frozen=True)
class Live:
    """A challenger in shadow.

    Attributes:
        rows: that it was given; `failed` of them it could not score.
        outputs: compared with what was answered, on the newest 20,000 rows at most.
        metric: title of the use case's metric; `challenger` and `champion` are its values on the `labelled` rows of these,
            averaged over the outputs, None where too few labels have come for a value.
    """

    rows: int
    failed: int
    outputs: tuple[Output, ...] = ()
    metric: str = ""
    labelled: int = 0
    challenger: float | None = None
    champion: float | None = None

    @property
    def sentence(self) -> str:
        """All of it, in words."""
        if not self.rows:
            return "in shadow it was given no rows"
        said = [f"in shadow it scored {self.rows - self.failed:,} of {self.rows:,} rows"]
        said += [f"{one.name} {one.difference:+.4g} on average, distributions {one.distance:.3f} apart" for one in self.outputs]
        if self.challenger is not None and self.champion is not None:
            said.append(f"{self.metric} {self.challenger:.4g} against {self.champion:.4g} on {self.labelled:,} labelled rows")
        return ", ".join(said)

    @property
    def figures(self) -> dict[str, float]:
        """The numbers by name."""
        known = {"shadow_rows": self.rows, "shadow_failed": self.failed, "shadow_labelled": self.labelled}
        compared = {"shadow_challenger": self.challenger, "shadow_champion": self.champion}
        outputs = {f"shadow_difference_{one.name}": one.difference for one in self.outputs}
        distances = {f"shadow_distance_{one.name}": one.distance for one in self.outputs}
        return {name: float(value) for name, value in (known | compared | outputs | distances).items() if value is not None}


def live(engine: Engine, use_case: str, version: str, since: datetime, until: datetime) -> Live:
    """What version `version` scored in shadow for since ≤ ts < until; `engine` is the journal's."""
    journal = JOURNAL.c
    within = [journal.use_case == use_case, journal.ts >= since, journal.ts < until, journal.source == SHADOW]
    count = select(func.count(), func.sum(case((journal.status != OK, 1), else_=0)))
    with reading(engine) as connection:
        rows, failed = connection.execute(count.where(*within, journal.model_version == version)).one()
        pairs, labels = _pairs(connection, use_case, version, since, until)
    counted = Live(int(rows), int(failed or 0))
    if pairs.empty:
        return counted
    first, second = (pd.json_normalize(pairs[side].map(orjson.loads)) for side in ("first", "second"))
    shared = [str(name) for name in second if name in first]
    ours, theirs = (_realised(use_case, pairs, side[shared], labels) for side in (second, first))
    return replace(
        counted,
        outputs=tuple(_output(name, first[name].to_numpy(), second[name].to_numpy()) for name in shared),
        metric=METRICS[ours.metric].title,
        labelled=ours.rows,
        challenger=ours.value,
        champion=theirs.value,
    )


def _pairs(
    connection: Connection, use_case: str, version: str, since: datetime, until: datetime
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The scores that were given and those of the challenger for the same rows, as JSON; and the labels that have come."""
    given, other = JOURNAL.alias("given"), JOURNAL.alias("shadow")
    drawn = (
        select(given.c.score_id, given.c.client_id, given.c.score.label("first"), other.c.score.label("second"))
        .select_from(other)
        .join(given, given.c.score_id == func.substr(other.c.score_id, 1, _ID_LENGTH))
        .where(other.c.use_case == use_case, other.c.ts >= since, other.c.ts < until, other.c.model_version == version)
        .where(other.c.source == SHADOW, other.c.status == OK)
        .order_by(other.c.ts.desc(), other.c.score_id.desc())
        .limit(_MOST_PAIRS)
    )
    ids = drawn.subquery().c.score_id
    labels = select(LABELS.c.score_id, LABELS.c.output, LABELS.c.label).join(ids.table, ids == LABELS.c.score_id)
    return _frame(connection, drawn), _frame(connection, labels)


def _frame(connection: Connection, query: Select[Any]) -> pd.DataFrame:
    found = connection.execute(query)
    return pd.DataFrame(found.all(), columns=list(found.keys()))


def _output(name: str, first: np.ndarray, second: np.ndarray) -> Output:
    known = ~(np.isnan(first) | np.isnan(second))
    distance = ks_2samp(first[known], second[known], method="asymp").statistic if known.any() else 0.0
    return Output(name, float(np.mean(second[known] - first[known])) if known.any() else 0.0, float(distance))


def _realised(use_case: str, pairs: pd.DataFrame, scores: pd.DataFrame, labels: pd.DataFrame) -> Realised:
    wide = labels.pivot(index="score_id", columns="output", values="label").reindex(pairs["score_id"])
    known = {str(name): wide[name].to_numpy(dtype="float64") for name in wide if name in scores}
    some = np.any([~np.isnan(values) for values in known.values()], axis=0) if known else np.zeros(len(pairs), dtype=bool)
    frame = pd.concat([pairs[["score_id", "client_id"]], scores.add_prefix("prediction_")], axis=1)[some].reset_index(drop=True)
    return realised_of(Outcomes(frame, {name: values[some] for name, values in known.items()}), METRIC_OF[use_case])
