"""Own the table of auth tokens: only their hashes are kept."""

from __future__ import annotations

import hashlib

from shared.db.node_tables import Token
from shared.db.statements import Statement
from shared.names import Address

_STALE = Statement(
    lambda address, now_ms: Token.delete().where((Token.address == address) & (Token.valid_until_ms < now_ms))
)
_INSERT = Statement(
    lambda token_hash, address, created_at_ms, valid_until_ms: Token.insert(
        token_hash=token_hash, address=address, created_at_ms=created_at_ms, valid_until_ms=valid_until_ms
    )
)
_VALID = Statement(
    lambda token_hash, now_ms: Token.select(Token.address).where(
        (Token.token_hash == token_hash) & (Token.valid_until_ms > now_ms)
    )
)


def insert_token(token: str, address: Address, created_at_ms: int, valid_until_ms: int) -> None:
    """Remember a token until its time; those of the same address that are past it are swept."""
    _STALE.write(address=address, now_ms=created_at_ms)
    _INSERT.write(token_hash=_hash(token), address=address, created_at_ms=created_at_ms, valid_until_ms=valid_until_ms)


def is_valid(token: str, now_ms: int) -> bool:
    """Whether a token is known, not invalidated and not past its time."""
    return bool(_VALID.tuples(token_hash=_hash(token), now_ms=now_ms))


def delete_token(token: str) -> bool:
    """Invalidate a token; false where it was not known."""
    return bool(Token.delete().where(Token.token_hash == _hash(token)).execute())


def sweep(now_ms: int) -> int:
    """Remove every token past its time; return how many."""
    return int(Token.delete().where(Token.valid_until_ms < now_ms).execute())


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
