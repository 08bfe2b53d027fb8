"""Counts in sentences: `1 row has`, `3 rows have`."""


def plural(number: float, one: str, many: str = "") -> str:
    """`3 rows`, `1 row`, `1,200 classes`; `many` where it is not `one` with an s."""
    return f"{number:,.0f} {agreeing(number, one, many or f'{one}s')}"


def agreeing(number: float, one: str, many: str) -> str:
    """The word that goes with the number: `one` with 1, else `many`."""
    return one if number == 1 else many
