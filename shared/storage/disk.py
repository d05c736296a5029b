"""Own the few moves on a file system that local storage is made of; each leaves nothing half-done behind."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

CHUNK_BYTES = 1 << 20
PLACE_ATTEMPTS = 10  # a deletion next door may remove the empty folder we have just made
ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


@contextmanager
def temporary(folder: Path) -> Iterator[BinaryIO]:
    """Yield a new file in the folder (made if only it is missing); remove it at the end unless it was moved away."""
    folder.mkdir(exist_ok=True)
    path = folder / secrets.token_hex(16)
    file = path.open("xb")
    try:
        yield file
    finally:
        with suppress(OSError):  # a full disk fails here again; its first failure is the one that is told
            file.close()
        with suppress(OSError):
            path.unlink()


def place(path: Path, target: Path) -> None:
    """Move a file over the target in one step, making the folders above it."""
    for attempt in range(1, PLACE_ATTEMPTS + 1):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
            return
        except (FileNotFoundError, FileExistsError):
            if attempt == PLACE_ATTEMPTS:
                raise


def sync_folders(path: Path, root: Path) -> None:
    """Make the names on the way from root to path survive a power cut."""
    for folder in path.parents:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if folder == root:
            return


def remove(path: Path, root: Path) -> None:
    """Remove a file, if there, and the folders below root that are empty then."""
    with suppress(*ABSENT):
        path.unlink()
    with suppress(OSError):  # the first folder that still holds something ends it
        for folder in path.parents:
            if folder == root:
                return
            folder.rmdir()


def remove_if_until(path: Path, changed_at: float) -> bool:
    """Remove a file that was last changed then or earlier; False where it was not, or is gone."""
    with suppress(FileNotFoundError):
        if path.stat().st_mtime <= changed_at:
            path.unlink()
            return True
    return False


def chunks_of(file: BinaryIO, start: int, length: int | None) -> Iterator[bytes]:
    """Yield an open file's bytes from `start`, at most `length`."""
    file.seek(start)
    left = length
    while chunk := file.read(CHUNK_BYTES if left is None else min(left, CHUNK_BYTES)):
        left = None if left is None else left - len(chunk)
        yield chunk


def files_below(folder: Path) -> Iterator[Path]:
    """Yield all files; none where the folder is missing, also if it goes while we look."""
    for parent, _, names in os.walk(folder, onerror=_pass_over_absent):
        yield from (Path(parent, name) for name in names)


def _pass_over_absent(error: OSError) -> None:
    if not isinstance(error, ABSENT):
        raise error
