"""Own holding the books against the chain, hourly: locks nobody knows are given back, ends that were undone seen again.

Only final blocks are read, so that what is found here stays.
"""

from __future__ import annotations

from engines.settlement.books import payment_view
from engines.settlement.claim_rules import ended_by
from engines.settlement.till import Till
from shared.db import adopted, payment_moves, payments, slot_views, slots
from shared.escrow.words import EscrowEvent, EventName, OpenLock
from shared.logs import logger
from shared.payment_states import ENDED, PaymentState

log = logger("c2d.settlement")
EVERY_MS = 3_600_000
SAFETY = 1_000
"Blocks that are read once more."
FIRST = 50_000
"Blocks that are read the first time."


def is_due(till: Till) -> bool:
    """Whether the last time is an hour ago, or never was; a key that never signed has no books."""
    signer = slots.signer(till.chain_id, till.payee)
    return signer is not None and till.now_ms() - signer.checked_at_ms >= EVERY_MS


def reconcile(till: Till) -> None:
    """Read what the contract told since the last time, and the locks that are open. Raises: Unavailable."""
    signer = slots.signer(till.chain_id, till.payee)
    assert signer is not None
    last = till.chain.final().number
    first = max(0, signer.checked_block - SAFETY if signer.checked_block else last - FIRST)
    events = till.chain.events(first, last, till.payee)
    locks = till.chain.locks(till.payee, at_block=last)
    for lock in locks:
        _check_lock(till, lock, events)
    _check_ends(till, events)
    slot_views.record_checked(till.chain_id, till.payee, last, till.now_ms())


def _check_lock(till: Till, lock: OpenLock, events: list[EscrowEvent]) -> None:
    """A lock of no payment, or of one that failed, is given back."""
    payment = payments.with_onchain_ids(till.chain_id, till.payee, [lock.onchain_id]).get(lock.onchain_id)
    if payment is None:
        of_it = [each for each in events if each.onchain_id == lock.onchain_id and each.name is EventName.LOCK]
        token = till.chain.token(lock.token)
        adopted.insert(till.chain.config, till.payee, lock, token, of_it[-1] if of_it else None, till.now_ms())
        log.error("a lock that no workflow knows is given back", fields={"onchain_id": hex(lock.onchain_id)})
    elif payment.state == PaymentState.LOCK_FAILED.value:
        back = {"claim_amount": 0, "is_final": False, "expires_at_s": lock.expires_at_s}
        was, to = PaymentState.LOCK_FAILED, PaymentState.CLAIM_DUE
        payment_moves.move(payment.workflow_id, was, to, till.now_ms(), back)


def _check_ends(till: Till, events: list[EscrowEvent]) -> None:
    """What is written of ended payments must be what the contract told last."""
    last = {each.onchain_id: each for each in events if each.name is not EventName.LOCK}
    for onchain_id, payment in payments.with_onchain_ids(till.chain_id, till.payee, list(last)).items():
        event, state = last[onchain_id], PaymentState(payment.state)
        if state not in ENDED or not payment.is_final:
            continue
        to, facts = ended_by(payment_view(payment), event)
        if to is state and payment.end_block_hash != event.block_hash:
            payments.record(payment.workflow_id, facts, till.now_ms())
        elif to is not state:
            told = f"the books say {state}, the contract {event.name} of {event.amount_wei}"
            payments.record_outcome(payment.workflow_id, state, told, till.now_ms())
            log.error("books and chain differ", fields={"workflow_id": payment.workflow_id, "cause": told})
