"""Own the following of links by hand: part by part, by descriptors, and never out of the folder they lie in."""

from __future__ import annotations

import os
import stat

OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
OPEN_FOLDER = OPEN_FILE | os.O_DIRECTORY
_MOST_LINKS = 40


def open_beneath(root: int, path: str, seen_as: str) -> int:
    """Open a regular file below `root`, following links by hand. Raises: OSError where that leads out or nowhere.

    `seen_as` is what the algorithm called the folder, with a slash at its end: a link may name it whole.
    """
    todo, folders, links = path.split("/")[::-1], [os.dup(root)], 0
    try:
        while todo:
            part = todo.pop()
            if part in ("", "."):
                continue
            if part == "..":
                if len(folders) == 1:
                    raise PermissionError("leads out of the folder")
                os.close(folders.pop())
                continue
            mode = os.lstat(part, dir_fd=folders[-1]).st_mode
            if stat.S_ISLNK(mode):
                links += 1
                target = os.readlink(part, dir_fd=folders[-1])
                _follow(target, links, todo, folders, seen_as)
            elif stat.S_ISDIR(mode):
                folders.append(os.open(part, OPEN_FOLDER, dir_fd=folders[-1]))
            elif stat.S_ISREG(mode) and not todo:
                return os.open(part, OPEN_FILE, dir_fd=folders[-1])
            else:
                raise PermissionError("not a regular file")
        raise IsADirectoryError("a folder")
    finally:
        for descriptor in folders:
            os.close(descriptor)


def _follow(target: str, links: int, todo: list[str], folders: list[int], seen_as: str) -> None:
    """Put a link's target in its place; an absolute one counts only below `seen_as`."""
    if links > _MOST_LINKS or (target.startswith("/") and not target.startswith(seen_as)):
        raise PermissionError("leads out of the folder")
    if target.startswith("/"):
        target = target.removeprefix(seen_as)
        while len(folders) > 1:
            os.close(folders.pop())
    todo.extend(target.split("/")[::-1])
