"""Own the plain Python road, for a Python that libsecp256k1 has no wheel for. The same functions as `curve_native`."""

from __future__ import annotations

from eth_keys.backends.native.jacobian import fast_multiply
from eth_keys.datatypes import PrivateKey, PublicKey, Signature
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError

_FIELD = 2**256 - 2**32 - 977


def point_of(private_key: bytes) -> bytes:
    """Give the public point of a private key."""
    return b"\x04" + bytes(_key(private_key).public_key.to_bytes())


def sign_digest(private_key: bytes, digest: bytes) -> bytes:
    """Sign 32 bytes, deterministically (RFC 6979) and with a low s."""
    return bytes(_key(private_key).sign_msg_hash(digest).to_bytes())


def recover_point(digest: bytes, signature: bytes) -> bytes:
    """Find the public point of whose key made a signature of 32 bytes."""
    try:
        return b"\x04" + bytes(Signature(signature).recover_public_key_from_msg_hash(digest).to_bytes())
    except (BadSignature, ValidationError) as error:
        raise ValueError("no key could have made this signature") from error


def multiply(point: bytes, private_key: bytes) -> bytes:
    """Give the shared point of somebody's point (compressed or not) and one's own private key."""
    try:
        raw = (PublicKey(point[1:]) if len(point) == 65 else PublicKey.from_compressed_bytes(point)).to_bytes()
    except ValidationError as error:
        raise ValueError("not a point") from error
    x, y = int.from_bytes(raw[:32]), int.from_bytes(raw[32:])
    if (y * y - x * x * x - 7) % _FIELD:
        raise ValueError("not a point of the curve")
    x, y = fast_multiply((x, y), int.from_bytes(_key(private_key).to_bytes()))
    return b"\x04" + x.to_bytes(32) + y.to_bytes(32)


def _key(private_key: bytes) -> PrivateKey:
    try:
        return PrivateKey(private_key)
    except ValidationError as error:
        raise ValueError("not a private key") from error
