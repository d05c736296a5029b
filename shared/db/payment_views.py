"""Own reading payments for those outside: a workflow's money with every hash its lock was sent under."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from shared.db.among import among
from shared.db.payment_tables import Attempt, NonceSlot, Payment, SlotIntent
from shared.payment_states import SlotKind


@dataclass(frozen=True)
class Paid:
    """A workflow's payment, and the hashes of its lock, oldest first."""

    payment: Any
    lock_txs: tuple[str, ...] = ()


def of_workflows(workflow_ids: Collection[str]) -> dict[str, Paid]:
    """Workflow id → its payment, for those that have one: two queries for any number."""
    rows = list(among(Payment, "workflow_id", workflow_ids))
    hashes: dict[str, list[str]] = {}
    if rows:
        wanted = [row.workflow_id for row in rows]
        for workflow_id, tx_hash in _locks().where(SlotIntent.workflow_id.in_(wanted)).tuples():
            hashes.setdefault(workflow_id, []).append(tx_hash)
    return {row.workflow_id: Paid(row, tuple(hashes.get(row.workflow_id, []))) for row in rows}


def of_lock(tx_hash: str) -> Any:
    """The ids of the workflows whose lock was ever sent under the hash, as a query."""
    return _locks(SlotIntent.workflow_id).where(Attempt.tx_hash == tx_hash.lower()).order_by()


def _locks(*columns: Any) -> Any:
    """Workflow id and hash of every attempt at a lock."""
    at = (SlotIntent.chain_id == NonceSlot.chain_id) & (SlotIntent.signer == NonceSlot.signer)
    same = (Attempt.chain_id == NonceSlot.chain_id) & (Attempt.signer == NonceSlot.signer)
    return (
        NonceSlot.select(*(columns or (SlotIntent.workflow_id, Attempt.tx_hash)))
        .join(SlotIntent, on=at & (SlotIntent.nonce == NonceSlot.nonce))
        .switch(NonceSlot)
        .join(Attempt, on=same & (Attempt.nonce == NonceSlot.nonce))
        .where((NonceSlot.kind == SlotKind.LOCK.value) & (Attempt.is_empty == False))  # noqa: E712 - SQL, not Python
        .order_by(Attempt.created_at_ms)
    )
