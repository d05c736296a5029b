"""Own what settlement asks of nonces beside the open ones: undone, how a lock's ended, keys and their troubles."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from shared.db.connection import session, transaction
from shared.db.payment_tables import Attempt, ChainSigner, NonceSlot, Payment, SlotIntent
from shared.db.watch import notify
from shared.payment_states import SlotKind, SlotOutcome


def attempt(tx_hash: str) -> Attempt:
    """One attempt with its bytes."""
    with session():
        row: Attempt = Attempt.get_by_id(tx_hash)
    return row


def closed_from(chain_id: int, address: str, nonce: int) -> tuple[int, ...]:
    """Slots that are closed at the nonce and above, lowest first."""
    mine = (NonceSlot.chain_id == chain_id) & (NonceSlot.signer == address.lower())
    with session():
        rows = NonceSlot.select(NonceSlot.nonce).where(mine & ~NonceSlot.is_open & (NonceSlot.nonce >= nonce))
        return tuple(sorted(row.nonce for row in rows))


def lock_outcomes(chain_id: int, address: str, workflow_ids: Collection[str]) -> dict[str, SlotOutcome]:
    """Workflow id → what became of its lock's nonce, for those whose slot is closed."""
    joined = (
        (NonceSlot.chain_id == SlotIntent.chain_id)
        & (NonceSlot.signer == SlotIntent.signer)
        & (NonceSlot.nonce == SlotIntent.nonce)
    )
    mine = (NonceSlot.chain_id == chain_id) & (NonceSlot.signer == address.lower()) & ~NonceSlot.is_open
    with session():
        rows: Any = (
            SlotIntent.select(SlotIntent.workflow_id, NonceSlot.outcome)
            .join(NonceSlot, on=joined)
            .where(mine & (NonceSlot.kind == SlotKind.LOCK.value) & SlotIntent.workflow_id.in_(list(workflow_ids)))
            .tuples()
        )
        return {workflow_id: SlotOutcome(outcome) for workflow_id, outcome in rows}


def reopen(chain_id: int, address: str, nonces: Collection[int]) -> None:
    """Open slots again whose blocks were undone, and with them their payments: their bytes are sent again."""
    where = ((table.chain_id == chain_id) & (table.signer == address.lower()) & table.nonce.in_(list(nonces))
             for table in (NonceSlot, SlotIntent))  # fmt: skip
    slots_here, intents_here = where
    with transaction():
        NonceSlot.update(is_open=True, outcome=None).where(slots_here).execute()
        named = SlotIntent.select(SlotIntent.workflow_id).where(intents_here)
        Payment.update(is_final=False).where(Payment.workflow_id.in_(named)).execute()
        notify()


def record_problem(chain_id: int, address: str, problem: str) -> None:
    """Sign nothing more with the key; what is noted first stays."""
    here = (ChainSigner.chain_id == chain_id) & (ChainSigner.address == address.lower())
    with session():
        ChainSigner.update(problem=problem).where(here & ChainSigner.problem.is_null()).execute()


def accept(chain_id: int, address: str, nonce: int) -> None:
    """Go on with a key after the operator has looked: the next nonce is the chain's, if that is higher than ours."""
    here = (ChainSigner.chain_id == chain_id) & (ChainSigner.address == address.lower())
    with transaction():
        ChainSigner.update(next_nonce=nonce).where(here & (ChainSigner.next_nonce < nonce)).execute()
        ChainSigner.update(problem=None).where(here).execute()


def record_checked(chain_id: int, address: str, block: int, at_ms: int) -> None:
    """Note up to where events were held against the books."""
    here = (ChainSigner.chain_id == chain_id) & (ChainSigner.address == address.lower())
    with session():
        ChainSigner.update(checked_block=block, checked_at_ms=at_ms).where(here).execute()


def problems() -> list[ChainSigner]:
    """Keys with which nothing is signed until somebody has looked."""
    with session():
        return list(ChainSigner.select().where(ChainSigner.problem.is_null(False)))
