"""Own reading a result's bytes, wherever they are: in storage, or still in log chunks."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from shared.db import log_chunks
from shared.db.result_views import ResultFile
from shared.names import JobId
from shared.storage import Storage
from shared.web.files import Read


def reader(job_id: str, file: ResultFile, storage: Storage) -> Read:
    """Give what reads a part of the file."""
    if file.key is not None:
        return partial(storage.read, file.key)
    return partial(_read_growing, JobId(job_id), file.phase or "run")


def media_type(file: ResultFile) -> str:
    """Text for logs, bytes for everything an algorithm wrote: no browser is to run it."""
    return "application/octet-stream" if file.type == "output" else "text/plain; charset=utf-8"


def _read_growing(job_id: JobId, phase: str, start: int, length: int) -> Iterator[bytes]:
    """Yield exactly the bytes announced, though the log has grown meanwhile."""
    while length > 0:
        piece = log_chunks.read(job_id, phase, start)[:length]
        if not piece:
            return
        start, length = start + len(piece), length - len(piece)
        yield piece
