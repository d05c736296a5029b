"""Own encrypting a file for the node itself (wire §19.3, §19.4): for its public key, or with its own key; pure."""

from __future__ import annotations

from shared import ecies
from shared.errors import InvalidRequest, NotAvailable
from shared.upload.body import cbc

METHODS = ("ecies", "aes")


def method_of(wanted: object) -> str:
    """Read `encryptMethod`; ecies where none is given. Raises: InvalidRequest."""
    method = str(wanted or METHODS[0]).lower()
    if method not in METHODS:
        raise InvalidRequest(f"encryptMethod: one of {', '.join(METHODS)} is expected", path="encryptMethod")
    return method


def encrypt(method: str, plaintext: bytes, public_key: str, private_key: bytes | None) -> bytes:
    """Encrypt; both keys are the node's. Raises: NotAvailable for aes in a process without the wallet key."""
    if method == "ecies":
        return ecies.encrypt(public_key, plaintext)
    if private_key is None:
        raise NotAvailable("encryptMethod: aes needs the node's wallet key, which this process does not hold")
    return b"".join(cbc(private_key, public_key, [plaintext]))
