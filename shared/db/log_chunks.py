"""Own the pieces of running containers' logs, kept so that any handler can stream them."""

from __future__ import annotations

from collections.abc import Iterator

from peewee import fn

from shared.db.connection import session, transaction
from shared.db.statements import Statement
from shared.db.tables import LogChunk
from shared.db.watch import notify
from shared.names import JobId

CHUNK_BYTES = 64 * 1024
_PUT = Statement(
    lambda job_id, phase, offset, data: LogChunk.insert(
        job_id=job_id, phase=phase, offset=offset, data=data
    ).on_conflict_ignore()
)
_SIZE = Statement(
    lambda job_id, phase: (
        LogChunk.select(LogChunk.offset + fn.LENGTH(LogChunk.data))
        .where((LogChunk.job_id == job_id) & (LogChunk.phase == phase))
        .order_by(LogChunk.offset.desc())
        .limit(1)
    )
)
_FORGET = Statement(lambda job_id: LogChunk.delete().where(LogChunk.job_id == job_id))


def append(job_id: JobId, phase: str, offset: int, data: bytes) -> int:
    """Keep the bytes that stand at `offset` of the log; the same piece twice changes nothing.

    Returns the next offset.
    """
    with transaction():
        for start in range(0, len(data), CHUNK_BYTES):
            piece = data[start : start + CHUNK_BYTES]
            _PUT.write(job_id=job_id, phase=phase, offset=offset + start, data=piece)
        notify()
    return offset + len(data)


def size(job_id: JobId, phase: str) -> int:
    """How many bytes are kept: the offset of the next piece."""
    with session():
        found = _SIZE.tuples(job_id=job_id, phase=phase)
        return found[0][0] if found else 0


def read(job_id: JobId, phase: str, offset: int = 0, limit: int = 64) -> bytes:
    """The bytes from `offset`, at most `limit` pieces of them; empty where there are none yet."""
    with session():
        here = (LogChunk.job_id == job_id) & (LogChunk.phase == phase)
        start = LogChunk.select(fn.MAX(LogChunk.offset)).where(here & (LogChunk.offset <= offset)).scalar()
        if start is None:
            return b""
        rows = LogChunk.select().where(here & (LogChunk.offset >= start)).order_by(LogChunk.offset).limit(limit)
        return b"".join(bytes(row.data) for row in rows)[offset - start :]


def read_all(job_id: JobId, phase: str) -> Iterator[bytes]:
    """Every piece in order."""
    offset = 0
    while piece := read(job_id, phase, offset):
        yield piece
        offset += len(piece)


def forget(job_id: JobId) -> None:
    """Drop a job's pieces: its logs are results now."""
    with session():
        _FORGET.write(job_id=job_id)
