"""Own PostgreSQL's pool: a connection that was in use a moment ago is given out without asking whether it lives.

The library asks each time, a round trip under the pool's own lock: threads that share a pool would take turns at the
network, some hundred times a job.
"""

from __future__ import annotations

import time
from typing import Any
from weakref import WeakKeyDictionary

from playhouse.pool import PooledPostgresqlDatabase

FRESH_S = 1.0
"After a longer rest the server is asked: a restart of it takes longer."


class FreshPool(PooledPostgresqlDatabase):  # type: ignore[misc]  # the library has no types
    """Connections by age; the server is asked for those that rested."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        self._used_at_s: WeakKeyDictionary[Any, float] = WeakKeyDictionary()
        super().__init__(*arguments, **more)

    def _is_closed(self, conn: Any) -> bool:
        if time.monotonic() - self._used_at_s.get(conn, 0.0) < FRESH_S and not conn.closed:
            return False
        return bool(super()._is_closed(conn))

    def _can_reuse(self, conn: Any) -> bool:
        """Asked as a connection comes back; whatever is left open in it is ended here."""
        self._used_at_s[conn] = time.monotonic()
        return bool(super()._can_reuse(conn))
