"""Own the system calls that Python's library does not offer; each raises OSError with what was attempted."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Collection

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
MNT_DETACH = 2

ATTR_RDONLY, ATTR_NOSUID, ATTR_NODEV = 1, 2, 4
_AT_RECURSIVE = 0x8000
_AT_FDCWD = -100

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP = 1, 4, 24
_PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 38, 47, 4
_PR_SET_KEEPCAPS, _PR_CAP_AMBIENT_RAISE = 8, 2

_PR_SET_SECCOMP, _SECCOMP_FILTER = 22, 2

_SYS_MOUNT_SETATTR = 442  # the same on every architecture
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41, "ppc64le": 203, "s390x": 217}
_CAPABILITY_VERSION = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    """Leave the given namespaces for new ones."""
    _checked(_libc.unshare(flags), "make private namespaces")


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    """mount(2)."""
    result = _libc.mount(source.encode(), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), options.encode())
    _checked(result, f"mount {source or kind or 'the root'} at {target}")


def bind(source: str, target: str) -> None:
    """Show a file or a whole tree of mounts at another place."""
    mount(source, target, "", MS_BIND | MS_REC)


def restrict_mount(target: str, attributes: int) -> None:
    """Set attributes on a mount and all below it (Linux 5.12)."""
    request = struct.pack("QQQQ", attributes, 0, 0, 0)
    result = _libc.syscall(
        ctypes.c_long(_SYS_MOUNT_SETATTR), _AT_FDCWD, os.fsencode(target), _AT_RECURSIVE, request, len(request)
    )
    _checked(result, f"restrict the mount at {target}")


def pivot_here() -> None:
    """Make the working directory the root and let go of the old one."""
    number = _SYS_PIVOT_ROOT.get(os.uname().machine)
    if number is None:
        raise OSError(f"pivot_root is not known for {os.uname().machine}")
    _checked(_libc.syscall(ctypes.c_long(number), b".", b"."), "change the root")
    _checked(_libc.umount2(b".", MNT_DETACH), "let go of the old root")


def set_hostname(name: str) -> None:
    """sethostname(2)."""
    _checked(_libc.sethostname(name.encode(), len(name)), "set the host name")


def die_with_parent(signal_number: int) -> None:
    """Be sent a signal when the parent ends. A change of user forgets it: ask again afterwards."""
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0), "follow the parent")


def be_opaque() -> None:
    """Let no other process of the same user trace or read this one."""
    _checked(_libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0), "become opaque")


def bound_capabilities(kept: Collection[int]) -> None:
    """Make sure that none but a few capabilities can be had again, and that a change of user leaves those.

    Needs CAP_SETPCAP, so it comes before the change of user.
    """
    for number in range(64):
        if number not in kept and _libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0) != 0:
            break
    _checked(_libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0), "keep capabilities")


def drop_capabilities(kept: Collection[int]) -> None:
    """Give up every capability but a few, which do nothing yet, and the means to gain one through a program's file."""
    _checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "give up new privileges")
    _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    header = struct.pack("Ii", _CAPABILITY_VERSION, 0)
    mask = sum(1 << number for number in kept)
    _checked(_libc.capset(header, struct.pack("6I", 0, mask, mask, 0, 0, 0)), "drop capabilities")


def pass_on_capabilities(kept: Collection[int]) -> None:
    """Let the program that this process becomes have the few that were kept."""
    for number in kept:
        _checked(_libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, number, 0, 0), "pass a capability on")


def filter_calls(instructions: bytes) -> None:
    """Refuse system calls from now on, here and in all that follows. Needs no new privileges to be given up before."""
    program = ctypes.create_string_buffer(instructions, len(instructions))
    header = struct.pack("HP", len(instructions) // 8, ctypes.addressof(program))
    _checked(_libc.prctl(_PR_SET_SECCOMP, _SECCOMP_FILTER, header, 0, 0), "filter system calls")


def _checked(result: int, attempt: str) -> None:
    """Turn the C library's way of telling into Python's."""
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot {attempt}: {os.strerror(number)}")
