"""Own what every backend checks alike: keys, ranges, and the size and digest of what is written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from shared.errors import DigestMismatch, PayloadTooLarge
from shared.storage.hashing import Sha256

KEY_BYTES = 900  # S3 allows 1,024; the rest is room for the prefix
SEGMENT_BYTES = 255  # what file systems allow


def check_key(key: str) -> str:
    """Return the key if each backend can keep it. Raises: ValueError.

    A first segment that begins with a dot is the backend's own room.
    """
    segments = key.split("/")
    if not key or any(segment in ("", ".", "..") for segment in segments):
        raise ValueError(f"a storage key is made of non-empty segments other than . and ..: {key!r}")
    if key.startswith("."):
        raise ValueError(f"a storage key does not begin with a dot: {key!r}")
    if any(ord(character) < 32 or ord(character) == 127 for character in key):
        raise ValueError(f"a storage key holds no control characters: {key!r}")
    if len(key.encode()) > KEY_BYTES or any(len(segment.encode()) > SEGMENT_BYTES for segment in segments):
        raise ValueError(f"a storage key has at most {KEY_BYTES} bytes, {SEGMENT_BYTES} in a segment: {key!r}")
    return key


def is_key(key: str) -> bool:
    """Tell a key of ours from something a stranger put beside them."""
    try:
        check_key(key)
    except ValueError:
        return False
    return True


def folder_of(prefix: str) -> str:
    """Return the whole segments that a prefix of keys begins with. Raises: ValueError where no key can begin so."""
    folder = prefix.rpartition("/")[0]
    if prefix.startswith("/") or (folder and not check_key(folder)):
        raise ValueError(f"a storage key does not begin with a slash: {prefix!r}")
    return folder


def check_range(start: int, length: int | None) -> None:
    """Refuse ranges that mean nothing. Raises: ValueError."""
    if start < 0 or (length is not None and length < 0):
        raise ValueError(f"a range has no negative start or length: {start}, {length}")


def digest_of(chunks: Iterable[bytes]) -> str:
    """SHA-256 of all chunks, in lower-case hex."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


class CheckedSource:
    """Pass chunks on; count and hash them on the way.

    Raises PayloadTooLarge before handing out the chunk that goes beyond `max_bytes`, and DigestMismatch in
    place of the end. So who has read to the end holds exactly what was announced.
    """

    def __init__(self, chunks: Iterable[bytes], expected_sha256: str | None, max_bytes: int | None) -> None:
        self._chunks = chunks
        self._expected = expected_sha256.lower() if expected_sha256 is not None else None
        self._max_bytes = max_bytes
        self._hash = Sha256()
        self.size_bytes = 0

    @property
    def sha256(self) -> str:
        """Digest of what has passed so far, in lower-case hex."""
        return self._hash.hexdigest()

    def __iter__(self) -> Iterator[bytes]:
        """Yield the chunks; once only."""
        for chunk in self._chunks:
            self.size_bytes += len(chunk)
            if self._max_bytes is not None and self.size_bytes > self._max_bytes:
                raise PayloadTooLarge(f"more than the {self._max_bytes} bytes allowed", max_bytes=self._max_bytes)
            self._hash.update(chunk)
            yield chunk
        if self._expected is not None and self.sha256 != self._expected:
            raise DigestMismatch(
                "the content does not have the SHA-256 announced for it",
                expected_sha256=self._expected,
                sha256=self.sha256,
            )
