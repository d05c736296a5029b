"""Own what a pod signs; pure, and light to import, since the pods' start is waited for.

Checking is `shared.signatures.verify_pod`.
"""

from __future__ import annotations

from shared import curve
from shared.keccak_plain import keccak256


def pod_message(command: str, job_id: str, node_address: str, nonce: str, digest: str) -> bytes:
    """Give what a pod signs: one fact a line. `digest` is the SHA-256 of the body in hex."""
    return "\n".join((command, job_id, node_address.lower(), nonce, digest)).encode()


def sign_pod(private_key: bytes, command: str, job_id: str, node_address: str, nonce: str, digest: str) -> str:
    """Sign a pod's call with the job's key (EIP-191): 0x and 65 bytes, v of 27 or 28."""
    message = pod_message(command, job_id, node_address, nonce, digest)
    prefix = b"\x19Ethereum Signed Message:\n" + str(len(message)).encode()
    signature = curve.sign_digest(private_key, keccak256(prefix + message))
    return "0x" + signature[:64].hex() + f"{signature[64] + 27:02x}"
