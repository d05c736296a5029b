"""Own where a payment stands and the table of moves between; pure. A job's status is another column, moved apart."""

from __future__ import annotations

from enum import StrEnum

from shared.errors import Conflict


class PaymentState(StrEnum):
    """Where a payment stands."""

    LOCK_PREPARED = "lock_prepared"
    "The lock is signed and kept; nobody may have sent it yet."
    LOCK_SENT = "lock_sent"
    LOCKED = "locked"
    "Deep enough in the chain for its jobs to start."
    CLAIM_DUE = "claim_due"
    "All jobs are finished; the cost is known and written down."
    CLAIM_PREPARED = "claim_prepared"
    CLAIM_SENT = "claim_sent"
    SETTLED = "settled"
    "Paid what was used; the rest went back."
    REFUNDED = "refunded"
    "All of it went back."
    LOCK_FAILED = "lock_failed"
    "Nothing was ever set aside."
    EXPIRED = "expired"
    "The lock ran out and went back to the payer; what was due is lost. An alert."


MOVES: dict[PaymentState, frozenset[PaymentState]] = {
    PaymentState.LOCK_PREPARED: frozenset({PaymentState.LOCK_SENT, PaymentState.LOCKED, PaymentState.LOCK_FAILED}),
    PaymentState.LOCK_SENT: frozenset({PaymentState.LOCKED, PaymentState.LOCK_FAILED}),
    PaymentState.LOCKED: frozenset({PaymentState.CLAIM_DUE}),
    PaymentState.CLAIM_DUE: frozenset(
        {PaymentState.CLAIM_PREPARED, PaymentState.SETTLED, PaymentState.REFUNDED, PaymentState.EXPIRED}
    ),
    PaymentState.CLAIM_PREPARED: frozenset(
        {
            PaymentState.CLAIM_SENT,
            PaymentState.CLAIM_DUE,
            PaymentState.SETTLED,
            PaymentState.REFUNDED,
            PaymentState.EXPIRED,
        }
    ),
    PaymentState.CLAIM_SENT: frozenset(
        {PaymentState.CLAIM_DUE, PaymentState.SETTLED, PaymentState.REFUNDED, PaymentState.EXPIRED}
    ),
    PaymentState.SETTLED: frozenset({PaymentState.CLAIM_SENT, PaymentState.CLAIM_DUE}),
    PaymentState.REFUNDED: frozenset({PaymentState.CLAIM_SENT, PaymentState.CLAIM_DUE}),
    PaymentState.EXPIRED: frozenset({PaymentState.CLAIM_SENT, PaymentState.CLAIM_DUE}),
    PaymentState.LOCK_FAILED: frozenset({PaymentState.CLAIM_DUE}),
}
"""From each state those it may move to; the backward ones are for blocks that were undone. A lock whose block is undone
stays `locked`: its bytes are sent again, and its jobs have started. From `lock_failed` a lock that came to be after all
is given back.
"""

ENDED = frozenset({PaymentState.SETTLED, PaymentState.REFUNDED, PaymentState.LOCK_FAILED, PaymentState.EXPIRED})
"Nothing more is to be done, unless its block is undone."


class SlotKind(StrEnum):
    """What a nonce is for."""

    LOCK = "lock"
    CLAIM = "claim"


class SlotOutcome(StrEnum):
    """What became of a nonce, once that is never undone."""

    GOOD = "good"
    REVERTED = "reverted"
    GIVEN_UP = "given_up"
    "A transfer of nothing was mined in its place."
    FOREIGN = "foreign"
    "None of our transactions was mined with it: somebody else uses the key."


def check_payment_move(was: PaymentState, to: PaymentState) -> None:
    """Refuse a move that the table does not have. Raises: Conflict."""
    if to not in MOVES.get(was, frozenset()):
        raise Conflict(f"A payment cannot move from {was} to {to}.", was=was, to=to)
