"""Own the walk over a folder that an algorithm left behind: sorted, by descriptors, never out of it.

Links are hostile: one is followed by hand, part by part, and only to a regular file inside the same folder.
Anything that is not a file, a folder or such a link is left out with a note and never opened (a FIFO would block).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from typing import NamedTuple

from pods.beneath import OPEN_FILE, OPEN_FOLDER, open_beneath
from shared.errors import JobError

MOST_LEVELS = 128
_CHUNK = 256 * 1024


class Entry(NamedTuple):
    """A folder (`size_bytes` null) or a file, while its walk stands at it."""

    name: str
    "Relative to the walk's folder, `/` between parts, UTF-8."
    size_bytes: int | None
    open: Callable[[], int]
    "Give a descriptor for reading; the caller closes it."


def walk(folder: str, seen_as: str, note: Callable[[str], None]) -> Iterator[Entry]:
    """Yield what lies below a folder, in an order that depends on names alone. A missing folder is empty.

    `seen_as` is what the algorithm called it, with a slash at its end.
    """
    try:
        root = os.open(folder, OPEN_FOLDER)
    except (FileNotFoundError, NotADirectoryError):
        return
    stack = [(root, "", _names(root))]
    try:
        while stack:
            parent, prefix, names = stack[-1]
            name = next(names, None)
            if name is None:
                os.close(stack.pop()[0])
                continue
            entry = _entry(root, parent, prefix, name, seen_as, note)
            if entry is None:
                continue
            yield entry
            if entry.size_bytes is None and len(stack) < MOST_LEVELS:
                inner = os.open(name, OPEN_FOLDER, dir_fd=parent)
                stack.append((inner, f"{prefix}{name}/", _names(inner)))
            elif entry.size_bytes is None:
                note(f"{entry.name}: more than {MOST_LEVELS} folders deep, its content is left out")
    finally:
        for descriptor, _, _ in stack:
            os.close(descriptor)


def chunks_of(entry: Entry) -> Iterator[bytes]:
    """Yield a file's bytes, exactly as many as the walk found. Raises: JobError if they are not."""
    descriptor, left = entry.open(), entry.size_bytes or 0
    try:
        while left:
            chunk = os.read(descriptor, min(left, _CHUNK))
            if not chunk:
                raise JobError(f"{entry.name} became shorter while it was published")
            left -= len(chunk)
            yield chunk
    finally:
        os.close(descriptor)


def _names(descriptor: int) -> Iterator[str]:
    return iter(sorted(os.listdir(descriptor), key=os.fsencode))


def _entry(root: int, parent: int, prefix: str, name: str, seen_as: str, note: Callable[[str], None]) -> Entry | None:
    shown = _printable(prefix + name)
    found = os.lstat(name, dir_fd=parent)
    if stat.S_ISDIR(found.st_mode):
        return Entry(shown, None, lambda: -1)
    if stat.S_ISREG(found.st_mode):
        return Entry(shown, found.st_size, lambda: os.open(name, OPEN_FILE, dir_fd=parent))
    if not stat.S_ISLNK(found.st_mode):
        note(f"{shown}: neither a file nor a folder, left out")
        return None
    return _linked(root, prefix + name, shown, seen_as, note)


def _linked(root: int, path: str, shown: str, seen_as: str, note: Callable[[str], None]) -> Entry | None:
    try:
        descriptor = open_beneath(root, path, seen_as)
    except OSError:
        note(f"{shown}: a link that leads to no file inside the folder, left out")
        return None
    try:
        return Entry(shown, os.fstat(descriptor).st_size, lambda: open_beneath(root, path, seen_as))
    finally:
        os.close(descriptor)


def _printable(path: str) -> str:
    """Give a name that is not UTF-8 its stray bytes as %XX."""
    if path.isascii():
        return path
    return "".join(f"%{ord(char) - 0xDC00:02X}" if "\udc80" <= char <= "\udcff" else char for char in path)
