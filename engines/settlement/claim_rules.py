"""Own what becomes of a payment when its claim is mined, undone, refused, or somebody else ended the lock; pure.

A claim that was mined proves nothing: mined after the lock ran out it gives all of it back. Events alone tell.
"""

from __future__ import annotations

from typing import Any

from engines.settlement.actions import MovePayment, Record
from engines.settlement.views import PaymentView, Seen
from shared.escrow.words import EscrowEvent, EventName, TxReceipt
from shared.payment_states import ENDED, PaymentState

CLAIMING = (PaymentState.CLAIM_PREPARED, PaymentState.CLAIM_SENT)
RAN_OUT = "the lock ran out before it was claimed, and went back to the payer"
VANISHED = "the lock's block was undone, and the lock could not be made again"


def claim_mined(payment: PaymentView, receipt: TxReceipt, is_final: bool) -> list[MovePayment | Record]:
    """Paid, or given back; final with its block."""
    event = next(
        (each for each in receipt.events if each.onchain_id == payment.onchain_id and each.name is not EventName.LOCK),
        None,
    )
    if event is None:
        return claim_failed(payment) if is_final else []
    to, facts = ended_by(payment, event)
    if payment.state in ENDED and (payment.state is not to or payment.end_block_hash != event.block_hash):
        return [MovePayment(payment.workflow_id, payment.state, PaymentState.CLAIM_SENT)]
    if payment.state in CLAIMING:
        return [MovePayment(payment.workflow_id, payment.state, to, {**facts, "is_final": is_final})]
    if payment.state is to and is_final:
        return [Record(payment.workflow_id, {"is_final": True})]
    return []


def ended_by(payment: PaymentView, event: EscrowEvent) -> tuple[PaymentState, dict[str, Any]]:
    """The state that a claim or cancel brings about, and what is noted of it."""
    facts: dict[str, Any] = {"end_block": event.block, "end_block_hash": event.block_hash, "outcome": None}
    if event.name is EventName.CLAIMED:
        to = PaymentState.SETTLED if event.amount_wei else PaymentState.REFUNDED
        return to, {**facts, "claim_tx": event.tx_hash, "cancel_tx": None, "claim_amount": event.amount_wei}
    facts |= {"cancel_tx": event.tx_hash, "claim_tx": None}
    if payment.claim_amount:
        return PaymentState.EXPIRED, {**facts, "outcome": RAN_OUT}
    return PaymentState.REFUNDED, facts


def claim_failed(payment: PaymentView) -> list[MovePayment | Record]:
    """It was refused for good: the claim is due again, with a nonce of its own."""
    if payment.state in ENDED:
        return [MovePayment(payment.workflow_id, payment.state, PaymentState.CLAIM_SENT)]
    if payment.state in CLAIMING:
        return [MovePayment(payment.workflow_id, payment.state, PaymentState.CLAIM_DUE)]
    return []


def claim_undone(payment: PaymentView) -> list[MovePayment | Record]:
    """Its block is no more; its bytes are sent again."""
    if payment.state not in ENDED or payment.end_block_hash is None:
        return []
    nothing = {"end_block": None, "end_block_hash": None, "claim_tx": None, "cancel_tx": None, "outcome": None}
    return [MovePayment(payment.workflow_id, payment.state, PaymentState.CLAIM_SENT, nothing)]


def end_by_event(payment: PaymentView, seen: Seen, is_lock_gone: bool) -> list[MovePayment | Record]:
    """A payment of which no slot of ours tells: somebody ended its lock, the lock is no more, or is there again.

    A lock that is neither open nor ended waits to be mined again.
    """
    is_due = payment.state is PaymentState.CLAIM_DUE
    back = [] if is_due else [MovePayment(payment.workflow_id, payment.state, PaymentState.CLAIM_DUE)]
    if payment.onchain_id in seen.open_locks:
        return list(back)
    event = seen.ends.get(payment.onchain_id)
    if event is None and not is_lock_gone:
        return []
    if event is not None:
        to, facts = ended_by(payment, event)
    else:
        to, facts = PaymentState.EXPIRED if payment.claim_amount else PaymentState.REFUNDED, {"outcome": VANISHED}
    facts["is_final"] = True
    if payment.state is to:
        return [Record(payment.workflow_id, facts)]
    return [MovePayment(payment.workflow_id, payment.state, to, facts)] if is_due else list(back)
