"""Statements that the driver runs as they are: what SQLAlchemy does around one takes several times as long as a small one."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql import ClauseElement

_Bind = Callable[[Any], Any]


def execute(connection: Connection, statement: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> Any:
    """The driver's cursor after `statement`, within the transaction of `connection`.

    Raises:
        DBAPIError: as SQLAlchemy's own ways of executing; a connection that is lost is known to be.
    """
    driver: Any = connection.connection.dbapi_connection
    try:
        return driver.execute(statement, parameters)
    except connection.dialect.loaded_dbapi.Error as error:
        raise _wrapped(connection, driver, statement, error) from error


class Prepared:
    """One statement, compiled once for each kind of database.

    Args:
        statement: its parameters are named; its results have to be types that need no conversion: text, bytes, whole numbers.
    """

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement
        self._compiled: dict[str, _Compiled] = {}

    def rows(self, connection: Connection, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """What the statement finds."""
        found: list[tuple[Any, ...]] = self._run(connection, parameters).fetchall()
        return found

    def run(self, connection: Connection, parameters: Mapping[str, Any]) -> None:
        """Have the statement change something."""
        self._run(connection, parameters)

    def _run(self, connection: Connection, parameters: Mapping[str, Any]) -> Any:
        dialect = connection.dialect
        compiled = self._compiled.get(dialect.name)
        if compiled is None:
            compiled = self._compiled[dialect.name] = _Compiled(self._statement, dialect)
        return execute(connection, compiled.text, compiled.bound(parameters))


class _Compiled:
    """A statement as text, and how its parameters become what the driver takes."""

    def __init__(self, statement: ClauseElement, dialect: Dialect) -> None:
        compiled: Any = statement.compile(dialect=dialect)
        self.text = str(compiled)
        self._named = not compiled.positional
        fixed: dict[str, Any] = compiled.params
        names: list[str] = list(fixed) if self._named else compiled.positiontup
        self._binds = [(name, fixed[name], _bind(compiled.binds[name].type, dialect)) for name in names]

    def bound(self, parameters: Mapping[str, Any]) -> Sequence[Any] | Mapping[str, Any]:
        """The values of all parameters, also of those that are part of the statement."""
        values = [
            parameters.get(name, fixed) if bind is None else bind(parameters.get(name, fixed))
            for name, fixed, bind in self._binds
        ]
        return dict(zip((name for name, _, _ in self._binds), values, strict=True)) if self._named else values


def _bind(kind: Any, dialect: Dialect) -> _Bind | None:
    bind: _Bind | None = kind.dialect_impl(dialect).bind_processor(dialect)
    return bind


def _wrapped(connection: Connection, driver: Any, statement: str, error: Exception) -> BaseException:
    """`error` as SQLAlchemy raises it, without the values of the statement."""
    dialect = connection.dialect
    lost = dialect.is_disconnect(error, driver, None)  # type: ignore[arg-type]
    if lost:
        connection.invalidate(error)
    wrapped = DBAPIError.instance(
        statement, None, error, dialect.loaded_dbapi.Error, hide_parameters=True, connection_invalidated=lost, dialect=dialect
    )
    assert isinstance(wrapped, BaseException)
    return wrapped
