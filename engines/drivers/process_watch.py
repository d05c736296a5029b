"""Own being told when a file appears in a folder: inotify, by way of the C library."""

from __future__ import annotations

import ctypes
import os
import select
import struct
from collections.abc import Callable

_IN_MOVED_TO = 0x80
_EVENT = struct.Struct("iIII")
_BUFFER_BYTES = 1 << 16
LOOK_UP_MS = 100
"How often to ask whether to go on."

_libc = ctypes.CDLL(None, use_errno=True)


def watch_folder(folder: str, tell: Callable[[str], None], is_stopped: Callable[[], bool]) -> None:
    """Call `tell` with the name of every file that is put into the folder, until stopped."""
    descriptor = checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
    try:
        checked(_libc.inotify_add_watch(descriptor, os.fsencode(folder), _IN_MOVED_TO))
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        while not is_stopped():
            if poll.poll(LOOK_UP_MS):
                for name in names(os.read(descriptor, _BUFFER_BYTES)):
                    tell(name)
    finally:
        os.close(descriptor)


def names(events: bytes) -> list[str]:
    """The files' names in a piece of inotify's stream."""
    found, offset = [], 0
    while offset < len(events):
        *_, length = _EVENT.unpack_from(events, offset)
        offset += _EVENT.size
        found.append(os.fsdecode(events[offset : offset + length].rstrip(b"\0")))
        offset += length
    return found


def checked(result: int) -> int:
    """Turn the C library's way of telling into Python's."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
