"""Own carrying out what was decided about money. The chain is never asked inside a database transaction.

Every write names the state it expects; what somebody else did meanwhile is left to the next look.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from engines.settlement import actions as do
from engines.settlement.books import payment_view
from engines.settlement.closing import deposit, finish_work
from engines.settlement.till import Till
from engines.settlement.views import PaymentView
from shared.db import jobs, payment_moves, payments, slot_views, slots
from shared.db.connection import transaction
from shared.errors import Conflict, Unavailable
from shared.escrow.words import ChainCall, Fees, Reverted, claim_locks, create_lock, give_up_nonce
from shared.logs import logger
from shared.payment_states import PaymentState, SlotKind

log = logger("c2d.settlement")
SENT = {
    PaymentState.LOCK_PREPARED: PaymentState.LOCK_SENT,
    PaymentState.CLAIM_PREPARED: PaymentState.CLAIM_SENT,
}
EMPTY_GAS = 21_000
GAS_PER_LOCK = 5_000
"The contract reads all open locks of the payee; more may have come when the claim is mined."


class Act:
    """Do one thing after the other."""

    def __init__(self, till: Till) -> None:
        self._till, self._chain, self._payee = till, till.chain, till.payee
        self._verbs: dict[type[do.Action], Callable[[Any], object]] = {
            do.Send: self._send,
            do.Replace: self._replace,
            do.Record: self._record,
            do.MovePayment: self._move,
            do.CloseSlot: self._close,
            do.Reopen: lambda action: slot_views.reopen(till.chain_id, till.payee, action.nonces),
            do.FinishWork: lambda action: finish_work(till, action.workflow_id),
            do.StopJobs: self._stop_jobs,
            do.PrepareClaims: self._prepare,
            do.Alarm: self._alarm,
        }

    def perform(self, action: do.Action) -> None:
        """Do it. Raises: Unavailable; Conflict where somebody else got there first."""
        self._verbs[type(action)](action)

    def _send(self, action: do.Send) -> None:
        """What is about to be sent is noted first: from then on it may have been, whatever the reply."""
        till, at_ms = self._till, self._till.now_ms()
        if not slots.begin_send(till.chain_id, self._payee, action.nonce, action.tx_hash, at_ms):
            raise Conflict("Somebody else signed at that nonce meanwhile.")
        for name in self._names(action.nonce):
            found = payments.find(name)
            was = PaymentState(found.state) if found is not None else None
            if was in SENT:
                payment_moves.move(name, was, SENT[was], at_ms)
        objection = self._chain.send(bytes(slot_views.attempt(action.tx_hash).signed))
        if objection:
            log.info("the chain objects", fields={"tx": action.tx_hash, "said": objection})

    def _replace(self, action: do.Replace) -> None:
        till, names, at_ms = self._till, self._names(action.nonce), self._till.now_ms()
        kept = slots.attempts(till.chain_id, self._payee, [action.nonce])
        is_empty = action.why is not None or kept[-1].is_empty
        call = give_up_nonce(self._payee) if is_empty else self._call(action.kind, names)
        gas = EMPTY_GAS if is_empty else kept[-1].gas
        signed = self._chain.sign(call, till.key, action.nonce, gas, action.fees)
        made = slots.Prepared(signed, gas, action.fees)
        unsent = action.why is not None and self._views(names)[0].state is not PaymentState.LOCK_FAILED
        where = (till.chain_id, self._payee, action.nonce)
        if not slots.add_attempt(*where, action.known, made, at_ms, is_empty=is_empty, unsent=unsent):
            raise Conflict("Somebody else sent or signed at that nonce meanwhile.")
        if action.why is not None:
            payments.record_outcome(names[0], PaymentState.LOCK_PREPARED, action.why, at_ms)

    def _names(self, nonce: int) -> list[str]:
        return [each.workflow_id for each in slots.intents(self._till.chain_id, self._payee, [nonce])]

    def _call(self, kind: SlotKind, names: Sequence[str]) -> ChainCall:
        """What the slot of these payments calls: the same at every attempt."""
        views = self._views(names)
        escrow = self._chain.config.escrow
        if kind is SlotKind.LOCK:
            return create_lock(escrow, views[0].lock_terms(), views[0].lock_s)
        return claim_locks(escrow, [each.claim_terms() for each in views])

    def _views(self, names: Sequence[str]) -> list[PaymentView]:
        found = payments.of_workflows(names)
        return [payment_view(found[name]) for name in names]

    def _record(self, action: do.Record) -> None:
        payments.record(action.workflow_id, action.changes, self._till.now_ms())

    def _move(self, action: do.MovePayment) -> None:
        moved = payment_moves.move(action.workflow_id, action.was, action.to, self._till.now_ms(), action.changes)
        if not moved:
            raise Conflict("The payment has moved on.")
        log.info("payment", fields={"workflow_id": action.workflow_id, "was": action.was, "to": action.to})

    def _close(self, action: do.CloseSlot) -> None:
        for each in action.then:
            deposit(self._till, each.workflow_id)  # where that fails the slot is looked at again
        with transaction():
            if slots.close_slot(self._till.chain_id, self._payee, action.nonce, action.outcome):
                for each in action.then:
                    self.perform(each)

    def _stop_jobs(self, action: do.StopJobs) -> None:
        asked = jobs.request_stop(jobs.not_asked_to_stop(action.workflow_id), self._till.now_ms())
        if asked:
            log.warning("jobs are stopped: their lock runs out", fields={"workflow_id": action.workflow_id})

    def _alarm(self, action: do.Alarm) -> None:
        slot_views.record_problem(self._till.chain_id, self._payee, action.problem)
        log.error("payments stop", fields={"chain": self._till.chain_id, "cause": action.problem})

    def _prepare(self, action: do.PrepareClaims) -> None:
        self._try_to_deposit(action.workflow_ids)
        open_locks = len(self._chain.locks(self._payee))
        fees = self._chain.fees()
        for batch in self._accepted(self._views(action.workflow_ids)):
            call = claim_locks(self._chain.config.escrow, [each.claim_terms() for each in batch])
            try:
                gas = self._chain.gas(call, self._payee) * 13 // 10 + GAS_PER_LOCK * open_locks
            except Reverted as error:
                raise Conflict("The chain changed while claims were prepared.") from error
            self._take(batch, call, gas, Fees(2 * fees.base_wei, fees.priority_wei))

    def _try_to_deposit(self, names: Sequence[str]) -> None:
        """The consumers' receipts; that storage is down keeps no claim waiting."""
        try:
            for name in names:
                deposit(self._till, name)
        except Unavailable as error:
            log.warning("receipts are put down later", fields={"cause": error.detail})

    def _accepted(self, views: list[PaymentView]) -> Iterator[list[PaymentView]]:
        """The claims in one piece if the contract takes them so; else in halves; one alone that is refused waits."""
        call = claim_locks(self._chain.config.escrow, [each.claim_terms() for each in views])
        try:
            self._chain.simulate(call, self._payee)
        except Reverted as error:
            if len(views) == 1:
                why = f"the contract refuses the claim: {error.detail}"
                payments.record_outcome(views[0].workflow_id, PaymentState.CLAIM_DUE, why, self._till.now_ms())
                log.warning("a claim waits", fields={"workflow_id": views[0].workflow_id, "cause": error.detail})
                return
            middle = len(views) // 2
            yield from self._accepted(views[:middle])
            yield from self._accepted(views[middle:])
            return
        yield views

    def _take(self, batch: list[PaymentView], call: ChainCall, gas: int, fees: Fees) -> None:
        """Move all of a batch and take its nonce, or nothing."""
        till, at_ms = self._till, self._till.now_ms()

        def sign(nonce: int) -> slots.Prepared:
            return slots.Prepared(self._chain.sign(call, till.key, nonce, gas, fees), gas, fees)

        with transaction():
            slots.lock_signer(till.chain_id, self._payee)
            for each in sorted(batch, key=lambda each: each.workflow_id):
                was, to = PaymentState.CLAIM_DUE, PaymentState.CLAIM_PREPARED
                if not payment_moves.move(each.workflow_id, was, to, at_ms, {"outcome": None}):
                    raise Conflict("Somebody else claims it.")
            names = [each.workflow_id for each in batch]
            slots.take_slot(till.chain_id, self._payee, SlotKind.CLAIM, names, sign, at_ms)
