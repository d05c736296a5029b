"""Own what files from outside may be called below /data; pure. No name from outside becomes a path unchanged."""

from __future__ import annotations

DOOR_FILE = ".door"
"Written by the configuration pod for the publishing pod: which door the job came in by."

_MOST_BYTES = 255
_DID = "did:op:"


def safe_name(name: str, instead: str) -> str:
    """Make one name of it: no `/`, control characters or leading dots, at most 255 bytes; `instead` where none is."""
    kept = "".join(char for char in name if char not in "/\\" and char.isprintable()).lstrip(".").strip()
    return _cut(kept, _MOST_BYTES) or instead


def safe_did(did: str) -> str:
    """Name a DID's folder: without `did:op:`; another kind of DID whole, `/` replaced."""
    kept = did.removeprefix(_DID).replace("/", "_").replace("\0", "_")
    return _cut("_" * len(kept) if not kept.strip(".") else kept, _MOST_BYTES) or "_"


def free_name(name: str, taken: set[str]) -> str:
    """Give the name, or with `-1`, `-2` before its extension where it is taken; takes it. Case does not tell apart."""
    stem, dot, extension = name.rpartition(".") if "." in name.strip(".") else (name, "", "")
    candidate, number = name, 0
    while candidate.lower() in taken:
        number += 1
        tail = f"-{number}{dot}{extension}"
        candidate = _cut(stem, _MOST_BYTES - len(tail.encode())) + tail
    taken.add(candidate.lower())
    return candidate


def _cut(name: str, most_bytes: int) -> str:
    """Cut to a number of bytes, no character in two; the extension stays."""
    if len(name.encode("utf-8", "replace")) <= most_bytes:
        return name.encode("utf-8", "replace").decode()
    stem, dot, extension = name.rpartition(".")
    tail = f"{dot}{extension}" if stem and len(extension) < 16 else ""
    head = (stem if tail else name).encode("utf-8", "replace")[: max(most_bytes - len(tail.encode()), 0)]
    return head.decode("utf-8", "ignore") + tail
