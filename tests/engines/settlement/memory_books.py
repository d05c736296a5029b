"""The books in memory, with the same rules as the tables: what is written names the state it expects, or nothing is.

For the model test, which takes many thousands of steps; the tables themselves are held to the same flows elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from engines.settlement import actions as do
from engines.settlement.views import AttemptView, Books, PaymentView, SlotView
from shared.errors import Unavailable
from shared.escrow.words import Fees, Reverted, SignedTx, claim_locks, create_lock, give_up_nonce
from shared.names import Address
from shared.payment_states import PaymentState, SlotKind, SlotOutcome, check_payment_move
from tests.engines.settlement.model_chain import PAYEE, TOKEN, ModelChain

SENT = {PaymentState.LOCK_PREPARED: PaymentState.LOCK_SENT, PaymentState.CLAIM_PREPARED: PaymentState.CLAIM_SENT}


@dataclass
class Row:
    """A payment with what its view does not show."""

    view: PaymentView
    is_final: bool = False
    to_claim: int = 0
    "What its jobs will turn out to have used."
    released: int = 0
    "How often its jobs were put in line."
    claim_tx: str | None = None


class Lost(Exception):
    """Somebody else got there first."""


class MemoryBooks:
    """Payments, slots and bytes."""

    def __init__(self, next_nonce: int = 0) -> None:
        self.rows: dict[str, Row] = {}
        self.slots: dict[int, tuple[SlotView, SlotOutcome | None]] = {}
        self.raws: dict[str, bytes] = {}
        self.next_nonce = next_nonce
        self.problem: str | None = None

    def start(self, chain: ModelChain, name: str, payer: Address, amount: int, lock_s: int, used: int, at: int) -> None:
        """What a paid start writes."""
        onchain_id = len(self.rows) + 1
        view = PaymentView(
            name, PaymentState.LOCK_PREPARED, onchain_id, payer, TOKEN, amount, lock_s, "", has_work=True
        )
        self.rows[name] = Row(view, to_claim=used)
        self._take(chain, SlotKind.LOCK, (name,), at)

    def read(self, mined: int) -> Books:
        """As `read_books` does."""
        open_ = tuple(slot for slot, outcome in self.slots.values() if outcome is None)
        ended = {
            slot.workflow_ids[0]: outcome
            for slot, outcome in self.slots.values()
            if outcome is not None and slot.kind is SlotKind.LOCK
        }
        views = {
            name: replace(row.view, lock_outcome=ended.get(name), can_stop=row.view.has_work)
            for name, row in self.rows.items()
            if not row.is_final
        }
        undone = tuple(nonce for nonce, (_, outcome) in self.slots.items() if outcome is not None and nonce >= mined)
        return Books(self.next_nonce, self.problem, open_, views, undone)

    def apply(self, action: do.Action, chain: ModelChain, at_ms: int) -> None:
        """As `Act` does. Raises: Lost, Unavailable."""
        match action:
            case do.Send():
                self._send(action, chain, at_ms)
            case do.Replace():
                self._replace(action, chain, at_ms)
            case do.Record():
                self._write(self.rows[action.workflow_id], action.changes)
            case do.MovePayment():
                self._move(action, at_ms)
            case do.CloseSlot():
                self._close(action, at_ms)
            case do.Reopen():
                for nonce in action.nonces:
                    slot, _ = self.slots[nonce]
                    self.slots[nonce] = (slot, None)
                    for name in slot.workflow_ids:
                        self.rows[name].is_final = False
            case do.FinishWork():
                amount = self.rows[action.workflow_id].to_claim
                told = {"claim_amount": amount, "outcome": None}
                self._move(do.MovePayment(action.workflow_id, PaymentState.LOCKED, PaymentState.CLAIM_DUE, told), at_ms)
            case do.StopJobs():
                row = self.rows[action.workflow_id]
                row.view = replace(row.view, has_work=False)
            case do.PrepareClaims():
                self._prepare(list(action.workflow_ids), chain, at_ms)
            case do.Alarm():
                self.problem = self.problem or action.problem

    def _send(self, action: do.Send, chain: ModelChain, at_ms: int) -> None:
        slot, outcome = self.slots[action.nonce]
        if outcome is not None or slot.newest.tx_hash != action.tx_hash:
            raise Lost
        sent = (*slot.attempts[:-1], replace(slot.newest, sent_at_ms=at_ms))
        self.slots[action.nonce] = (replace(slot, attempts=sent), None)
        for name in slot.workflow_ids:
            was = self.rows[name].view.state
            if was in SENT:
                self._move(do.MovePayment(name, was, SENT[was]), at_ms)
        chain.send(self.raws[action.tx_hash])

    def _replace(self, action: do.Replace, chain: ModelChain, at_ms: int) -> None:
        slot, outcome = self.slots[action.nonce]
        if outcome is not None or {each.tx_hash for each in slot.attempts} != set(action.known):
            raise Lost
        has_failed = self.rows[slot.workflow_ids[0]].view.state is PaymentState.LOCK_FAILED
        if action.why is not None and slot.was_sent and not has_failed:
            raise Lost
        is_empty = action.why is not None or slot.newest.is_empty
        attempt = self._signed(chain, slot.kind, slot.workflow_ids, slot.nonce, action.fees, at_ms, is_empty)
        if attempt.tx_hash in action.known:
            raise Lost
        self.slots[action.nonce] = (replace(slot, attempts=(*slot.attempts, attempt)), None)
        row = self.rows[slot.workflow_ids[0]]
        if action.why is not None and row.view.state is PaymentState.LOCK_PREPARED:
            row.view = replace(row.view, outcome=action.why)

    def _signed(
        self, chain: ModelChain, kind: SlotKind, names: tuple[str, ...], nonce: int, fees: Fees, at: int, empty: bool
    ) -> AttemptView:
        views, escrow = [self.rows[name].view for name in names], chain.config.escrow
        if empty:
            call = give_up_nonce(PAYEE)
        elif kind is SlotKind.LOCK:
            call = create_lock(escrow, views[0].lock_terms(), views[0].lock_s)
        else:
            call = claim_locks(escrow, [each.claim_terms() for each in views])
        signed: SignedTx = chain.sign(call, b"", nonce, 60_000, fees)
        self.raws[signed.tx_hash] = signed.raw
        return AttemptView(signed.tx_hash, empty, 60_000, fees, at, None)

    def _take(self, chain: ModelChain, kind: SlotKind, names: tuple[str, ...], at_ms: int) -> None:
        if self.problem is not None:
            raise Unavailable(self.problem)
        nonce = self.next_nonce
        attempt = self._signed(chain, kind, names, nonce, Fees(20, 1), at_ms, False)
        self.slots[nonce] = (SlotView(nonce, kind, names, (attempt,), at_ms), None)
        self.next_nonce += 1

    def _close(self, action: do.CloseSlot, at_ms: int) -> None:
        slot, outcome = self.slots[action.nonce]
        if outcome is not None:
            return
        moves = [each for each in action.then if isinstance(each, do.MovePayment)]
        if any(self.rows[each.workflow_id].view.state is not each.was for each in moves):
            raise Lost
        self.slots[action.nonce] = (slot, action.outcome)
        for each in action.then:
            self.apply(each, None, at_ms)  # type: ignore[arg-type]  # neither asks the chain

    def _move(self, action: do.MovePayment, at_ms: int) -> None:
        row = self.rows[action.workflow_id]
        if row.view.state is not action.was:
            raise Lost
        check_payment_move(action.was, action.to)
        row.view = replace(row.view, state=action.to, updated_at_ms=at_ms)
        self._write(row, action.changes)
        if action.to is PaymentState.LOCKED:
            row.released += 1
        if action.to is PaymentState.LOCK_FAILED:
            row.view = replace(row.view, has_work=False)

    def _write(self, row: Row, changes: Any) -> None:
        shown = {key: value for key, value in changes.items() if hasattr(row.view, key)}
        row.view = replace(row.view, **shown)
        row.is_final = changes.get("is_final", row.is_final)
        row.claim_tx = changes.get("claim_tx", row.claim_tx)

    def _prepare(self, names: list[str], chain: ModelChain, at_ms: int) -> None:
        views = [self.rows[name].view for name in names]
        try:
            chain.simulate(claim_locks(chain.config.escrow, [each.claim_terms() for each in views]), PAYEE)
        except Reverted as error:
            if len(names) == 1:
                row = self.rows[names[0]]
                row.view = replace(row.view, outcome=error.detail, updated_at_ms=at_ms)
                return
            self._prepare(names[: len(names) // 2], chain, at_ms)
            self._prepare(names[len(names) // 2 :], chain, at_ms)
            return
        if any(self.rows[name].view.state is not PaymentState.CLAIM_DUE for name in names):
            raise Lost
        self._take(chain, SlotKind.CLAIM, tuple(names), at_ms)
        for name in names:
            self._move(
                do.MovePayment(name, PaymentState.CLAIM_DUE, PaymentState.CLAIM_PREPARED, {"outcome": None}), at_ms
            )
