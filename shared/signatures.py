"""Own what is signed and how it is checked; pure. A bad signature is `Unauthorized`, whatever is wrong with it.

A signature is never a replay key (several are valid for one message): the address and the nonce are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from urllib.parse import quote, urlencode

from shared import curve
from shared.addresses import address_of, address_of_point, checksum, is_same_address, keccak256
from shared.errors import Unauthorized

MISMATCH = "consumer address and nonce signature mismatch"


def personal_hash(message: bytes) -> bytes:
    """Hash a message the way wallets do before they sign it (EIP-191)."""
    return keccak256(b"\x19Ethereum Signed Message:\n" + str(len(message)).encode() + message)


def sign_message(private_key: bytes, message: bytes) -> str:
    """Sign as a wallet's personal_sign: 0x and 65 bytes, v of 27 or 28."""
    signature = curve.sign_digest(private_key, personal_hash(message))
    return "0x" + signature[:64].hex() + f"{signature[64] + 27:02x}"


def recover(message: bytes, signature: str) -> str:
    """Find the checksummed address that signed a message with personal_sign. Raises: Unauthorized."""
    try:
        return address_of_point(curve.recover_point(personal_hash(message), _strict(signature)))
    except ValueError as error:
        raise Unauthorized("the signature is not valid") from error


def command_text(address: str, nonce: int | str, command: str) -> str:
    """Give what a consumer signs for a command: the three run together, nothing between."""
    return f"{address}{nonce}{command}"


def bound_text(address: str, nonce: int | str, command: str, node_address: str, digest: str) -> str:
    """Give the stronger form, which no other node and no other body can use; `digest` is of the body or the query."""
    return f"{address}{nonce}{command}{node_address}{digest}"


def body_digest(body: Mapping[str, object]) -> str:
    """Hash a body without its signature: keys sorted, no blanks, UTF-8."""
    signed = {key: value for key, value in body.items() if key != "signature"}
    text = json.dumps(signed, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def query_digest(parameters: Mapping[str, str]) -> str:
    """Hash the query of a call without a body: sorted by name, percent-encoded, without its signature."""
    signed = sorted((key, value) for key, value in parameters.items() if key != "signature")
    return hashlib.sha256(urlencode(signed, quote_via=quote, safe="").encode()).hexdigest()


def command_hash(address: str, nonce: int | str, command: str) -> bytes:
    """Hash what a consumer signs for a command; 32 bytes."""
    return keccak256(command_text(address, nonce, command).encode())


def sign_text(private_key: bytes, text: str) -> str:
    """Sign a text as ocean.js does: its hash, leading zero bytes left out."""
    return sign_message(private_key, keccak256(text.encode()).lstrip(b"\0"))


def sign_command(private_key: bytes, nonce: int | str, command: str) -> str:
    """Sign a command as ocean.js does."""
    return sign_text(private_key, command_text(address_of(private_key), nonce, command))


def verify_text(address: str, text: str, signature: str) -> None:
    """Accept a text's signature in every form the field's clients send. Raises: Unauthorized."""
    _strict_or_refuse(signature)
    if not any(_signed_by(address, form, signature) for form in _forms(keccak256(text.encode()))):
        raise Unauthorized(MISMATCH)


def verify_command(address: str, nonce: int | str, command: str, signature: str) -> None:
    """Accept a command's signature; the address may have been signed in the case it was sent in, or checksummed.

    Calls that are signed without a command pass `command=""`. Raises: Unauthorized.
    """
    checksummed = checksum(address)
    try:
        verify_text(address, command_text(checksummed, nonce, command), signature)
    except Unauthorized:
        if address == checksummed:
            raise
        verify_text(address, command_text(address, nonce, command), signature)


def verify_bound(address: str, nonce: int | str, command: str, node_address: str, digest: str, signature: str) -> None:
    """Accept the stronger form: this node, this body. Raises: Unauthorized."""
    text = bound_text(checksum(address), nonce, command, checksum(node_address), digest)
    verify_text(address, text, signature)


def sign_bound(private_key: bytes, nonce: int | str, command: str, node_address: str, digest: str) -> str:
    """Sign the stronger form, which our own client always sends."""
    text = bound_text(address_of(private_key), nonce, command, checksum(node_address), digest)
    return sign_text(private_key, text)


def pod_message(command: str, job_id: str, node_address: str, nonce: str, digest: str) -> bytes:
    """Give what a pod signs: one fact a line. `digest` is the SHA-256 of the body in hex."""
    return "\n".join((command, job_id, node_address.lower(), nonce, digest)).encode()


def sign_pod(private_key: bytes, command: str, job_id: str, node_address: str, nonce: str, digest: str) -> str:
    """Sign a pod's call with the job's key."""
    return sign_message(private_key, pod_message(command, job_id, node_address, nonce, digest))


def verify_pod(
    address: str, command: str, job_id: str, node_address: str, nonce: str, digest: str, signature: str
) -> None:
    """Accept a pod's call signed with the job's key, whose address is given. Raises: Unauthorized."""
    message = pod_message(command, job_id, node_address, nonce, digest)
    if not is_same_address(recover(message, signature), address):
        raise Unauthorized("the call is not signed with this job's key")


def _forms(digest: bytes) -> Iterator[bytes]:
    """List what may have been signed, the likeliest first: stripped bytes, their hex as text, all 32 bytes."""
    stripped = digest.lstrip(b"\0")
    yield stripped
    yield b"0x" + digest.hex().encode()
    if stripped != digest:
        yield digest


def _signed_by(address: str, message: bytes, signature: str) -> bool:
    try:
        return is_same_address(recover(message, signature), address)
    except Unauthorized:
        return False


def _strict(signature: str) -> bytes:
    """Read 65 bytes with 0 < r < n, 0 < s <= n/2 and v in {0, 1, 27, 28}; give them with v of 0 or 1."""
    if len(signature) not in (130, 132) or signature[:-130] not in ("", "0x"):
        raise ValueError("a signature is 65 bytes in hex")
    raw = bytes.fromhex(signature[-130:])
    r, s, v = int.from_bytes(raw[:32]), int.from_bytes(raw[32:64]), raw[64:]
    if len(raw) != 65 or not 0 < r < curve.ORDER or not 0 < s <= curve.ORDER // 2 or v[0] not in (0, 1, 27, 28):
        raise ValueError("r, s or v is out of range")
    return raw[:64] + bytes([v[0] % 27])
