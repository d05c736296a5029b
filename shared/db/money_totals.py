"""Own the sums of money by chain and token: locked, paid, given back, open; and what nobody explains."""

from __future__ import annotations

from dataclasses import dataclass

from shared.db.adopted import UNKNOWN
from shared.db.connection import session
from shared.db.payment_tables import ChainSigner, NonceSlot, Payment
from shared.escrow.words import Kind
from shared.payment_states import PaymentState, SlotOutcome

_NEVER = (PaymentState.LOCK_PREPARED, PaymentState.LOCK_SENT, PaymentState.LOCK_FAILED)
_ENDED = (PaymentState.SETTLED, PaymentState.REFUNDED, PaymentState.EXPIRED)


@dataclass
class Totals:
    """In a token's smallest units; `locked` = `paid` + `refunded` + `open`."""

    symbol: str
    decimals: int
    payments: int = 0
    waiting: int = 0
    "Locks on their way, not part of `locked`."
    locked: int = 0
    paid: int = 0
    refunded: int = 0
    open: int = 0
    lost: int = 0
    "What was due of locks that ran out; part of `refunded`."


def totals() -> dict[tuple[int, str], Totals]:
    """Chain id and token → sums of all payments ever."""
    found: dict[tuple[int, str], Totals] = {}
    columns = (
        Payment.chain_id, Payment.token, Payment.symbol, Payment.decimals, Payment.state, Payment.lock_amount,
        Payment.claim_amount,
    )  # fmt: skip
    with session():
        for row in Payment.select(*columns).iterator():
            key = (row.chain_id, row.token)
            _add(found.setdefault(key, Totals(row.symbol, row.decimals)), row)
    return found


def _add(sums: Totals, row: Payment) -> None:
    state, amount, due = PaymentState(row.state), row.lock_amount, row.claim_amount or 0
    sums.payments += 1
    if state in _NEVER:
        sums.waiting += amount if state is not PaymentState.LOCK_FAILED else 0
        return
    sums.locked += amount
    if state not in _ENDED:
        sums.open += amount
        return
    paid = due if state is PaymentState.SETTLED else 0
    sums.paid += paid
    sums.refunded += amount - paid
    sums.lost += due if state is PaymentState.EXPIRED else 0


def unexplained() -> dict[str, int]:
    """What somebody should look at → how often: none of it happens while all goes well."""
    lost = Payment.state == PaymentState.EXPIRED.value
    differs = Payment.is_final & Payment.outcome.startswith("the books say")
    with session():
        return {
            "lost_payment": Payment.select().where(lost).count(),
            "books_differ": Payment.select().where(differs).count(),
            "unknown_lock": Payment.select().where(Payment.price == {"jobs": []}).count(),
            "refused_claim": Payment.select().where(_refused()).count(),
            "foreign_nonce": NonceSlot.select().where(NonceSlot.outcome == SlotOutcome.FOREIGN.value).count(),
            "stopped_key": ChainSigner.select().where(ChainSigner.problem.is_null(False)).count(),
        }


def _refused() -> object:
    """A claim that waits with a reason. An unknown lock has its own line; a claim of nothing that a contract with a
    minimum refuses waits as it should, until the lock runs out.
    """
    waits = (Payment.state == PaymentState.CLAIM_DUE.value) & Payment.outcome.is_null(False)
    as_it_should = (Payment.kind == Kind.ENTERPRISE.value) & (Payment.claim_amount == 0)
    return waits & (Payment.outcome != UNKNOWN) & ~as_it_should
