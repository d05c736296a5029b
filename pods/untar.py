"""Own the reading of our tar files as they stream in: files and folders, with pax records for long names."""

from __future__ import annotations

from collections.abc import Iterator

from pods.incoming import Incoming
from shared.errors import JobError

_BLOCK = 512
_MOST_RECORDS = 256 * 1024


def tar_members(incoming: Incoming) -> Iterator[tuple[str, Iterator[bytes] | None]]:
    """Yield names and contents (null for a folder); each must be read before the next. Raises: JobError."""
    records: dict[str, str] = {}
    while any(header := incoming.exactly(_BLOCK)):
        size, kind = _checked(header), header[156:157]
        if kind == b"x":
            records = _records(incoming, size)
            continue
        size = int(records.get("size", size))
        name = records.get("path") or header[:100].rstrip(b"\0").decode("utf-8", "replace")
        records = {}
        if kind == b"5":
            yield name, None
        elif kind in (b"0", b"\0"):
            yield name, incoming.pieces(size)
            incoming.exactly(-size % _BLOCK)
        else:
            raise JobError("the earlier job's outputs hold something that is neither a file nor a folder")
    while incoming.some():
        """Read the padding away, so that the stream is whole."""


def _checked(header: bytes) -> int:
    """Give a member's size. Raises: JobError where the header's sum is wrong."""
    try:
        total = int(header[148:154].rstrip(b" \0"), 8)
        size = int(header[124:136].rstrip(b" \0") or b"0", 8)
    except ValueError as error:
        raise JobError("the earlier job's outputs are not a tar file of this node's making") from error
    if total != sum(header[:148]) + sum(header[156:]) + 8 * 32:
        raise JobError("the earlier job's outputs are damaged")
    return size


def _records(incoming: Incoming, size: int) -> dict[str, str]:
    if size > _MOST_RECORDS:
        raise JobError("the earlier job's outputs hold a name that is too long")
    data, records = incoming.exactly(size + -size % _BLOCK)[:size], {}
    try:
        while data:
            length = int(data.partition(b" ")[0])
            key, _, value = data[:length].partition(b" ")[2].rstrip(b"\n").decode("utf-8", "replace").partition("=")
            records[key] = value
            data = data[max(length, 1) :]
        return {key: str(int(value)) if key == "size" else value for key, value in records.items()}
    except ValueError as error:
        raise JobError("the earlier job's outputs are damaged") from error
