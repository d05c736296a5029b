"""Own the pieces of running containers' logs, kept so that any handler can stream them."""

from __future__ import annotations

from collections.abc import Iterator

from peewee import fn

from shared.db.connection import session, transaction
from shared.db.tables import LogChunk
from shared.db.watch import notify
from shared.names import JobId

CHUNK_BYTES = 64 * 1024


def append(job_id: JobId, phase: str, offset: int, data: bytes) -> int:
    """Keep the bytes that stand at `offset` of the log; the same piece twice changes nothing.

    Returns the next offset.
    """
    with transaction():
        for start in range(0, len(data), CHUNK_BYTES):
            piece = data[start : start + CHUNK_BYTES]
            LogChunk.insert(
                job_id=job_id, phase=phase, offset=offset + start, data=piece
            ).on_conflict_ignore().execute()
        notify()
    return offset + len(data)


def size(job_id: JobId, phase: str) -> int:
    """How many bytes are kept: the offset of the next piece."""
    with session():
        here = (LogChunk.job_id == job_id) & (LogChunk.phase == phase)
        last = LogChunk.select().where(here).order_by(LogChunk.offset.desc()).first()
        return 0 if last is None else last.offset + len(last.data)


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
        LogChunk.delete().where(LogChunk.job_id == job_id).execute()
