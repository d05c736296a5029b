"""Own what becomes of a payment when its lock is mined, undone, or never comes; pure."""

from __future__ import annotations

from typing import Any

from engines.settlement.actions import MovePayment, Record
from engines.settlement.views import PaymentView, Rules, Seen, SlotView
from shared.escrow.words import EventName, TxReceipt
from shared.payment_states import PaymentState, SlotOutcome

ON_ITS_WAY = (PaymentState.LOCK_PREPARED, PaymentState.LOCK_SENT)
WHY = {
    SlotOutcome.GOOD: "the contract at the escrow's address tells of no lock",
    SlotOutcome.REVERTED: "the contract refused it",
    SlotOutcome.GIVEN_UP: "it was given up before it was made",
    SlotOutcome.FOREIGN: "its nonce was used by somebody else",
}


def lock_mined(
    payment: PaymentView, receipt: TxReceipt, seen: Seen, rules: Rules, is_final: bool
) -> list[MovePayment | Record]:
    """Note where it is; deep enough, it is confirmed."""
    event = next(
        (each for each in receipt.events if each.name is EventName.LOCK and each.onchain_id == payment.onchain_id), None
    )
    if event is None:
        return lock_failed(payment, SlotOutcome.GOOD) if is_final else []
    if receipt.block in seen.times:
        expires_at_s = seen.times[receipt.block] + event.lock_s
    elif payment.lock_block_hash == receipt.block_hash and payment.expires_at_s is not None:
        expires_at_s = payment.expires_at_s
    else:
        return []  # its block went away while we looked
    facts = {
        "lock_tx": receipt.tx_hash,
        "lock_block": receipt.block,
        "lock_block_hash": receipt.block_hash,
        "expires_at_s": expires_at_s,
    }
    known = (payment.lock_tx, payment.lock_block, payment.lock_block_hash, payment.expires_at_s)
    depth = seen.head.number - receipt.block + 1
    if payment.state in ON_ITS_WAY and (is_final or depth >= rules.confirmations):
        return [MovePayment(payment.workflow_id, payment.state, PaymentState.LOCKED, {**facts, "outcome": None})]
    if payment.state is PaymentState.LOCK_FAILED:
        back: dict[str, Any] = {"claim_amount": 0, "is_final": False, **facts}
        return [MovePayment(payment.workflow_id, payment.state, PaymentState.CLAIM_DUE, back)]
    return [] if known == tuple(facts.values()) else [Record(payment.workflow_id, facts)]


def lock_failed(payment: PaymentView, outcome: SlotOutcome) -> list[MovePayment | Record]:
    """It never came to be; where its jobs have started already (its block was undone), what was due may be lost."""
    if payment.state in ON_ITS_WAY:
        told = {"is_final": True, "outcome": payment.outcome or WHY[outcome]}
        return [MovePayment(payment.workflow_id, payment.state, PaymentState.LOCK_FAILED, told)]
    if payment.state is PaymentState.LOCK_FAILED:
        return [Record(payment.workflow_id, {"is_final": True})]
    return lock_undone(payment)


def lock_undone(payment: PaymentView) -> list[MovePayment | Record]:
    """Its block is no more; its bytes are sent again."""
    if payment.lock_block is None:
        return []
    return [Record(payment.workflow_id, {"lock_block": None, "lock_block_hash": None})]


def why_give_up(slot: SlotView, payment: PaymentView, refused: str | None) -> str | None:
    """Why a lock need not be made at all; null where it must: one that may have been sent is never given up."""
    if payment.state is PaymentState.LOCK_FAILED:
        return payment.outcome or WHY[SlotOutcome.GIVEN_UP]
    if slot.was_sent or payment.state is not PaymentState.LOCK_PREPARED:
        return None
    if refused is not None:
        return f"the contract refuses it: {refused}"
    return None if payment.has_work else "all jobs had ended before it was made"
