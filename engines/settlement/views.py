"""Own the frozen words between observing money, deciding and acting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.escrow.words import Block, EscrowEvent, Fees, LockTerms, TxReceipt
from shared.names import Address
from shared.payment_states import PaymentState, SlotKind, SlotOutcome


@dataclass(frozen=True)
class AttemptView:
    """Signed bytes for a slot."""

    tx_hash: str
    is_empty: bool
    gas: int
    fees: Fees
    created_at_ms: int
    sent_at_ms: int | None


@dataclass(frozen=True)
class SlotView:
    """An open nonce; attempts oldest first, never none."""

    nonce: int
    kind: SlotKind
    workflow_ids: tuple[str, ...]
    attempts: tuple[AttemptView, ...]
    opened_at_ms: int

    @property
    def newest(self) -> AttemptView:
        """What is sent now."""
        return self.attempts[-1]

    @property
    def was_sent(self) -> bool:
        """Whether the chain may have heard of it, as far as is written down."""
        return any(each.sent_at_ms is not None for each in self.attempts)


@dataclass(frozen=True)
class PaymentView:
    """A payment of which the chain may still tell something new."""

    workflow_id: str
    state: PaymentState
    onchain_id: int
    payer: Address
    token: Address
    lock_amount: int
    lock_s: int
    lock_tx: str
    lock_block: int | None = None
    lock_block_hash: str | None = None
    expires_at_s: int | None = None
    claim_amount: int | None = None
    proof: bytes = field(default=b"", repr=False)
    end_block_hash: str | None = None
    outcome: str | None = None
    updated_at_ms: int = 0
    has_work: bool = False
    "A job of the workflow is not finished."
    can_stop: bool = False
    "One of those was not asked to stop yet."
    lock_outcome: SlotOutcome | None = None
    "Of its lock's nonce; null while that is open."

    def lock_terms(self) -> LockTerms:
        """What its lock sets aside."""
        return LockTerms(self.onchain_id, self.token, self.payer, self.lock_amount)

    def claim_terms(self) -> LockTerms:
        """What its claim takes."""
        return LockTerms(self.onchain_id, self.token, self.payer, self.claim_amount or 0, self.proof)


@dataclass(frozen=True)
class Books:
    """All that is written down of one key on one chain and not final."""

    next_nonce: int
    problem: str | None
    slots: tuple[SlotView, ...]
    payments: Mapping[str, PaymentView]
    undone: tuple[int, ...] = ()
    "Closed slots that the chain has not mined: blocks thought final were undone."

    def told_by_events(self) -> list[PaymentView]:
        """Payments whose end no open slot of ours will tell: claims that are due, and what others ended."""
        claimed = {name for slot in self.slots if slot.kind is SlotKind.CLAIM for name in slot.workflow_ids}
        ended = (PaymentState.SETTLED, PaymentState.REFUNDED, PaymentState.EXPIRED)
        return [
            each
            for name, each in self.payments.items()
            if each.state is PaymentState.CLAIM_DUE or (each.state in ended and name not in claimed)
        ]


@dataclass(frozen=True)
class Seen:
    """What the chain told in one look."""

    head: Block
    final: Block
    nonce: int
    "Transactions mined up to the head."
    final_nonce: int
    fees: Fees
    receipts: Mapping[int, TxReceipt] = field(default_factory=dict)
    "By nonce: that of the slot's own attempt which was mined."
    times: Mapping[int, int] = field(default_factory=dict)
    "Block → its time, for the blocks of new locks."
    open_locks: frozenset[int] = frozenset()
    "Ids on chain, at the head."
    ends: Mapping[int, EscrowEvent] = field(default_factory=dict)
    "By id on chain: the claim or cancel, at or before the final block, of a lock that is not open."
    refused: Mapping[int, str] = field(default_factory=dict)
    "By nonce: why the contract would refuse a lock that was never sent."


@dataclass(frozen=True)
class Rules:
    """What the operator and we ask of a chain."""

    confirmations: int = 1
    claim_window_s: int = 21_600
    most_fee_wei: int = 500 * 10**9
    resend_ms: int = 15_000
    "Between two sends of the same bytes."
    bump_ms: int = 60_000
    "After which the first in line is signed anew with higher fees."
    gather_ms: int = 60_000
    "How long claims wait for an earlier claim to be mined, to go together."
    retry_ms: int = 30_000
    "Between two tries of a claim that the contract refuses."
    batch: int = 16
    line: int = 60
    "How many of our transactions the chain's pool is given at once."
