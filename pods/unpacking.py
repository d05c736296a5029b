"""Own the unpacking of an earlier job's outputs as they stream in: within bounds, and only what we pack ourselves.

Names come from an algorithm, so none is trusted: no `..`, nothing absolute, no links, no devices.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from pods.incoming import Incoming
from pods.untar import tar_members
from pods.unzip import zip_members
from shared.errors import JobError

Archive = Literal["none", "zip", "tar"]


class Bounds(NamedTuple):
    """How much may come out."""

    entries: int = 1_000_000
    bytes: int = 1 << 40


def unpack(
    chunks: Iterator[bytes],
    archive: Archive,
    filename: str,
    folder: str,
    bounds: Bounds,
    progress: Callable[[int], None],
) -> int:
    """Write an earlier job's outputs below a folder and give their number. Raises: JobError, OSError.

    `progress` is told of each piece written. The files of a tar lie below `outputs/`, which is taken off.
    """
    os.makedirs(folder, mode=0o777, exist_ok=True)
    if archive == "none":
        _write(folder, _parts(filename)[-1:], chunks, progress)
        return 1
    incoming = Incoming(chunks, bounds.bytes)
    count = 0
    for name, content in (zip_members if archive == "zip" else tar_members)(incoming):
        parts = _parts(name)
        parts = parts[1:] if archive == "tar" and parts[0] == "outputs" else parts
        count += content is not None
        if count > bounds.entries:
            raise JobError(f"the earlier job's outputs have more than {bounds.entries:,} files")
        _place(folder, parts, content, progress)
    return count


def _place(folder: str, parts: list[str], content: Iterator[bytes] | None, progress: Callable[[int], None]) -> None:
    if content is None:
        os.makedirs("/".join([folder, *parts]), mode=0o777, exist_ok=True)
    else:
        os.makedirs("/".join([folder, *parts[:-1]]), mode=0o777, exist_ok=True)
        _write(folder, parts, content, progress)


def _parts(name: str) -> list[str]:
    """Split a member's name. Raises: JobError for one that would lead elsewhere."""
    parts = name.removesuffix("/").split("/")
    if not name or name.startswith("/") or "\0" in name or any(part in ("", ".", "..") for part in parts):
        raise JobError("the earlier job's outputs hold a name that leads elsewhere")
    return parts


def _write(folder: str, parts: list[str], content: Iterator[bytes], progress: Callable[[int], None]) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    if not parts:
        raise JobError("the earlier job's outputs hold a file without a name")
    with open(os.open("/".join([folder, *parts]), flags, 0o644), "wb", buffering=0) as file:
        for chunk in content:
            file.write(chunk)
            progress(len(chunk))
