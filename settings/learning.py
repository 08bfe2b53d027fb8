"""What is landed from the bank's files, and what models learn from it."""

from pydantic import BaseModel, Field


class Learning(BaseModel):
    """Limits of ingestion, and what makes another model of the same tables."""

    seed: int = Field(20260101, ge=0, le=2**31 - 1, description="Seed of the simulator, the splits and the searches.")
    quarantine_limit: float = Field(
        0.05, ge=0, le=1, description="Largest share of bad rows with which a file is still ingested."
    )
    exchange_rates: dict[str, float] = Field(
        {"KZT": 1.0, "USD": 520.0, "EUR": 600.0, "RUB": 6.5}, description="Tenge per unit of each accepted currency."
    )
    segment_borders: tuple[float, float, float] = Field(
        (250_000.0, 500_000.0, 1_000_000.0),
        description="Monthly income in tenge at which the segments middle, high and premium begin.",
    )
    training_days: dict[str, float] = Field(
        {},
        description="How far back the labelled rows reach that a use case is trained on, in days before the newest one; what is "
        "not named learns from all. A world that changes is learned sooner without what was long ago.",
    )
    missed_fraud_cost: float = Field(
        60.0, gt=0, description="What a fraudulent payment that passes costs, in the unit of question_cost."
    )
    question_cost: float = Field(1.0, gt=0, description="What asking a client about a payment costs.")
    review_capacity: float = Field(0.004, gt=0, le=1, description="Share of payments that analysts can block and review.")
