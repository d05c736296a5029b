"""Own measuring and deleting folders whose content is hostile: endless depth, no permissions, links, hard links.

Nothing is followed, nothing recurses, and every step is taken relative to an open folder, so that a program that
renames under our feet leads us nowhere else.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BLOCK = 512
_TRIES = 3


def measure(path: str) -> int:
    """Bytes that a tree takes on disk, each hard-linked file once. What vanishes meanwhile counts nothing."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for entry in walk(path):
        try:
            facts = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        if facts.st_nlink > 1 and not entry.is_dir(follow_symlinks=False):
            if (facts.st_dev, facts.st_ino) in seen:
                continue
            seen.add((facts.st_dev, facts.st_ino))
        total += facts.st_blocks * _BLOCK
    return total


def walk(path: str) -> Iterator[os.DirEntry[str]]:
    """Yield every entry below a folder with one descriptor open at a time, however deep it goes."""
    folder = open_folder(path)
    levels: list[tuple[tuple[int, int], list[str]]] = []
    try:
        entries, below = list_folder(folder)
        yield from entries
        levels.append((identity(folder), below))
        while levels:
            if levels[-1][1]:
                inner = try_open(levels[-1][1].pop(), folder)
                if inner is None:
                    continue
                os.close(folder)
                folder = inner
                entries, below = list_folder(folder)
                yield from entries
                levels.append((identity(folder), below))
                continue
            levels.pop()
            if levels:
                outer = os.open("..", _FOLDER, dir_fd=folder)
                os.close(folder)
                folder = outer
                if identity(folder) != levels[-1][0]:
                    return  # moved under our feet: what was counted so far is what can be told
    finally:
        os.close(folder)


def list_folder(folder: int) -> tuple[list[os.DirEntry[str]], list[str]]:
    """A folder's entries, and the names of the folders among them."""
    with os.scandir(folder) as listing:
        entries = list(listing)
    return entries, [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]


def delete(path: str) -> None:
    """Delete a folder and all in it; gone already is success.

    Inner folders are moved up into the outermost one before they are emptied, so depth costs nothing.
    """
    for _ in range(_TRIES):
        try:
            empty(path)
            os.rmdir(path)
            return
        except FileNotFoundError:
            return
        except OSError:
            continue  # somebody wrote in between
    empty(path)
    os.rmdir(path)


def empty(path: str) -> None:
    """Delete all that a folder holds."""
    make_passable(path, None)
    top = open_folder(path)
    try:
        mark, number = secrets.token_hex(8), 0
        waiting = unlink_files(top)
        while waiting:
            name = waiting.pop()
            make_passable(name, top)
            folder = open_folder(name, top)
            try:
                for inner in unlink_files(folder):
                    make_passable(inner, folder)
                    number += 1
                    os.rename(inner, f".{mark}-{number}", src_dir_fd=folder, dst_dir_fd=top)
                    waiting.append(f".{mark}-{number}")
            finally:
                os.close(folder)
            os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)


def unlink_files(folder: int) -> list[str]:
    """Unlink all that is no folder; the names of those that are."""
    entries, folders = list_folder(folder)
    inner = set(folders)
    for entry in entries:
        if entry.name not in inner:
            os.unlink(entry.name, dir_fd=folder)
    return folders


def try_open(name: str, parent: int) -> int | None:
    """Open an inner folder; null where it has vanished or become something else."""
    try:
        return open_folder(name, parent)
    except (FileNotFoundError, NotADirectoryError):
        return None


def open_folder(name: str, parent: int | None = None) -> int:
    """Open a folder without following links, giving its owner (us) the permission that the program took away."""
    try:
        descriptor = os.open(name, _FOLDER, dir_fd=parent)
        if os.access(".", os.X_OK, dir_fd=descriptor):
            return descriptor
        os.close(descriptor)
    except PermissionError:
        pass
    make_passable(name, parent)
    return os.open(name, _FOLDER, dir_fd=parent)


def make_passable(name: str, parent: int | None) -> None:
    """Let a folder's owner in; a path descriptor makes sure that what is changed is never a link's end."""
    descriptor = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        if mode & stat.S_IRWXU != stat.S_IRWXU:
            os.chmod(f"/proc/self/fd/{descriptor}", mode | stat.S_IRWXU)
    finally:
        os.close(descriptor)


def identity(descriptor: int) -> tuple[int, int]:
    """What tells one folder from another."""
    facts = os.fstat(descriptor)
    return facts.st_dev, facts.st_ino
