"""Own the files in which a phase of the process engine is remembered; read by any pass, written by its supervisor.

The supervisor imports this, and a phase waits for its imports: nothing heavier than `os` and `fcntl` here.
A phase's folder holds `state` (what happened), `lock` (held as long as the supervisor lives), `log`, `stop` (a wish).
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Mapping

CREATED, RUNNING, EXITED = "created", "running", "exited"

BY_ITSELF, BY_STOP, BY_TIMEOUT, BY_MEMORY, BY_OTHERS = "itself", "stop", "timeout", "memory", "others"
"Who ended a phase."

LOG_CAP_BYTES = 64 << 20

_FLOCK = "hhqqi"  # struct flock: type, whence, start, length, pid


def read_state(folder: str) -> dict[str, str]:
    """The fields last written; empty where nothing was."""
    try:
        with open(os.path.join(folder, "state"), encoding="utf-8") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return {}
    return dict(line.partition(" ")[::2] for line in lines)


def write_state(folder: str, fields: Mapping[str, object]) -> None:
    """Replace the state at once, and have it on disk on return: a reboot must not forget that a phase ran."""
    text = "".join(f"{name} {one_line(value)}\n" for name, value in fields.items() if value is not None)
    replace_file(os.path.join(folder, "state"), text.encode(), durable=True)


def replace_file(path: str, content: bytes, *, durable: bool = False) -> None:
    """Write a file that is seen whole or not at all."""
    draft = f"{path}.{os.getpid()}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, content)
        if durable:
            os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(draft, path)
    if durable:
        sync_folder(os.path.dirname(path))


def sync_folder(folder: str) -> None:
    """Have a folder's entries on disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def one_line(value: object) -> str:
    """Text that cannot break the file's lines."""
    return " ".join(str(value).split())


def take_lock(folder: str) -> int | None:
    """Hold the phase until this process ends; null where another supervisor holds it.

    A record lock: the kernel frees it however the process ends, children do not inherit it, and no process id that
    was given away again can be taken for the supervisor.
    """
    descriptor = os.open(os.path.join(folder, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def supervisor_pid(folder: str) -> int | None:
    """The process id of the phase's living supervisor; null where there is none. Raises: OSError when out of sight."""
    try:
        descriptor = os.open(os.path.join(folder, "lock"), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    finally:
        os.close(descriptor)
    if kind != fcntl.F_UNLCK and pid <= 0:
        raise OSError(errno.EREMOTE, "a phase runs where this process cannot see it (another machine or container)")
    return None if kind == fcntl.F_UNLCK else pid


def birth(pid: int) -> str:
    """When the kernel started a process, in its own ticks; empty where it is gone (or only waits to be reaped)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def living_init(state: Mapping[str, str]) -> int | None:
    """The phase's first process where it still lives; process ids that were given away again are told apart."""
    pid = int(state.get("init_pid", 0))
    return pid if pid and birth(pid) == state.get("init_birth") else None
