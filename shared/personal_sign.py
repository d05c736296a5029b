"""Own personal_sign (EIP-191): how a wallet signs bytes and who signed them; pure. The malformed is `Unauthorized`."""

from __future__ import annotations

from shared import curve
from shared.addresses import address_of_point, keccak256
from shared.errors import Unauthorized


def sign_message(private_key: bytes, message: bytes) -> str:
    """Sign as a wallet does: 0x and 65 bytes, v of 27 or 28."""
    signature = curve.sign_digest(private_key, _hash(message))
    return "0x" + signature[:64].hex() + f"{signature[64] + 27:02x}"


def recover(message: bytes, signature: str) -> str:
    """Find the checksummed address that signed a message. Raises: Unauthorized."""
    return signer(message, parse(signature))


def parse(signature: str) -> bytes:
    """Read 65 bytes with 0 < r < n, 0 < s <= n/2 and v in {0, 1, 27, 28}; give them with v of 0 or 1.

    The libraries underneath are laxer (high s, other v, other lengths), so everything goes through here.
    Raises: Unauthorized.
    """
    digits = signature.removeprefix("0x")
    try:
        raw = bytes.fromhex(digits)
    except ValueError:
        raw = b""
    r, s = int.from_bytes(raw[:32]), int.from_bytes(raw[32:64])
    in_range = 0 < r < curve.ORDER and 0 < s <= curve.ORDER // 2
    if len(digits) != 130 or len(raw) != 65 or not in_range or raw[64] not in (0, 1, 27, 28):
        raise Unauthorized("the signature is not valid: 65 bytes in hex are expected")
    return raw[:64] + bytes([raw[64] % 27])


def signer(message: bytes, raw: bytes) -> str:
    """Find the checksummed address behind a parsed signature. Raises: Unauthorized."""
    try:
        return address_of_point(curve.recover_point(_hash(message), raw))
    except ValueError as error:
        raise Unauthorized("the signature is not valid") from error


def _hash(message: bytes) -> bytes:
    return keccak256(b"\x19Ethereum Signed Message:\n" + str(len(message)).encode() + message)
