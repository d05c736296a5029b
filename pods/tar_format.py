"""Own our tar files (POSIX pax): streamed, the same bytes for the same content, owned by the algorithm's user."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pods.scanning import Entry, chunks_of

_BLOCK = 512
_MOST_OCTAL = 8**11
_OWNER = 1000


def tar_chunks(entries: Iterable[Entry]) -> Iterator[bytes]:
    """Yield the tar file of these entries."""
    for entry in entries:
        size = entry.size_bytes or 0
        name = entry.name.encode() + (b"/" if entry.size_bytes is None else b"")
        yield _headers(name, size, b"5" if entry.size_bytes is None else b"0")
        yield from chunks_of(entry) if size else ()
        yield bytes(-size % _BLOCK)
    yield bytes(2 * _BLOCK)


def _headers(name: bytes, size: int, kind: bytes) -> bytes:
    """Give a member's header, after one with what the plain form cannot say: a long or foreign name, a large size."""
    records = b""
    if len(name) > 100 or not name.isascii():
        records += _record(b"path", name)
    if size >= _MOST_OCTAL:
        records += _record(b"size", str(size).encode())
    extended = _header(b"pax", len(records), b"x") + records + bytes(-len(records) % _BLOCK) if records else b""
    return extended + _header(name[:100], size if size < _MOST_OCTAL else 0, kind)


def _header(name: bytes, size: int, kind: bytes) -> bytes:
    mode = 0o755 if kind == b"5" else 0o644
    numbers = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (mode, _OWNER, _OWNER, size, 0)
    tail = kind + bytes(100) + b"ustar\x0000" + bytes(64) + b"0000000\0" * 2 + bytes(155 + 12)
    head = name.ljust(100, b"\0") + numbers
    checksum = sum(head) + sum(tail) + 8 * 32
    return head + b"%06o\0 " % checksum + tail


def _record(key: bytes, value: bytes) -> bytes:
    """Write `<length> key=value` and a newline, the length counting itself."""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest) + len(str(len(rest)))
    length = len(rest) + len(str(length))
    return str(length).encode() + rest
