"""Own what is signed and how it is checked; pure. A bad signature is `Unauthorized`, whatever is wrong with it.

A signature is never a replay key (several are valid for one message): the address and the nonce are.
"""

from __future__ import annotations

from collections.abc import Iterator

from shared.addresses import address_of, checksum, is_same_address, keccak256, public_key_of
from shared.errors import Unauthorized
from shared.personal_sign import parse, recover, sign_message, signer
from shared.pod_calls import pod_message, sign_pod

__all__ = [
    "address_of",
    "bound_text",
    "checksum",
    "command_hash",
    "command_text",
    "hex_bytes",
    "is_same_address",
    "keccak256",
    "pod_message",
    "public_key_of",
    "recover",
    "sign_bound",
    "sign_command",
    "sign_message",
    "sign_pod",
    "verify_bound",
    "verify_command",
    "verify_pod",
    "wallet_digests",
]


def command_text(address: str, nonce: int | str, command: str) -> str:
    """Give what a consumer signs for a command: the three run together, nothing between."""
    return f"{address}{nonce}{command}"


def command_hash(address: str, nonce: int | str, command: str) -> bytes:
    """Hash what a consumer signs for a command; 32 bytes."""
    return keccak256(command_text(address, nonce, command).encode())


def sign_command(private_key: bytes, nonce: int | str, command: str) -> str:
    """Sign a command as ocean.js does."""
    return _sign_text(private_key, command_text(address_of(private_key), nonce, command))


def verify_command(address: str, nonce: int | str, command: str, signature: str) -> None:
    """Accept a command's signature in every form that the field's clients send.

    The address may have been signed checksummed or as it was sent. Calls signed without a command pass "".
    Raises: Unauthorized.
    """
    checksummed = checksum(address)
    texts = {command_text(form, nonce, command): None for form in (checksummed, address)}
    _verify_any(address, list(texts), signature)


def bound_text(address: str, nonce: int | str, command: str, node_address: str, digest: str) -> str:
    """Give the stronger form, of no use for another node or body; `digest` as in `shared.digests`."""
    return f"{checksum(address)}{nonce}{command}{checksum(node_address)}{digest}"


def sign_bound(private_key: bytes, nonce: int | str, command: str, node_address: str, digest: str) -> str:
    """Sign the stronger form, which our own client always sends."""
    return _sign_text(private_key, bound_text(address_of(private_key), nonce, command, node_address, digest))


def verify_bound(address: str, nonce: int | str, command: str, node_address: str, digest: str, signature: str) -> None:
    """Accept the stronger form: this node, this body. Raises: Unauthorized."""
    _verify_any(address, [bound_text(address, nonce, command, node_address, digest)], signature)


def wallet_digests(text: str) -> tuple[bytes, bytes]:
    """Give the two hashes of a signed text that contract wallets are asked about, as the field's nodes do.

    Its own, and that of the text as a personal message.
    """
    raw = text.encode()
    return keccak256(raw), keccak256(b"\x19Ethereum Signed Message:\n%d%s" % (len(raw), raw))


def hex_bytes(signature: str) -> bytes:
    """Read a signature of any length; empty where it is no hex."""
    try:
        return bytes.fromhex(signature.removeprefix("0x"))
    except ValueError:
        return b""


def verify_pod(
    address: str, command: str, job_id: str, node_address: str, nonce: str, digest: str, signature: str
) -> None:
    """Accept a pod's call signed with the job's key, whose address is given. Raises: Unauthorized."""
    message = pod_message(command, job_id, node_address, nonce, digest)
    if not is_same_address(recover(message, signature), address):
        raise Unauthorized("the call is not signed with this job's key")


def _sign_text(private_key: bytes, text: str) -> str:
    return sign_message(private_key, keccak256(text.encode()).lstrip(b"\0"))


def _verify_any(address: str, texts: list[str], signature: str) -> None:
    raw = parse(signature)
    forms = (form for text in texts for form in _forms(keccak256(text.encode())))
    if not any(is_same_address(signer(form, raw), address) for form in forms):
        raise Unauthorized("consumer address and nonce signature mismatch")


def _forms(digest: bytes) -> Iterator[bytes]:
    """List what may have been signed, the likeliest first: stripped bytes, their hex as text, all 32 bytes."""
    stripped = digest.lstrip(b"\0")
    yield stripped
    yield b"0x" + digest.hex().encode()
    if stripped != digest:
        yield digest
