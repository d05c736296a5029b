"""Own the reading of our zip files as they stream in: stored entries, and deflated ones with their sum behind."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from pods.incoming import Incoming
from shared.errors import JobError

_BEHIND = 0x0008
_STORED, _DEFLATED = 0, 8


def zip_members(incoming: Incoming) -> Iterator[tuple[str, Iterator[bytes] | None]]:
    """Yield names and contents (null for a folder); each must be read before the next. Raises: JobError."""
    while (signature := incoming.exactly(4)) == b"PK\x03\x04":
        fields = struct.unpack("<HHHLLLLHH", incoming.exactly(26))
        _, flags, method, _, crc, packed, _, name_length, extra_length = fields
        name = incoming.exactly(name_length).decode("utf-8", "replace")
        extra = incoming.exactly(extra_length)
        if name.endswith("/"):
            yield name, None
        elif method == _STORED and not flags & _BEHIND:
            yield name, _stored(incoming, packed, crc)
        elif method == _DEFLATED and flags & _BEHIND:
            yield name, _deflated(incoming, is_large=bool(extra))
        else:
            raise JobError("the earlier job's outputs are not a zip file of this node's making")
    if signature not in (b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06"):
        raise JobError("the earlier job's outputs are not a zip file")
    while incoming.some():
        """Read the directory at the end away, so that the stream is whole."""


def _stored(incoming: Incoming, length: int, crc: int) -> Iterator[bytes]:
    seen = 0
    for piece in incoming.pieces(length):
        seen = zlib.crc32(piece, seen)
        yield piece
    _compare(seen, crc)


def _deflated(incoming: Incoming, is_large: bool) -> Iterator[bytes]:
    inflater, seen = zlib.decompressobj(-15), 0
    try:
        while not inflater.eof:
            data = incoming.some()
            if not data:
                raise JobError("the earlier job's outputs end too soon")
            piece = inflater.decompress(data)
            seen = zlib.crc32(piece, seen)
            yield piece
    except zlib.error as error:
        raise JobError("the earlier job's outputs are damaged") from error
    incoming.put_back(inflater.unused_data)
    behind = incoming.exactly(24 if is_large else 16)
    _compare(seen, struct.unpack("<L", behind[4:8])[0])


def _compare(seen: int, crc: int) -> None:
    if seen != crc:
        raise JobError("the earlier job's outputs are damaged")
