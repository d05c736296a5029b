"""Own the table of auth tokens: only their hashes are kept."""

from __future__ import annotations

import hashlib

from shared.db.node_tables import Token
from shared.names import Address


def insert_token(token: str, address: Address, created_at_ms: int, valid_until_ms: int) -> None:
    """Remember a token until its time; those of the same address that are past it are swept."""
    stale = (Token.address == address) & (Token.valid_until_ms < created_at_ms)
    Token.delete().where(stale).execute()
    Token.insert(
        token_hash=_hash(token), address=address, created_at_ms=created_at_ms, valid_until_ms=valid_until_ms
    ).execute()


def is_valid(token: str, now_ms: int) -> bool:
    """Whether a token is known, not invalidated and not past its time."""
    known = (Token.token_hash == _hash(token)) & (Token.valid_until_ms > now_ms)
    return bool(Token.select().where(known).exists())


def delete_token(token: str) -> bool:
    """Invalidate a token; false where it was not known."""
    return bool(Token.delete().where(Token.token_hash == _hash(token)).execute())


def sweep(now_ms: int) -> int:
    """Remove every token past its time; return how many."""
    return int(Token.delete().where(Token.valid_until_ms < now_ms).execute())


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
