"""Own a paid start: look at the chain holding nothing, then write workflow, lock and nonces in one transaction."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from shared import access_lists, fees, lock_checks, quotes, submission
from shared.db import environments, payments, reservations, slots, workflows
from shared.db.connection import session
from shared.db.environments import Offer
from shared.db.payments import NewPayment
from shared.db.slots import Prepared
from shared.db.workflows import Submission
from shared.errors import NotAvailable
from shared.escrow.words import Chain, ChainCall, Chains, LockTerms, Reverted, create_lock
from shared.lock_checks import LockRefused, Look, Price, Wanted
from shared.names import Address, JobId, WorkflowId
from shared.payment_states import SlotKind
from shared.quotes import Quote
from shared.workflow import Workflow


@dataclass(frozen=True)
class Lock:
    """A lock that the chain would take, with all that signing it needs."""

    chain: Chain
    wanted: Wanted
    look: Look
    price: Price


@dataclass(frozen=True)
class PaidStart:
    """A start that was found good, and is not written yet."""

    submission: Submission
    quote: Quote
    offers: Sequence[Offer]
    payee: Address
    lock: Lock | None
    "Null where nothing is to be paid."


def quoted(
    chains: Chains, parsed: Workflow, payment: Mapping[str, Any], owner: Address, now_ms: int
) -> tuple[Quote, Sequence[Offer]]:
    """Check a workflow as far as that goes without its payer's funds, and price it. Holds no session while it asks.

    Raises: InvalidRequest, Forbidden, NotFound, NotAvailable, Unavailable.
    """
    if not chains:
        quotes.means(chains, payment)
    with session():
        offers = environments.offers(now_ms)
    documents = [offer.document for offer in offers]
    quotes.check_sold(documents, payment)
    held = access_lists.held(chains, documents, parsed, owner, is_free=False)
    try:
        means = quotes.means(chains, payment)
    except Reverted as error:
        raise LockRefused(error.detail) from error
    return quotes.quote(parsed, documents, owner, held, means), offers


def prepared(chains: Chains, submitted: Submission, payment: Mapping[str, Any], payee: Address) -> PaidStart:
    """Check everything, the payer's funds last. Holds no session while it asks the chain. Raises: as `quoted`."""
    quote, offers = quoted(chains, submitted.workflow, payment, submitted.owner, submitted.at_ms)
    placed = replace(submitted, workflow=quote.workflow)
    if quote.amount_wei == 0:
        return PaidStart(placed, quote, offers, payee, None)
    config = quote.config
    wanted = Wanted(config.chain_id, quote.token.address, submitted.owner, payee, quote.amount_wei, quote.lock_s)
    lock_checks.check_least(wanted, quote.least_wei)
    lock = _looked(chains[config.chain_id], wanted)
    return PaidStart(replace(placed, is_held=True), quote, offers, payee, lock)


def write(start: PaidStart, key: bytes) -> tuple[WorkflowId, list[JobId]]:
    """Write the workflow, its payment and the signed lock; part of the caller's transaction. Asks no chain.

    Of many starts at once each counts the others' locks: the signer's row is held first. Raises: LockRefused,
    NotEnough, InvalidRequest, Unavailable.
    """
    lock, at_ms = start.lock, start.submission.at_ms
    if lock is not None:
        _check_again(lock)
    offer = _room_at_once(start)
    if offer is not None:
        reservations.lock_promises(offer.engine)
    workflow_id, ids = workflows.insert(start.submission)
    if offer is not None:
        _make_room(start, ids[0], offer)
    onchain_id = id_on_chain(start.submission.workflow.door, workflow_id, ids)
    lock_tx = "" if lock is None else _sign(lock, onchain_id, workflow_id, key, at_ms)
    payments.insert(_payment(start, workflow_id, ids, onchain_id), lock_tx, at_ms)
    return workflow_id, ids


def id_on_chain(door: str, workflow_id: WorkflowId, ids: Sequence[JobId]) -> int:
    """The lock's id: the hash of the job's bare id, which clients of ocean-node's form know, or of the workflow's."""
    text = ids[0] if door == "command" else workflow_id
    return int.from_bytes(hashlib.sha256(text.encode()).digest())


def wallet_key(key: bytes | None) -> bytes:
    """The key that signs locks. Raises: NotAvailable."""
    if key is None:
        raise NotAvailable("This process has no wallet key, so it cannot take payments.")
    return key


def _looked(chain: Chain, wanted: Wanted) -> Lock:
    """Ask for funds and limits, and try the lock. Raises: LockRefused, Unavailable."""
    block = chain.head().number
    open_ids = frozenset(each.onchain_id for each in chain.locks(wanted.payee))
    look = Look(
        block,
        open_ids,
        chain.funds(wanted.payer, wanted.token),
        chain.authorization(wanted.token, wanted.payer, wanted.payee),
    )
    lock_checks.check(wanted, look)
    now, coins_wei = chain.fees(), chain.coins(wanted.payee)
    lock_checks.check_price(wanted, lock_checks.price(0, now, coins_wei, chain.config.most_fee_wei))
    try:
        gas = chain.gas(_call(chain, wanted, secrets.randbits(255) | 1), wanted.payee)
    except Reverted as error:
        raise LockRefused(error.detail) from error
    price = lock_checks.price(gas, now, coins_wei, chain.config.most_fee_wei)
    lock_checks.check_price(wanted, price)
    _ensure_signer(chain, wanted.payee)
    return Lock(chain, wanted, look, price)


def _ensure_signer(chain: Chain, payee: Address) -> None:
    """Note our key where it was never used on the chain, with the nonce it has there."""
    chain_id = chain.config.chain_id
    if slots.signer(chain_id, payee) is None:
        slots.ensure_signer(chain_id, payee, chain.nonce(payee))


def _check_again(lock: Lock) -> None:
    """Hold the key, and count what other starts have prepared since the chain was looked at."""
    wanted = lock.wanted
    slots.lock_signer(wanted.chain_id, wanted.payee)
    waiting_wei, waiting = payments.in_flight(
        wanted.chain_id, wanted.payer, wanted.token, wanted.payee, lock.look.open_ids, lock.look.block
    )
    lock_checks.check(wanted, lock.look, waiting_wei, waiting)


def _room_at_once(start: PaidStart) -> Offer | None:
    """Where there must be room now; null where the job may wait. Raises: NotEnough."""
    parsed = start.submission.workflow
    return submission.offer_of(parsed.jobs[0], start.offers) if submission.is_immediate(parsed) else None


def _make_room(start: PaidStart, job_id: JobId, offer: Offer) -> None:
    """Reserve; the job leaves the queue when its lock is confirmed, or now if there is none."""
    if start.lock is None:
        reservations.admit(job_id, offer.engine, [offer.document], start.submission.at_ms)
    else:
        reservations.hold(job_id, offer.engine, [offer.document])


def _call(chain: Chain, wanted: Wanted, onchain_id: int) -> ChainCall:
    terms = LockTerms(onchain_id, wanted.token, wanted.payer, wanted.amount_wei)
    return create_lock(chain.config.escrow, terms, wanted.lock_s)


def _sign(lock: Lock, onchain_id: int, workflow_id: WorkflowId, key: bytes, at_ms: int) -> str:
    """Take the next nonce for the lock, with its signed bytes; the transaction's hash."""
    call, price = _call(lock.chain, lock.wanted, onchain_id), lock.price

    def signed(nonce: int) -> Prepared:
        return Prepared(lock.chain.sign(call, key, nonce, price.gas, price.fees), price.gas, price.fees)

    wanted = lock.wanted
    return slots.take_slot(wanted.chain_id, wanted.payee, SlotKind.LOCK, [workflow_id], signed, at_ms)


def _payment(start: PaidStart, workflow_id: WorkflowId, ids: Sequence[JobId], onchain_id: int) -> NewPayment:
    quote = start.quote
    prices = [replace(price, job_id=job_id) for price, job_id in zip(quote.prices, ids, strict=True)]
    return NewPayment(
        workflow_id=workflow_id,
        chain_id=quote.config.chain_id,
        escrow=quote.config.escrow,
        kind=quote.config.kind,
        onchain_id=onchain_id,
        payer=start.submission.owner,
        payee=start.payee,
        token=quote.token.address,
        decimals=quote.token.decimals,
        symbol=quote.token.symbol,
        lock_amount=quote.amount_wei,
        lock_s=quote.lock_s,
        price=fees.document(prices),
    )
