"""Own a job's log as one stream: what there is, then what comes, until the job ends; plain text."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from shared.db import job_views, log_chunks, result_views
from shared.db.connection import session
from shared.db.job_views import JobRow
from shared.errors import NotFound, Unavailable
from shared.names import JobId
from shared.storage import Storage
from shared.streams import Wakeups

STAGES = ("image", "provision", "run")
"Whose logs follow each other."
LOOK_S = 15
"The safety net beneath the wake-ups."
PIECE_BYTES = 1 << 16


def follow(job_id: JobId, storage: Storage, wakeups: Wakeups, is_gone: Callable[[], bool]) -> Iterator[bytes]:
    """Yield every byte once, in order; holds no database connection while it waits, ends when the caller has gone."""
    yield b""  # the headers go out at once, however long the first line takes
    stage, offset = 0, 0
    while True:
        seen = wakeups.count()
        try:
            row, found = _look(job_id, STAGES[stage], offset)
        except Unavailable:
            wakeups.wait(seen, 1.0)
            continue
        if row is None:
            return
        if found:
            offset += len(found)
            yield found
            continue
        for piece in _stored(row, STAGES[stage], offset, storage):
            offset += len(piece)
            yield piece
        if stage + 1 < len(STAGES) and _is_past(row, stage):
            stage, offset = stage + 1, 0
        elif row.job.finished_at_ms is not None:
            return
        else:
            wakeups.wait(seen, LOOK_S)
            if is_gone():
                return


def _look(job_id: JobId, phase: str, offset: int) -> tuple[JobRow | None, bytes]:
    with session():
        # The job first: chunks that vanish between the two looks are a stored log by then, seen next time.
        row = job_views.get(job_id)
        return row, log_chunks.read(job_id, phase, offset)


def _stored(row: JobRow, phase: str, offset: int, storage: Storage) -> Iterator[bytes]:
    """Yield the rest of a log that has become a result."""
    name = result_views.GROWING[phase]
    file = next((each for each in row.results if each.filename == name and each.key is not None), None)
    if file is None or file.key is None or file.size_bytes <= offset:
        return
    try:
        yield from storage.read(file.key, offset)
    except NotFound:
        return  # its time was up while it was read


def _is_past(row: JobRow, stage: int) -> bool:
    """Whether nothing more can come of this log: the job has ended, or the next log has begun."""
    later = {result_views.GROWING[phase] for phase in STAGES[stage + 1 :]}
    return row.job.finished_at_ms is not None or any(file.filename in later for file in row.results)
