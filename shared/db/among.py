"""Own asking for the rows that have one of some values, with a statement kept for each number of them."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator
from typing import Any

from shared.db.statements import Statement


def among(table: Any, column: str, values: Collection[str]) -> Iterator[Any]:
    """The table's rows whose column has one of the values."""
    if not values:
        return iter(())
    return _rows(table, column, len(values)).rows(**dict(zip(names_of(len(values)), values, strict=True)))


def names_of(count: int) -> list[str]:
    """What so many values are called in a statement."""
    return [f"value{place}" for place in range(count)]


@functools.lru_cache(64)
def _rows(table: Any, column: str, count: int) -> Statement:
    return Statement(
        lambda **values: table.select().where(getattr(table, column).in_(list(values.values()))), names_of(count)
    )
