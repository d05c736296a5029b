"""Own storage on a local (or mounted) file system: the key is the path below the root.

A write goes to `.tmp/` and is moved into place whole; digests lie in `.sha256/`. A key cannot be a folder of other
keys here. S3 allows that; we have no use for it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO
from urllib.parse import SplitResult, unquote

from shared.errors import NotFound, Unavailable
from shared.storage.base import StoredObject
from shared.storage.checks import CheckedSource, check_key, check_range, folder_of, is_key
from shared.storage.digests import Digests
from shared.storage.disk import ABSENT, chunks_of, files_below, place, remove, remove_if_until, sync_folders, temporary


def from_url(url: SplitResult) -> LocalStorage:
    """Make the storage of `file:///path`. Raises: ValueError saying what is wrong with the URL."""
    if url.netloc not in ("", "localhost") or not url.path.startswith("/"):
        raise ValueError("a file URL has three slashes and an absolute path")
    if url.query or url.fragment:
        raise ValueError("a file URL takes no parameters; write ? as %3F and # as %23")
    return LocalStorage(Path(unquote(url.path)))


class LocalStorage:
    """Keep objects as files. The root must exist: a missing one is a disk that is not mounted, never an empty store."""

    def __init__(self, root: Path, *, now: Callable[[], float] = time.time) -> None:
        self._root = root
        self._now = now
        self._temporaries = root / ".tmp"
        self._digests = Digests(root, self._temporaries)

    def write(
        self,
        key: str,
        chunks: Iterable[bytes],
        *,
        expected_sha256: str | None = None,
        max_bytes: int | None = None,
    ) -> StoredObject:
        """Write beside, flush to the disk, then move into place."""
        target = self._path(key)
        source = CheckedSource(chunks, expected_sha256, max_bytes)
        with self._temporary() as file:
            for chunk in source:
                with self._reachable():  # not around the loop: the source's own errors are passed on
                    file.write(chunk)
            self._publish(file, target)
            self._digests.record(key, file, source.sha256)
        return StoredObject(key, source.size_bytes, source.sha256)

    def read(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Open at the call, so what is replaced meanwhile is still read whole as it was."""
        check_range(start, length)
        file = self._open(key)
        if file is None:
            raise NotFound(f"nothing is stored under {key}")
        stream = self._chunks(file, start, length)
        next(stream)  # entered, it closes the file whenever it is closed itself
        return stream

    def head(self, key: str) -> StoredObject | None:
        """Tell the recorded digest, or read the whole file where none was recorded for it."""
        file = self._open(key)
        if file is None:
            return None
        with file, self._reachable():
            return StoredObject(key, os.fstat(file.fileno()).st_size, self._digests.of(key, file))

    def delete(self, key: str) -> None:
        """Remove digest, file and the folders that are empty then."""
        target = self._path(key)
        with self._reachable():
            self._require_root()
            self._digests.forget(key)
            remove(target, self._root)

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Walk the folder that the prefix names; files of strangers with impossible names are passed over."""
        folder = self._root / folder_of(prefix)
        with self._reachable():
            self._require_root()
            found = [path.relative_to(self._root).as_posix() for path in files_below(folder)]
        return iter(sorted(key for key in found if key.startswith(prefix) and is_key(key)))

    def sweep(self, older_than_s: int) -> int:
        """Remove old temporary files, and old digests whose object is gone."""
        with self._reachable():
            self._require_root()
            rests = [*files_below(self._temporaries), *self._digests.orphans()]
            return sum(remove_if_until(path, self._now() - older_than_s) for path in rests)

    def check(self) -> None:
        """Write a byte and take it back: nothing less tells a full or read-only disk."""
        with self._temporary() as file, self._reachable():
            file.write(b".")
            file.flush()

    def _path(self, key: str) -> Path:
        return self._root / check_key(key)

    def _require_root(self) -> None:
        if not self._root.is_dir():
            raise FileNotFoundError(f"{self._root} is not there or not a folder")

    @contextmanager
    def _reachable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            cause = error.strerror or str(error)
            raise Unavailable(f"the storage folder {self._root} cannot be used: {cause}", errno=error.errno) from error

    @contextmanager
    def _temporary(self) -> Iterator[BinaryIO]:
        with ExitStack() as stack:
            with self._reachable():
                file = stack.enter_context(temporary(self._temporaries))
            yield file

    def _publish(self, file: BinaryIO, target: Path) -> None:
        with self._reachable():
            file.flush()
            os.fsync(file.fileno())
            try:
                place(Path(file.name), target)
            except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
                raise ValueError(
                    f"{target.relative_to(self._root)} is a folder of other keys, or inside one"
                ) from error
            sync_folders(target, self._root)

    def _open(self, key: str) -> BufferedReader | None:
        path = self._path(key)
        with self._reachable():
            try:
                return path.open("rb")
            except ABSENT:
                self._require_root()
                return None

    def _chunks(self, file: BinaryIO, start: int, length: int | None) -> Iterator[bytes]:
        with file, self._reachable():
            yield b""  # taken by `read`
            yield from chunks_of(file, start, length)
