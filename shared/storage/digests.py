"""Own the recorded digests of local storage: one small file for each object, in a tree of its own.

A record names the file its digest was taken from (inode, size, time of change) and counts for no other, so
object and record may be written one after the other: a crash between them costs time, never a wrong digest.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from shared.storage.disk import files_below, place, remove, temporary


class Digests:
    """Remember digests below `<root>/.sha256`; `temporaries` is a folder on the same file system."""

    def __init__(self, root: Path, temporaries: Path) -> None:
        self._root = root / ".sha256"
        self._objects = root
        self._temporaries = temporaries

    def of(self, key: str, file: BufferedReader) -> str:
        """Return the recorded digest of an open file; without one, read the file and record it."""
        digest = self._recorded(key, _identity(file))
        if digest is None:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            self.record(key, file, digest)
        return digest

    def record(self, key: str, file: BinaryIO, digest: str) -> None:
        """Record the digest of a file that is open: closed, its inode could already be another's.

        Failing is no error: the next who asks computes it.
        """
        with suppress(OSError), temporary(self._temporaries) as record:
            record.write(f"{digest} {_identity(file)}".encode())
            record.flush()
            place(Path(record.name), self._root / key)

    def forget(self, key: str) -> None:
        """Remove the record."""
        remove(self._root / key, self._root)

    def orphans(self) -> Iterator[Path]:
        """Yield the records whose object is gone."""
        for path in files_below(self._root):
            if not (self._objects / path.relative_to(self._root)).exists():
                yield path

    def _recorded(self, key: str, identity: str) -> str | None:
        try:
            digest, of_file = (self._root / key).read_text(encoding="ascii").split(" ")
        except (OSError, ValueError):  # none, or one that a power cut left half-written
            return None
        return digest if of_file == identity else None


def _identity(file: BinaryIO) -> str:
    facts = os.fstat(file.fileno())
    return f"{facts.st_ino}:{facts.st_size}:{facts.st_mtime_ns}"
