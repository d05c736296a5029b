"""Own the bytes that are sent away: held against their digest before the last of them goes, encrypted on the way."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from Crypto.Cipher import AES
from Crypto.Util.Padding import pad

from shared.errors import DigestMismatch, InvalidRequest, Unavailable
from shared.outputs import CBC, OutputTarget

BLOCK, NONCE, TAG = 16, 12, 16


class Outgoing(NamedTuple):
    """A file on its way: its name there, how long it is, its bytes once."""

    name: str
    size_bytes: int
    chunks: Iterator[bytes]


def verified(chunks: Iterable[bytes], size_bytes: int, sha256: str) -> Iterator[bytes]:
    """Pass everything on, the last chunk only once all of it is known to be right: a false upload stays incomplete.

    Raises: InvalidRequest for another length, DigestMismatch, Unavailable where the sender is lost.
    """
    digest, seen, held = hashlib.sha256(), 0, b""
    for chunk in _received(chunks):
        seen += len(chunk)
        if seen > size_bytes:
            break
        digest.update(chunk)
        if held:
            yield held
        held = chunk
    if seen != size_bytes:
        raise InvalidRequest(f"size: {size_bytes} bytes were announced and {seen} came", path="size")
    if digest.hexdigest() != sha256:
        raise DigestMismatch("The body does not have the digest that X-C2D-Digest announces.")
    yield held


def _received(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Tell a lost sender from a lost target."""
    try:
        yield from chunks
    except OSError as error:
        raise Unavailable("the sender's connection broke") from error


def encrypted(target: OutputTarget, public_key: str, outgoing: Outgoing) -> Outgoing:
    """Encrypt where the target asks for it; the field's method takes its IV from the node's public key."""
    if target.method is None:
        return outgoing
    if target.method == CBC:
        size = (outgoing.size_bytes // BLOCK + 1) * BLOCK
        return outgoing._replace(size_bytes=size, chunks=cbc(target.key, public_key, outgoing.chunks))
    size = NONCE + outgoing.size_bytes + TAG
    return outgoing._replace(size_bytes=size, chunks=_gcm(target.key, outgoing.chunks))


def cbc(key: bytes, public_key: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Encrypt as the field's node does: AES-256-CBC, its IV the first half of the node's public key (wire §19.4)."""
    cipher = AES.new(key, AES.MODE_CBC, iv=bytes.fromhex(public_key)[:BLOCK])
    rest = b""
    for chunk in chunks:
        data = rest + chunk
        whole = len(data) // BLOCK * BLOCK
        rest = data[whole:]
        if whole:
            yield cipher.encrypt(data[:whole])
    yield bytes(cipher.encrypt(pad(rest, BLOCK)))


def _gcm(key: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Nonce, ciphertext, tag."""
    cipher = AES.new(key, AES.MODE_GCM, nonce=secrets.token_bytes(NONCE))
    yield bytes(cipher.nonce)
    for chunk in chunks:
        yield cipher.encrypt(chunk)
    yield cipher.digest()
