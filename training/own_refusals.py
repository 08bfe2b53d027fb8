"""What a request asks of a table that the table cannot give, said in one sentence that names the column and the count."""

import difflib

from features.wording import agreeing, plural
from training.own_request import TableRequest
from training.table import OpenTable
from training.table_columns import Column
from training.task import NotTrainable


def check_columns(request: TableRequest, table: OpenTable) -> None:
    """Refuse a table that lacks a column of the request, or has one that cannot be what it is asked to be.

    Raises:
        NotTrainable: a column that is absent, a time that is no date, weights that are no numbers, a direction of a text.
    """
    columns = {column.name: column for column in table.columns}
    _refuse_absent(request, table.name, list(columns))
    if request.time:
        _check_time(request, columns[request.time])
    if request.weight:
        _check_weight(request, columns[request.weight])
    wordy = [name for name in request.monotone if columns[name].kind == "text"]
    if wordy:
        told = plural(len(wordy), "column of MONOTONE is", "columns of MONOTONE are")
        raise NotTrainable(
            f"{request.name}: {told} text, which neither rises nor falls: {', '.join(wordy)}: "
            f"leave {agreeing(len(wordy), 'it', 'them')} out"
        )


def _refuse_absent(request: TableRequest, table: str, known: list[str]) -> None:
    roles = [request.target, request.weight, request.time, request.group, request.id]
    wanted = [*filter(None, roles), *request.drop, *request.protected, *request.monotone]
    absent = sorted({name for name in wanted if name not in known})
    if absent:
        alike = [match for name in absent for match in difflib.get_close_matches(name, known, 2, 0.5)]
        hint = f"did you mean {', '.join(dict.fromkeys(alike))}?" if alike else f"it has {', '.join(known[:20])}"
        raise NotTrainable(f"{request.name}: {table} has no column {', '.join(absent)}: {hint}")


def _check_time(request: TableRequest, column: Column) -> None:
    if not column.given:
        raise NotTrainable(f"{request.name}: time column {column.name} is missing in all rows: fill it, or train without it")
    if column.kind == "text" or column.unfit:
        odd = column.given - column.alike
        told = f"{odd:,} of {column.given:,} cells {agreeing(odd, 'is no date or number', 'are no dates or numbers')}"
        raise NotTrainable(
            f"{request.name}: time column {column.name} does not parse: {told}; write them like 2025-12-31 or 31.12.2025, "
            "or train without it"
        )


def _check_weight(request: TableRequest, column: Column) -> None:
    if column.kind != "number" or column.unfit:
        count = column.given - column.alike if column.kind != "date" else column.given
        raise NotTrainable(
            f"{request.name}: weight column {column.name} is no number in {count:,} of {column.given:,} rows: give one "
            "weight of 0 or more per row"
        )
