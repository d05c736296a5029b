"""Own the payment rows: written with their workflow, read by views and passes; see `payment_moves` for their state."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from peewee import fn

from shared.db.base import DATABASE
from shared.db.connection import session
from shared.db.payment_tables import Payment
from shared.db.tables import Job
from shared.lifecycle import UNFINISHED
from shared.names import Address, WorkflowId
from shared.payment_states import ENDED, PaymentState

_ENDED = [state.value for state in ENDED]


@dataclass(frozen=True)
class NewPayment:
    """What is known of a payment when its workflow is written."""

    workflow_id: WorkflowId
    chain_id: int
    escrow: Address
    kind: str
    onchain_id: int
    payer: Address
    payee: Address
    token: Address
    decimals: int
    symbol: str
    lock_amount: int
    lock_s: int
    price: Mapping[str, Any]
    "JSON, frozen: see `shared.fees`."


class InFlight(NamedTuple):
    """Locks that a look at the chain has not seen yet."""

    amount_wei: int
    locks: int


def insert(new: NewPayment, lock_tx: str, at_ms: int) -> None:
    """Write a payment whose lock is signed and kept in the same transaction; of amount 0, one that is settled already.

    A part of the caller's transaction: the slot is taken (`slots.take_slot`) in the same one.
    """
    is_free = new.lock_amount == 0
    Payment.insert(
        workflow_id=new.workflow_id,
        chain_id=new.chain_id,
        escrow=new.escrow.lower(),
        kind=str(new.kind),
        onchain_id=onchain_hex(new.onchain_id),
        payer=new.payer.lower(),
        payee=new.payee.lower(),
        token=new.token.lower(),
        decimals=new.decimals,
        symbol=new.symbol,
        lock_amount=new.lock_amount,
        lock_s=new.lock_s,
        price=dict(new.price),
        state=(PaymentState.SETTLED if is_free else PaymentState.LOCK_PREPARED).value,
        lock_tx=lock_tx,
        claim_amount=0 if is_free else None,
        is_final=is_free,
        created_at_ms=at_ms,
        updated_at_ms=at_ms,
    ).execute()


def onchain_hex(onchain_id: int) -> str:
    """An id on chain as rows have it: 0x and 64 hex characters."""
    return f"0x{onchain_id:064x}"


def find(workflow_id: str) -> Payment | None:
    """The workflow's payment; null where it has none."""
    with session():
        row: Payment | None = Payment.get_or_none(Payment.workflow_id == workflow_id)
    return row


def of_workflows(workflow_ids: Collection[str]) -> dict[str, Payment]:
    """Workflow id → its payment, for those that have one."""
    if not workflow_ids:
        return {}
    with session():
        return {row.workflow_id: row for row in Payment.select().where(Payment.workflow_id.in_(list(workflow_ids)))}


def in_flight(
    chain_id: int, payer: str, token: str, payee: str, seen_ids: Collection[int], seen_block: int
) -> InFlight:
    """Locks of the payer that were prepared, but that a look at the chain as of `seen_block` could not count.

    `seen_ids` are the ids on chain of the open locks that it did count. Ask inside the transaction that takes the slot
    and after `slots.lock_signer`, so that of many starts at once each counts the others.
    """
    rows = Payment.select(Payment.onchain_id, Payment.lock_amount).where(
        (Payment.chain_id == chain_id)
        & (Payment.payee == payee.lower())
        & (Payment.payer == payer.lower())
        & (Payment.token == token.lower())
        & (Payment.state != PaymentState.LOCK_FAILED.value)
        & ((Payment.lock_block > seen_block) | (Payment.lock_block.is_null() & Payment.state.not_in(_ENDED)))
    )
    seen = {onchain_hex(each) for each in seen_ids}
    amounts = [row.lock_amount for row in rows if row.onchain_id not in seen]
    return InFlight(sum(amounts), len(amounts))


def unsettled(chain_id: int, payee: str) -> list[Payment]:
    """All of the payee's payments of which the chain may still tell something new."""
    with session():
        return list(
            Payment.select()
            .where((Payment.chain_id == chain_id) & (Payment.payee == payee.lower()))
            .where(Payment.is_final == False)  # noqa: E712 - SQL, not Python
            .order_by(Payment.created_at_ms, Payment.workflow_id)
        )


def with_onchain_ids(chain_id: int, payee: str, onchain_ids: Collection[int]) -> dict[int, Payment]:
    """Id on chain → its payment, for those that have one."""
    wanted = [onchain_hex(each) for each in onchain_ids]
    found: dict[int, Payment] = {}
    with session():
        for start in range(0, len(wanted), 500):
            rows = Payment.select().where(
                (Payment.chain_id == chain_id)
                & (Payment.payee == payee.lower())
                & Payment.onchain_id.in_(wanted[start : start + 500])
            )
            found |= {int(row.onchain_id, 16): row for row in rows}
    return found


def with_unfinished_jobs(workflow_ids: Collection[str]) -> dict[str, bool]:
    """The workflows that have a job that is not finished → whether one of those was not asked to stop."""
    unfinished = [status.value for status in UNFINISHED]
    with session():
        wanted = Job.workflow_id.in_(list(workflow_ids)) & Job.status.in_(unfinished)
        rows: Any = Job.select(Job.workflow_id, Job.stop_requested).distinct().where(wanted).tuples()
        found: dict[str, bool] = {}
        for workflow_id, is_asked in rows:
            found[workflow_id] = found.get(workflow_id, False) or not is_asked
        return found


def record(workflow_id: str, changes: Mapping[str, Any], at_ms: int) -> None:
    """Write columns other than the state."""
    assert "state" not in changes
    with session():
        Payment.update({**changes, "updated_at_ms": at_ms}).where(Payment.workflow_id == workflow_id).execute()


def record_outcome(workflow_id: str, state: PaymentState, outcome: str, at_ms: int) -> None:
    """Note why a payment is as it is, as long as it is in the state."""
    here = (Payment.workflow_id == workflow_id) & (Payment.state == state.value)
    with session():
        Payment.update(outcome=outcome, updated_at_ms=at_ms).where(here).execute()


def newest(most: int, *, is_open: bool = False) -> list[Payment]:
    """The newest payments first; `is_open` = only those that have not ended."""
    wanted = Payment.select().order_by(Payment.created_at_ms.desc(), Payment.workflow_id).limit(most)
    if is_open:
        wanted = wanted.where(Payment.state.not_in([state.value for state in ENDED]))
    with session():
        return list(wanted)


def count_by_state() -> dict[str, int]:
    """State → payments."""
    with session():
        counted: Any = Payment.select(Payment.state, fn.COUNT(Payment.workflow_id)).group_by(Payment.state).tuples()
        return {state: int(count) for state, count in counted.execute(DATABASE)}
