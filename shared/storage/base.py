"""Own the interface of storage: where results go. Every implementation passes one contract."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class StoredObject:
    """What lies under a key."""

    key: str
    size_bytes: int
    sha256: str
    "Lower-case hex of the whole content."


class Storage(Protocol):
    """Keep objects under keys such as `<job id>/outputs.zip`; stream both ways with flat memory.

    Keys are relative, made of safe segments; a key that escapes the root raises ValueError.
    Every verb raises `Unavailable` where the backend is out of reach or full.
    """

    def write(
        self,
        key: str,
        chunks: Iterable[bytes],
        *,
        expected_sha256: str | None = None,
        max_bytes: int | None = None,
    ) -> StoredObject:
        """Store all chunks under the key, replacing what was there in one step.

        Half a write is never visible and never left behind, whatever ends it: an error of the source is
        passed on. Raises: DigestMismatch where the content is not `expected_sha256`; PayloadTooLarge
        beyond `max_bytes`.
        """
        ...

    def read(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from `start`, at most `length`. Raises: NotFound (at the call, not at the first chunk)."""
        ...

    def head(self, key: str) -> StoredObject | None:
        """Tell size and digest; None where nothing is stored."""
        ...

    def delete(self, key: str) -> None:
        """Remove the object; nothing there is success."""
        ...

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Yield the keys that start with `prefix`, sorted."""
        ...

    def sweep(self, older_than_s: int) -> int:
        """Remove what writes killed half-way left behind, if older; returns how many."""
        ...

    def check(self) -> None:
        """Raise `Unavailable` with the cause where the backend cannot be used now."""
        ...
