"""Own serving a stored file: whole, or the range asked for; a caller who has it already is told so."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from urllib.parse import quote

from shared.errors import RangeNotSatisfiable
from shared.web.command import Reply
from shared.web.incoming import is_known

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
Read = Callable[[int, int], Iterator[bytes]]
"From a start and a length to the bytes."


def file_reply(
    header: Callable[[str], str | None], size_bytes: int, read: Read, media_type: str, filename: str, etag: str | None
) -> Reply:
    """Answer with a file, or the part asked for. Raises: RangeNotSatisfiable, and what `read` raises."""
    headers = {"Accept-Ranges": "bytes", "Content-Disposition": disposition(filename), "Cache-Control": "private"}
    if etag is not None and is_known(header("If-None-Match"), etag):
        return Reply(status=304, headers=headers, etag=etag, data=b"")
    wanted = None if _is_stale(header("If-Range"), etag) else parse_range(header("Range"), size_bytes)
    start, length = wanted or (0, size_bytes)
    if wanted is not None:
        headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{size_bytes}"
    headers["Content-Length"] = str(length)
    return Reply(
        status=200 if wanted is None else 206,
        headers=headers,
        chunks=read(start, length),
        media_type=media_type,
        etag=etag,
    )


def parse_range(text: str | None, size_bytes: int) -> tuple[int, int] | None:
    """Read a range header as start and length; null = the whole. Raises: RangeNotSatisfiable.

    Several ranges, other units and nonsense count as no range, as HTTP allows.
    """
    match = _RANGE.fullmatch((text or "").replace(" ", ""))
    if match is None or match.group() == "bytes=-":
        return None
    first, last = match.groups()
    start = int(first) if first else max(0, size_bytes - int(last))
    end = min(int(last), size_bytes - 1) if first and last else size_bytes - 1
    if first and last and int(last) < start:
        return None
    if start >= size_bytes or (not first and int(last) == 0):
        raise RangeNotSatisfiable(f"The file has {size_bytes} bytes.", size_bytes=size_bytes)
    return start, end - start + 1


def disposition(filename: str) -> str:
    """Write the header that names a download: plain for all, exact for those who can read it."""
    plain = re.sub(r"[^A-Za-z0-9._ -]", "_", filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"


def _is_stale(if_range: str | None, etag: str | None) -> bool:
    """Whether the part the caller has is of another file."""
    return if_range is not None and if_range != f'"{etag}"'
