"""Own statements that are written once: to put a query's SQL together costs more than to run it.

For what every request or pass asks. A statement is built like any other query, from names that stand for its values.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from peewee import Value

from shared.db.base import DATABASE


class _Given(NamedTuple):
    """Stands for a value until it is known."""

    name: str


class Statement:
    """A query whose SQL is kept, one text for each kind of database. Values are passed by name, as they are stored.

    `names` are those of the values; without them, those of `build`'s parameters.
    """

    def __init__(self, build: Callable[..., Any], names: Iterable[str] | None = None) -> None:
        self._build = build
        self._names = tuple(inspect.signature(build).parameters if names is None else names)
        self._kept: dict[type, tuple[str, list[Any], Any]] = {}

    def rows(self, **values: Any) -> Iterator[Any]:
        """Yield model rows, each with the columns that the query selects."""
        sql, parameters, model = self._text()
        return iter(model.raw(sql, *_filled(parameters, values)))

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


def _filled(parameters: list[Any], values: dict[str, Any]) -> list[Any]:
    return [values[each.name] if isinstance(each, _Given) else each for each in parameters]
