"""Own whose signature a consumer's call has: a wallet's key, in every form the field knows, or a contract wallet's."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from shared.credentials import Asked, Signer, read_nonce
from shared.errors import Unauthorized
from shared.names import Address
from shared.signatures import (
    bound_text,
    checksum,
    command_text,
    hex_bytes,
    verify_bound,
    verify_command,
    wallet_digests,
)


def signed_by(asked: Asked, texts: Iterable[str], address: str, nonce: str, signature: str) -> Signer:
    """Check a signature over one of the command texts; the first is the stronger form's. Raises: Unauthorized."""
    number, texts = read_nonce(nonce), tuple(texts)
    who = Address(address.lower())
    for text in texts:
        with suppress(Unauthorized):
            verify_command(address, number, text, signature)
            return Signer(who, number)
    digest = asked.digest()
    with suppress(Unauthorized):
        verify_bound(address, number, texts[0], asked.node_address, digest, signature)
        return Signer(who, number, is_bound=True)
    if _is_wallets(asked, who, [bound_text(address, number, texts[0], asked.node_address, digest)], signature):
        return Signer(who, number, is_bound=True)
    if _is_wallets(asked, who, [command_text(checksum(address), number, text) for text in texts], signature):
        return Signer(who, number)
    raise Unauthorized("consumer address and nonce signature mismatch")


def _is_wallets(asked: Asked, wallet: Address, texts: Iterable[str], signature: str) -> bool:
    """Ask the contract at the address, on the chain the call names, for each text (ERC-1271). Raises: Unavailable."""
    chain, raw = asked.chain(), hex_bytes(signature)
    if chain is None or not raw:
        return False
    digests = (digest for text in texts for digest in wallet_digests(text))
    return any(chain.is_signed_by_contract(wallet, digest, raw) for digest in digests)
