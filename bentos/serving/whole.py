"""Whole numbers as JSON means them: 5.0 is one, "5" and true are none."""

from pydantic import BeforeValidator


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_whole)
"""Lets an int field of a strict body take 5.0, which JSON does not tell from 5; named last, so that bounds stay in the schema."""
