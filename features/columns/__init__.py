"""What is said about a feature: its name, type, titles for people and meaning."""

from dataclasses import dataclass
from typing import Literal

Course = Literal["steady", "cycles", "grows"]


@dataclass(frozen=True)
class FeatureColumn:
    """A column that a model sees.

    Attributes:
        name: column name, also the wire name of the feature.
        dtype: ibis type as text: "float64", "int64", "int8" or "string" (categorical).
        title_ru, title_en: what people read.
        meaning: how the value is computed, with its unit.
        missing_flag: an absent value becomes 0 and `<name>_was_missing` becomes 1 (see `features.sets.fill_missing`).
        protected: describes who a person is; never given as a reason for a decision.
        course: what the calendar alone does to the values, which is no drift. "cycles": a few days do not show them as they are
            (the weekday; the salaries in 90 days, which long and short months change for all at once). "grows": they become
            larger as time passes (time since a first event).
    """

    name: str
    dtype: str
    title_ru: str
    title_en: str
    meaning: str
    missing_flag: bool = False
    protected: bool = False
    course: Course = "steady"

    @property
    def categorical(self) -> bool:
        """Whether the values are names rather than numbers."""
        return self.dtype == "string"
