"""Own Ethereum's addresses and its hash; pure. What is not an address is `Unauthorized`."""

from __future__ import annotations

from Crypto.Hash import keccak

from shared import curve
from shared.errors import Unauthorized


def keccak256(data: bytes) -> bytes:
    """Hash as Ethereum does, which is not SHA3-256."""
    return keccak.new(data=data, digest_bits=256).digest()


def address_of(private_key: bytes) -> str:
    """Give the checksummed address of a private key."""
    return address_of_point(curve.point_of(private_key))


def address_of_point(point: bytes) -> str:
    """Give the checksummed address of a public point (65 bytes)."""
    return _mixed_case(keccak256(point[1:])[-20:])


def public_key_of(private_key: bytes) -> str:
    """Give the compressed public key as 66 hex characters, without 0x."""
    return curve.compress(curve.point_of(private_key)).hex()


def checksum(address: str) -> str:
    """Write an address in EIP-55 mixed case. Raises: Unauthorized if it is no address."""
    if len(address) != 42 or address[:2] not in ("0x", "0X"):
        raise Unauthorized("not an address: 0x and 40 hex characters are expected")
    try:
        return _mixed_case(bytes.fromhex(address[2:]))
    except ValueError as error:
        raise Unauthorized("not an address: 0x and 40 hex characters are expected") from error


def is_same_address(one: str, other: str) -> bool:
    """Compare two addresses as the wire does: without regard to case."""
    return one.lower() == other.lower()


def _mixed_case(address: bytes) -> str:
    if len(address) != 20:
        raise ValueError("an address is 20 bytes")
    text = address.hex()
    digits = keccak256(text.encode()).hex()
    pairs = zip(text, digits, strict=False)
    return "0x" + "".join(letter.upper() if int(digit, 16) >= 8 else letter for letter, digit in pairs)
