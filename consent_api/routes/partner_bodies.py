"""What partners ask with, and what they get."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from consent_api.periods import PATTERN, Period

_MONTH = PATTERN.strip("^$")
Format = Annotated[
    Literal["json", "csv"] | None, Field(description="By default what the header Accept asks for: application/json or text/csv.")
]

EXAMPLE: dict[str, Any] = {
    "company": "dala-market",
    "total_datasets": 1,
    "data": [
        {
            "company": "dala-market",
            "data_type": "spending_dynamics",
            "metrics": {
                "currency": "KZT",
                "by_month": {
                    "2026-10": {
                        "total": 1190210344,
                        "number_of_purchases": 81904,
                        "active_clients": 4987,
                        "mean_per_client": 238662.59,
                    }
                },
            },
            "sample_size": 4987,
            "generated_at": "2026-11-02T03:00:00+00:00",
            "privacy": {
                "unit": "client",
                "neighbours": "data with and without all rows of one client",
                "period": "2026-10",
                "rho": 0.02,
                "epsilon": 1.0713,
                "delta": 1e-06,
                "standard_deviation": {
                    "by_month": {
                        "2026-10": {
                            "total": 12274328.250919,
                            "number_of_purchases": 901.975235,
                            "active_clients": 16.467739,
                            "mean_per_client": 2584.612,
                        }
                    },
                    "sample_size": 16.467739,
                },
            },
        }
    ],
}
CSV_EXAMPLE = (
    "company,data_type,period,segment,cell,figure,item,value,standard_deviation\r\n"
    "dala-market,spending_dynamics,2026-10,all,all,by_month,2026-10/total,1190210344,12274328.250919\r\n"
)


class ReportQuery(BaseModel):
    """Which month; other parameters are refused, because ignoring them would answer another question."""

    model_config = ConfigDict(extra="forbid")

    period: str | None = Field(
        None, pattern=PATTERN, description="A month like 2026-10; by default the newest that was released.", examples=["2026-10"]
    )
    format: Format = None

    @property
    def months(self) -> tuple[Period, Period] | None:
        """First and last asked month; None: the newest."""
        return (Period.of(self.period), Period.of(self.period)) if self.period else None


class SeriesQuery(ReportQuery):
    """Which month or months, and how the figures are broken down."""

    periods: str | None = Field(
        None,
        pattern=rf"^{_MONTH}\.\.{_MONTH}$",
        description="Months from the first to the last, instead of `period`: every release there is, oldest first.",
        examples=["2026-01..2026-10"],
    )
    segment: str | None = Field(
        None,
        min_length=1,
        max_length=64,
        description="One of the segments of GET /data-types; by default all clients.",
        examples=["age_group"],
    )

    @model_validator(mode="after")
    def _one_question(self) -> "SeriesQuery":
        if self.periods is None:
            return self
        if self.period is not None:
            raise ValueError("give period or periods, not both")
        first, last = self.periods.split("..")
        if not first <= last:
            raise ValueError("periods go from the earlier month to the later one")
        return self

    @property
    def months(self) -> tuple[Period, Period] | None:
        """First and last asked month; None: the newest."""
        if self.periods is None:
            return super().months
        first, last = self.periods.split("..")
        return Period.of(first), Period.of(last)


class CompanyBody(BaseModel):
    """A partner company."""

    company: str
    name_ru: str
    name_en: str
    about_ru: str
    about_en: str


class Companies(BaseModel):
    """The companies a client may consent to."""

    companies: list[CompanyBody]


class DataTypeBody(BaseModel):
    """A data type a client may consent to."""

    data_type: str
    title_ru: str
    title_en: str
    released: bool = Field(description="Whether reports of it are made.")


class SegmentBody(BaseModel):
    """How reports are broken down."""

    segment: str
    title_ru: str
    title_en: str
    cells: list[str] = Field(description="The cells there can be, whether or not anybody is in them.")


class DataTypes(BaseModel):
    """The data types, what they may be used for, and how they are broken down."""

    data_types: list[DataTypeBody]
    purposes: list[dict[str, str]]
    segments: list[SegmentBody]


class Aggregate(BaseModel):
    """One release, as it was stored."""

    company: str
    data_type: str
    metrics: dict[str, Any] = Field(description="Figures; with a segment, those of each cell that enough clients are in.")
    sample_size: int = Field(description="Number of clients, with noise.")
    generated_at: datetime
    privacy: dict[str, Any] = Field(description="What the figures promise, and how far each may be off.")


class Aggregates(BaseModel):
    """What a partner may see."""

    model_config = ConfigDict(json_schema_extra={"example": EXAMPLE})

    company: str
    total_datasets: int
    data: list[Aggregate]
    message: str | None = Field(None, description="Why there is no data.")
