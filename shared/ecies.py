"""Own ECIES as the field's clients write it (eciesjs's defaults), and the HKDF-SHA256 underneath; pure.

A message is the sender's one-time public point (65 bytes), nonce (16), tag (16), ciphertext (AES-256-GCM).
"""

from __future__ import annotations

import hmac
import secrets

from Crypto.Cipher import AES

from shared import curve
from shared.errors import InvalidRequest

_POINT, _NONCE, _TAG = 65, 16, 16
_HEAD = _POINT + _NONCE + _TAG


def hkdf_sha256(secret: bytes, info: bytes = b"", length: int = 32) -> bytes:
    """Derive a key from a secret (RFC 5869, no salt); at most 8,160 bytes."""
    extracted = hmac.digest(bytes(32), secret, "sha256")
    block, out = b"", b""
    for counter in range(1, -(-length // 32) + 1):
        block = hmac.digest(extracted, block + info + bytes([counter]), "sha256")
        out += block
    return out[:length]


def encrypt(public_key: str | bytes, plaintext: bytes) -> bytes:
    """Encrypt for the holder of a public key (hex or bytes, compressed or not). Raises: InvalidRequest."""
    ephemeral = _new_private_key()
    point = curve.point_of(ephemeral)
    try:
        target = bytes.fromhex(public_key.removeprefix("0x")) if isinstance(public_key, str) else public_key
        key = hkdf_sha256(point + curve.multiply(target, ephemeral))
    except ValueError as error:
        raise InvalidRequest("not a secp256k1 public key: 33 or 65 bytes in hex are expected") from error
    cipher = AES.new(key, AES.MODE_GCM, nonce=secrets.token_bytes(_NONCE))
    ciphertext, tag = cipher.encrypt_and_digest(plaintext)
    return point + cipher.nonce + tag + ciphertext


def decrypt(private_key: bytes, message: bytes) -> bytes:
    """Decrypt what was encrypted for a private key's holder. Raises: InvalidRequest."""
    point, nonce, tag = message[:_POINT], message[_POINT : _POINT + _NONCE], message[_POINT + _NONCE : _HEAD]
    try:
        if len(message) < _HEAD:
            raise ValueError("too short")
        key = hkdf_sha256(point + curve.multiply(point, private_key))
        return AES.new(key, AES.MODE_GCM, nonce=nonce).decrypt_and_verify(message[_HEAD:], tag)
    except ValueError as error:
        raise InvalidRequest("the encrypted value was not made for this node's public key") from error


def _new_private_key() -> bytes:
    """Draw until a valid key comes, which is nearly always the first."""
    while True:
        key = secrets.token_bytes(32)
        if curve.is_private_key(key):
            return key
