"""Own measuring a folder from outside, however hostile its contents: bytes on disk, links not followed."""

from __future__ import annotations

import os

DEEPEST = 200
TOO_DEEP_BYTES = 1 << 60
"What a folder counts that lies too deep to be looked into: nobody's data is there, and it must not hide any."
BLOCK_BYTES = 512
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def folder_bytes(path: str) -> int:
    """Bytes the folder's files and folders take on disk; each hard-linked file once. Raises: OSError at the top only.

    Folders are opened below one another and never by path, so that none can be swapped for a link meanwhile.
    """
    top = os.open(path, FOLDER)
    try:
        return _bytes_below(top, 0, set())
    finally:
        os.close(top)


def _bytes_below(folder: int, depth: int, linked: set[int]) -> int:
    total, folders = _bytes_in(folder, linked)
    if folders and depth >= DEEPEST:
        return total + TOO_DEEP_BYTES
    for name in folders:
        try:
            child = os.open(name, FOLDER, dir_fd=folder)
        except PermissionError:  # who measures as the algorithm's user sees what that user hides by its rights alone
            total += TOO_DEEP_BYTES if _is_my_own(name, folder) else 0
            continue
        except OSError:  # removed or replaced since it was listed
            continue
        try:
            total += _bytes_below(child, depth + 1, linked)
        finally:
            os.close(child)
    return total


def _is_my_own(name: str, folder: int) -> bool:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_uid == os.geteuid()
    except OSError:
        return False


def _bytes_in(folder: int, linked: set[int]) -> tuple[int, list[str]]:
    total, folders = 0, []
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                facts = entry.stat(follow_symlinks=False)
            except OSError:  # removed since it was listed
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            elif facts.st_nlink > 1:
                if facts.st_ino in linked:
                    continue
                linked.add(facts.st_ino)
            total += facts.st_blocks * BLOCK_BYTES
    return total, folders
