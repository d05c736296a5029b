"""Own our zip files: streamed, never compressed, the same bytes for the same content, Zip64 where it is needed.

A small file is stored, its checksum ahead of it. A large one is written as uncompressed deflate blocks with its
checksum behind it: nothing is read twice, and every reader understands it, streaming ones included.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pods.scanning import Entry, chunks_of

SMALL_BYTES = 1 << 20
_BLOCK = 65_535
_LIMIT = 0xFFFFFFFF
_EPOCH = 0x0021_0000  # 1 January 1980, midnight
_UTF8, _BEHIND = 0x0800, 0x0008
_STORED, _DEFLATED = 0, 8


class _Written(NamedTuple):
    name: bytes
    mode: int
    flags: int
    method: int
    crc: int
    packed_bytes: int
    size_bytes: int
    offset: int


def zip_chunks(entries: Iterable[Entry]) -> Iterator[bytes]:
    """Yield the zip file of these entries, whose names are unique."""
    central, count, offset = bytearray(), 0, 0
    for entry in entries:
        started = offset
        written = None
        for piece in _pieces(entry, started):
            if isinstance(piece, _Written):
                written = piece
            else:
                offset += len(piece)
                yield piece
        if written:
            central += _central_header(written)
            count += 1
    yield bytes(central)
    yield _end(count, len(central), offset)


def _pieces(entry: Entry, offset: int) -> Iterator[bytes | _Written]:
    """Yield an entry's bytes, and what the directory at the end must say of it."""
    if entry.size_bytes is None:
        head = _Written(f"{entry.name}/".encode(), 0o40755, _UTF8, _STORED, 0, 0, 0, offset)
        yield _local_header(head)
        yield head
    elif entry.size_bytes <= SMALL_BYTES:
        data = b"".join(chunks_of(entry))
        head = _Written(entry.name.encode(), 0o100644, _UTF8, _STORED, zlib.crc32(data), len(data), len(data), offset)
        yield _local_header(head)
        yield data
        yield head
    else:
        yield from _large(entry, entry.size_bytes, offset)


def _large(entry: Entry, size_bytes: int, offset: int) -> Iterator[bytes | _Written]:
    head = _Written(entry.name.encode(), 0o100644, _UTF8 | _BEHIND, _DEFLATED, 0, 0, size_bytes, offset)
    yield _local_header(head)
    crc, packed = 0, 0
    for chunk in chunks_of(entry):
        crc = zlib.crc32(chunk, crc)
        blocks = _as_blocks(chunk)
        packed += len(blocks)
        yield blocks
    yield b"\x01\x00\x00\xff\xff"  # an empty block, the last one
    packed += 5
    sizes = "<QQ" if _is_large(head) else "<LL"
    yield struct.pack("<4sL", b"PK\x07\x08", crc) + struct.pack(sizes, packed, size_bytes)
    yield head._replace(crc=crc, packed_bytes=packed)


def _as_blocks(chunk: bytes) -> bytes:
    parts = []
    for start in range(0, len(chunk), _BLOCK):
        part = chunk[start : start + _BLOCK]
        parts += [struct.pack("<BHH", 0, len(part), len(part) ^ 0xFFFF), part]
    return b"".join(parts)


def _is_large(head: _Written) -> bool:
    """Decide Zip64 for an entry by its size, before its packed size is known."""
    return head.size_bytes >= _LIMIT - (_LIMIT >> 8)


def _local_header(head: _Written) -> bytes:
    is_behind, extra = bool(head.flags & _BEHIND), b""
    packed, size = (0, 0) if is_behind else (head.packed_bytes, head.size_bytes)
    if _is_large(head):
        extra, packed, size = struct.pack("<HHQQ", 1, 16, 0, 0), _LIMIT, _LIMIT
    fields = (b"PK\x03\x04", 45 if extra else 20, head.flags, head.method, _EPOCH, head.crc, packed, size)
    return struct.pack("<4sHHHLLLLHH", *fields, len(head.name), len(extra)) + head.name + extra


def _central_header(head: _Written) -> bytes:
    extra, packed, size, offset = b"", head.packed_bytes, head.size_bytes, head.offset
    if _is_large(head) or offset >= _LIMIT:
        extra = struct.pack("<HHQQQ", 1, 24, size, packed, offset)
        packed = size = offset = _LIMIT
    version = 45 if extra else 20
    fields = (b"PK\x01\x02", 0x0300 | version, version, head.flags, head.method, _EPOCH, head.crc, packed, size)
    lengths = (len(head.name), len(extra), 0, 0, 0)
    attributes = head.mode << 16 | (0x10 if head.mode & 0o40000 else 0)
    return struct.pack("<4sHHHHLLLLHHHHHLL", *fields, *lengths, attributes, offset) + head.name + extra


def _end(count: int, size: int, offset: int) -> bytes:
    end = b""
    if count >= 0xFFFF or size >= _LIMIT or offset >= _LIMIT:
        end = struct.pack("<4sQHHLLQQQQ", b"PK\x06\x06", 44, 0x032D, 45, 0, 0, count, count, size, offset)
        end += struct.pack("<4sLQL", b"PK\x06\x07", 0, offset + size, 1)
    short = min(count, 0xFFFF)
    return end + struct.pack("<4sHHHHLLH", b"PK\x05\x06", 0, 0, short, short, min(size, _LIMIT), min(offset, _LIMIT), 0)
