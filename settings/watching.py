"""What monitoring takes for drift and for lost quality."""

from pydantic import BaseModel, Field, SecretStr


class Watching(BaseModel):
    """Limits of the reports on drift and quality, and who is told."""

    drift_rows: int = Field(10_000, ge=100, description="Most rows of each side in a drift report; of more, a sample.")
    drift_fewest_rows: int = Field(100, ge=20, description="Fewest journalled scores that a drift report is made from.")
    drift_distance: float = Field(
        0.1, gt=0, le=1, description="Distance, and change of the share of missing values, from which a column has drifted."
    )
    drift_surge: float = Field(
        0.01,
        gt=0,
        le=1,
        description="Growth of the share of one range of values within days from which a drift event is emitted: one payment "
        "in a hundred may be all the fraud there is.",
    )
    drift_share: float = Field(
        0.3, gt=0, le=1, description="Share of drifted features from which a drift event is emitted for a use case."
    )
    label_maturity_days: dict[str, float] = Field(
        {"fraud": 30.0, "prescoring": 120.0, "income": 30.0, "recommendation": 30.0},
        description="Days after a score by which its label has come, by use case; younger scores are no evidence of quality.",
    )
    quality_loss: float = Field(
        0.1, gt=0, le=1, description="Relative loss of the metric against the holdout from which a quality event is emitted."
    )
    report_days: int = Field(
        366, ge=30, description="Days after which drift reports are deleted, so that the dashboards stay quick."
    )
    stale_features_days: float = Field(
        7.0, gt=0, description="Age of the online features from which a drift report says that they are stale, in days."
    )
    alert_webhook: SecretStr | None = Field(
        None, description="Address that alerts are posted to as JSON; https, or http on loopback; empty = no alerts."
    )
