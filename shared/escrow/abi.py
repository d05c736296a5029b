"""Own what we need of the contracts' binary form: calls, their answers, the events of locks, and why a call failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eth_abi.abi import decode as abi_decode
from eth_abi.abi import encode as abi_encode
from eth_abi.exceptions import DecodingError

from shared.addresses import keccak256
from shared.errors import Unavailable
from shared.escrow.words import ChainCall, EscrowEvent, EventName
from shared.names import Address

ERROR = bytes.fromhex("08c379a0")  # Error(string)
PANIC = bytes.fromhex("4e487b71")  # Panic(uint256)
PANICS = {0x01: "an assertion failed", 0x11: "an amount is smaller than what is taken from it", 0x12: "division by 0"}
NOTHING_SAID = "The contract gives no reason."

ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    # the escrow, as the payee
    "createLock": ("uint256", "address", "address", "uint256", "uint256"),
    "claimLocks": ("uint256[]", "address[]", "address[]", "uint256[]", "bytes[]"),
    "cancelExpiredLock": ("uint256", "address", "address", "address"),
    # the escrow, as the payer
    "deposit": ("address", "uint256"),
    "withdraw": ("address[]", "uint256[]"),
    "authorize": ("address", "address", "uint256", "uint256", "uint256"),
    # the escrow, to look
    "getUserFunds": ("address", "address"),
    "getAuthorizations": ("address", "address", "address"),
    "getLocks": ("address", "address", "address"),
    "factoryRouter": (),
    "opcCollector": (),
    # the collector of EnterpriseEscrow
    "isTokenAllowed": ("address",),
    "getToken": ("address",),
    # tokens, access lists, contract wallets
    "approve": ("address", "uint256"),
    "allowance": ("address", "address"),
    "balanceOf": ("address",),
    "decimals": (),
    "symbol": (),
    "isValidSignature": ("bytes32", "bytes"),
}
"What each function takes, by the contracts' own names."

EVENTS: Mapping[EventName, tuple[tuple[str, str, bool], ...]] = {
    EventName.LOCK: (
        ("payer", "address", False),
        ("payee", "address", False),
        ("jobId", "uint256", False),
        ("amount", "uint256", False),
        ("expiry", "uint256", False),
        ("token", "address", False),
    ),
    EventName.CLAIMED: (
        ("payee", "address", True),
        ("jobId", "uint256", False),
        ("token", "address", False),
        ("payer", "address", True),
        ("amount", "uint256", False),
        ("proof", "bytes", False),
    ),
    EventName.CANCELED: (
        ("payee", "address", True),
        ("jobId", "uint256", False),
        ("token", "address", False),
        ("payer", "address", True),
        ("amount", "uint256", False),
    ),
}
"What each event tells: name, type, whether it is a topic."


def selector(function: str) -> bytes:
    """The four bytes that name a function."""
    return keccak256(f"{function}({','.join(ARGUMENTS[function])})".encode())[:4]


def encode(call: ChainCall) -> bytes:
    """The bytes of a call; nothing for a transfer."""
    if not call.function:
        return b""
    return selector(call.function) + abi_encode(ARGUMENTS[call.function], call.arguments)


def decode(types: Sequence[str], answer: bytes) -> tuple[Any, ...]:
    """The values of an answer; addresses lower case. Raises: Unavailable where the answer is something else."""
    try:
        return abi_decode(types, answer)
    except (DecodingError, OverflowError, UnicodeDecodeError) as error:
        raise Unavailable("A contract's answer cannot be understood; is the address the right contract's?") from error


def topic(name: EventName) -> str:
    """The first topic of an event."""
    return "0x" + keccak256(f"{name}({','.join(kind for _, kind, _ in EVENTS[name])})".encode()).hex()


TOPICS: Mapping[str, EventName] = {topic(name): name for name in EventName}


def decode_event(entry: RawLog) -> EscrowEvent | None:
    """Read one entry of a chain's log; null for other events of the contract. Raises: Unavailable."""
    name = TOPICS.get(entry.topics[0]) if entry.topics else None
    if name is None:
        return None
    fields = EVENTS[name]
    indexed = [(field, kind) for field, kind, is_topic in fields if is_topic]
    inside = [(field, kind) for field, kind, is_topic in fields if not is_topic]
    found = dict(zip((field for field, _ in inside), decode([kind for _, kind in inside], entry.data), strict=True))
    for (field, kind), word in zip(indexed, entry.topics[1:], strict=True):
        found[field] = decode([kind], bytes.fromhex(word[2:]))[0]
    return EscrowEvent(
        name=name,
        onchain_id=found["jobId"],
        payer=Address(found["payer"].lower()),
        payee=Address(found["payee"].lower()),
        token=Address(found["token"].lower()),
        amount_wei=found["amount"],
        tx_hash=entry.tx_hash,
        block=entry.block,
        block_hash=entry.block_hash,
        lock_s=found.get("expiry", 0),
        proof=found.get("proof", b""),
    )


@dataclass(frozen=True)
class RawLog:
    """One entry of a chain's log; topics and hashes are lower-case hex with 0x."""

    topics: tuple[str, ...]
    data: bytes
    tx_hash: str
    block: int
    block_hash: str


def reason(data: bytes) -> str | None:
    """What a failed call says, in words; null where the bytes say nothing that we know."""
    try:
        if data[:4] == ERROR:
            return str(abi_decode(["string"], data[4:])[0])
        if data[:4] == PANIC:
            code = abi_decode(["uint256"], data[4:])[0]
            return f"The contract stops with panic {code:#04x}: {PANICS.get(code, 'a fault inside it')}."
    except (DecodingError, OverflowError, UnicodeDecodeError):
        return None
    return None
