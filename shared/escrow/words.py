"""Own the words in which the rest of the node speaks of a chain: frozen facts, calls, and what a chain can be asked.

Imports no chain library. Amounts are whole token units of the smallest kind (`_wei`), whatever the token's decimals.
Addresses are lower case with 0x; ids on chain are integers. Source: the field's contracts Escrow, EnterpriseEscrow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from shared.errors import C2DError
from shared.names import Address


class Kind(StrEnum):
    """Which of the two contracts stands at the address."""

    ESCROW = "escrow"
    ENTERPRISE = "enterprise"


class Reverted(C2DError):
    """The contract refuses the call; `detail` is the reason it gives."""

    code, title = "reverted", "The contract refuses"


@dataclass(frozen=True)
class ChainConfig:
    """One chain as the operator set it (C2D_CHAINS)."""

    chain_id: int
    rpc: str = field(repr=False)
    "http(s) address; may hold a key, so it is never shown."
    escrow: Address
    kind: Kind = Kind.ESCROW
    confirmations: int = 1
    "Blocks on top of the lock's, its own included, before its jobs start."
    claim_window_s: int = 21_600
    "How much longer than the work itself a lock lasts, so that the claim is never late."
    finality_blocks: int | None = None
    "Blocks after which nothing is undone; null = the chain's own `finalized` tag."
    network: str = ""
    "How people call it."
    most_fee_wei: int = 500 * 10**9
    "The most we pay for a unit of gas."
    is_legacy: bool = False
    "Transactions of the old kind, with one gas price, for chains that know no other."


@dataclass(frozen=True)
class Block:
    """A block: where it is, which it is, when it was (Unix seconds, the chain's own clock)."""

    number: int
    hash: str
    time_s: int


@dataclass(frozen=True)
class Fees:
    """What a unit of gas costs now."""

    base_wei: int
    priority_wei: int


@dataclass(frozen=True)
class Token:
    """What a token says of itself."""

    address: Address
    symbol: str
    decimals: int


@dataclass(frozen=True)
class Funds:
    """What a payer has in the escrow, by token."""

    available_wei: int
    locked_wei: int


@dataclass(frozen=True)
class Authorization:
    """What a payer lets a payee lock."""

    most_locked_wei: int
    locked_wei: int
    "Sum of the open locks."
    most_lock_s: int
    most_locks: int
    open_locks: int


@dataclass(frozen=True)
class OpenLock:
    """A lock that is neither claimed nor cancelled."""

    onchain_id: int
    payer: Address
    token: Address
    amount_wei: int
    expires_at_s: int
    "The chain's clock."


class EventName(StrEnum):
    """What the contract tells of locks."""

    LOCK = "Lock"
    CLAIMED = "Claimed"
    CANCELED = "Canceled"


@dataclass(frozen=True)
class EscrowEvent:
    """One event of a lock; `lock_s` for Lock and `proof` for Claimed alone."""

    name: EventName
    onchain_id: int
    payer: Address
    payee: Address
    token: Address
    amount_wei: int
    tx_hash: str
    block: int
    block_hash: str
    lock_s: int = 0
    proof: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class TxReceipt:
    """A mined transaction."""

    tx_hash: str
    block: int
    block_hash: str
    is_good: bool
    "False = reverted. True proves no payment: look for its events."
    gas_used: int
    events: tuple[EscrowEvent, ...] = ()


@dataclass(frozen=True)
class ChainCall:
    """A call of a contract, named as the contract names it."""

    to: Address
    function: str
    "Empty = nothing is called: a transfer of 0, which gives a nonce up."
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True)
class SignedTx:
    """Bytes to send, again and again if need be, and their hash."""

    tx_hash: str
    raw: bytes = field(repr=False)


@dataclass(frozen=True)
class LockTerms:
    """What identifies a lock for claims and cancels."""

    onchain_id: int
    token: Address
    payer: Address
    amount_wei: int
    proof: bytes = b""


def create_lock(escrow: Address, terms: LockTerms, lock_s: int) -> ChainCall:
    """Set an amount aside; `lock_s` is a duration in seconds, whatever the contract's comments say."""
    arguments = (terms.onchain_id, terms.token, terms.payer, terms.amount_wei, lock_s)
    return ChainCall(escrow, "createLock", arguments)


def claim_locks(escrow: Address, claims: Sequence[LockTerms]) -> ChainCall:
    """Take what is due of several locks, and give the rest back; an amount of 0 gives all of it back."""
    columns = zip(
        *((each.onchain_id, each.token, each.payer, each.amount_wei, each.proof) for each in claims), strict=True
    )
    return ChainCall(escrow, "claimLocks", tuple(list(column) for column in columns))


def give_up_nonce(signer: Address) -> ChainCall:
    """Fill a nonce with a transfer of nothing to ourselves."""
    return ChainCall(signer, "")


class Chain(Protocol):
    """What a chain can be asked. Every question raises `Unavailable` where no answer came: never "not there"."""

    @property
    def config(self) -> ChainConfig: ...

    def head(self) -> Block:
        """The newest block."""
        ...

    def final(self) -> Block:
        """The newest block that is never undone."""
        ...

    def block(self, number: int) -> Block | None:
        """A block by its number; null where there is none."""
        ...

    def nonce(self, address: Address, at_block: int | None = None) -> int:
        """How many transactions of the address were mined, up to a block; null = the newest."""
        ...

    def coins(self, address: Address) -> int:
        """The chain's own coin, in wei, from which transactions are paid."""
        ...

    def fees(self) -> Fees:
        """What a unit of gas costs now."""
        ...

    def token(self, token: Address) -> Token:
        """What the token says of itself. Raises: InvalidRequest where the address is no token."""
        ...

    def token_balance(self, token: Address, owner: Address) -> int:
        """Tokens outside the escrow, in wei."""
        ...

    def allowance(self, token: Address, owner: Address) -> int:
        """What the owner lets the escrow take."""
        ...

    def funds(self, payer: Address, token: Address) -> Funds:
        """What the payer has in the escrow."""
        ...

    def authorization(self, token: Address, payer: Address, payee: Address) -> Authorization | None:
        """What the payer lets the payee lock; null where nothing was ever said."""
        ...

    def locks(self, payee: Address, *, at_block: int | None = None) -> list[OpenLock]:
        """The payee's open locks as of a block; null = the newest."""
        ...

    def events(self, first_block: int, last_block: int, payee: Address) -> list[EscrowEvent]:
        """What the contract told of the payee's locks, oldest first, both blocks included."""
        ...

    def receipt(self, tx_hash: str) -> TxReceipt | None:
        """A mined transaction; null while it is not."""
        ...

    def holds(self, contract: Address, owner: Address) -> bool:
        """Whether the owner holds a token of an access list."""
        ...

    def is_signed_by_contract(self, wallet: Address, digest: bytes, signature: bytes) -> bool:
        """Whether a contract wallet says the signature is its own (ERC-1271); false for what is no contract."""
        ...

    def kind(self) -> Kind | None:
        """Which of the two contracts stands at the escrow's address; null where neither does."""
        ...

    def least_fee_wei(self, token: Address) -> int:
        """What a claim must at least be, for the contract's own fee; 0 for Escrow. Raises: Reverted (token refused)."""
        ...

    def simulate(self, call: ChainCall, sender: Address) -> None:
        """Try a call without sending it. Raises: Reverted with the contract's reason."""
        ...

    def gas(self, call: ChainCall, sender: Address) -> int:
        """How much gas the call would need now. Raises: Reverted."""
        ...

    def sign(self, call: ChainCall, key: bytes, nonce: int, gas: int, fees: Fees) -> SignedTx:
        """Sign a transaction; asks the chain nothing. `fees.base_wei` + `fees.priority_wei` is the most paid."""
        ...

    def send(self, raw: bytes) -> str | None:
        """Hand signed bytes to the chain; what it objects is told, and proves nothing. Raises: Unavailable."""
        ...


Chains = Mapping[int, Chain]
"By chain id."
