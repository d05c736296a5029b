"""Own looking at a chain: what it tells of one key and of the locks that are not final. Writes nothing.

Any question without an answer ends the look: "could not look" is never "no lock".
"""

from __future__ import annotations

from dataclasses import replace

from engines.settlement.views import Books, PaymentView, Seen, SlotView
from shared.errors import Unavailable
from shared.escrow.words import Chain, EscrowEvent, EventName, Reverted, TxReceipt, create_lock
from shared.names import Address
from shared.payment_states import PaymentState, SlotKind

SPAN = 5_000
"So many blocks back events are looked for, where a lock's own block is not known."


def look(chain: Chain, payee: Address) -> Seen:
    """Where the chain stands; asked before the books are read, so that they are never older. Raises: Unavailable."""
    final = chain.final()
    return Seen(
        head=chain.head(),
        final=final,
        final_nonce=chain.nonce(payee, final.number),
        nonce=chain.nonce(payee),
        fees=chain.fees(),
    )


def look_closer(chain: Chain, payee: Address, seen: Seen, books: Books) -> Seen:
    """Whatever of the open slots and payments is worth a question. Raises: Unavailable."""
    receipts = {
        slot.nonce: receipt
        for slot in books.slots
        if slot.nonce < seen.nonce and (receipt := _receipt(chain, slot)) is not None
    }
    due = books.told_by_events()
    open_locks = frozenset(lock.onchain_id for lock in chain.locks(payee)) if due else frozenset()
    ended = [each for each in due if each.onchain_id not in open_locks]
    closer = replace(
        seen,
        receipts=receipts,
        times=_times(chain, books, receipts),
        open_locks=open_locks,
        ends=_ends(chain, payee, ended, seen.final.number) if ended else {},
        refused=_refused(chain, payee, seen, books),
    )
    _check_same(chain, seen)
    return closer


def _receipt(chain: Chain, slot: SlotView) -> TxReceipt | None:
    found = (chain.receipt(each.tx_hash) for each in reversed(slot.attempts))
    return next((receipt for receipt in found if receipt is not None), None)


def _times(chain: Chain, books: Books, receipts: dict[int, TxReceipt]) -> dict[int, int]:
    """The times of the blocks that locks are in and were not before."""
    new = set()
    for slot in books.slots:
        receipt, payment = receipts.get(slot.nonce), books.payments.get(slot.workflow_ids[0])
        if receipt is None or payment is None or slot.kind is not SlotKind.LOCK:
            continue
        if receipt.block_hash != payment.lock_block_hash or payment.expires_at_s is None:
            new.add((receipt.block, receipt.block_hash))
    blocks = [(chain.block(number), hash_) for number, hash_ in sorted(new)]
    return {block.number: block.time_s for block, hash_ in blocks if block is not None and block.hash == hash_}


def _ends(chain: Chain, payee: Address, ended: list[PaymentView], last: int) -> dict[int, EscrowEvent]:
    """How each lock that is open no more came to its end, as far as that is final."""
    first = min(each.lock_block if each.lock_block is not None else max(0, last - SPAN) for each in ended)
    wanted = {each.onchain_id for each in ended}
    found: dict[int, EscrowEvent] = {}
    for event in chain.events(first, last, payee) if first <= last else []:
        if event.onchain_id in wanted and event.name is EventName.LOCK:
            found.pop(event.onchain_id, None)
        elif event.onchain_id in wanted:
            found[event.onchain_id] = event
    return found


def _refused(chain: Chain, payee: Address, seen: Seen, books: Books) -> dict[int, str]:
    """Locks that nobody has sent yet, and that the contract would refuse as of the newest block."""
    refused: dict[int, str] = {}
    for slot in books.slots:
        payment = books.payments.get(slot.workflow_ids[0])
        if slot.kind is not SlotKind.LOCK or slot.nonce < seen.nonce or slot.was_sent or slot.newest.is_empty:
            continue
        if payment is None or payment.state is not PaymentState.LOCK_PREPARED:
            continue
        try:
            chain.simulate(create_lock(chain.config.escrow, payment.lock_terms(), payment.lock_s), payee)
        except Reverted as error:
            refused[slot.nonce] = error.detail
    return refused


def _check_same(chain: Chain, seen: Seen) -> None:
    """What is called final must still be there after all was read."""
    block = chain.block(seen.final.number)
    if block is None or block.hash != seen.final.hash:
        raise Unavailable("The chain changed while it was being read.")
