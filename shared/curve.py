"""Own the arithmetic of secp256k1: libsecp256k1 where there is a wheel of it, plain Python (slow, correct) elsewhere.

Points are 65 bytes (0x04, x, y), digests and keys 32, signatures 65 (r, s, and a recovery id of 0 to 3).
Everything here raises ValueError for what is not a key, a point or a signature.
"""

from __future__ import annotations

try:
    from shared.curve_native import multiply, point_of, recover_point, sign_digest
except ImportError:  # no wheel for this Python
    from shared.curve_plain import multiply, point_of, recover_point, sign_digest

__all__ = ["ORDER", "compress", "is_private_key", "multiply", "point_of", "recover_point", "sign_digest"]

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def is_private_key(key: bytes) -> bool:
    """Tell whether these bytes can be a private key."""
    return len(key) == 32 and 0 < int.from_bytes(key) < ORDER


def compress(point: bytes) -> bytes:
    """Give the 33-byte form of a point."""
    return bytes([2 + point[64] % 2]) + point[1:33]
