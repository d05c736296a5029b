"""Own the way to libsecp256k1. The same functions as `curve_plain`, a hundred times faster."""

from __future__ import annotations

import coincurve


def point_of(private_key: bytes) -> bytes:
    """Give the public point of a private key."""
    return bytes(coincurve.PrivateKey(_padded(private_key)).public_key.format(compressed=False))


def sign_digest(private_key: bytes, digest: bytes) -> bytes:
    """Sign 32 bytes, deterministically (RFC 6979) and with a low s."""
    return bytes(coincurve.PrivateKey(_padded(private_key)).sign_recoverable(digest, hasher=None))


def recover_point(digest: bytes, signature: bytes) -> bytes:
    """Find the public point of whose key made a signature of 32 bytes."""
    try:
        point = coincurve.PublicKey.from_signature_and_message(signature, digest, hasher=None)
    except Exception as error:  # the library raises bare Exception for an impossible signature
        raise ValueError("no key could have made this signature") from error
    return bytes(point.format(compressed=False))


def multiply(point: bytes, private_key: bytes) -> bytes:
    """Give the shared point of somebody's point (compressed or not) and one's own private key."""
    return bytes(coincurve.PublicKey(point).multiply(_padded(private_key)).format(compressed=False))


def _padded(private_key: bytes) -> bytes:
    if len(private_key) != 32:
        raise ValueError("a private key is 32 bytes")
    return private_key
