"""Rows of money for tests: payments with their slots, signed by nobody."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from shared.db import payments, slots
from shared.db.connection import session, transaction
from shared.db.payment_tables import NonceSlot, Payment
from shared.escrow.words import Fees, SignedTx
from shared.names import Address, WorkflowId
from shared.payment_states import SlotKind
from tests.shared.db.rows import NOW

CHAIN = 8996
ESCROW, TOKEN = Address("0x" + "e5" * 20), Address("0x" + "70" * 20)
PAYEE, PAYER = Address("0x" + "aa" * 20), Address("0x" + "bb" * 20)


def prepared(nonce: int, salt: str = "") -> slots.Prepared:
    """Bytes that differ with the nonce."""
    raw = f"{nonce} {salt}".encode()
    return slots.Prepared(SignedTx("0x" + hashlib.sha256(raw).hexdigest(), raw), 100_000, Fees(10, 1))


def new_payment(workflow_id: str, **changes: Any) -> payments.NewPayment:
    """A payment of 1000."""
    fields: dict[str, Any] = {
        "workflow_id": WorkflowId(workflow_id),
        "chain_id": CHAIN,
        "escrow": ESCROW,
        "kind": "escrow",
        "onchain_id": int.from_bytes(hashlib.sha256(workflow_id.encode()).digest()),
        "payer": PAYER,
        "payee": PAYEE,
        "token": TOKEN,
        "decimals": 18,
        "symbol": "OCEAN",
        "lock_amount": 1000,
        "lock_s": 30_000,
        "price": {"jobs": []},
    }
    return payments.NewPayment(**fields | changes)


def start(workflow_id: str, **changes: Any) -> str:
    """A payment with its lock's slot, as a paid start writes them; the lock's hash."""
    with transaction():
        slots.lock_signer(CHAIN, PAYEE)
        tx_hash = take([workflow_id])
        payments.insert(new_payment(workflow_id, **changes), tx_hash, NOW)
    return tx_hash


def take(workflow_ids: Sequence[str], kind: SlotKind = SlotKind.LOCK) -> str:
    """A slot of a transaction of its own, or of the caller's."""
    with transaction():
        return slots.take_slot(CHAIN, PAYEE, kind, workflow_ids, prepared, NOW)


def put(workflow_id: str, **changes: Any) -> None:
    """Change a payment's row by force."""
    with session():
        Payment.update(changes).where(Payment.workflow_id == workflow_id).execute()


def nonces() -> list[int]:
    """All nonces ever taken."""
    with session():
        return [row.nonce for row in NonceSlot.select().order_by(NonceSlot.nonce)]
