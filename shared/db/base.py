"""Own what every table shares: the database they are bound to, and JSON kept as text."""

from __future__ import annotations

import json
from typing import Any

from peewee import DatabaseProxy, Model, TextField

DATABASE = DatabaseProxy()
"Bound once per process, by `connection.open_database`, at the composition root."


class JsonField(TextField):
    """JSON kept as text: exact integers, the same on SQLite and PostgreSQL."""

    def db_value(self, value: Any) -> str | None:
        """Write compact JSON; null stays null."""
        return None if value is None else json.dumps(value, separators=(",", ":"))

    def python_value(self, value: str | None) -> Any:
        """Read it back."""
        return None if value is None else json.loads(value)


class Table(Model):
    """A table of the node's one database."""

    class Meta:
        database = DATABASE
        legacy_table_names = False


class WeiField(TextField):
    """An amount of a token's smallest units, kept as decimal text: more than a database's integers hold."""

    def db_value(self, value: int | None) -> str | None:
        """Write whole numbers alone."""
        return None if value is None else str(int(value))

    def python_value(self, value: str | None) -> int | None:
        """Read it back."""
        return None if value is None else int(value)
