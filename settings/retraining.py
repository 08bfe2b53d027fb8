"""What an event of drift or lost quality may start."""

from typing import Literal

from pydantic import BaseModel, Field


class Retraining(BaseModel):
    """Limits of the retraining loop, from the event to the gate's word on the challenger."""

    approval: Literal["automatic", "person"] = Field(
        "automatic", description="Whether events start retrainings by themselves, or a person is asked in the Prefect UI first."
    )
    approval_hours: float = Field(24.0, gt=0, description="How long the person's answer is waited for; then it counts as no.")
    retrainings_per_week: int = Field(
        2, ge=0, description="Most retrainings of a use case that events may start within seven days; 0 = people retrain."
    )
    retraining_cooldown_hours: float = Field(
        24.0, ge=0, description="Time after an event's retraining in which no other event starts one for the use case, in hours."
    )
    retraining_trials: int = Field(12, ge=1, le=1000, description="Most configurations that such a retraining tries.")
    retraining_seconds: float = Field(60.0, ge=1, le=86_400, description="Longest search of such a retraining, in seconds.")
    response_lease_seconds: float = Field(
        120.0, gt=0, description="After this time without a sign of life the answer to an event counts as died, in seconds."
    )
    shadow_hours: float = Field(
        2.0, ge=0, description="Longest time that a challenger of the loop scores in shadow before the gate judges it; 0 = none."
    )
    shadow_rows: int = Field(500, ge=1, description="Rows in shadow after which it is judged at once.")
