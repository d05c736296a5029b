"""Own the digest of what streams by: of small bodies at once, of large ones beside reading and writing what follows."""

from __future__ import annotations

import hashlib
from concurrent.futures import Future, ThreadPoolExecutor

BESIDE_BYTES = 8 << 20
"A body that is shorter is not worth a thread."
_HASHERS = ThreadPoolExecutor(4, "sha256")
"Hashing lets go of the interpreter's lock; a thread is made when first needed, so after any fork."


class Sha256:
    """A digest that is at most one chunk behind, so memory stays flat."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._size_bytes = 0
        self._pending: Future[None] | None = None

    def update(self, chunk: bytes) -> None:
        """Take in a chunk; of a large body it may still be worked on when this returns."""
        self._size_bytes += len(chunk)
        self._wait()
        if self._size_bytes < BESIDE_BYTES:
            self._hash.update(chunk)
        else:
            self._pending = _HASHERS.submit(self._hash.update, chunk)

    def hexdigest(self) -> str:
        """Digest of all that was taken in, in lower-case hex."""
        self._wait()
        return self._hash.hexdigest()

    def _wait(self) -> None:
        if self._pending is not None:
            self._pending.result()
            self._pending = None
