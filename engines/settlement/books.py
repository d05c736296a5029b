"""Own reading what is written down of one key on one chain into frozen views."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from engines.settlement.views import AttemptView, Books, PaymentView, SlotView
from shared.db import payments, slot_views, slots
from shared.db.connection import session
from shared.db.payment_tables import Attempt, Payment
from shared.escrow.words import ChainConfig, Fees
from shared.names import Address
from shared.payment_states import PaymentState, SlotKind


def has_open(config: ChainConfig, payee: Address) -> bool:
    """Whether the chain may tell anything new."""
    return bool(slots.open_slots(config.chain_id, payee) or payments.unsettled(config.chain_id, payee))


def read_books(config: ChainConfig, payee: Address, mined: int) -> Books | None:
    """All that is not final; `mined` is the chain's nonce, read before. Null where the key never signed anything."""
    chain_id = config.chain_id
    with session():
        signer = slots.signer(chain_id, payee)
        if signer is None:
            return None
        rows = [row for row in payments.unsettled(chain_id, payee) if row.escrow == config.escrow.lower()]
        names = [row.workflow_id for row in rows]
        unfinished = payments.with_unfinished_jobs(names)
        outcomes = slot_views.lock_outcomes(chain_id, payee, names)
        views = {
            row.workflow_id: replace(
                payment_view(row),
                has_work=row.workflow_id in unfinished,
                can_stop=unfinished.get(row.workflow_id, False),
                lock_outcome=outcomes.get(row.workflow_id),
            )
            for row in rows
        }
        undone = slot_views.closed_from(chain_id, payee, mined)
        return Books(signer.next_nonce, signer.problem, _slots(chain_id, payee), views, undone)


def payment_view(row: Payment) -> PaymentView:
    """The row as decisions see it, without what other rows tell."""
    return PaymentView(
        workflow_id=row.workflow_id,
        state=PaymentState(row.state),
        onchain_id=int(row.onchain_id, 16),
        payer=Address(row.payer),
        token=Address(row.token),
        lock_amount=row.lock_amount,
        lock_s=row.lock_s,
        lock_tx=row.lock_tx,
        lock_block=row.lock_block,
        lock_block_hash=row.lock_block_hash,
        expires_at_s=row.expires_at_s,
        claim_amount=row.claim_amount,
        proof=bytes.fromhex((row.proof or "").removeprefix("0x")),
        end_block_hash=row.end_block_hash,
        outcome=row.outcome,
        updated_at_ms=row.updated_at_ms,
    )


def _slots(chain_id: int, payee: Address) -> tuple[SlotView, ...]:
    open_ = slots.open_slots(chain_id, payee)
    nonces = [slot.nonce for slot in open_]
    attempts: dict[int, list[AttemptView]] = {nonce: [] for nonce in nonces}
    for row in slots.attempts(chain_id, payee, nonces):
        attempts[row.nonce].append(_attempt(row))
    names: dict[int, list[Any]] = {nonce: [] for nonce in nonces}
    for intent in slots.intents(chain_id, payee, nonces):
        names[intent.nonce].append(intent.workflow_id)
    return tuple(
        SlotView(
            nonce=each.nonce,
            kind=SlotKind(each.kind),
            workflow_ids=tuple(names[each.nonce]),
            attempts=tuple(attempts[each.nonce]),
            opened_at_ms=each.opened_at_ms,
        )
        for each in open_
        if attempts[each.nonce] and names[each.nonce]
    )


def _attempt(row: Attempt) -> AttemptView:
    fees = Fees(row.base_fee, row.priority_fee)
    return AttemptView(row.tx_hash, row.is_empty, row.gas, fees, row.created_at_ms, row.sent_at_ms)
