"""Own how a node's JSON becomes our facts; what cannot be understood is `Unavailable`, as if no answer had come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.errors import Unavailable
from shared.escrow import abi
from shared.escrow.words import Block

LONGEST_SYMBOL = 32


def number(found: object) -> int:
    """A quantity: hex with 0x. Raises: Unavailable."""
    try:
        if isinstance(found, str):
            return int(found, 16)
    except ValueError:
        pass
    raise Unavailable(f"A chain's node answered {str(found)[:80]!r} where a number belongs.")


def text(found: object) -> str:
    """A hash or the like. Raises: Unavailable."""
    if not isinstance(found, str):
        raise Unavailable(f"A chain's node answered {str(found)[:80]!r} where hex belongs.")
    return found.lower()


def raw(found: object) -> bytes:
    """Bytes in hex. Raises: Unavailable."""
    try:
        return bytes.fromhex(text(found).removeprefix("0x"))
    except ValueError as error:
        raise Unavailable("A chain's node answered something else where hex belongs.") from error


def tag(block: int | None) -> str:
    """How a block is named to a node; null = the newest."""
    return "latest" if block is None else hex(block)


def block_of(found: Mapping[str, Any]) -> Block:
    """A block's own facts."""
    return Block(number(found.get("number")), text(found.get("hash")), number(found.get("timestamp")))


def log_of(found: Mapping[str, Any]) -> abi.RawLog:
    """One entry of the log."""
    topics = tuple(text(topic) for topic in found.get("topics", ()))
    where = number(found.get("blockNumber"))
    return abi.RawLog(
        topics, raw(found.get("data")), text(found.get("transactionHash")), where, text(found.get("blockHash"))
    )


def shown_symbol(answer: bytes) -> str:
    """A token's symbol, which early tokens give as 32 bytes; only what can be shown: anyone may deploy a token."""
    if len(answer) == 32:
        symbol = answer.rstrip(b"\0").decode("utf-8", "replace")
    else:
        (symbol,) = abi.decode(["string"], answer)
    return "".join(letter for letter in symbol if letter.isprintable())[:LONGEST_SYMBOL]
