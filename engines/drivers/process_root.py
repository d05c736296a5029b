"""Own what a phase of the process engine sees of this machine: a list of what is shown, never of what is taken away.

Shown read-only: the system's programs and libraries, the few settings they need, the interpreter the node runs with.
The node's data, its key, its database and everybody's homes are not on the list.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

import shared

Bind = tuple[str, str, bool]

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store")
SETTINGS = (
    *("alternatives", "ca-certificates", "ca-certificates.conf", "crypto-policies", "fonts", "group", "host.conf"),
    *("hosts", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "magic", "mime.types", "nsswitch.conf"),
    *("passwd", "pki", "protocols", "resolv.conf", "services", "ssl", "timezone"),
)
PACKAGES = Path(shared.__file__).resolve().parent.parent
POD_PACKAGES = ("pods", "shared")
OURS = "/c2d"
"The one folder of ours inside: the pods' packages, and `python` where the interpreter's folder has none."

PATH = ":".join(
    (os.path.dirname(sys.executable), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", f"{OURS}/bin")
)


def binds(volume: Path, scratch: Path, data_dir: Path, extra: Iterable[str], *, is_pod: bool) -> list[Bind]:
    """What is mounted where, outermost first; no source: covered by an empty folder."""
    shown = {place for place in SYSTEM if os.path.isdir(place) and not os.path.islink(place)}
    shown |= {f"/etc/{name}" for name in SETTINGS if os.path.exists(f"/etc/{name}")}
    shown |= {place for place in extra if os.path.exists(place)}
    shown |= interpreter(shown)
    found: list[Bind] = [(place, place, False) for place in shown]
    if is_pod:
        found += [(str(PACKAGES / name), f"{OURS}/{name}", False) for name in POD_PACKAGES]
    found += [("", str(data_dir), False), (str(volume), "/data", True), (str(scratch), "/tmp", True)]
    return sorted(found, key=lambda bind: (bind[1].count("/"), bind[1]))


def interpreter(shown: Iterable[str]) -> set[str]:
    """Where the node's own Python lies, as far as it is not shown already: its trees, and links on the way to it."""
    trees = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix} - {"/"}
    needed = {tree for tree in trees if not is_below(tree, shown)}
    link = sys.executable
    while os.path.islink(link):
        link = os.path.normpath(os.path.join(os.path.dirname(link), os.readlink(link)))
        if not is_below(link, {*shown, *needed}):
            needed.add(link)
    return needed


def is_below(path: str, trees: Iterable[str]) -> bool:
    """Whether a path lies in one of the trees, or is one."""
    return any(path == tree or path.startswith(tree.rstrip("/") + "/") for tree in trees)


def links() -> list[tuple[str, str]]:
    """Symbolic links inside: those of the system's root, and a last resort for `python`."""
    found = [(os.readlink(place), place) for place in SYSTEM if os.path.islink(place)]
    return [*found, (sys.executable, f"{OURS}/bin/python"), (sys.executable, f"{OURS}/bin/python3")]
