"""What a user asks for when a model is to be trained on a table of their own."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from registry.models import USE_CASES
from settings import settings
from training.task import Kind

MetricName = Literal["roc_auc", "pr_auc", "log_loss", "wmae", "rmse"]
METRICS: dict[Kind, tuple[MetricName, ...]] = {
    "binary": ("roc_auc", "pr_auc", "log_loss"),
    "multiclass": ("log_loss", "roc_auc", "pr_auc"),
    "regression": ("rmse", "wmae"),
}
"""The metrics that fit each kind; the first is taken where none is given."""
ColumnName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
MODEL_NAME = r"^[A-Za-z0-9][A-Za-z0-9-]{0,62}$"
_DAY = 86_400.0


class TableRequest(BaseModel):
    """Which table to learn from and what."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=MODEL_NAME, description="Registered model that the result becomes a version of.")
    table: str = Field(min_length=1, description="A CSV (any dialect, also gzipped) or Parquet file on the server's disk.")
    target: ColumnName = Field(description="Column to predict.")
    kind: Kind = Field(description="Two classes, an amount, or several classes.")
    metric: MetricName | None = Field(
        None, description="What models are compared by; none = ROC-AUC (binary), log loss (multiclass), RMSE (regression)."
    )
    positive: str | None = Field(None, description="The value of a binary target whose probability is the score.")
    weight: ColumnName | None = Field(None, description="Column with the weight of each row, 0 or more.")
    time: ColumnName | None = Field(None, description="Date column: the newest rows are kept to judge the model.")
    group: ColumnName | None = Field(None, description="Column whose rows with one value stay together, say the client.")
    id: ColumnName | None = Field(None, description="Column that names the rows; not learned from, given back with the scores.")
    drop: list[ColumnName] = Field([], description="Columns not to learn from.")
    names: list[ColumnName] = Field([], description="Names of all columns in order, for a CSV file without a header line.")
    protected: list[ColumnName] = Field([], description="Columns by which fairness is reported; drop them too to not learn from.")
    monotone: dict[ColumnName, Literal[-1, 1]] = Field({}, description="Columns whose effect may only rise (1) or fall (-1).")
    drop_suspects: bool = Field(False, description="Consent to leave out columns that predict almost perfectly alone, and ids.")
    seconds: float = Field(
        60, ge=1, le=_DAY, description="Longest time to search, in seconds; a day where only trials are given: they decide alone."
    )
    trials: int = Field(1000, ge=1, le=100_000, description="Most configurations to try.")
    seed: int = Field(
        default_factory=lambda: settings().seed,
        ge=0,
        le=2**31 - 1,
        description="Same table, settings and seed give the same model; empty = OPORA_SEED.",
    )

    @model_validator(mode="before")
    @classmethod
    def _trials_alone(cls, given: Any) -> Any:
        """A clock that nobody asked for must not decide what the same trials and seed give."""
        if isinstance(given, dict) and "trials" in given and "seconds" not in given:
            return {**given, "seconds": _DAY}
        return given

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.name.lower() in USE_CASES:
            raise ValueError(f"name {self.name} belongs to one of the bank's own models: give another")
        if self.metric and self.metric not in METRICS[self.kind]:
            raise ValueError(f"metric {self.metric} does not fit a {self.kind} target: take {', '.join(METRICS[self.kind])}")
        if self.positive is not None and self.kind != "binary":
            raise ValueError(f"a {self.kind} target has no positive class: leave positive out")
        if self.monotone and self.kind == "multiclass":
            raise ValueError("a multiclass target neither rises nor falls: leave monotone out")
        self._refuse_two_roles()
        return self

    def _refuse_two_roles(self) -> None:
        """The target is nothing else; weight and time are no ids or groups. An id may be the group."""
        roles = {"target": self.target, "weight": self.weight, "time": self.time, "group": self.group or self.id}
        given = [name for name in roles.values() if name]
        twice = sorted({name for name in given if given.count(name) > 1 or (name == self.target and name in self._others())})
        if twice:
            raise ValueError(f"column {', '.join(twice)} has two roles: target, weight, time and group must be different columns")

    def _others(self) -> list[str | None]:
        return [self.id, self.weight, self.time, *self.drop, *self.protected, *self.monotone]

    @property
    def selects_by(self) -> MetricName:
        """The metric given, or the one that the kind brings."""
        return self.metric or METRICS[self.kind][0]
