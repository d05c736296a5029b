"""Own the leases of duties: what is done beside the jobs, by one process at a time."""

from __future__ import annotations

from collections.abc import Iterable

from shared.db.connection import session, transaction
from shared.db.node_tables import Lease
from shared.db.statements import Statement

_NOT_DUE = Statement(
    lambda now_ms: Lease.select(Lease.name).where((Lease.until_ms > now_ms) | (Lease.next_at_ms > now_ms))
)


def due_duties(names: Iterable[str], now_ms: int) -> list[str]:
    """Which of the named duties are due and nobody's; one query."""
    with session():
        rest = {name for (name,) in _NOT_DUE.tuples(now_ms=now_ms)}
    return [name for name in names if name not in rest]


def take_duty(name: str, token: str, now_ms: int, lease_ms: int) -> bool:
    """Lease a named duty that is due, for one pass on one machine at a time."""
    with transaction():
        Lease.insert(name=name, token="", until_ms=0, next_at_ms=0).on_conflict_ignore().execute()
        free = (Lease.name == name) & (Lease.until_ms <= now_ms) & (Lease.next_at_ms <= now_ms)
        return bool(Lease.update(token=token, until_ms=now_ms + lease_ms).where(free).execute())


def end_duty(name: str, token: str, next_at_ms: int) -> None:
    """Give a duty back and say when it is due again."""
    with session():
        ours = (Lease.name == name) & (Lease.token == token)
        Lease.update(until_ms=0, next_at_ms=next_at_ms).where(ours).execute()
