"""Own payments of locks that no workflow knows: written so that they are given back like any other."""

from __future__ import annotations

from shared.db.connection import session
from shared.db.payment_tables import Payment
from shared.db.payments import onchain_hex
from shared.escrow.words import ChainConfig, EscrowEvent, OpenLock, Token
from shared.names import Address
from shared.payment_states import PaymentState

UNKNOWN = "no workflow knows this lock; it is given back"


def insert(
    config: ChainConfig, payee: Address, lock: OpenLock, token: Token, told: EscrowEvent | None, at_ms: int
) -> None:
    """Write it with a claim of nothing due; `told` is the contract's word of the lock. Repeated, it changes nothing."""
    onchain_id = onchain_hex(lock.onchain_id)
    with session():
        Payment.insert(
            workflow_id=onchain_id.removeprefix("0x"),
            chain_id=config.chain_id,
            escrow=config.escrow.lower(),
            kind=str(config.kind),
            onchain_id=onchain_id,
            payer=lock.payer.lower(),
            payee=payee.lower(),
            token=lock.token.lower(),
            decimals=token.decimals,
            symbol=token.symbol[:32],
            lock_amount=lock.amount_wei,
            lock_s=told.lock_s if told else 0,
            price={"jobs": []},
            state=PaymentState.CLAIM_DUE.value,
            outcome=UNKNOWN,
            lock_tx=told.tx_hash if told else "",
            lock_block=told.block if told else None,
            lock_block_hash=told.block_hash if told else None,
            expires_at_s=lock.expires_at_s,
            claim_amount=0,
            created_at_ms=at_ms,
            updated_at_ms=at_ms,
        ).on_conflict_ignore().execute()
