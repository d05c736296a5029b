"""Own PostgreSQL's driver: peewee loads it wherever it is installed; here it is loaded when PostgreSQL is opened.

It is half of what a handler imports, and the handlers of most nodes have no use for it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from shared.errors import SettingsError

DRIVERS = ("psycopg", "psycopg2", "psycopg2cffi")


@contextmanager
def drivers_left_out() -> Iterator[None]:
    """Let imports of the drivers fail as if there were none; one that is loaded already stays."""
    left_out = [name for name in DRIVERS if name not in sys.modules]
    sys.modules.update(dict.fromkeys(left_out))  # type: ignore[arg-type]  # null is how an import is told "not there"
    try:
        yield
    finally:
        for name in left_out:
            del sys.modules[name]


with drivers_left_out():
    import peewee
    import playhouse.migrations  # noqa: F401 — by way of its PostgreSQL fields it asks for the drivers as well

_PEEWEE: Any = peewee


def load_driver() -> None:
    """Load psycopg and make it known to peewee, as its own import would have. Raises: SettingsError."""
    if _PEEWEE.psycopg is not None:
        return
    try:
        psycopg = importlib.import_module("psycopg")
    except ImportError as error:
        raise SettingsError("C2D_DATABASE_URL: a PostgreSQL database needs the package psycopg installed.") from error
    status = importlib.import_module("psycopg.pq").TransactionStatus
    kinds = importlib.import_module("psycopg.types.json")
    adapter = _PEEWEE.Psycopg3Adapter
    adapter.txn_idle, adapter.txn_inerror, adapter.txn_unknown = status.IDLE, status.INERROR, status.UNKNOWN
    _PEEWEE.TransactionStatus, _PEEWEE.Json_pg3, _PEEWEE.Jsonb_pg3 = status, kinds.Json, kinds.Jsonb
    _PEEWEE.psycopg = psycopg  # last: whoever sees it sees all of it


def driver_errors() -> tuple[type[Exception], ...]:
    """What the driver itself raises, outside peewee; nothing where it is not loaded."""
    return () if _PEEWEE.psycopg is None else (_PEEWEE.psycopg.Error,)


def is_address(url: str) -> bool:
    """Whether the driver understands a database's address; it is loaded already."""
    wrong: tuple[type[Exception], ...] = (*driver_errors(), ValueError)
    try:
        parts = importlib.import_module("psycopg.conninfo").conninfo_to_dict(url)
    except wrong:
        return False
    ports = str(parts.get("port") or "").replace(",", "")
    return not ports or ports.isdecimal()  # else a piece of a password may be taken for one
