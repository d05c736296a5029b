"""Own statements that are written once: to put a query's SQL together costs more than to run it.

For what every request or pass asks. A statement is built like any other query, from names that stand for its values.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from peewee import AutoField, BigIntegerField, CharField, IntegerField, TextField, Value

from shared.db.base import DATABASE


class _Given(NamedTuple):
    """Stands for a value until it is known."""

    name: str


_Column = tuple[str, Callable[[Any], Any] | None]
_AS_IT_IS = (AutoField, BigIntegerField, CharField, IntegerField, TextField)


class Statement:
    """A query whose SQL is kept, one text for each kind of database. Values are passed by name, as they are stored.

    `names` are those of the values; without them, those of `build`'s parameters.
    """

    def __init__(self, build: Callable[..., Any], names: Iterable[str] | None = None) -> None:
        self._build = build
        self._names = tuple(inspect.signature(build).parameters if names is None else names)
        self._kept: dict[type, tuple[str, list[Any], Any]] = {}
        self._columns: list[_Column] = []

    def rows(self, **values: Any) -> Iterator[Any]:
        """Yield model rows, each with the columns that the query selects."""
        sql, parameters, model = self._text()
        cursor = DATABASE.execute_sql(sql, _filled(parameters, values))
        if not self._columns:
            self._columns = [_column(model, each[0]) for each in cursor.description]
        return iter([_row(model, self._columns, each) for each in cursor.fetchall()])

    def first(self, **values: Any) -> Any:
        """The first model row, or null."""
        return next(self.rows(**values), None)

    def tuples(self, **values: Any) -> list[tuple[Any, ...]]:
        """All rows as the database has them."""
        sql, parameters, _ = self._text()
        return list(DATABASE.execute_sql(sql, _filled(parameters, values)).fetchall())

    def write(self, **values: Any) -> int:
        """Run an insert, update or delete; how many rows it touched."""
        sql, parameters, _ = self._text()
        return int(DATABASE.execute_sql(sql, _filled(parameters, values)).rowcount)

    def _text(self) -> tuple[str, list[Any], Any]:
        kind = type(DATABASE.obj)
        if kind not in self._kept:
            query = self._build(**{name: Value(_Given(name), converter=False, unpack=False) for name in self._names})
            sql, parameters = query.sql()
            self._kept[kind] = (sql, parameters, getattr(query, "model", None))
        return self._kept[kind]


def _column(model: Any, name: str) -> _Column:
    """Name and conversion of a column; most values come from the database as they are needed."""
    field = model._meta.combined.get(name)
    if field is None:
        return name, None
    return field.name, None if type(field) in _AS_IT_IS else field.python_value


def _row(model: Any, columns: list[_Column], values: tuple[Any, ...]) -> Any:
    """A model row without the library's own way to one, which costs more than the query."""
    row = object.__new__(model)
    row.__data__ = {
        name: value if convert is None else convert(value)
        for (name, convert), value in zip(columns, values, strict=True)
    }
    row.__rel__, row._dirty = {}, set()
    return row


def _filled(parameters: list[Any], values: dict[str, Any]) -> list[Any]:
    return [values[each.name] if isinstance(each, _Given) else each for each in parameters]
