"""What every request body of the scoring services keeps to."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

ClientCode = Annotated[
    str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00-\x20\x7f]([^\x00-\x1f\x7f]*[^\x00-\x20\x7f])?$")
]
"""The bank's code of a client: text without control characters and without blanks around it."""


class Body(BaseModel):
    """A request body: unknown fields, values of another type, NaN and Infinity are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
