"""Own nonces: one intent is one nonce, taken together with the signed bytes that are all that is ever sent for it.

Retries send stored bytes or sign the same intent at the same nonce; of a slot's attempts at most one is ever mined.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from shared.db.connection import lock_rows, session, transaction
from shared.db.payment_tables import Attempt, ChainSigner, NonceSlot, SlotIntent
from shared.db.watch import notify
from shared.errors import Conflict, Unavailable
from shared.escrow.words import Fees, SignedTx
from shared.payment_states import SlotKind, SlotOutcome


@dataclass(frozen=True)
class Prepared:
    """Signed bytes, and what they were signed with."""

    signed: SignedTx
    gas: int
    fees: Fees


def ensure_signer(chain_id: int, address: str, nonce_now: int) -> None:
    """Note a key of ours on a chain, which has mined so many of its transactions; one that is noted stays as it is."""
    with session():
        ChainSigner.insert(
            chain_id=chain_id, address=address.lower(), next_nonce=nonce_now
        ).on_conflict_ignore().execute()


def signer(chain_id: int, address: str) -> ChainSigner | None:
    """What is noted of the key; null where it never was."""
    with session():
        row: ChainSigner | None = ChainSigner.get_or_none(_is(ChainSigner, chain_id, address))
    return row


def lock_signer(chain_id: int, address: str) -> ChainSigner:
    """Hold the key until the caller's transaction ends; the first lock of any transaction that takes a slot.

    Raises: Unavailable where nothing may be signed with it now.
    """
    row: ChainSigner | None = lock_rows(ChainSigner.select().where(_is(ChainSigner, chain_id, address))).first()
    if row is None:
        raise Unavailable(f"The node's key on chain {chain_id} is not known yet; try again shortly.")
    if row.problem is not None:
        raise Unavailable(f"Payments on chain {chain_id} wait for the operator: {row.problem}")
    return row


def take_slot(
    chain_id: int,
    address: str,
    kind: SlotKind | str,
    workflow_ids: Sequence[str],
    sign: Callable[[int], Prepared],
    at_ms: int,
) -> str:
    """Take the next nonce for an intent, with signed bytes; the transaction's hash. Part of the caller's transaction.

    `sign` is given the nonce and asks the chain nothing. Raises: Unavailable; Conflict where a slot is open already.
    """
    key = {"chain_id": chain_id, "signer": address.lower()}
    nonce = lock_signer(chain_id, address).next_nonce
    if _open_for(chain_id, workflow_ids, kind):
        raise Conflict(f"A transaction of that kind ({kind}) is on its way already.")
    prepared = sign(nonce)
    NonceSlot.insert(**key, nonce=nonce, kind=str(kind), opened_at_ms=at_ms).execute()
    intents = [{**key, "nonce": nonce, "place": place, "workflow_id": each} for place, each in enumerate(workflow_ids)]
    SlotIntent.insert_many(intents).execute()
    _insert_attempt(chain_id, address, nonce, prepared, at_ms, is_empty=False)
    ChainSigner.update(next_nonce=nonce + 1).where(_is(ChainSigner, chain_id, address)).execute()
    notify()
    return prepared.signed.tx_hash


def _open_for(chain_id: int, workflow_ids: Sequence[str], kind: SlotKind | str) -> bool:
    """Whether one of the payments has an open slot of the kind."""
    with_slot = (
        SlotIntent.select(SlotIntent.nonce)
        .join(
            NonceSlot,
            on=(
                (NonceSlot.chain_id == SlotIntent.chain_id)
                & (NonceSlot.signer == SlotIntent.signer)
                & (NonceSlot.nonce == SlotIntent.nonce)
            ),
        )
        .where((NonceSlot.chain_id == chain_id) & (NonceSlot.kind == str(kind)) & NonceSlot.is_open)
        .where(SlotIntent.workflow_id.in_(list(workflow_ids)))
    )
    return bool(with_slot.exists())


def add_attempt(
    chain_id: int,
    address: str,
    nonce: int,
    known: Collection[str],
    prepared: Prepared,
    at_ms: int,
    *,
    is_empty: bool,
    unsent: bool = False,
) -> bool:
    """Keep another attempt at an open slot, if its attempts are still those `known` by hash. False: they are not.

    `unsent` asks that none of them was ever to be sent: what may have been is not given up.
    """
    with transaction():
        before = _held(chain_id, address, nonce)
        if {each.tx_hash for each in before} != set(known) or prepared.signed.tx_hash in known:
            return False
        if unsent and any(each.sent_at_ms is not None for each in before):
            return False
        later_ms = max([at_ms, *(each.created_at_ms + 1 for each in before)])  # whatever the clocks of others say
        _insert_attempt(chain_id, address, nonce, prepared, later_ms, is_empty=is_empty)
    return True


def begin_send(chain_id: int, address: str, nonce: int, tx_hash: str, at_ms: int) -> bool:
    """Note that the bytes will be sent now, before they are. False: there are newer ones, or the slot is closed."""
    with transaction():
        before = _held(chain_id, address, nonce)
        if not before or before[-1].tx_hash != tx_hash:
            return False
        Attempt.update(sent_at_ms=at_ms).where(Attempt.tx_hash == tx_hash).execute()
    return True


def _held(chain_id: int, address: str, nonce: int) -> list[Attempt]:
    """Hold an open slot until the transaction ends; its attempts, oldest first; none where it is closed."""
    slot = lock_rows(NonceSlot.select().where(_at(NonceSlot, chain_id, address, nonce) & NonceSlot.is_open)).first()
    return [] if slot is None else attempts(chain_id, address, [nonce])


def _insert_attempt(chain_id: int, address: str, nonce: int, made: Prepared, at_ms: int, *, is_empty: bool) -> None:
    Attempt.insert(
        tx_hash=made.signed.tx_hash,
        chain_id=chain_id,
        signer=address.lower(),
        nonce=nonce,
        signed=made.signed.raw,
        gas=made.gas,
        base_fee=made.fees.base_wei,
        priority_fee=made.fees.priority_wei,
        is_empty=is_empty,
        created_at_ms=at_ms,
    ).execute()


def open_slots(chain_id: int, address: str) -> list[NonceSlot]:
    """Nonces whose fate is not final, lowest first."""
    with session():
        mine = NonceSlot.select().where((NonceSlot.chain_id == chain_id) & (NonceSlot.signer == address.lower()))
        return list(mine.where(NonceSlot.is_open).order_by(NonceSlot.nonce))


def attempts(chain_id: int, address: str, nonces: Collection[int]) -> list[Attempt]:
    """All that was signed at the nonces, oldest first."""
    with session():
        mine = Attempt.select().where((Attempt.chain_id == chain_id) & (Attempt.signer == address.lower()))
        return list(mine.where(Attempt.nonce.in_(list(nonces))).order_by(Attempt.nonce, Attempt.created_at_ms))


def intents(chain_id: int, address: str, nonces: Collection[int]) -> list[SlotIntent]:
    """What the nonces are for, each slot's payments in their order."""
    with session():
        mine = SlotIntent.select().where((SlotIntent.chain_id == chain_id) & (SlotIntent.signer == address.lower()))
        return list(mine.where(SlotIntent.nonce.in_(list(nonces))).order_by(SlotIntent.nonce, SlotIntent.place))


def close_slot(chain_id: int, address: str, nonce: int, outcome: SlotOutcome) -> bool:
    """Note a slot's fate, part of the caller's transaction. False: it was noted already."""
    here = _at(NonceSlot, chain_id, address, nonce) & NonceSlot.is_open
    return bool(NonceSlot.update(is_open=False, outcome=outcome.value).where(here).execute())


def _is(table: type[ChainSigner], chain_id: int, address: str) -> object:
    return (table.chain_id == chain_id) & (table.address == address.lower())


def _at(table: type[NonceSlot], chain_id: int, address: str, nonce: int) -> object:
    return (table.chain_id == chain_id) & (table.signer == address.lower()) & (table.nonce == nonce)
