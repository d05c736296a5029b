"""Own the result rows: which files a job left in storage, in the wire's order."""

from __future__ import annotations

from typing import Any

from shared.db.connection import session
from shared.db.statements import Statement
from shared.db.tables import Result
from shared.names import JobId
from shared.storage.base import StoredObject

TYPES: dict[str, str] = {
    "image.log": "imageLog",
    "configuration.log": "configurationLog",
    "algorithm.log": "algorithmLog",
    "publish.log": "publishLog",
    "receipt.json": "receipt",
}
"File name → the wire's type (§18.4); every other file is `output`."
_NAMES = Statement(lambda job_id: Result.select(Result.filename).where(Result.job_id == job_id))
ORDER = ("imageLog", "configurationLog", "algorithmLog", "output", "publishLog", "receipt")


def _put(job_id: Any, filename: Any, **fields: Any) -> Any:
    insert = Result.insert(job_id=job_id, filename=filename, **fields)
    return insert.on_conflict(conflict_target=[Result.job_id, Result.filename], update=fields)


_PUT = Statement(
    lambda job_id, filename, type, size_bytes, sha256, key, created_at_ms: _put(
        job_id, filename, type=type, size_bytes=size_bytes, sha256=sha256, key=key, created_at_ms=created_at_ms
    )
)


def record_result(job_id: JobId, filename: str, stored: StoredObject, at_ms: int, type_: str | None = None) -> None:
    """Make a stored file a result of the job; the same file again replaces what was known of it."""
    fields = {
        "type": type_ or TYPES.get(filename, "output"),
        "size_bytes": stored.size_bytes,
        "sha256": stored.sha256,
        "key": stored.key,
        "created_at_ms": at_ms,
    }
    with session():
        _PUT.write(job_id=job_id, filename=filename, **fields)


def results_of(job_id: JobId) -> list[Result]:
    """The job's results in the wire's order; a result's index is its place here, absent ones leaving no gap."""
    with session():
        rows = list(Result.select().where(Result.job_id == job_id))
    return sorted(rows, key=lambda row: (ORDER.index(row.type), row.filename))


def filenames(job_id: JobId) -> frozenset[str]:
    """The names of the files there are."""
    with session():
        return frozenset(filename for (filename,) in _NAMES.tuples(job_id=job_id))


def forget_results(job_id: JobId) -> None:
    """Drop the rows; the files in storage are deleted by the caller first."""
    with session():
        Result.delete().where(Result.job_id == job_id).execute()
