"""The next table for a model that was trained on one: read with the same names and kinds of columns."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from features.refusals import RefusedFile
from features.wording import agreeing, plural
from training.table import OpenTable, open_table
from training.table_columns import ColumnKind
from training.table_file import NoHeader

_MOST_UNFIT = 0.5


@contextlib.contextmanager
def open_rows(
    path: Path, form: Mapping[str, Any], names: Sequence[str] = (), scratch: Path | None = None
) -> Iterator[tuple[OpenTable, list[str]]]:
    """The table at `path` read as `form` (the `task.table` of a model) says, and notes on what a user should know.

    A file without a header may lack the target; its columns are named as those of the table that was learned from.

    Raises:
        RefusedFile: columns that the model learned from are missing, or hold something else.
    """
    kinds: dict[str, ColumnKind] = dict(form["kinds"])
    if form["id"]:
        kinds[form["id"]] = "text"
    written: Mapping[str, str] = form.get("written", {})  # older versions do not say
    with contextlib.ExitStack() as stack:
        try:
            table = stack.enter_context(open_table(path, names, kinds, scratch, written))
        except NoHeader as error:
            known = _names_of(form, error)
            table = stack.enter_context(open_table(path, known, kinds, scratch, written))
        _refuse_other_columns(table, form)
        yield table, [*table.notes(without=_ignored(table, form)), *_notes(table, form)]


def _names_of(form: Mapping[str, Any], error: NoHeader) -> list[str]:
    names: list[str] = form["names"]
    for known in (names, [name for name in names if name != form["target"]]):
        if names and len(known) == error.width:
            return known
    raise error


def _refuse_other_columns(table: OpenTable, form: Mapping[str, Any]) -> None:
    columns = {column.name: column for column in table.columns}
    absent = [name for name in form["kinds"] if name not in columns]
    if absent:
        raise RefusedFile(
            f"{table.name} lacks {len(absent)} of the {plural(len(form['kinds']), 'column')} that the model learned from: "
            f"{', '.join(absent)}: add {agreeing(len(absent), 'it', 'them')} (a column may be empty)"
        )
    for name, kind in form["kinds"].items():
        column = columns[name]
        if column.unfit > _MOST_UNFIT * column.given:
            raise RefusedFile(
                f"column {name} of {table.name}: {column.unfit:,} of {column.given:,} cells "
                f"{agreeing(column.unfit, f'is no {kind}', f'are no {kind}s')}, "
                "as the model learned it: check that the column is the same"
            )


def _ignored(table: OpenTable, form: Mapping[str, Any]) -> list[str]:
    used = {*form["kinds"], form["id"]}
    return [column.name for column in table.columns if column.name not in used]


def _notes(table: OpenTable, form: Mapping[str, Any]) -> list[str]:
    notes = []
    known = {form["target"], *form["request"]["drop"], form["request"]["weight"], form["request"]["group"], form["time"]}
    extra = [name for name in _ignored(table, form) if name not in known]
    if extra:
        notes.append(
            plural(len(extra), "column was not learned from and is", "columns were not learned from and are")
            + f" ignored: {', '.join(extra[:10])}{' …' * (len(extra) > 10)}"
        )
    if form["id"] and form["id"] not in {column.name for column in table.columns}:
        notes.append(f"there is no column {form['id']}: rows are numbered from 1")
    return notes
