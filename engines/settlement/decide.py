"""Own the decision about money: from what is written down and what the chain told, to actions in order; pure.

A slot's fate is read from the receipts of its own attempts first. Send errors and hopes decide nothing; only final
blocks close a slot. The chain's clock is held against itself alone, ours against ours.
"""

from __future__ import annotations

from engines.settlement.actions import (
    Action,
    Alarm,
    CloseSlot,
    FinishWork,
    MovePayment,
    PrepareClaims,
    Record,
    Reopen,
    Replace,
    Send,
    StopJobs,
)  # fmt: skip
from engines.settlement.claim_rules import claim_failed, claim_mined, claim_undone, end_by_event
from engines.settlement.lock_rules import lock_failed, lock_mined, lock_undone, why_give_up
from engines.settlement.views import Books, PaymentView, Rules, Seen, SlotView
from shared.escrow.words import Fees
from shared.payment_states import PaymentState, SlotKind, SlotOutcome

FOREIGN = "somebody else has used the node's key: nonce {nonce} was mined with a transaction that is not ours"
GONE = (SlotOutcome.REVERTED, SlotOutcome.GIVEN_UP, SlotOutcome.FOREIGN)


def decide(books: Books, seen: Seen, rules: Rules, now_ms: int) -> list[Action]:
    """What to do next for one key on one chain; empty where there is nothing to do."""
    if books.undone:
        return [Reopen(books.undone)]
    actions: list[Action] = []
    if seen.nonce > books.next_nonce and books.problem is None:
        actions.append(Alarm(FOREIGN.format(nonce=books.next_nonce)))
    for slot in books.slots:
        actions += when_slot(slot, books, seen, rules, now_ms)
    for payment in books.payments.values():
        actions += when_locked(payment, seen, rules)
    for payment in books.told_by_events():
        actions += end_by_event(payment, seen, payment.lock_outcome in GONE)
    return actions + due_claims(books, seen, rules, now_ms)


def when_slot(slot: SlotView, books: Books, seen: Seen, rules: Rules, now_ms: int) -> list[Action]:
    """Mined and final, mined, taken by somebody else, or not mined yet."""
    receipt = seen.receipts.get(slot.nonce)
    if receipt is None and slot.nonce >= seen.nonce:
        return _undone(slot, books) + when_unmined(slot, books, seen, rules, now_ms)
    is_final = slot.nonce < seen.final_nonce if receipt is None else receipt.block <= seen.final.number
    if receipt is None and not is_final:
        return []  # mined, though by whom is not told yet
    outcome = _outcome(slot, seen)
    follow = [
        each
        for workflow_id in slot.workflow_ids
        if workflow_id in books.payments
        for each in _follow(slot.kind, books.payments[workflow_id], outcome, seen, rules, slot.nonce, is_final)
    ]
    if not is_final or any(_is_detour(each) for each in follow):
        return list(follow)
    alarm: list[Action] = [Alarm(FOREIGN.format(nonce=slot.nonce))] if outcome is SlotOutcome.FOREIGN else []
    return [*(alarm if books.problem is None else []), CloseSlot(slot.nonce, outcome, tuple(follow))]


def _outcome(slot: SlotView, seen: Seen) -> SlotOutcome:
    receipt = seen.receipts.get(slot.nonce)
    if receipt is None:
        return SlotOutcome.FOREIGN
    if any(each.is_empty and each.tx_hash == receipt.tx_hash for each in slot.attempts):
        return SlotOutcome.GIVEN_UP
    return SlotOutcome.GOOD if receipt.is_good else SlotOutcome.REVERTED


def _follow(
    kind: SlotKind, payment: PaymentView, outcome: SlotOutcome, seen: Seen, rules: Rules, nonce: int, is_final: bool
) -> list[MovePayment | Record]:
    """What a mined slot means for one of its payments."""
    receipt = seen.receipts.get(nonce)
    if kind is SlotKind.LOCK:
        if receipt is not None and outcome is SlotOutcome.GOOD:
            return lock_mined(payment, receipt, seen, rules, is_final)
        return lock_failed(payment, outcome) if is_final else lock_undone(payment)
    if receipt is not None and outcome is SlotOutcome.GOOD:
        return claim_mined(payment, receipt, is_final)
    return claim_failed(payment) if is_final else claim_undone(payment)


def _is_detour(each: MovePayment | Record) -> bool:
    """A way back, after which the payment is looked at again before its slot is closed."""
    return isinstance(each, MovePayment) and each.to is PaymentState.CLAIM_SENT


def _undone(slot: SlotView, books: Books) -> list[Action]:
    back = lock_undone if slot.kind is SlotKind.LOCK else claim_undone
    return [each for name in slot.workflow_ids if name in books.payments for each in back(books.payments[name])]


def when_unmined(slot: SlotView, books: Books, seen: Seen, rules: Rules, now_ms: int) -> list[Action]:
    """Send it, again and again; the first in line with higher fees after a while."""
    newest, known = slot.newest, tuple(each.tx_hash for each in slot.attempts)
    payment = books.payments.get(slot.workflow_ids[0])
    if slot.kind is SlotKind.LOCK and payment is not None and not newest.is_empty:
        why = why_give_up(slot, payment, seen.refused.get(slot.nonce))
        if why is not None:
            return [Replace(slot.nonce, slot.kind, known, raised(newest.fees, seen.fees, rules) or newest.fees, why)]
    if slot.nonce >= seen.nonce + rules.line:
        return []
    if slot.nonce == seen.nonce and newest.sent_at_ms is not None:
        patience_ms = rules.bump_ms // (4 if _presses(slot, books, seen, rules) else 1)
        fees = raised(newest.fees, seen.fees, rules)
        if now_ms - newest.created_at_ms >= patience_ms and fees is not None:
            return [Replace(slot.nonce, slot.kind, known, fees)]
    if newest.sent_at_ms is None or now_ms - newest.sent_at_ms >= rules.resend_ms:
        return [Send(slot.nonce, newest.tx_hash)]
    return []


def _presses(slot: SlotView, books: Books, seen: Seen, rules: Rules) -> bool:
    """Whether a claim's lock will soon run out."""
    named = (books.payments.get(name) for name in slot.workflow_ids)
    return slot.kind is SlotKind.CLAIM and any(each is not None and is_late(each, seen, rules, 5) for each in named)


def is_late(payment: PaymentView, seen: Seen, rules: Rules, part: int) -> bool:
    """Whether less than a part of the claim's window is left, by the chain's clock."""
    return payment.expires_at_s is not None and seen.head.time_s >= payment.expires_at_s - rules.claim_window_s // part


def raised(last: Fees, now: Fees, rules: Rules) -> Fees | None:
    """Fees that replace the last ones: an eighth more at least, today's at least; null where they may not rise so."""
    priority = max(-(-last.priority_wei * 9 // 8) + 1, now.priority_wei)
    base = max(-(-last.base_wei * 9 // 8) + 1, 2 * now.base_wei)
    base = min(base, rules.most_fee_wei - priority)
    least = -(-(last.base_wei + last.priority_wei) * 9 // 8)
    return Fees(base, priority) if base >= 0 and base + priority >= least else None


def when_locked(payment: PaymentView, seen: Seen, rules: Rules) -> list[Action]:
    """Its jobs have ended, or would outlive it."""
    if payment.state is not PaymentState.LOCKED:
        return []
    if not payment.has_work:
        return [FinishWork(payment.workflow_id)]
    if payment.can_stop and (is_late(payment, seen, rules, 2) or payment.lock_outcome in GONE):
        return [StopJobs(payment.workflow_id)]
    return []


def due_claims(books: Books, seen: Seen, rules: Rules, now_ms: int) -> list[Action]:
    """Claims that go together; while an earlier one waits to be mined they gather, unless time presses."""
    due = [
        each
        for each in books.payments.values()
        if each.state is PaymentState.CLAIM_DUE and each.onchain_id in seen.open_locks
        if each.outcome is None or now_ms - each.updated_at_ms >= rules.retry_ms
    ]
    waiting = [
        slot
        for slot in books.slots
        if slot.kind is SlotKind.CLAIM and slot.nonce >= seen.nonce and now_ms - slot.opened_at_ms < rules.gather_ms
    ]
    if books.problem is not None or not due or (waiting and not any(is_late(each, seen, rules, 2) for each in due)):
        return []
    due.sort(key=lambda each: (each.expires_at_s or 0, each.workflow_id))
    names = [each.workflow_id for each in due]
    return [PrepareClaims(tuple(names[at : at + rules.batch])) for at in range(0, len(names), rules.batch)]
