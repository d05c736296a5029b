"""Own whether a payer's lock can be made: what the chain said before, held against what is asked for; pure."""

from __future__ import annotations

from dataclasses import dataclass

from shared.errors import InvalidRequest
from shared.escrow.words import Authorization, Fees, Funds
from shared.names import Address

SPARE_GAS = 5_000 * 50
"Each lock that others make meanwhile makes ours dearer by some 5,000."


class LockRefused(InvalidRequest):
    """The payer's funds or limits in the escrow, or the contract, do not let the amount be locked."""

    code = "lock_refused"
    title = "The payment cannot be locked"


@dataclass(frozen=True)
class Wanted:
    """What is to be set aside."""

    chain_id: int
    token: Address
    payer: Address
    payee: Address
    amount_wei: int
    lock_s: int


@dataclass(frozen=True)
class Look:
    """What the chain said of the payer and of us."""

    block: int
    "The newest before anything else was asked."
    open_ids: frozenset[int]
    "Locks of the payee that are counted in the figures below."
    funds: Funds
    authorization: Authorization | None


@dataclass(frozen=True)
class Price:
    """What sending the lock takes."""

    gas: int
    fees: Fees
    coins_wei: int
    "What the payee has to pay it from."


def check(wanted: Wanted, look: Look, waiting_wei: int = 0, waiting: int = 0) -> None:
    """Refuse what the contract would refuse, counting locks on their way (`waiting`). Raises: LockRefused."""
    missing = wanted.amount_wei + waiting_wei - look.funds.available_wei
    if missing > 0:
        raise LockRefused(
            f"User {wanted.payer} does not have enough funds: deposit at least {missing} more wei of {wanted.token} "
            f"in the escrow on chain {wanted.chain_id}"
        )
    allowed = look.authorization
    if allowed is None:
        raise LockRefused(
            f"No escrow auths found for: chain={wanted.chain_id}, token={wanted.token}, payer={wanted.payer}, "
            f"nodeAddress={wanted.payee}. Found 0 authorizations."
        )
    if allowed.locked_wei + waiting_wei + wanted.amount_wei > allowed.most_locked_wei:
        needed = allowed.locked_wei + waiting_wei + wanted.amount_wei
        raise _over("will go over limit", f"authorize a maxLockedAmount of at least {needed} wei")
    if allowed.most_lock_s < wanted.lock_s:
        raise _over(
            "maxLockSeconds too low",
            f"authorize again with at least {wanted.lock_s} seconds, {allowed.most_lock_s} are allowed now; "
            "an authorization made for a shorter job is not raised by itself",
        )
    if allowed.open_locks + waiting + 1 > allowed.most_locks:
        raise _over(
            "too many active locks", f"authorize a maxLockCounts of at least {allowed.open_locks + waiting + 1}"
        )


def price(gas: int, fees: Fees, coins_wei: int, most_fee_wei: int) -> Price:
    """Leave room for what changes until the lock is mined: other locks, and the base fee doubling."""
    base = max(0, min(2 * fees.base_wei, most_fee_wei - fees.priority_wei))
    return Price(gas * 13 // 10 + SPARE_GAS, Fees(base, fees.priority_wei), coins_wei)


def check_price(wanted: Wanted, price: Price) -> None:
    """Refuse where the node has too little coin for the lock's gas. Raises: LockRefused."""
    if price.coins_wei < price.gas * (price.fees.base_wei + price.fees.priority_wei):
        raise LockRefused(
            f"The node cannot pay for the lock's gas on chain {wanted.chain_id} now: its address {wanted.payee} "
            "needs more of the chain's coin. Tell its operator."
        )


def check_least(wanted: Wanted, least_wei: int) -> None:
    """Refuse an amount that the contract's own fee would eat up. Raises: LockRefused."""
    if 0 < wanted.amount_wei <= least_wei:
        raise LockRefused(
            f"The escrow on chain {wanted.chain_id} takes a fee of {least_wei} wei, "
            f"which an amount of {wanted.amount_wei} wei does not cover; ask for more time or resources"
        )


def _over(limit: str, hint: str) -> LockRefused:
    return LockRefused(f"No valid escrow auths found({limit}): {hint}")
